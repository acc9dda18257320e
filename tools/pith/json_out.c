/* SPDX-License-Identifier: MIT */
/* Small helpers over jansson. */
#include "json_out.h"

#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int cli_json_print(json_t *root, bool compact)
{
    if (!root)
        return cli_error(CLI_MEMORY, "no memory for the JSON answer");
    int failed = json_dumpf(root, stdout, JSON_REAL_PRECISION(9) | (compact ? JSON_COMPACT : JSON_INDENT(2)));
    json_decref(root);
    if (failed && !ferror(stdout))
        return cli_error(CLI_MEMORY, "no memory for the JSON answer");
    fputc('\n', stdout);
    return CLI_OK;
}

/* Length of the valid UTF-8 character at s[0..n), 0 when there is none. */
static size_t character(const unsigned char *s, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = s[0] < 0x80 ? 1 : (s[0] & 0xE0) == 0xC0 ? 2 : (s[0] & 0xF0) == 0xE0 ? 3 : (s[0] & 0xF8) == 0xF0 ? 4 : 0;
    if (length < 2)
        return length;
    if (length > n)
        return 0;
    uint32_t code = s[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
        code = code << 6 | (s[i] & 0x3Fu);
    }
    return code < least[length] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000) ? 0 : length;
}

json_t *cli_json_bytes(const char *bytes, size_t n)
{
    json_t *text = json_stringn(bytes, n);
    if (text)
        return text;
    char *valid = cli_alloc(n * 3 + 1, 1);
    size_t m = 0;
    for (size_t i = 0; i < n;) {
        size_t length = character((const unsigned char *)bytes + i, n - i);
        memcpy(valid + m, length ? bytes + i : "\xEF\xBF\xBD", length ? length : 3);
        m += length ? length : 3;
        i += length ? length : 1;
    }
    text = json_stringn(valid, m);
    free(valid);
    return text;
}

json_t *cli_json_real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}
