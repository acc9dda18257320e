/* SPDX-License-Identifier: MIT */
/* `pith tokenize`: token ids and pieces; loads no weights. */
#include "engine.h"
#include "input.h"
#include "json_out.h"

#include <stdlib.h>

/* A piece on one line: printable ASCII and UTF-8 as it is, control bytes as escapes. */
static void piece_print(const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == '\n')
            fputs("\\n", stdout);
        else if (c == '\t')
            fputs("\\t", stdout);
        else if (c == '\\')
            fputs("\\\\", stdout);
        else if (c < 0x20 || c == 0x7f)
            printf("\\x%02x", c);
        else
            putchar(c);
    }
}

int cli_tokenize(const cli_args *args)
{
    cli_engine engine = {0};
    cli_input input = {NULL, 0};
    pith_tokens tokens = {NULL, 0};
    bool found = false;
    int code = cli_input_join(args, &input, &found);
    if (code == CLI_OK && !found)
        code = cli_error(CLI_USAGE, "tokenize: nothing to read: give -p TEXT or -f FILE");
    if (code == CLI_OK)
        code = cli_engine_open_model(&engine, args, 0);
    if (code == CLI_OK) {
        int flags = (args->v[OPT_SPECIAL].i ? PITH_TOKENIZE_SPECIAL : 0)
                    | (args->v[OPT_PARSE_SPECIAL].i ? PITH_TOKENIZE_PARSE_SPECIAL : 0);
        pith_status status = pith_tokenize(engine.model, input.text, input.n, flags, &tokens);
        code = status == PITH_OK ? CLI_OK : cli_fail(status, "%s", engine.path);
    }
    if (code == CLI_OK && args->v[OPT_JSON].i) {
        json_t *ids = json_array();
        for (size_t i = 0; i < tokens.n; i++)
            json_array_append_new(ids, json_integer(tokens.ids[i]));
        code = cli_json_print(json_pack("{so}", "tokens", ids), true);
    } else if (code == CLI_OK) {
        for (size_t i = 0; i < tokens.n; i++) {
            size_t n = 0;
            const char *bytes = pith_token_bytes(engine.model, tokens.ids[i], true, &n);
            printf("%d\t", tokens.ids[i]);
            piece_print(bytes ? bytes : "", n);
            putchar('\n');
        }
        cli_note("%zu tokens of %zu bytes", tokens.n, input.n);
    }
    pith_tokens_free(&tokens);
    cli_input_free(&input);
    cli_engine_close(&engine);
    return code;
}
