/* SPDX-License-Identifier: MIT */
/* Rows of tables of every tensor type against pith_dequantize, and rows of a value bit for bit: whole tables and tables cut
 * into slabs, ids in any order and repeated, widths that leave a part of a unit. */
#include "vk_op.h"

#include "harness/compare.h"
#include "harness/gen.h"

#include <math.h>

static pith_vk_physical physical;

/* ids -> rows of the table, then the wanted ones among them. */
static void lookup(pith_dtype type, int32_t rows, int32_t cols, int32_t n, bool extreme, uint64_t slab_max)
{
    pith_rng rng;
    pith_rng_init(&rng, (uint64_t)type * 1000 + (uint64_t)cols);
    size_t row_bytes = pith_dtype_row_bytes(type, (size_t)cols), count = (size_t)rows * (size_t)cols;
    uint8_t *table = malloc(row_bytes * (size_t)rows);
    float *values = malloc((size_t)cols * sizeof *values), *got = malloc((size_t)n * (size_t)cols * sizeof *got);
    float *wanted = malloc(3 * (size_t)cols * sizeof *wanted);
    int32_t *ids = malloc((size_t)n * sizeof *ids), list[3] = {n - 1, 0, n / 2};
    assert_true(table && values && got && wanted && ids);
    if (type == PITH_DTYPE_F32)
        pith_gen_f32(&rng, extreme ? PITH_GEN_LARGE : PITH_GEN_NORMAL, (float *)(void *)table, count);
    else
        pith_gen_blocks(&rng, type, 0.05, extreme, table, count);
    for (int32_t t = 0; t < n; t++)
        ids[t] = t == 1 ? rows - 1 : (int32_t)(pith_rng_u64(&rng) % (uint64_t)rows);

    const pith_weight_desc w = {PITH_WEIGHT_LOOKUP, 1, {{"table", type, rows, cols, table}}};
    pith_graph graph;
    pith_graph_init(&graph, &w, 1);
    int32_t vids = pith_graph_input(&graph, "ids", PITH_DTYPE_I32, PITH_ROWS_TOKENS, 1);
    int32_t x = pith_graph_value(&graph, "x", PITH_DTYPE_F32, PITH_ROWS_TOKENS, cols);
    int32_t y = pith_graph_value(&graph, "y", PITH_DTYPE_F32, PITH_ROWS_WANTED, cols);
    pith_node node = {.op = PITH_OP_EMBED, .src = vids, .dst = x, .layer = -1};
    assert_ok(pith_graph_add(&graph, &node));
    node = (pith_node){.op = PITH_OP_ROWS, .stage = PITH_STAGE_HEAD, .src = x, .dst = y, .layer = -1};
    assert_ok(pith_graph_add(&graph, &node));
    vk_op op;
    const pith_vk_backend_params params = {.threads = 2, .slab_max = slab_max};
    vk_op_begin(&op, vk_shared(&physical, &params), &graph, n, 3, NULL, 0);
    vk_op_run(&op, &(pith_step){.stage = PITH_STAGE_TRUNK, .n_tokens = n, .tokens = ids});
    vk_op_run(&op, &(pith_step){.stage = PITH_STAGE_HEAD, .n_rows = 3, .rows = list});
    vk_op_read(&op, x, n, got);
    vk_op_read(&op, y, 3, wanted);
    for (int r = 0; r < 3; r++)
        assert_memory_equal(wanted + (int64_t)r * cols, got + (int64_t)list[r] * cols, (size_t)cols * sizeof *got);

    pith_compare cmp;
    pith_compare_init(&cmp);
    for (int32_t t = 0; t < n; t++) {
        pith_dequantize(type, table + (size_t)ids[t] * row_bytes, values, (size_t)cols);
        for (int32_t c = 0; c < cols; c++) {
            /* Code times scale plus minimum, each rounded once: parts may be larger than their sum, never than the unit's
             * largest value by more than its range. */
            double most = 0;
            for (int32_t e = c / 32 * 32; e < c / 32 * 32 + 32 && e < cols; e++)
                most = fmax(most, fabs((double)values[e]));
            bool exact = type == PITH_DTYPE_F32 || type == PITH_DTYPE_F16 || type == PITH_DTYPE_BF16;
            pith_compare_add(&cmp, (size_t)(t * cols + c), got[(int64_t)t * cols + c], values[c], exact ? 0 : 6 * 0x1p-24 * most + 1e-37);
        }
    }
    char what[120];
    snprintf(what, sizeof what, "%s [%d][%d], %d ids, extreme %d, slabs of %llu", pith_dtype_get((uint32_t)type).name, rows, cols, n, extreme,
             (unsigned long long)slab_max);
    bool ok = pith_compare_ok(&cmp, what);
    vk_op_end(&op);
    pith_graph_fini(&graph);
    void *all[] = {table, values, got, wanted, ids};
    for (int i = 0; i < 5; i++)
        free(all[i]);
    if (!ok)
        fail();
}

static const pith_dtype types[] = {PITH_DTYPE_F32, PITH_DTYPE_F16, PITH_DTYPE_BF16, PITH_DTYPE_Q4_0, PITH_DTYPE_Q4_1,
                                   PITH_DTYPE_Q5_0, PITH_DTYPE_Q5_1, PITH_DTYPE_Q8_0, PITH_DTYPE_Q2_K, PITH_DTYPE_Q3_K,
                                   PITH_DTYPE_Q4_K, PITH_DTYPE_Q5_K, PITH_DTYPE_Q6_K, PITH_DTYPE_IQ4_NL, PITH_DTYPE_IQ4_XS};

static void test_types(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        for (int extreme = 0; extreme < 2; extreme++) {
            lookup(types[i], 67, 512, 5, extreme, 0);
            lookup(types[i], 301, 256, 40, extreme, 16 << 10);
        }
}

/* Floats and halves have rows of any width; blocks of 32 those of a whole number of units. */
static void test_widths(void **state)
{
    (void)state;
    static const int32_t widths[] = {1, 3, 4, 31, 33, 66, 96, 100};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
        for (int32_t n = 1; n < 70; n += 31) {
            lookup(PITH_DTYPE_F32, 9, widths[i], n, false, 0);
            lookup(PITH_DTYPE_F16, 9, widths[i], n, false, 0);
            if (widths[i] % 32 == 0)
                lookup(PITH_DTYPE_Q5_1, 9, widths[i], n, false, 0);
        }
}

int main(void)
{
    physical = vk_test_device();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_types), cmocka_unit_test(test_widths), cmocka_unit_test(vk_shared_close),
                                       cmocka_unit_test(vk_test_silent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
