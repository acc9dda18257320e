/* SPDX-License-Identifier: MIT */
/* pith_dtype_get against the numbers of the format, and pith_dequantize against recorded reference blocks, bit for bit:
 * twelve fixed sums that need no file, and every element of PITH_SHARED_DIR/data/quant_vectors.json where it exists. */
#include "base/half.h"
#include "graph/dtype.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>
#include <jansson.h>

static uint32_t find_type(const char *name)
{
    for (uint32_t id = 0; id < PITH_DTYPE_END; id++) {
        pith_dtype_info info = pith_dtype_get(id);
        if (info.name && strcasecmp(info.name, name) == 0)
            return id;
    }
    return UINT32_MAX;
}

static void test_dtype_table(void **state)
{
    (void)state;
    assert_string_equal(pith_dtype_get(0).name, "F32");
    assert_int_equal(pith_dtype_get(14).block_bytes, 210);
    assert_int_equal(pith_dtype_get(14).block_elems, 256);
    assert_true(pith_dtype_get(20).usable);
    assert_string_equal(pith_dtype_get(39).name, "MXFP4");
    assert_false(pith_dtype_get(39).usable);
    static const uint32_t none[] = {4, 5, 31, 32, 33, 36, 37, 38, 43, 44, 1000, 0x7fffffff, 0x80000000, 0xffffffff};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        assert_null(pith_dtype_get(none[i]).name);
        assert_int_equal(pith_dtype_get(none[i]).block_elems, 0);
    }
}

/* Byte k = 7 k^2 + 31 k + 101, then d = 0.0625 and the second half field 0.25 at the places given. */
static void test_fixed_block_sums(void **state)
{
    (void)state;
    static const struct { pith_dtype type; int d_at, m_at; double sum; } cases[] = {
        {PITH_DTYPE_Q4_0, 0, -1, -2},      {PITH_DTYPE_Q4_1, 0, 2, 22.25},    {PITH_DTYPE_Q5_0, 0, -1, 0},
        {PITH_DTYPE_Q5_1, 0, 2, 40.25},    {PITH_DTYPE_Q8_0, 0, -1, 0},       {PITH_DTYPE_Q2_K, 80, 82, -184.875},
        {PITH_DTYPE_Q3_K, 108, -1, -10.125}, {PITH_DTYPE_Q4_K, 0, 2, 1975},   {PITH_DTYPE_Q5_K, 0, 2, 5912},
        {PITH_DTYPE_Q6_K, 208, -1, 976},   {PITH_DTYPE_IQ4_NL, 0, -1, -26.8125}, {PITH_DTYPE_IQ4_XS, 0, -1, -1309},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        pith_dtype_info info = pith_dtype_get((uint32_t)cases[c].type);
        uint8_t block[1 + 256];
        uint8_t *b = block + 1; /* odd address on purpose */
        for (uint32_t k = 0; k < info.block_bytes; k++)
            b[k] = (uint8_t)(7 * k * k + 31 * k + 101);
        b[cases[c].d_at] = 0x00, b[cases[c].d_at + 1] = 0x2c;
        if (cases[c].m_at >= 0)
            b[cases[c].m_at] = 0x00, b[cases[c].m_at + 1] = 0x34;
        float y[256];
        pith_dequantize(cases[c].type, b, y, info.block_elems);
        double sum = 0;
        for (uint32_t i = 0; i < info.block_elems; i++)
            sum += (double)y[i];
        if (sum != cases[c].sum)
            fail_msg("%s: sum %.9g, expected %.9g", info.name, sum, cases[c].sum);
    }
}

static void check_vector(const char *name, const json_t *entry)
{
    uint32_t id = find_type(name);
    if (id == UINT32_MAX)
        fail_msg("%s: no such type", name);
    pith_dtype_info info = pith_dtype_get(id);
    assert_int_equal(info.block_elems, json_integer_value(json_object_get(entry, "block_elems")));
    assert_int_equal(info.block_bytes, json_integer_value(json_object_get(entry, "block_bytes")));
    if (!info.usable)
        return;
    const char *hex = json_string_value(json_object_get(entry, "dequant_in_hex"));
    const json_t *want = json_object_get(entry, "dequant_out_f32");
    assert_int_equal(strlen(hex), 2 * info.block_bytes);
    uint8_t two[2 * 292];
    float y[2 * 256];
    for (uint32_t k = 0; k < 2 * info.block_bytes; k++) { /* the block twice: also tests the stride */
        unsigned byte;
        assert_int_equal(sscanf(hex + 2 * (k % info.block_bytes), "%2x", &byte), 1);
        two[k] = (uint8_t)byte;
    }
    pith_dequantize((pith_dtype)id, two, y, 2 * info.block_elems);
    for (uint32_t i = 0; i < 2 * info.block_elems; i++) {
        float w = (float)json_number_value(json_array_get(want, i % info.block_elems));
        if (memcmp(&w, &y[i], sizeof w) != 0 && !(w == 0 && y[i] == 0))
            fail_msg("%s: element %u: %.9g, expected %.9g", name, i, (double)y[i], (double)w);
    }
}

static void test_recorded_vectors(void **state)
{
    (void)state;
    json_error_t error;
    json_t *root = json_load_file(PITH_SHARED_DIR "/data/quant_vectors.json", 0, &error);
    if (!root) {
        print_message("no quant_vectors.json: %s\n", error.text);
        skip();
    }
    const char *name;
    json_t *entry;
    size_t n = 0;
    json_object_foreach(root, name, entry) {
        if (name[0] != '_' && json_object_get(entry, "dequant_in_hex"))
            check_vector(name, entry), n += pith_dtype_get(find_type(name)).usable;
    }
    print_message("%zu usable types checked\n", n);
    assert_true(n >= 12);
    json_decref(root);
}

static void test_floats(void **state)
{
    (void)state;
    const uint16_t half[4] = {0x3c00, 0x0001, 0xfbff, 0x8000};
    const uint16_t bf16[2] = {0x3f80, 0xc2f7};
    const float f32[2] = {1.5f, -3e-40f};
    float y[4];
    pith_dequantize(PITH_DTYPE_F16, half, y, 4);
    assert_true(y[0] == 1.0f && y[1] == 0x1p-24f && y[2] == -65504.0f && y[3] == 0.0f);
    pith_dequantize(PITH_DTYPE_BF16, bf16, y, 2);
    assert_true(y[0] == 1.0f && y[1] == -123.5f);
    pith_dequantize(PITH_DTYPE_F32, f32, y, 2);
    assert_memory_equal(y, f32, sizeof f32);
    pith_dequantize(PITH_DTYPE_Q4_K, NULL, y, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dtype_table),
        cmocka_unit_test(test_fixed_block_sums),
        cmocka_unit_test(test_recorded_vectors),
        cmocka_unit_test(test_floats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
