/* SPDX-License-Identifier: MIT */
/* Golden token lists: NAME.gguf, NAME.gguf.inp (cases between separator lines) and NAME.gguf.out (a line of ids each)
 * for every NAME given. usage: test_golden FOLDER-OF-GGUF FOLDER-OF-GOLDENS NAME... */
#include "text/vocab.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEPARATOR "\n__ggml_vocab_test__\n"

static const char *gguf_folder, *golden_folder;

static char *file_read(const char *name, const char *ending, size_t *n)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s%s", golden_folder, name, ending);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *text = malloc(1 << 20);
    assert_non_null(text);
    *n = fread(text, 1, (1 << 20) - 1, file);
    text[*n] = '\0';
    fclose(file);
    return text;
}

/* The bytes of the tokens are the text again; SentencePiece puts one space in front. */
static void check_decodes(const pith_vocab *vocab, const pith_token_list *list, const char *text, size_t n)
{
    size_t at = 0;
    bool drop = pith_vocab_strips_space(vocab);
    for (size_t i = 0; i < list->n; i++) {
        pith_str bytes = pith_vocab_bytes(vocab, list->ids[i], false);
        size_t skip = drop && i == 0 && bytes.n && bytes.data[0] == ' ';
        assert_true(at + bytes.n - skip <= n);
        assert_memory_equal(text + at, bytes.data + skip, bytes.n - skip);
        at += bytes.n - skip;
    }
    assert_int_equal(at, n);
}

static bool case_passes(const pith_vocab *vocab, const char *text, size_t n, char *expected)
{
    pith_token_list list = {0};
    size_t i = 0;
    bool ok = true;
    assert_int_equal(pith_vocab_encode(vocab, text, n, false, false, &list), PITH_OK);
    for (char *word = strtok(expected, " "); word; word = strtok(NULL, " "), i++)
        ok &= i < list.n && list.ids[i] == atoi(word);
    ok &= i == list.n;
    check_decodes(vocab, &list, text, n);
    free(list.ids);
    return ok;
}

static void golden(void **state)
{
    const char *name = *state;
    char path[1024];
    pith_gguf *gguf = NULL;
    pith_vocab *vocab = NULL;
    size_t n_input, n_output, cases = 0, passed = 0;
    snprintf(path, sizeof path, "%s/%s.gguf", gguf_folder, name);
    if (pith_gguf_open(path, &gguf) != PITH_OK || pith_vocab_create(gguf, 0, &vocab) != PITH_OK)
        fail_msg("%s: %s", path, pith_last_error());
    pith_gguf_close(&gguf);
    char *input = file_read(name, ".gguf.inp", &n_input), *output = file_read(name, ".gguf.out", &n_output);
    char *line = output;
    for (char *at = input, *end = input + n_input; at; cases++) {
        char *next = strstr(at, SEPARATOR), *line_end = strchr(line, '\n');
        size_t n = next ? (size_t)(next - at) : (size_t)(end - at);
        if (line_end)
            *line_end = '\0';
        if (case_passes(vocab, at, n, line))
            passed++;
        else
            print_message("%s: case %zu differs\n", name, cases);
        line = line_end ? line_end + 1 : line + strlen(line);
        at = next ? next + strlen(SEPARATOR) : NULL;
    }
    print_message("golden %-16s %zu of %zu\n", name, passed, cases);
    assert_int_equal(passed, cases);
    assert_true(cases > 40);
    free(input);
    free(output);
    pith_vocab_destroy(&vocab);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[32] = {0};
    size_t n = 0;
    if (argc < 4 || argc > 32) {
        fprintf(stderr, "usage: %s FOLDER-OF-GGUF FOLDER-OF-GOLDENS NAME...\n", argv[0]);
        return 2;
    }
    gguf_folder = argv[1];
    golden_folder = argv[2];
    if (access(golden_folder, R_OK)) {
        printf("skipped: no golden token lists in %s\n", golden_folder);
        return 77;
    }
    for (int i = 3; i < argc; i++)
        tests[n++] = (struct CMUnitTest){.name = argv[i], .test_func = golden, .initial_state = argv[i]};
    return _cmocka_run_group_tests("golden", tests, n, NULL, NULL);
}
