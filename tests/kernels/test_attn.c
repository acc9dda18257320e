/* SPDX-License-Identifier: MIT */
/* Attention of one layer against brute force: CCA and full, every tier, shape, store type and chunking. */
#include "attn_case.h"

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

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--bench") == 0) {
        attn_bench(argc > 2 ? atoi(argv[2]) : 1);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_policies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
