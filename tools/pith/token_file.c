/* SPDX-License-Identifier: MIT */
/* Reading token ids; each is checked against the vocabulary's size. */
#include "token_file.h"

#include "input.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static int ids_from_json(const char *path, const cli_input *input, int64_t **ids, size_t *n)
{
    json_error_t error;
    json_t *root = json_loadb(input->text, input->n, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return cli_error(CLI_FILE, "%s: line %d: %s", path, error.line, error.text);
    const json_t *list = json_is_object(root) ? json_object_get(root, "tokens") : root;
    int code = json_is_array(list) ? CLI_OK
                                   : cli_error(CLI_FILE, "%s: expected a list of ids or an object with \"tokens\"", path);
    *n = code == CLI_OK ? json_array_size(list) : 0;
    *ids = cli_alloc(*n, sizeof **ids);
    for (size_t i = 0; i < *n && code == CLI_OK; i++) {
        const json_t *id = json_array_get(list, i);
        (*ids)[i] = json_integer_value(id);
        if (!json_is_integer(id))
            code = cli_error(CLI_FILE, "%s: element %zu: expected a whole number", path, i);
    }
    json_decref(root);
    return code;
}

static int ids_from_lines(const char *path, const cli_input *input, int64_t **ids, size_t *n)
{
    size_t lines = 1;
    for (size_t i = 0; i < input->n; i++)
        lines += input->text[i] == '\n';
    *ids = cli_alloc(lines, sizeof **ids);
    *n = 0;
    size_t line = 0;
    for (const char *p = input->text, *end = p + input->n; p < end; line++) {
        char *stop;
        errno = 0;
        if (*p != '\n' && *p != '\r') {
            (*ids)[(*n)++] = strtoll(p, &stop, 10);
            if (stop == p || errno || (*stop != '\n' && *stop != '\r' && *stop != '\0'))
                return cli_error(CLI_FILE, "%s: line %zu: expected one token id", path, line + 1);
        }
        const char *next = memchr(p, '\n', (size_t)(end - p));
        p = next ? next + 1 : end;
    }
    return CLI_OK;
}

int cli_token_file_read(const char *path, int32_t n_vocab, pith_tokens *out)
{
    *out = (pith_tokens){NULL, 0};
    cli_input input;
    int code = cli_input_read(path, &input);
    if (code != CLI_OK)
        return code;
    size_t first = input.n ? strspn(input.text, " \t\r\n") : 0, n = 0;
    int64_t *ids = NULL;
    bool json = first < input.n && (input.text[first] == '[' || input.text[first] == '{');
    code = json ? ids_from_json(path, &input, &ids, &n) : ids_from_lines(path, &input, &ids, &n);
    cli_input_free(&input);
    out->ids = cli_alloc(n, sizeof *out->ids);
    for (size_t i = 0; i < n && code == CLI_OK; i++) {
        out->ids[i] = (int32_t)ids[i];
        if (ids[i] < 0 || ids[i] >= n_vocab)
            code = cli_error(CLI_FILE, "%s: element %zu: expected a token from 0 to %d, got %lld", path, i, n_vocab - 1,
                             (long long)ids[i]);
    }
    out->n = n;
    free(ids);
    if (code != CLI_OK) {
        free(out->ids);
        *out = (pith_tokens){NULL, 0};
    }
    return code;
}
