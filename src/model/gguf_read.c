/* SPDX-License-Identifier: MIT */
/* The bounded cursor. No sum is formed from a number of the file: lengths are compared with what is left. */
#include "model/gguf_read.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

pith_status pith_cursor_take(pith_cursor *c, const char *what, size_t n, const uint8_t **out)
{
    if (n > pith_cursor_left(c))
        return pith_fail(PITH_ERROR_FORMAT, "byte %zu: the file ends inside %s: expected %zu bytes, got %zu", c->at, what, n,
                         pith_cursor_left(c));
    *out = c->data + c->at;
    c->at += n;
    return PITH_OK;
}

pith_status pith_cursor_u32(pith_cursor *c, const char *what, uint32_t *out)
{
    const uint8_t *b = NULL;
    PITH_TRY(pith_cursor_take(c, what, 4, &b));
    *out = pith_le32(b);
    return PITH_OK;
}

pith_status pith_cursor_u64(pith_cursor *c, const char *what, uint64_t *out)
{
    const uint8_t *b = NULL;
    PITH_TRY(pith_cursor_take(c, what, 8, &b));
    *out = pith_le64(b);
    return PITH_OK;
}

pith_status pith_cursor_string(pith_cursor *c, const char *what, size_t n_min, size_t n_max, pith_str *out)
{
    size_t at = c->at;
    uint64_t n;
    PITH_TRY(pith_cursor_u64(c, what, &n));
    if (n > pith_cursor_left(c))
        return pith_fail(PITH_ERROR_FORMAT, "byte %zu: length of %s is %" PRIu64 ", only %zu bytes are left", at, what, n,
                         pith_cursor_left(c));
    if (n < n_min || n > n_max)
        return pith_fail(PITH_ERROR_FORMAT, "byte %zu: length of %s: expected %zu to %zu bytes, got %" PRIu64, at, what, n_min,
                         n_max, n);
    const uint8_t *b = NULL;
    PITH_TRY(pith_cursor_take(c, what, (size_t)n, &b));
    *out = (pith_str){(const char *)b, (size_t)n};
    return PITH_OK;
}

pith_status pith_cursor_room(const pith_cursor *c, const char *what, uint64_t n_items, size_t item_bytes)
{
    if (n_items > pith_cursor_left(c) / item_bytes)
        return pith_fail(PITH_ERROR_FORMAT, "byte %zu: %" PRIu64 " %s need at least %zu bytes each, only %zu bytes are left",
                         c->at, n_items, what, item_bytes, pith_cursor_left(c));
    return PITH_OK;
}

const char *pith_str_print(pith_str s, char *out, size_t size)
{
    size_t at = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.data[i];
        bool plain = ch >= 0x20 && ch < 0x7f && ch != '\\';
        size_t need = plain ? 1 : ch == '\\' || ch == '\n' || ch == '\t' ? 2 : 4;
        if (at + need + 4 > size) { /* room for "..." and NUL */
            if (size >= 4)
                memcpy(out + at, "...", 3), at += 3;
            break;
        }
        if (plain)
            out[at] = (char)ch;
        else if (need == 2)
            out[at] = '\\', out[at + 1] = ch == '\n' ? 'n' : ch == '\t' ? 't' : '\\';
        else
            snprintf(out + at, 5, "\\x%02x", ch);
        at += need;
    }
    if (size > 0)
        out[at] = '\0';
    return out;
}
