/* SPDX-License-Identifier: MIT */
/* Pieces of input: order, separators, byte order marks, bytes that are left alone; and files of token ids. */
#include "pith/cli.h"
#include "pith/input.h"
#include "pith/token_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/pith-test-input-XXXXXX";

static const char *file_with(const char *name, const void *data, size_t n)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, 256, "%s/%s", dir, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, n, file), n);
    fclose(file);
    return path;
}

#define FILE_WITH(name, text) file_with(name, text, sizeof(text) - 1)

static void expect_join(cli_part *parts, size_t n, const void *expected, size_t n_expected)
{
    cli_args args = {.parts = parts, .n_parts = n};
    cli_input input;
    bool found = false;
    assert_int_equal(cli_input_join(&args, &input, &found), CLI_OK);
    assert_true(found);
    assert_int_equal(input.n, n_expected);
    assert_memory_equal(input.text, expected, n_expected);
    assert_int_equal(input.text[input.n], 0);
    cli_input_free(&input);
}

#define EXPECT(parts, text) expect_join(parts, sizeof(parts) / sizeof *(parts), text, sizeof(text) - 1)

static void test_join(void **state)
{
    (void)state;
    const char *a = FILE_WITH("a", "one\ntwo\n"), *b = FILE_WITH("b", "three"), *empty = FILE_WITH("empty", "");
    cli_part single[] = {{true, b}};
    EXPECT(single, "three"); /* alone: untouched */
    cli_part order[] = {{false, "first"}, {true, a}, {true, b}, {false, "last"}};
    EXPECT(order, "first\n\none\ntwo\n\nthree\n\nlast");
    cli_part other[] = {{true, b}, {false, "question"}, {true, a}};
    EXPECT(other, "three\n\nquestion\n\none\ntwo\n");
    cli_part hollow[] = {{false, "x"}, {true, empty}, {false, "y"}};
    EXPECT(hollow, "x\n\n\ny");
}

static void test_bytes(void **state)
{
    (void)state;
    cli_part bom[] = {{true, FILE_WITH("bom", "\xEF\xBB\xBFtext\r\nmore\r\n")}};
    EXPECT(bom, "text\r\nmore\r\n");
    cli_part inner[] = {{false, "\xEF\xBB\xBFp"}, {true, FILE_WITH("bom2", "\xEF\xBB\xBF\xEF\xBB\xBFx")}};
    EXPECT(inner, "\xEF\xBB\xBFp\n\n\xEF\xBB\xBFx"); /* of files, and only one */
    cli_part zero[] = {{true, FILE_WITH("zero", "a\0b\xFF\xFE")}};
    EXPECT(zero, "a\0b\xFF\xFE");
    cli_part tiny[] = {{true, FILE_WITH("tiny", "\xEF\xBB")}};
    EXPECT(tiny, "\xEF\xBB");
    size_t n = 5u << 20;
    char *big = malloc(n);
    assert_non_null(big);
    for (size_t i = 0; i < n; i++)
        big[i] = (char)(i * 7 + i / 1000);
    cli_part large[] = {{true, file_with("big", big, n)}};
    expect_join(large, 1, big, n);
    free(big);
}

static void test_errors(void **state)
{
    (void)state;
    cli_input input = {(char *)dir, 1};
    bool found;
    cli_part absent[] = {{false, "x"}, {true, "/nonexistent/file"}};
    cli_args args = {.parts = absent, .n_parts = 2};
    assert_int_equal(cli_input_join(&args, &input, &found), CLI_FILE);
    assert_null(input.text);
    cli_part directory[] = {{true, dir}};
    args = (cli_args){.parts = directory, .n_parts = 1};
    assert_int_equal(cli_input_join(&args, &input, &found), CLI_FILE);
}

static void expect_ids(const char *path, const int32_t *expected, size_t n)
{
    pith_tokens tokens;
    assert_int_equal(cli_token_file_read(path, 100, &tokens), CLI_OK);
    assert_int_equal(tokens.n, n);
    assert_memory_equal(tokens.ids, expected, n * sizeof *expected);
    free(tokens.ids);
}

static void test_token_file(void **state)
{
    (void)state;
    const int32_t ids[] = {5, 0, 99};
    expect_ids(FILE_WITH("t1", "[5, 0,99]"), ids, 3);
    expect_ids(FILE_WITH("t2", "\n {\"tokens\": [5,0,99], \"other\": 1}\n"), ids, 3);
    expect_ids(FILE_WITH("t3", "5\n0\n\n99"), ids, 3);
    expect_ids(FILE_WITH("t4", "5\r\n0\r\n99\r\n"), ids, 3);
    expect_ids(FILE_WITH("t5", ""), ids, 0);
    static const char *const bad[] = {"[1,100]", "[-1]", "[1.5]", "[\"1\"]", "{\"ids\":[1]}", "[1", "1 2\n", "x\n", "1\n100\n",
                                      "99999999999999999999\n", "{}", "[[1]]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pith_tokens tokens;
        assert_int_equal(cli_token_file_read(file_with("bad", bad[i], strlen(bad[i])), 100, &tokens), CLI_FILE);
        assert_null(tokens.ids);
    }
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "empty", "bom", "bom2", "zero", "tiny", "big", "t1", "t2", "t3", "t4", "t5", "bad"};
    char path[256];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_join), cmocka_unit_test(test_bytes), cmocka_unit_test(test_errors),
                                       cmocka_unit_test(test_token_file)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
