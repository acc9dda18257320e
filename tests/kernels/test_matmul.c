/* SPDX-License-Identifier: MIT */
/* Matrix products of every weight type and tier. Scalar kernels against the dequantised weights in double (bound: what
 * quantising activations may cost); every other tier against the scalar one (bound: f32 rounding of the sum over blocks;
 * integer dots must be exact); rows, columns and tokens around every tile edge; adversarial values; guarded memory.
 *
 *     test_matmul [--seed=N] [--bench [type]]      the seed is printed; each case reseeds itself by name */
#include "matmul_bench.h"
#include "matmul_case.h"
#include "matmul_dictionary.h"

#include "blas.h"
#include "matmul_layout.h"

#include "harness/compare.h"
#include "harness/guard.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Number of f32 additions behind one output. */
static size_t terms(pith_dtype type, int64_t cols)
{
    uint32_t block = pith_dtype_get((uint32_t)type).block_elems;
    return block == 1 ? (size_t)cols + 1 : (size_t)cols / 16 + 2;
}

/* ---- tiers against the dictionary --------------------------------------------------------------------------------- */

static void check_act(const mm_tier *tier, pith_cpu_act act, int64_t cols, pith_gen_kind kind)
{
    pith_cpu_kernels scalar, k;
    mm_table(&scalar, 0);
    mm_table(&k, tier->flags);
    pith_rng rng;
    pith_rng_init(&rng, pith_gen_seed(mm_seed, tier->name) + (uint64_t)cols);
    float *x = pith_guard_alloc((size_t)cols * sizeof(float), 4);
    pith_gen_f32(&rng, kind, x, (size_t)cols);
    size_t bytes = pith_cpu_act_bytes(act, cols, 1);
    uint8_t *want = pith_guard_alloc(bytes, 0), *got = pith_guard_alloc(bytes, 0);
    pith_cpu_act_pack(&scalar, act, x, cols, cols, 1, 0, 1, want);
    pith_cpu_act_pack(&k, act, x, cols, cols, 1, 0, 1, got);
    assert_true(pith_guard_check(got, "activation row"));
    bool narrow = act == PITH_ACT_BF16 && (tier->flags & PITH_CPU_BF16); /* kept as bf16 there */
    for (size_t i = 0; i < bytes && !narrow; i++)
        if (want[i] != got[i])
            fail_msg("%s act %d, %d columns, %s: byte %zu is %d, expected %d", tier->name, (int)act, (int)cols, pith_gen_name(kind), i, got[i],
                     want[i]);
    for (int64_t i = 0; i < cols && narrow; i++) {
        uint16_t h, w;
        memcpy(&h, got + 2 * i, 2);
        memcpy(&w, want + 4 * i + 2, 2);
        assert_int_equal(h, w);
    }
    pith_guard_free(x);
    pith_guard_free(want);
    pith_guard_free(got);
}

static void test_activations(void **state)
{
    (void)state;
    const mm_tier *tiers;
    int n = mm_tiers(&tiers);
    for (int i = 1; i < n; i++)
        for (int act = PITH_ACT_F32; act <= PITH_ACT_Q8_256; act++)
            for (int kind = 0; kind < PITH_GEN_END; kind++)
                for (int64_t cols = 256; cols <= 1024; cols += act == PITH_ACT_Q8_256 ? 256 : act == PITH_ACT_Q8_32 ? 32 : 77)
                    check_act(&tiers[i], act, cols, kind);
}

typedef struct variant { bool bias, accumulate, extreme; } variant;

/* All tokens at once on every tier, compared with the scalar tier. */
static void check_tiers(pith_dtype type, int64_t rows, int64_t cols, int64_t n, pith_gen_kind kind, variant v)
{
    mm_case c;
    uint64_t s = mm_case_seed("tiers", type, rows, cols, n, kind);
    mm_case_make(&c, s, type, rows, cols, n, kind, v.extreme);
    const mm_tier *tiers;
    int n_tiers = mm_tiers(&tiers);
    int64_t ldy = rows + 5;
    size_t y_bytes = (size_t)(n * ldy) * sizeof(float);
    float *want = pith_guard_alloc(y_bytes, 4), *got = pith_guard_alloc(y_bytes, 4), *bias = pith_guard_alloc((size_t)rows * sizeof(float), 4);
    float *w = mm_weights(&c);
    double *a = malloc((size_t)cols * sizeof *a), *e = malloc((size_t)cols * sizeof *e);
    double *magnitude = calloc((size_t)(n * rows), sizeof *magnitude);
    assert_true(a && e && magnitude);
    pith_rng rng;
    pith_rng_init(&rng, s + 1);
    pith_gen_f32(&rng, PITH_GEN_NORMAL, bias, (size_t)rows);
    pith_cpu_kernels k;
    mm_table(&k, 0);
    for (int64_t t = 0; v.accumulate && t < n; t++)
        pith_gen_f32(&rng, PITH_GEN_NORMAL, want + t * ldy, (size_t)rows);
    memcpy(got, want, y_bytes);
    float *start = pith_guard_alloc(y_bytes, 4);
    memcpy(start, want, y_bytes);
    assert_true(mm_case_run(&c, &k, 0, n, 0, rows, v.bias ? bias : NULL, v.accumulate, want, ldy));
    for (int64_t t = 0; t < n; t++) {
        double ignored;
        mm_act_values(&c, t, a, e, &ignored);
        for (int64_t r = 0; r < rows; r++) {
            double m = v.accumulate ? fabs((double)start[t * ldy + r]) : v.bias ? fabs((double)bias[r]) : 0.0;
            for (int64_t i = 0; i < cols; i++)
                m += fabs((double)w[r * cols + i] * a[i]);
            if (pith_mm_format_get(type)->min_at) /* codes and mins may cancel inside a weight */
                m *= 2.0;
            magnitude[t * rows + r] = m;
        }
    }
    for (int i = 1; i < n_tiers; i++) {
        mm_table(&k, tiers[i].flags);
        const bool blas = pith_cpu_matmul_is_blas(&k), own_sums = c.m.act == PITH_ACT_Q8_32 && pith_mm_format_get(type)->min_at;
        if (blas && (kind == PITH_GEN_LARGE || (own_sums && kind == PITH_GEN_TINY)))
            continue; /* activations that are no finite number, or less than their rounded sums */
        memcpy(got, start, y_bytes);
        assert_true(mm_case_run(&c, &k, 0, n, 0, rows, v.bias ? bias : NULL, v.accumulate, got, ldy));
        pith_compare cmp;
        pith_compare_init(&cmp);
        for (int64_t t = 0; t < n; t++)
            for (int64_t r = 0; r < rows; r++) {
                double m = magnitude[t * rows + r];
                pith_compare_add(&cmp, (size_t)(t * rows + r), (double)got[t * ldy + r], (double)want[t * ldy + r],
                                 pith_bound_f32(blas ? (size_t)cols : terms(type, cols), m) + (blas && own_sums ? 0x1p-10 * m : 0.0));
            }
        char what[160];
        snprintf(what, sizeof what, "%s %s %lldx%lld n%lld %s%s%s%s", tiers[i].name, mm_type_name(type), (long long)rows, (long long)cols,
                 (long long)n, pith_gen_name(kind), v.bias ? " bias" : "", v.accumulate ? " accumulate" : "", v.extreme ? " extreme" : "");
        if (!pith_compare_ok(&cmp, what) || !pith_guard_check(got, what))
            fail_msg("%s", what);
        for (int64_t t = 0; t < n; t++)
            for (int64_t r = rows; r < ldy; r++)
                assert_memory_equal(&got[t * ldy + r], &start[t * ldy + r], 4);
    }
    pith_guard_free(want);
    pith_guard_free(got);
    pith_guard_free(start);
    pith_guard_free(bias);
    pith_guard_free(w);
    free(a);
    free(e);
    free(magnitude);
    mm_case_free(&c);
}

static int64_t block_of(pith_dtype type) { return pith_dtype_get((uint32_t)type).block_elems; }

static void test_shapes(void **state)
{
    (void)state;
    static const int64_t rows[] = {1, 15, 16, 17, 31, 33, 47, 67};
    for (int i = 0; i < mm_n_types; i++) {
        int64_t block = block_of(mm_types[i]);
        for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++)
            for (int64_t n = 1; n <= 35; n += n < 14 ? 1 : 7)
                check_tiers(mm_types[i], rows[r], block == 1 ? 61 + n : block * (1 + (n + (int64_t)r) % 3), n, PITH_GEN_NORMAL, (variant){0});
    }
}

static void test_columns(void **state) /* column ranges of the panels, real widths */
{
    (void)state;
    static const int64_t cols32[] = {32, 64, 96, 544, 576, 736, 768, 800, 1536, 2048}, cols256[] = {256, 512, 768, 1024, 1536, 2048, 2816};
    for (int i = 0; i < mm_n_types; i++) {
        bool wide = block_of(mm_types[i]) == 256;
        for (size_t j = 0; j < (wide ? sizeof cols256 : sizeof cols32) / 8; j++) {
            check_tiers(mm_types[i], 33, wide ? cols256[j] : cols32[j], 7, PITH_GEN_NORMAL, (variant){0});
            check_tiers(mm_types[i], 33, wide ? cols256[j] : cols32[j], 1, PITH_GEN_NORMAL, (variant){0});
        }
    }
}

static void test_starts(void **state)
{
    (void)state;
    for (int i = 0; i < mm_n_types; i++)
        for (int64_t n = 1; n <= 9; n += 4) {
            check_tiers(mm_types[i], 35, 1024, n, PITH_GEN_NORMAL, (variant){.bias = true});
            check_tiers(mm_types[i], 35, 1024, n, PITH_GEN_NORMAL, (variant){.accumulate = true});
        }
}

static void test_values(void **state)
{
    (void)state;
    for (int i = 0; i < mm_n_types; i++)
        for (int kind = 0; kind < PITH_GEN_END; kind++)
            for (int64_t n = 1; n <= 6; n += 5)
                check_tiers(mm_types[i], 32, 768, n, kind, (variant){0});
}

static void test_extremes(void **state) /* largest codes on both sides: integer sums must not saturate or wrap */
{
    (void)state;
    for (int i = 0; i < mm_n_types; i++)
        for (int64_t n = 1; n <= 6; n += 5) {
            check_tiers(mm_types[i], 64, 1024, n, PITH_GEN_EXTREME, (variant){.extreme = true});
            check_tiers(mm_types[i], 64, 1024, n, PITH_GEN_OUTLIER, (variant){.extreme = true});
        }
}

static void test_slabs(void **state)
{
    (void)state;
    for (int i = 0; i < mm_n_types; i++)
        check_tiers(mm_types[i], 48, 256, PITH_MM_SLAB + 5, PITH_GEN_NORMAL, (variant){0});
}

/* ---- independence of the split ------------------------------------------------------------------------------------- */

/* The same bits from any division of rows and of tokens. */
static void test_splits(void **state)
{
    (void)state;
    const mm_tier *tiers;
    int n_tiers = mm_tiers(&tiers);
    enum { ROWS = 85, N = 23 };
    for (int i = 0; i < mm_n_types; i++) {
        mm_case c;
        mm_case_make(&c, mm_case_seed("splits", mm_types[i], ROWS, 1536, N, 0), mm_types[i], ROWS, 1536, N, PITH_GEN_NORMAL, false);
        float *whole = pith_guard_alloc(sizeof(float) * ROWS * N, 0), *parts = pith_guard_alloc(sizeof(float) * ROWS * N, 0);
        for (int t = 0; t < n_tiers; t++) {
            pith_cpu_kernels k;
            mm_table(&k, tiers[t].flags);
            if (pith_cpu_matmul_is_blas(&k))
                continue; /* the library's order of sums is its own */
            pith_guard_reset(whole);
            assert_true(mm_case_run(&c, &k, 0, N, 0, ROWS, NULL, false, whole, ROWS));
            static const int64_t row_cuts[] = {0, 16, 64, 80, ROWS}, token_cuts[] = {0, 1, 3, 6, 10, 17, N};
            pith_guard_reset(parts);
            for (int r = 0; r < 4; r++)
                for (int s = 0; s < 6; s++)
                    assert_true(mm_case_run(&c, &k, token_cuts[s], token_cuts[s + 1], row_cuts[r], row_cuts[r + 1], NULL, false, parts, ROWS));
            for (int j = 0; j < ROWS * N; j++)
                if (memcmp(&whole[j], &parts[j], 4) != 0)
                    fail_msg("%s %s: token %d row %d: %.9g whole, %.9g in parts", tiers[t].name, mm_type_name(mm_types[i]), j / ROWS, j % ROWS,
                             (double)whole[j], (double)parts[j]);
            assert_true(pith_guard_check(parts, "y"));
            /* A middle range writes its rows and nothing else. */
            pith_guard_reset(parts);
            assert_true(mm_case_run(&c, &k, 0, N, 32, 64, NULL, false, parts, ROWS));
            for (int t1 = 0; t1 < N; t1++) {
                size_t at = sizeof(float) * (size_t)(t1 * ROWS);
                assert_true(pith_guard_untouched(parts, at, at + 32 * 4) && pith_guard_untouched(parts, at + 64 * 4, at + ROWS * 4));
                assert_memory_equal(parts + t1 * ROWS + 32, whole + t1 * ROWS + 32, 32 * sizeof(float));
            }
        }
        pith_guard_free(whole);
        pith_guard_free(parts);
        mm_case_free(&c);
    }
}

static void test_not_finite(void **state) /* a NaN or an infinity in x must not vanish in the quantisation */
{
    (void)state;
    const mm_tier *tiers;
    int n_tiers = mm_tiers(&tiers);
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < mm_n_types; i++)
        for (int b = 0; b < 3; b++) {
            mm_case c;
            mm_case_make(&c, mm_case_seed("nan", mm_types[i], 32, 512, 5, 0), mm_types[i], 32, 512, 5, PITH_GEN_NORMAL, false);
            c.x[2 * 512 + 300] = bad[b];
            for (int t = 0; t < n_tiers; t++) {
                pith_cpu_kernels k;
                mm_table(&k, tiers[t].flags);
                float y[5 * 32];
                assert_true(mm_case_run(&c, &k, 0, 5, 0, 32, NULL, false, y, 32));
                for (int j = 0; j < 5 * 32; j++)
                    if (isfinite(y[j]) != (j / 32 != 2))
                        fail_msg("%s %s: token %d row %d is %g", tiers[t].name, mm_type_name(mm_types[i]), j / 32, j % 32, (double)y[j]);
            }
            mm_case_free(&c);
        }
}

static void test_refusals(void **state)
{
    (void)state;
    pith_cpu_kernels k;
    pith_cpu_matrix m;
    mm_table(&k, 0);
    assert_int_equal(pith_cpu_matrix_init(&m, &k, PITH_DTYPE_Q8_1, 16, 64), PITH_ERROR_UNSUPPORTED);
    assert_int_equal(pith_cpu_matrix_init(&m, &k, PITH_DTYPE_Q4_0, 16, 33), PITH_ERROR_FORMAT);
    assert_int_equal(pith_cpu_matrix_init(&m, &k, PITH_DTYPE_Q4_K, 16, 128), PITH_ERROR_FORMAT);
    assert_int_equal(pith_cpu_matrix_init(&m, &k, PITH_DTYPE_F32, 0, 64), PITH_ERROR_FORMAT);
    assert_int_equal(pith_cpu_matrix_init(&m, &k, PITH_DTYPE_F32, INT64_MAX, 1LL << 40), PITH_ERROR_FORMAT);
}

int main(int argc, char **argv)
{
    bool bench = false;
    const char *only = NULL;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--seed=", 7) == 0)
            mm_seed = strtoull(argv[i] + 7, NULL, 10);
        else if (strcmp(argv[i], "--bench") == 0)
            bench = true;
        else
            only = argv[i];
    }
    if (bench)
        return mm_bench(only);
    printf("seed %llu\n", (unsigned long long)mm_seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals), cmocka_unit_test(mm_test_row),    cmocka_unit_test(mm_test_dictionary), cmocka_unit_test(test_activations),
        cmocka_unit_test(test_shapes),   cmocka_unit_test(test_columns), cmocka_unit_test(test_starts),    cmocka_unit_test(test_values),
        cmocka_unit_test(test_extremes), cmocka_unit_test(test_slabs),  cmocka_unit_test(test_splits),     cmocka_unit_test(test_not_finite),
    };
    if (only)
        cmocka_set_test_filter(only);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
