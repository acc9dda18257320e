/* SPDX-License-Identifier: MIT */
/* The file format: what a good file gives, and rows 1 to 10 of the checklist of hostile model files, one test a row. */
#include "model/open_check.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define BAD PITH_ERROR_FORMAT
#define NO PITH_ERROR_UNSUPPORTED

/* One key of every kind, two tensors. Released by fixture_end. */
static pith_builder *fixture(void)
{
    pith_builder *b = pith_builder_create();
    pith_builder_string(b, "general.architecture", "none");
    pith_builder_int(b, "i.u8", PITH_GGUF_U8, 200);
    pith_builder_int(b, "i.i8", PITH_GGUF_I8, -7);
    pith_builder_int(b, "i.u16", PITH_GGUF_U16, 60000);
    pith_builder_int(b, "i.i16", PITH_GGUF_I16, -30000);
    pith_builder_int(b, "i.u32", PITH_GGUF_U32, 4000000000);
    pith_builder_int(b, "i.i32", PITH_GGUF_I32, -2000000000);
    pith_builder_int(b, "i.u64", PITH_GGUF_U64, -1);
    pith_builder_int(b, "i.i64", PITH_GGUF_I64, INT64_MIN);
    pith_builder_int(b, "yes", PITH_GGUF_BOOL, 1);
    pith_builder_f32(b, "f.f32", 0.1);
    pith_builder_float(b, "f.f64", PITH_GGUF_F64, 0.1);
    pith_builder_string(b, "empty", "");
    pith_builder_strings(b, "words", (const char *const[]){"one", "", "two\n"}, 3);
    pith_builder_ints(b, "numbers", PITH_GGUF_I16, (const int64_t[]){1, -2, 3}, 3);
    pith_builder_floats(b, "floats", PITH_GGUF_F32, (const double[]){1.5, -2}, 2);
    pith_builder_ints(b, "flags", PITH_GGUF_BOOL, (const int64_t[]){1, 0}, 2);
    pith_builder_ints(b, "nothing", PITH_GGUF_U32, NULL, 0);
    pith_builder_tensor(b, "vector", PITH_DTYPE_F32, 1, (const uint64_t[]){5}, NULL);
    pith_builder_tensor(b, "matrix", PITH_DTYPE_Q4_0, 2, (const uint64_t[]){64, 3}, NULL);
    return b;
}

/* Finishes the fixture with n bytes of a field overwritten; `text` must be in the message. */
static void lie(const char *name, pith_field field, uint64_t value, size_t n, pith_status status, const char *text)
{
    pith_builder *b = fixture();
    size_t size;
    const uint8_t *data = pith_builder_finish(b, &size);
    pith_builder_poke(b, pith_builder_find(b, name, field), value, n);
    pith_expect_bytes(data, size, false, status, text);
    pith_builder_destroy(&b);
}

static void test_good_file(void **state)
{
    (void)state;
    pith_builder *b = fixture();
    size_t size;
    const uint8_t *data = pith_builder_finish(b, &size);
    pith_gguf *g;
    assert_int_equal(pith_gguf_open_memory(data, size, &g), PITH_OK);
    int64_t i;
    double f;
    bool flag;
    pith_str s;
    pith_gguf_array a;
    static const struct { const char *key; int64_t value; } ints[] = {
        {"i.u8", 200}, {"i.i8", -7}, {"i.u16", 60000}, {"i.i16", -30000}, {"i.u32", 4000000000}, {"i.i32", -2000000000},
        {"i.i64", INT64_MIN}};
    for (size_t k = 0; k < sizeof ints / sizeof *ints; k++) {
        assert_int_equal(pith_gguf_get_int(g, ints[k].key, INT64_MIN, INT64_MAX, &i), PITH_OK);
        assert_int_equal(i, ints[k].value);
        assert_int_equal(pith_gguf_get_int(g, ints[k].key, 0, 100, &i), BAD);
    }
    assert_int_equal(pith_gguf_get_int(g, "i.u64", INT64_MIN, INT64_MAX, &i), BAD);
    assert_non_null(strstr(pith_last_error(), "18446744073709551615"));
    assert_int_equal(pith_gguf_get_bool(g, "yes", &flag), PITH_OK);
    assert_true(flag);
    assert_int_equal(pith_gguf_get_float(g, "f.f32", &f), PITH_OK);
    assert_true(f == (double)0.1f);
    assert_int_equal(pith_gguf_get_float(g, "f.f64", &f), PITH_OK);
    assert_true(f == 0.1);
    assert_int_equal(pith_gguf_get_string(g, "empty", &s), PITH_OK);
    assert_int_equal(s.n, 0);
    assert_int_equal(pith_gguf_get_array(g, "words", &a), PITH_OK);
    assert_int_equal(a.n, 3);
    assert_int_equal(a.type, PITH_GGUF_STRING);
    assert_int_equal(a.strings[2].n, 4);
    assert_memory_equal(a.strings[2].data, "two\n", 4);
    assert_int_equal(pith_gguf_get_array(g, "numbers", &a), PITH_OK);
    assert_int_equal(pith_gguf_array_int(&a, 1), -2);
    assert_true(pith_gguf_array_float(&a, 1) == -2.0);
    assert_null(a.strings);
    assert_int_equal(pith_gguf_get_array(g, "floats", &a), PITH_OK);
    assert_true(pith_gguf_array_float(&a, 0) == 1.5);
    assert_int_equal(pith_gguf_get_array(g, "nothing", &a), PITH_OK);
    assert_int_equal(a.n, 0);
    i = 42;
    assert_int_equal(pith_gguf_get_int(g, "absent", 0, 1, &i), PITH_ERROR_NOT_FOUND);
    assert_non_null(strstr(pith_last_error(), "absent"));
    assert_int_equal(i, 42);

    const pith_gguf_tensor *t = pith_gguf_tensor_find(g, "matrix");
    assert_non_null(t);
    assert_int_equal(t->n_dims, 2);
    assert_int_equal(t->dims[1], 3);
    assert_int_equal(t->dims[2], 1);
    assert_int_equal(t->bytes, 3 * 2 * 18);
    assert_int_equal(t->offset, pith_builder_find(b, "matrix", PITH_FIELD_DATA));
    assert_ptr_equal(t->data, data + t->offset);
    assert_null(pith_gguf_tensor_find(g, "matri"));
    assert_null(pith_gguf_tensor_at(g, 2));
    assert_int_equal(pith_gguf_file_bytes(g), size);

    static const struct { const char *key, *text; } shown[] = {
        {"i.u64", "18446744073709551615"}, {"i.i8", "-7"}, {"yes", "true"}, {"f.f32", "0.100000001"},
        {"words", "string[3]: \"one\", \"\", \"two\\n\""}, {"flags", "bool[2]: true, false"}, {"nothing", "u32[0]"},
        {"general.architecture", "none"}};
    for (size_t k = 0; k < sizeof shown / sizeof *shown; k++) {
        bool found = false;
        for (size_t n = 0; n < pith_gguf_key_count(g); n++) {
            pith_gguf_type type;
            char text[80];
            pith_gguf_key_describe(g, n, &s, &type, text, sizeof text);
            if (s.n == strlen(shown[k].key) && memcmp(s.data, shown[k].key, s.n) == 0) {
                assert_string_equal(text, shown[k].text);
                found = true;
            }
        }
        assert_true(found);
    }
    pith_gguf_close(&g);
    pith_builder_destroy(&b);
}

static void test_file_on_disk(void **state)
{
    (void)state;
    char path[] = "/tmp/pith-gguf-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    pith_gguf *g;
    assert_int_equal(pith_gguf_open(path, &g), BAD); /* empty */
    assert_null(g);
    pith_builder *b = fixture();
    pith_builder_write(b, path);
    assert_int_equal(pith_gguf_open(path, &g), PITH_OK);
    assert_string_equal(pith_gguf_path(g), path);
    const pith_gguf_tensor *t = pith_gguf_tensor_find(g, "matrix");
    uint8_t before = t->data[5];
    pith_gguf_tensor_drop(g, t);
    assert_int_equal(t->data[5], before);
    assert_int_equal(pith_gguf_check(g), PITH_OK);
    assert_int_equal(ftruncate(fd, 10), 0); /* row 18: the file shrinks while it is open */
    assert_int_equal(pith_gguf_check(g), PITH_ERROR_IO);
    pith_gguf_close(&g);
    close(fd);
    unlink(path);
    assert_int_equal(pith_gguf_open(path, &g), PITH_ERROR_NOT_FOUND);
    assert_null(g);
    assert_int_equal(pith_gguf_open("/tmp", &g), PITH_ERROR_IO);
    pith_builder_destroy(&b);
}

static void test_d01_truncation(void **state)
{
    (void)state;
    pith_builder *b = fixture();
    size_t size;
    const uint8_t *data = pith_builder_finish(b, &size);
    for (size_t n = 0; n < size; n++) {
        if (pith_check_open(data, n) != BAD)
            fail_msg("%zu of %zu bytes: expected a format error", n, size);
    }
    assert_int_equal(pith_check_open(data, size), PITH_OK);
    pith_builder_destroy(&b);

    b = pith_builder_create(); /* keys only: ends exactly at the last one */
    pith_builder_u32(b, "a", 1);
    data = pith_builder_finish(b, &size);
    for (size_t n = 0; n < size; n++)
        assert_int_equal(pith_check_open(data, n), BAD);
    assert_int_equal(pith_check_open(data, size), PITH_OK);
    pith_builder_destroy(&b);

    b = pith_builder_create();
    pith_builder_tiny_model(b, "llama", PITH_DTYPE_Q8_0);
    data = pith_builder_finish(b, &size);
    assert_int_equal(pith_check_bytes(data, size), PITH_OK);
    pith_rng rng;
    pith_rng_init(&rng, 1);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(pith_check_bytes(data, pith_rng_u64(&rng) % size), BAD);
    pith_builder_destroy(&b);
}

static void test_d02_magic_version(void **state)
{
    (void)state;
    lie(NULL, PITH_FIELD_MAGIC, 0x4c4d4747, 4, BAD, "not a GGUF file");
    lie(NULL, PITH_FIELD_MAGIC, 0x46554746, 4, BAD, "46 47 55 46");
    lie(NULL, PITH_FIELD_VERSION, 0, 4, BAD, "version");
    lie(NULL, PITH_FIELD_VERSION, 1, 4, NO, "version 1");
    lie(NULL, PITH_FIELD_VERSION, 2, 4, PITH_OK, "");
    lie(NULL, PITH_FIELD_VERSION, 4, 4, NO, "got 4");
    lie(NULL, PITH_FIELD_VERSION, 0x80000000, 4, BAD, "got 2147483648");
    lie(NULL, PITH_FIELD_VERSION, 0x03000000, 4, NO, "big-endian");
    lie(NULL, PITH_FIELD_VERSION, 0xffffffff, 4, BAD, "version");
}

static void test_d03_counts(void **state)
{
    (void)state;
    static const uint64_t counts[] = {(uint64_t)1 << 31, (uint64_t)1 << 32, (uint64_t)1 << 63, UINT64_MAX, 100000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        lie(NULL, PITH_FIELD_KEY_COUNT, counts[i], 8, BAD, "keys need");
        lie(NULL, PITH_FIELD_TENSOR_COUNT, counts[i], 8, BAD, "tensor records need");
    }
    lie(NULL, PITH_FIELD_KEY_COUNT, 0, 8, BAD, "");
    lie(NULL, PITH_FIELD_TENSOR_COUNT, 0, 8, PITH_OK, ""); /* bytes behind the keys are nobody's */
    uint8_t small[160] = {'G', 'G', 'U', 'F', 3};
    assert_int_equal(pith_check_open(small, sizeof small), PITH_OK);
    for (int at = 8; at <= 16; at += 8) {
        for (size_t i = 0; i < 4; i++) {
            for (int k = 0; k < 8; k++)
                small[at + k] = (uint8_t)(counts[i] >> 8 * k);
            assert_int_equal(pith_check_open(small, sizeof small), BAD);
        }
        memset(small + at, 0, 8);
    }
    /* As many as the bytes could hold, above the caps: refused before any table is made. */
    size_t size = 24 + 14 * ((1 << 16) + 1) + 26 * ((1 << 17) + 1);
    uint8_t *large = calloc(size, 1);
    memcpy(large, small, 8);
    large[18] = 1, large[16] = 1;
    pith_expect_bytes(large, size, false, NO, "keys: at most");
    large[18] = 0, large[16] = 0, large[10] = 2, large[8] = 1;
    pith_expect_bytes(large, size, false, NO, "more than");
    free(large);
}

static void test_d04_string_lengths(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {1 << 20, (uint64_t)1 << 31, (uint64_t)1 << 63, UINT64_MAX, UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        lie("i.u8", PITH_FIELD_KEY_LENGTH, lengths[i], 8, BAD, "length of key");
        lie("general.architecture", PITH_FIELD_VALUE, lengths[i], 8, BAD, "key 'general.architecture': byte");
        lie("words", PITH_FIELD_ARRAY_VALUES, lengths[i], 8, BAD, "key 'words'");
        lie("matrix", PITH_FIELD_NAME_LENGTH, lengths[i], 8, BAD, "length of tensor name");
    }
    lie("i.u8", PITH_FIELD_KEY_LENGTH, 0, 8, BAD, "expected 1 to 65535 bytes, got 0");
    lie("matrix", PITH_FIELD_NAME_LENGTH, 0, 8, BAD, "expected 1 to 64");
    lie("i.u8", PITH_FIELD_KEY, 0x00, 1, BAD, "NUL");
    lie("matrix", PITH_FIELD_NAME, 0x00, 1, BAD, "NUL");
    pith_builder *b = fixture(); /* texts are bytes; what is shown of them is ASCII (checked in pith_check_open) */
    pith_builder_bytes(b, "text", "\xff\xfe\0\x1b[2J\\", 8);
    pith_builder_raw_key(b, "\xc3\x28\x1b", 3, PITH_GGUF_U8, "\1", 1);
    pith_expect(b, false, PITH_OK, "");
    pith_builder_remove(b, "text");
    size_t n = (size_t)64 << 20;
    char *big = malloc(n + 1);
    memset(big, 'k', n + 1);
    pith_builder_raw_key(b, big, n, PITH_GGUF_U8, "\1", 1);
    pith_expect(b, false, BAD, "expected 1 to 65535 bytes, got 67108864");
    pith_builder_destroy(&b);
    b = pith_builder_create();
    pith_builder_bytes(b, "text", big, n + 1);
    pith_expect(b, false, BAD, "expected 0 to 67108864 bytes");
    free(big);
    pith_builder_destroy(&b);
}

static void test_d05_arrays(void **state)
{
    (void)state;
    lie("numbers", PITH_FIELD_ARRAY_TYPE, 13, 4, BAD, "element type: expected 0 to 12, got 13");
    lie("numbers", PITH_FIELD_ARRAY_TYPE, 0xffffffff, 4, BAD, "element type");
    lie("numbers", PITH_FIELD_ARRAY_TYPE, PITH_GGUF_ARRAY, 4, BAD, "array of arrays");
    lie("numbers", PITH_FIELD_ARRAY_COUNT, UINT64_MAX, 8, BAD, "array elements");
    lie("numbers", PITH_FIELD_ARRAY_COUNT, (uint64_t)1 << 63, 8, BAD, "array elements"); /* times 2 wraps to 0 */
    lie("words", PITH_FIELD_ARRAY_COUNT, (uint64_t)1 << 61, 8, BAD, "array elements");
    lie("words", PITH_FIELD_ARRAY_COUNT, 1000000, 8, BAD, "array elements");
    lie("flags", PITH_FIELD_ARRAY_VALUES, 2, 1, BAD, "expected 0 or 1, got 2");
    lie("yes", PITH_FIELD_VALUE, 255, 1, BAD, "expected 0 or 1, got 255");
    struct { uint32_t type; uint64_t count; } __attribute__((packed)) nest[10000];
    for (size_t i = 0; i < 10000; i++)
        nest[i].type = PITH_GGUF_ARRAY, nest[i].count = 1;
    pith_builder *b = fixture();
    pith_builder_raw(b, "nest", PITH_GGUF_ARRAY, nest, sizeof nest);
    pith_expect(b, false, BAD, "array of arrays");
    pith_builder_destroy(&b);
    /* Views of empty strings take twice their bytes in the file: capped. */
    size_t n = ((size_t)1 << 21) + 1;
    const char **words = malloc(n * sizeof *words);
    for (size_t i = 0; i < n; i++)
        words[i] = "";
    b = pith_builder_create();
    pith_builder_strings(b, "words", words, n);
    pith_expect(b, false, NO, "at most 2097152 strings");
    pith_builder_remove(b, "words");
    pith_builder_strings(b, "words", words, n - 1);
    pith_expect(b, false, PITH_OK, "");
    pith_builder_u32(b, "u", 1);
    pith_builder_strings(b, "more", words, 1);
    pith_expect(b, false, NO, "in all");
    free(words);
    pith_builder_destroy(&b);
}

static void test_d06_keys(void **state)
{
    (void)state;
    lie("i.u8", PITH_FIELD_VALUE_TYPE, 13, 4, BAD, "value type: expected 0 to 12, got 13");
    lie("i.u8", PITH_FIELD_VALUE_TYPE, 0xffffffff, 4, BAD, "key 'i.u8'");
    lie("i.u16", PITH_FIELD_KEY + 0, 'i', 1, PITH_OK, "");
    pith_builder *b = fixture();
    pith_builder_u32(b, "i.u8", 1);
    pith_expect(b, false, BAD, "key 'i.u8' appears twice");
    pith_builder_destroy(&b);

    b = fixture();
    size_t size;
    const uint8_t *data = pith_builder_finish(b, &size);
    pith_gguf *g;
    assert_int_equal(pith_gguf_open_memory(data, size, &g), PITH_OK);
    int64_t i = 42;
    double f = 42;
    bool flag = true;
    pith_str s = {0};
    pith_gguf_array a;
    static const char *const not_int[] = {"empty", "f.f32", "numbers", "yes", "words"};
    for (size_t k = 0; k < 5; k++) {
        assert_int_equal(pith_gguf_get_int(g, not_int[k], INT64_MIN, INT64_MAX, &i), BAD);
        assert_non_null(strstr(pith_last_error(), not_int[k]));
        assert_non_null(strstr(pith_last_error(), "expected an integer"));
    }
    assert_int_equal(i, 42);
    assert_int_equal(pith_gguf_get_float(g, "i.u8", &f), BAD);
    assert_int_equal(pith_gguf_get_bool(g, "i.u8", &flag), BAD);
    assert_int_equal(pith_gguf_get_string(g, "words", &s), BAD);
    assert_int_equal(pith_gguf_get_array(g, "i.u8", &a), BAD);
    assert_non_null(strstr(pith_last_error(), "key i.u8: expected an array, got a u8"));
    assert_int_equal(pith_gguf_get_int(g, "i.i32", 0, INT32_MAX, &i), BAD);
    assert_non_null(strstr(pith_last_error(), "got -2000000000"));
    pith_gguf_close(&g);
    pith_builder_remove(b, "f.f32");
    pith_builder_int(b, "f.f32", PITH_GGUF_F32, 0x7fc00000); /* NaN */
    data = pith_builder_finish(b, &size);
    assert_int_equal(pith_gguf_open_memory(data, size, &g), PITH_OK);
    assert_int_equal(pith_gguf_get_float(g, "f.f32", &f), BAD);
    pith_gguf_close(&g);
    pith_builder_destroy(&b);
}

static void test_d07_alignment(void **state)
{
    (void)state;
    static const int64_t bad[] = {0, 1, 2, 3, 4, 7, 24, 33, 1 << 21, 1 << 30, (int64_t)1 << 31, (int64_t)1 << 62, INT64_MAX, -1, -32};
    pith_builder *b = fixture();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pith_builder_int(b, "general.alignment", PITH_GGUF_I64, bad[i]);
        pith_expect(b, false, BAD, "key general.alignment");
        pith_builder_remove(b, "general.alignment");
    }
    pith_builder_int(b, "general.alignment", PITH_GGUF_U64, -1);
    pith_expect(b, false, BAD, "key general.alignment");
    pith_builder_remove(b, "general.alignment");
    pith_builder_string(b, "general.alignment", "32");
    pith_expect(b, false, BAD, "expected an integer, got a string");
    pith_builder_remove(b, "general.alignment");
    static const size_t good[] = {8, 16, 32, 256, 1 << 20};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        pith_builder_align(b, good[i]);
        pith_builder_int(b, "general.alignment", i % 2 ? PITH_GGUF_U64 : PITH_GGUF_U32, (int64_t)good[i]);
        pith_expect(b, false, PITH_OK, "");
        pith_builder_remove(b, "general.alignment");
    }
    pith_builder_destroy(&b);
}

static void test_d08_dimensions(void **state)
{
    (void)state;
    lie("matrix", PITH_FIELD_N_DIMS, 5, 4, BAD, "expected 0 to 4, got 5");
    lie("matrix", PITH_FIELD_N_DIMS, 0xffffffff, 4, BAD, "expected 0 to 4");
    lie("vector", PITH_FIELD_N_DIMS, 0, 4, NO, "tensor type 5"); /* the dimension is read as the type */
    static const uint64_t dims[] = {0, ((uint64_t)1 << 42) + 1, (uint64_t)1 << 63, UINT64_MAX};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
        lie("matrix", PITH_FIELD_DIMS, dims[i], 8, BAD, "tensor number 1 ('matrix')");
    lie("vector", PITH_FIELD_DIMS, 1, 8, PITH_OK, "");
    lie("vector", PITH_FIELD_DIMS, (uint64_t)1 << 40, 8, BAD, "bytes at offset");
    /* Products: 2^40 * 2^40 overflows; 2^40 * 2^22 elements of 4 bytes overflow only as bytes. */
    static const uint64_t huge[][4] = {
        {(uint64_t)1 << 40, (uint64_t)1 << 40, 1, 1}, {1, (uint64_t)1 << 40, (uint64_t)1 << 40, 1},
        {(uint64_t)1 << 40, (uint64_t)1 << 22, 1, 1}, {(uint64_t)1 << 32, (uint64_t)1 << 31, 1, 1},
        {(uint64_t)1 << 16, (uint64_t)1 << 16, (uint64_t)1 << 16, (uint64_t)1 << 16}};
    for (size_t i = 0; i < sizeof huge / sizeof *huge; i++) {
        pith_builder *b = fixture();
        pith_builder_tensor(b, "huge", PITH_DTYPE_F32, 4, (const uint64_t[]){1, 1, 1, 1}, NULL);
        size_t size;
        const uint8_t *data = pith_builder_finish(b, &size);
        for (size_t d = 0; d < 4; d++)
            pith_builder_poke(b, pith_builder_find(b, "huge", PITH_FIELD_DIMS) + 8 * d, huge[i][d], 8);
        pith_expect_bytes(data, size, false, BAD, "overflow");
        pith_builder_destroy(&b);
    }
    pith_builder *b = fixture(); /* a scalar is one element */
    pith_builder_tensor(b, "scalar", PITH_DTYPE_F32, 0, NULL, NULL);
    pith_expect(b, false, PITH_OK, "");
    pith_builder_destroy(&b);
}

static void test_d09_tensor_types(void **state)
{
    (void)state;
    static const uint32_t retired[] = {4, 5, 31, 32, 33, 36, 37, 38}, unknown[] = {43, 100, 0x80000000, 0xffffffff};
    for (size_t i = 0; i < sizeof retired / sizeof *retired; i++)
        lie("matrix", PITH_FIELD_TYPE, retired[i], 4, NO, "removed from the format");
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        lie("matrix", PITH_FIELD_TYPE, unknown[i], 4, NO, "not known");
    lie("matrix", PITH_FIELD_TYPE, PITH_DTYPE_Q4_K, 4, BAD, "Q4_K needs a multiple of 256");
    lie("matrix", PITH_FIELD_DIMS, 65, 8, BAD, "multiple of 32");
    lie("vector", PITH_FIELD_TYPE, PITH_DTYPE_Q8_0, 4, BAD, "tensor number 0 ('vector')");
    lie("matrix", PITH_FIELD_TYPE, PITH_DTYPE_MXFP4, 4, PITH_OK, ""); /* smaller, and may be listed */
}

static void test_d10_places(void **state)
{
    (void)state;
    lie("matrix", PITH_FIELD_OFFSET, 33, 8, BAD, "not a multiple of the alignment");
    lie("matrix", PITH_FIELD_OFFSET, 1 << 20, 8, BAD, "beyond");
    lie("matrix", PITH_FIELD_OFFSET, 64, 8, BAD, "bytes at offset 64");
    lie("matrix", PITH_FIELD_OFFSET, (uint64_t)1 << 63, 8, BAD, "beyond");
    lie("matrix", PITH_FIELD_OFFSET, UINT64_MAX - 31, 8, BAD, "beyond");
    lie("matrix", PITH_FIELD_OFFSET, 0, 8, BAD, "overlap");
    lie("vector", PITH_FIELD_OFFSET, 96, 8, BAD, "overlap");
    pith_builder *b = fixture();
    pith_builder_tensor(b, "matrix", PITH_DTYPE_F32, 1, (const uint64_t[]){4}, NULL);
    pith_expect(b, false, BAD, "tensor 'matrix' appears twice");
    pith_builder_destroy(&b);
    b = fixture(); /* records in another order than the data: fine */
    pith_builder_tensor(b, "last", PITH_DTYPE_F32, 1, (const uint64_t[]){40}, NULL);
    size_t size;
    const uint8_t *data = pith_builder_finish(b, &size);
    pith_builder_poke(b, pith_builder_find(b, "vector", PITH_FIELD_OFFSET), 32 + 128, 8);
    pith_builder_poke(b, pith_builder_find(b, "last", PITH_FIELD_OFFSET), 32 + 128 - 32, 8);
    pith_expect_bytes(data, size, false, BAD, "overlap");
    pith_builder_poke(b, pith_builder_find(b, "last", PITH_FIELD_OFFSET), 32 + 128, 8);
    pith_builder_poke(b, pith_builder_find(b, "vector", PITH_FIELD_OFFSET), 0, 8);
    pith_expect_bytes(data, size, false, PITH_OK, "");
    pith_expect_bytes(data, size - 1, false, BAD, "tensor 'last'");
    pith_builder_destroy(&b);
}

/* Any bytes may be anything: 20,000 files with 1 to 8 bytes changed, and each byte of the head once. */
static void test_random_flips(void **state)
{
    (void)state;
    const char *const archs[] = {"llama", "qwen2", "qwen3"};
    pith_rng rng;
    pith_rng_init(&rng, 20);
    size_t n_ok = 0;
    for (int a = 0; a < 3; a++) {
        pith_builder *b = pith_builder_create();
        pith_builder_tiny_model(b, archs[a], PITH_DTYPE_Q4_0);
        pith_builder_u32(b, "pith.cca.group", 16);
        pith_builder_u32(b, "pith.cca.window", 64);
        size_t size, head;
        const uint8_t *data = pith_builder_finish(b, &size);
        head = pith_builder_find(b, "token_embd.weight", PITH_FIELD_DATA);
        assert_int_equal(pith_check_bytes(data, size), PITH_OK);
        for (size_t i = 0; i < head + 5000; i++) {
            uint8_t saved[8], n = i < head ? 1 : (uint8_t)(1 + pith_rng_u64(&rng) % 8);
            size_t at[8];
            for (uint8_t k = 0; k < n; k++) {
                at[k] = i < head ? i : pith_rng_u64(&rng) % head;
                saved[k] = data[at[k]];
                pith_builder_poke(b, at[k], saved[k] ^ (uint64_t)(1 << pith_rng_u64(&rng) % 8), 1);
            }
            n_ok += pith_check_bytes(data, size) == PITH_OK;
            for (uint8_t k = n; k-- > 0;)
                pith_builder_poke(b, at[k], saved[k], 1);
        }
        assert_int_equal(pith_check_bytes(data, size), PITH_OK);
        pith_builder_destroy(&b);
    }
    print_message("%zu changed files were still valid\n", n_ok);
}

/* Allocation number 0, 1, 2, ... fails: NO_MEMORY, and nothing leaks (the sanitizer looks). */
static void test_no_memory(void **state)
{
    (void)state;
    pith_builder *b = pith_builder_create();
    pith_builder_tiny_model(b, "llama", PITH_DTYPE_F32);
    pith_builder_strings(b, "words", (const char *const[]){"a", "b"}, 2);
    size_t size;
    const uint8_t *data = pith_builder_finish(b, &size);
    long n = 0;
    pith_status status;
    do {
        pith_alloc_count = 0;
        pith_alloc_fail_at = n;
        status = pith_check_bytes(data, size);
        bool failed = pith_alloc_count > n;
        pith_alloc_fail_at = -1;
        assert_int_equal(status, failed ? PITH_ERROR_NO_MEMORY : PITH_OK);
    } while (n++ < 1000 && status != PITH_OK);
    print_message("%ld allocations\n", n - 1);
    assert_true(n > 8 && n < 1000);
    pith_builder_destroy(&b);
}

/* Many names: the tables grow, and every name is found (in pith_check_open). */
static void test_many(void **state)
{
    (void)state;
    pith_builder *b = pith_builder_create();
    for (int i = 0; i < 3000; i++) {
        char name[40];
        snprintf(name, sizeof name, "key.number.%d", i);
        pith_builder_u32(b, name, (uint32_t)i);
        snprintf(name, sizeof name, "tensor.number.%d", i);
        pith_builder_tensor(b, name, PITH_DTYPE_F16, 1, (const uint64_t[]){3}, NULL);
    }
    pith_expect(b, false, PITH_OK, "");
    pith_builder_destroy(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_file),      cmocka_unit_test(test_file_on_disk),  cmocka_unit_test(test_d01_truncation),
        cmocka_unit_test(test_d02_magic_version), cmocka_unit_test(test_d03_counts), cmocka_unit_test(test_d04_string_lengths),
        cmocka_unit_test(test_d05_arrays),     cmocka_unit_test(test_d06_keys),      cmocka_unit_test(test_d07_alignment),
        cmocka_unit_test(test_d08_dimensions), cmocka_unit_test(test_d09_tensor_types), cmocka_unit_test(test_d10_places),
        cmocka_unit_test(test_random_flips),   cmocka_unit_test(test_no_memory),     cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
