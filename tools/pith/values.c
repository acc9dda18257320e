/* SPDX-License-Identifier: MIT */
/* Strict reading of option values: a number is the whole text and inside its range, a choice is spelled out. Messages
 * say which option, what was expected and what was found. */
#include "values.h"

#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int expected_range(const cli_option *o, const char *source, const char *what, const char *got, size_t length)
{
    return cli_error(CLI_USAGE, "%s: expected %s from %.10g to %.10g, got '%.*s'", source, what, o->min, o->max,
                     (int)length, got);
}

/* The whole of text[0..length) as an integer; false when it is not one. */
static bool int_parse(const char *text, size_t length, int64_t *out)
{
    char digits[32];
    if (length == 0 || length >= sizeof digits || !(isdigit((unsigned char)text[0]) || (text[0] == '-' && length > 1)))
        return false;
    memcpy(digits, text, length);
    digits[length] = '\0';
    char *end;
    errno = 0;
    long long value = strtoll(digits, &end, 10);
    *out = value;
    return *end == '\0' && errno == 0;
}

static bool number_parse(const char *text, double *out)
{
    if (text[0] == '\0' || isspace((unsigned char)text[0]))
        return false;
    char *end;
    errno = 0;
    *out = strtod(text, &end);
    return *end == '\0' && errno != ERANGE;
}

static void *grown(void *list, size_t n, size_t size)
{
    void *p = realloc(list, (n + 1) * size);
    if (!p)
        exit(cli_error(CLI_MEMORY, "no memory for the command line"));
    return p;
}

static void ints_add(cli_value *v, int64_t value)
{
    v->ints = grown(v->ints, v->n, sizeof *v->ints);
    v->ints[v->n++] = value;
}

static int int_set(cli_value *v, const cli_option *o, const char *source, const char *text, size_t length, int64_t *out)
{
    (void)v;
    int64_t value;
    if (!int_parse(text, length, &value) || (double)value < o->min || (double)value > o->max)
        return expected_range(o, source, "a whole number", text, length);
    *out = value;
    return CLI_OK;
}

void cli_choices_each(const char *choices, void (*fn)(const char *choice, size_t length, void *user), void *user)
{
    for (const char *c = choices; *c;) {
        size_t length = strcspn(c, "|");
        fn(c, length, user);
        c += length + (c[length] == '|');
    }
}

const char *cli_choice_name(cli_option_id id, int64_t k)
{
    static _Thread_local char name[32];
    const char *c = cli_options[id].choices;
    for (; k > 0; k--)
        c += strcspn(c, "|") + 1;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(c, "|"), c);
    return name;
}

/* The index of text[0..length) among the choices; -1: none of them. */
static int64_t choice_index(const char *choices, const char *text, size_t length)
{
    int64_t k = 0;
    for (const char *c = choices; *c; k++) {
        size_t n = strcspn(c, "|");
        if (n == length && memcmp(c, text, n) == 0)
            return k;
        c += n + (c[n] == '|');
    }
    return -1;
}

static int choice_set(const cli_option *o, const char *source, const char *text, size_t length, int64_t *out)
{
    *out = choice_index(o->choices, text, length);
    if (*out >= 0)
        return CLI_OK;
    char listed[160];
    size_t n = 0;
    for (const char *c = o->choices; *c && n + 8 < sizeof listed; c++)
        n += (size_t)snprintf(listed + n, sizeof listed - n, *c == '|' ? ", " : "%c", *c);
    return cli_error(CLI_USAGE, "%s: expected one of %s, got '%.*s'", source, listed, (int)length, text);
}

static int list_set(cli_value *v, const cli_option *o, const char *source, const char *text)
{
    if (!v->given)
        v->n = 0;
    for (;;) {
        size_t length = strcspn(text, ",");
        int64_t value = 0;
        int code = o->kind == CLI_INTS ? int_set(v, o, source, text, length, &value)
                                       : choice_set(o, source, text, length, &value);
        if (code != CLI_OK)
            return code;
        ints_add(v, value);
        if (text[length] == '\0')
            return CLI_OK;
        text += length + 1;
    }
}

/* "17=-2.5", "17=-inf" */
static int bias_set(cli_value *v, const cli_option *o, const char *source, const char *text)
{
    size_t length = strcspn(text, "=");
    int64_t token = 0;
    double bias = 0.0;
    if (text[length] != '=' || !int_parse(text, length, &token) || token < 0 || (double)token > o->max
        || !number_parse(text + length + 1, &bias) || isnan(bias) || bias == INFINITY)
        return cli_error(CLI_USAGE, "%s: expected TOKEN=BIAS such as 17=-2.5 or 17=-inf, got '%s'", source, text);
    v->numbers = grown(v->numbers, v->n, sizeof *v->numbers);
    v->numbers[v->n] = bias;
    ints_add(v, token);
    return CLI_OK;
}

static int mask_set(cli_value *v, const cli_option *o, const char *source, const char *text)
{
    char *end;
    errno = 0;
    if (isdigit((unsigned char)text[0])) {
        unsigned long long mask = strtoull(text, &end, 0);
        if (*end != '\0' || errno || mask > UINT32_MAX)
            return cli_error(CLI_USAGE, "%s: expected a number of 32 bits or names, got '%s'", source, text);
        v->i = (int64_t)mask;
        return CLI_OK;
    }
    int64_t mask = 0;
    for (;;) {
        size_t length = strcspn(text, ",");
        int64_t k;
        int code = choice_set(o, source, text, length, &k);
        if (code != CLI_OK)
            return code;
        mask |= k == 0 ? 0 : (int64_t)1 << (k - 1);
        if (text[length] == '\0')
            break;
        text += length + 1;
    }
    v->i = mask;
    return CLI_OK;
}

static int flag_set(cli_value *v, const char *source, const char *text)
{
    static const char *const yes[] = {"1", "true", "on", "yes", "enabled"}, *const no[] = {"0", "false", "off", "no", "disabled"};
    for (size_t i = 0; i < 5; i++) {
        if (strcasecmp(text, yes[i]) == 0) {
            v->i = 1;
            return CLI_OK;
        }
        if (strcasecmp(text, no[i]) == 0) {
            v->i = 0;
            return CLI_OK;
        }
    }
    return cli_error(CLI_USAGE, "%s: expected on or off, got '%s'", source, text);
}

int cli_value_set(cli_args *args, cli_option_id id, const char *source, const char *text)
{
    const cli_option *o = &cli_options[id];
    cli_value *v = &args->v[id];
    int code = CLI_OK;
    switch (o->kind) {
    case CLI_FLAG:
        code = flag_set(v, source, text);
        break;
    case CLI_INT:
        code = int_set(v, o, source, text, strlen(text), &v->i);
        break;
    case CLI_NUMBER:
        if (!number_parse(text, &v->f) || !(v->f >= o->min && v->f <= o->max))
            code = expected_range(o, source, "a number", text, strlen(text));
        break;
    case CLI_TEXT:
    case CLI_PATH:
        if (o->kind == CLI_PATH && !*text)
            code = cli_error(CLI_USAGE, "%s: expected a path, got nothing", source);
        v->text = text;
        break;
    case CLI_CHOICE:
        code = choice_set(o, source, text, strlen(text), &v->i);
        break;
    case CLI_INTS:
    case CLI_CHOICES:
        code = list_set(v, o, source, text);
        break;
    case CLI_TEXTS:
        if (!*text)
            return cli_error(CLI_USAGE, "%s: expected a text, got nothing", source);
        v->texts = grown(v->texts, v->n, sizeof *v->texts);
        v->texts[v->n++] = text;
        break;
    case CLI_BIAS:
        code = bias_set(v, o, source, text);
        break;
    case CLI_MASK:
        code = mask_set(v, o, source, text);
        break;
    case CLI_PART:
    case CLI_PART_FILE:
        if (o->kind == CLI_PART_FILE && !*text)
            return cli_error(CLI_USAGE, "%s: expected a file name or - for stdin, got nothing", source);
        args->parts = grown(args->parts, args->n_parts, sizeof *args->parts);
        args->parts[args->n_parts++] = (cli_part){o->kind == CLI_PART_FILE, text};
        break;
    }
    v->given = code == CLI_OK;
    return code;
}
