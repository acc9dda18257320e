/* SPDX-License-Identifier: MIT */
/* Split sets: three files written into a fresh folder, right and wrong in every way that the set's keys can be. */
#include "model/open_check.h"

#include "base/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { PARTS = 3, TENSORS = 4 };

static char folder[64];

static const char *part_path(int no)
{
    static char path[PARTS][128];
    snprintf(path[no], sizeof path[no], "%s/m-%05d-of-%05d.gguf", folder, no + 1, PARTS);
    return path[no];
}

static void split_keys(pith_builder *b, int64_t no, int64_t count, int64_t n_tensors)
{
    pith_builder_int(b, "split.no", PITH_GGUF_U16, no);
    pith_builder_int(b, "split.count", no == 1 ? PITH_GGUF_I64 : PITH_GGUF_U16, count); /* any width */
    pith_builder_int(b, "split.tensors.count", PITH_GGUF_I32, n_tensors);
}

static void add_tensor(pith_builder *b, const char *name)
{
    pith_builder_tensor(b, name, PITH_DTYPE_F32, 1, (const uint64_t[]){7}, NULL);
}

/* A good set: part 0 with keys and no tensor, part 1 with a, b, part 2 with c, d. */
static pith_builder *make_part(int no)
{
    pith_builder *b = pith_builder_create();
    if (no == 0)
        pith_builder_string(b, "general.name", "set");
    split_keys(b, no, PARTS, TENSORS);
    if (no > 0) {
        add_tensor(b, no == 1 ? "a" : "c");
        add_tensor(b, no == 1 ? "b" : "d");
    }
    return b;
}

static void write_part(int no, pith_builder *b)
{
    pith_builder_write(b, part_path(no));
    pith_builder_destroy(&b);
}

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/pith-split-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    for (int no = 0; no < PARTS; no++)
        write_part(no, make_part(no));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int no = 0; no < PARTS; no++)
        unlink(part_path(no));
    return rmdir(folder);
}

static void expect(const char *path, pith_status status, const char *text)
{
    pith_gguf *g = (pith_gguf *)folder;
    pith_status got = pith_gguf_open(path, &g);
    const char *message = got == PITH_OK ? "" : pith_last_error();
    if (got != status || !strstr(message, text))
        fail_msg("expected %s with '%s', got %s: %s", pith_status_name(status), text, pith_status_name(got), message);
    assert_true((g != NULL) == (got == PITH_OK));
    pith_gguf_close(&g);
}

static void test_good_set(void **state)
{
    (void)state;
    pith_gguf *g;
    assert_int_equal(pith_gguf_open(part_path(0), &g), PITH_OK);
    assert_int_equal(pith_gguf_tensor_count(g), TENSORS);
    assert_true(pith_gguf_has(g, "general.name"));
    struct stat st;
    uint64_t bytes = 0;
    for (int no = 0; no < PARTS; no++) {
        assert_int_equal(stat(part_path(no), &st), 0);
        bytes += (uint64_t)st.st_size;
    }
    assert_int_equal(pith_gguf_file_bytes(g), bytes);
    static const char *const names[] = {"a", "b", "c", "d"};
    for (int i = 0; i < TENSORS; i++) {
        const pith_gguf_tensor *t = pith_gguf_tensor_find(g, names[i]);
        assert_non_null(t);
        assert_int_equal(t->part, 1 + i / 2);
        float value;
        memcpy(&value, t->data, sizeof value);
        assert_true(value > -1 && value < 1);
        pith_gguf_tensor_drop(g, t);
    }
    assert_int_equal(pith_gguf_check(g), PITH_OK);
    assert_int_equal(truncate(part_path(2), 30), 0);
    assert_int_equal(pith_gguf_check(g), PITH_ERROR_IO);
    assert_non_null(strstr(pith_last_error(), "00003-of"));
    pith_gguf_close(&g);
}

static void test_missing_part(void **state)
{
    (void)state;
    unlink(part_path(1));
    expect(part_path(0), PITH_ERROR_NOT_FOUND, "m-00002-of-00003.gguf");
    write_part(1, make_part(1));
    unlink(part_path(2));
    expect(part_path(0), PITH_ERROR_NOT_FOUND, "file 3 of 3");
}

static void test_opened_from_another_part(void **state)
{
    (void)state;
    expect(part_path(1), PITH_ERROR_FORMAT, "open the first, ");
    expect(part_path(2), PITH_ERROR_FORMAT, "m-00001-of-00003.gguf");
}

static void test_wrong_number(void **state)
{
    (void)state;
    pith_builder *b = make_part(2); /* part 2's keys in part 1's place */
    write_part(1, b);
    expect(part_path(0), PITH_ERROR_FORMAT, "expected 1, 3, got 2, 3");
    b = make_part(1);
    pith_builder_remove(b, "split.count");
    pith_builder_u32(b, "split.count", 4);
    write_part(1, b);
    expect(part_path(0), PITH_ERROR_FORMAT, "expected 1, 3, got 1, 4");
    b = make_part(1);
    pith_builder_remove(b, "split.no");
    write_part(1, b);
    expect(part_path(0), PITH_ERROR_NOT_FOUND, "split.no");
    b = make_part(1);
    pith_builder_remove(b, "split.no");
    pith_builder_u32(b, "split.no", 3);
    write_part(1, b);
    expect(part_path(0), PITH_ERROR_FORMAT, "split.no: expected 0 to 2, got 3");
    b = make_part(0);
    pith_builder_remove(b, "split.count");
    pith_builder_int(b, "split.count", PITH_GGUF_I32, -3);
    write_part(0, b);
    expect(part_path(0), PITH_ERROR_FORMAT, "split.count: expected 0 to 65535, got -3");
    b = make_part(0);
    pith_builder_remove(b, "split.count");
    pith_builder_int(b, "split.count", PITH_GGUF_U16, 65535);
    write_part(0, b);
    expect(part_path(0), PITH_ERROR_FORMAT, "ends in '-00001-of-65535.gguf'");
}

static void test_renamed(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/model.gguf", folder);
    write_part(0, make_part(0));
    assert_int_equal(rename(part_path(0), path), 0);
    expect(path, PITH_ERROR_FORMAT, "expected a name that ends in '-00001-of-00003.gguf'");
    unlink(path);
}

static void test_duplicate_tensors(void **state)
{
    (void)state;
    pith_builder *b = make_part(2);
    pith_builder_remove_tensor(b, "d");
    add_tensor(b, "a");
    write_part(2, b);
    expect(part_path(0), PITH_ERROR_FORMAT, "tensor 'a' appears twice");
}

static void test_wrong_count(void **state)
{
    (void)state;
    pith_builder *b = make_part(2);
    add_tensor(b, "e");
    write_part(2, b);
    expect(part_path(0), PITH_ERROR_FORMAT, "split.tensors.count: 4 tensors expected, the 3 files have 5");
    b = make_part(0);
    pith_builder_remove(b, "split.tensors.count");
    write_part(0, b);
    expect(part_path(0), PITH_OK, "");
}

static void test_broken_part(void **state)
{
    (void)state;
    assert_int_equal(truncate(part_path(2), 100), 0);
    expect(part_path(0), PITH_ERROR_FORMAT, "m-00003-of-00003.gguf: ");
    assert_int_equal(truncate(part_path(2), 0), 0);
    expect(part_path(0), PITH_ERROR_FORMAT, "m-00003-of-00003.gguf: ");
    pith_builder *b = make_part(0);
    pith_expect(b, false, PITH_ERROR_UNSUPPORTED, "cannot be read from memory");
    pith_builder_destroy(&b);
}

/* split.count 1 and 0 are whole files, under any name. */
static void test_set_of_one(void **state)
{
    (void)state;
    for (int64_t count = 0; count < 2; count++) {
        pith_builder *b = pith_builder_create();
        split_keys(b, 0, count, 1);
        add_tensor(b, "a");
        pith_expect(b, false, PITH_OK, "");
        pith_builder_destroy(&b);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    pith_gguf *g;
    pith_status status;
    long n = 0;
    do {
        pith_alloc_count = 0;
        pith_alloc_fail_at = n;
        status = pith_gguf_open(part_path(0), &g);
        pith_alloc_fail_at = -1;
        assert_true(status == PITH_ERROR_NO_MEMORY || (status == PITH_OK && pith_alloc_count <= n));
        pith_gguf_close(&g);
    } while (n++ < 1000 && status != PITH_OK);
    assert_true(n > 12 && n < 1000);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_good_set), T(test_missing_part), T(test_opened_from_another_part), T(test_wrong_number), T(test_renamed),
        T(test_duplicate_tensors), T(test_wrong_count), T(test_broken_part), T(test_set_of_one), T(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
