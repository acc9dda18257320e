/* SPDX-License-Identifier: MIT */
/* Attention of one layer against brute force: CCA and full, every tier, shape, store type and chunking. */
#include "attn_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check(attn_case c)
{
    char name[256];
    attn_case_name(&c, name, sizeof name);
    attn_result *r = attn_case_run(&c);
    bool ok = attn_check_rows(&c, r, name);
    ok &= attn_check_cores(&c, r, name);
    ok &= attn_check_out(&c, r, name);
    attn_result_free(r);
    assert_true(ok);
}

static const attn_case base = {.n_tokens = 70, .n_head = 4, .n_kv = 2, .dim = 16, .dtype = PITH_DTYPE_F32, .group = 4,
                               .window = 16, .sinks = 4, .bias = true, .seed = 1};

static const pith_dtype types[3] = {PITH_DTYPE_F32, PITH_DTYPE_F16, PITH_DTYPE_Q8_0};

/* Every T from 1 to 70 (part tiles, window edges, first core), on every tier. */
static void test_lengths(void **state)
{
    (void)state;
    uint32_t flags[3];
    int n = attn_tiers(flags);
    for (int i = 0; i < n; i++) {
        for (int t = 1; t <= 70; t++) {
            attn_case c = base;
            c.flags = flags[i], c.n_tokens = t, c.seed = (uint64_t)t;
            check(c);
        }
    }
}

static void test_shapes(void **state)
{
    (void)state;
    static const int dims[] = {16, 32, 40, 64, 80, 96, 128, 256};
    uint32_t flags[3];
    int n = attn_tiers(flags);
    for (int i = 0; i < n; i++) {
        for (size_t d = 0; d < sizeof dims / sizeof dims[0]; d++) {
            for (int share = 1; share <= 8; share++) {
                attn_case c = base;
                c.flags = flags[i], c.dim = dims[d], c.n_kv = share % 3 + 1, c.n_head = c.n_kv * share;
                c.dtype = dims[d] % 32 ? types[share % 2] : types[share % 3], c.seed = d * 8 + (uint64_t)share;
                c.rope_half = share % 2, c.qk_norm = share % 4 == 3, c.n_tokens = i == 0 ? 45 : 61 + share;
                check(c);
            }
        }
    }
}

static void test_policies(void **state)
{
    (void)state;
    static const int groups[] = {1, 2, 4, 8, 16, 32}, sinks[] = {0, 1, 3, 4, 8, 16, 17, 20};
    uint32_t flags[3];
    int n = attn_tiers(flags);
    for (int i = 0; i < n; i++) {
        for (size_t g = 0; g < 6; g++) {
            for (size_t s = 0; s < 8; s++) {
                attn_case c = base;
                c.flags = flags[i], c.group = groups[g], c.window = groups[g] * (1 + (int)(s % 3)), c.sinks = sinks[s];
                c.n_tokens = 90 + (int)g * 13, c.chunk = (int[]){0, 1, 7, 64}[(s + g) % 4], c.bias = s % 2;
                c.per_query = (s / 2 + g) % 2, c.position = (pith_cca_position)((s + g) % 4), c.rope_half = g % 2;
                c.n_rot = s % 2 ? 8 : 0, c.magnitude = s % 3 ? 0 : 1.2f, c.dtype = types[(s + g) % 2], c.seed = g * 8 + s;
                check(c);
            }
        }
    }
}

/* Long enough for several query tiles and parts, rows that slide many times, every store type. */
static void test_long(void **state)
{
    (void)state;
    uint32_t flags[3];
    int n = attn_tiers(flags);
    for (int i = n > 1; i < n; i++) {
        for (int t = 0; t < 3; t++) {
            for (int full = 0; full < 2; full++) {
                attn_case c = base;
                c.flags = flags[i], c.n_tokens = 900, c.chunk = full ? 0 : 150 + t, c.dim = 64, c.n_head = 3, c.n_kv = 1;
                c.group = full ? 0 : 16, c.window = 128, c.dtype = types[t], c.threads = 2, c.seed = (uint64_t)t;
                check(c);
            }
        }
    }
}

static void test_values(void **state)
{
    (void)state;
    uint32_t flags[3];
    int n = attn_tiers(flags);
    for (int i = 0; i < n; i++) {
        for (int v = ATTN_EQUAL; v <= ATTN_HUGE; v++) {
            for (int chunk = 0; chunk < 2; chunk++) {
                attn_case c = base;
                c.flags = flags[i], c.values = (attn_values)v, c.n_tokens = 130, c.chunk = chunk, c.dim = 40,
                c.seed = (uint64_t)v;
                check(c);
            }
        }
    }
}

static double worst(const float *a, const float *b, int64_t n)
{
    double w = 0;
    for (int64_t i = 0; i < n; i++)
        w = fabs((double)a[i] - b[i]) <= w ? w : fabs((double)a[i] - b[i]);
    return w;
}

/* However the prompt is cut: the same rows and cores bit by bit, the same results to rounding. */
static void test_chunks(void **state)
{
    (void)state;
    static const int chunks[] = {1, 7, 64};
    uint32_t flags[3];
    int n = attn_tiers(flags);
    for (int i = 0; i < n; i++) {
        for (int t = 0; t < 3; t++) {
            attn_case c = base;
            c.flags = flags[i], c.n_tokens = 200, c.dim = 32, c.dtype = types[t], c.n_head = 6,
            c.position = (pith_cca_position)t;
            attn_result *whole = attn_case_run(&c);
            for (int j = 0; j < 3; j++) {
                c.chunk = chunks[j];
                attn_result *r = attn_case_run(&c);
                size_t cores = (size_t)(r->n_cores * r->core_heads), kd = (size_t)(c.n_tokens * c.n_kv * c.dim);
                assert_memory_equal(r->k, whole->k, kd * 4);
                assert_memory_equal(r->v, whole->v, kd * 4);
                assert_memory_equal(r->core_k, whole->core_k, cores * (size_t)c.dim * 4);
                assert_memory_equal(r->core_v, whole->core_v, cores * (size_t)c.dim * 4);
                assert_memory_equal(r->bias, whole->bias, cores * 4);
                assert_true(worst(r->out, whole->out, c.n_tokens * c.n_head * c.dim) < 1e-5);
                attn_result_free(r);
            }
            attn_result_free(whole);
        }
    }
}

/* As long as no core is visible, n < s + g, CCA is full attention: bit by bit, there being one order of sums. */
static void test_cca_is_full(void **state)
{
    (void)state;
    uint32_t flags[3];
    int n = attn_tiers(flags);
    for (int i = 0; i < n; i++) {
        for (int chunk = 0; chunk < 2; chunk++) {
            attn_case c = base;
            c.flags = flags[i], c.group = 8, c.window = 128, c.sinks = 0, c.n_tokens = 8 + 128 - 1, c.chunk = chunk;
            attn_result *cca = attn_case_run(&c);
            c.group = 0;
            attn_result *full = attn_case_run(&c);
            assert_memory_equal(cca->out, full->out, (size_t)(c.n_tokens * c.n_head * c.dim) * 4);
            attn_result_free(cca), attn_result_free(full);
            c.group = 8, c.n_tokens++; /* one token more, and a core counts */
            cca = attn_case_run(&c);
            c.group = 0;
            full = attn_case_run(&c);
            int64_t row = (int64_t)c.n_head * c.dim;
            assert_true(worst(cca->out + (c.n_tokens - 1) * row, full->out + (c.n_tokens - 1) * row, row) > 1e-4);
            attn_result_free(cca), attn_result_free(full);
        }
    }
}

/* One, two or three threads: the same bits, in prefill and in decode. */
static void test_threads(void **state)
{
    (void)state;
    uint32_t flags[3];
    int n = attn_tiers(flags);
    for (int i = n > 1; i < n; i++) {
        for (int full = 0; full < 2; full++) {
            attn_case c = base;
            c.flags = flags[i], c.n_tokens = 1400, c.chunk = 1397, c.group = full ? 0 : 2, c.window = 512, c.n_head = 3,
            c.n_kv = 1;
            attn_result *one = attn_case_run(&c);
            for (c.threads = 2; c.threads < 4; c.threads++) {
                attn_result *r = attn_case_run(&c);
                assert_memory_equal(r->out, one->out, (size_t)(c.n_tokens * c.n_head * c.dim) * 4);
                attn_result_free(r);
            }
            attn_result_free(one);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--bench") == 0) {
        attn_bench(argc > 2 ? atoi(argv[2]) : 1);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),  cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_policies), cmocka_unit_test(test_long),    cmocka_unit_test(test_values),
        cmocka_unit_test(test_chunks),   cmocka_unit_test(test_cca_is_full), cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
