/* SPDX-License-Identifier: MIT */
/* Every tier of every attention kernel against the scalar one: all tile heights, panel widths, head sizes, row counts and
 * store types, guarded; NaN stands wherever nothing may look. */
#include "attn_case.h"
#include "base/half.h"
#include "harness/compare.h"
#include "harness/gen.h"
#include "harness/guard.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const double u = 0x1p-24;
static const int dims[] = {1, 2, 7, 16, 17, 32, 40, 63, 64, 80, 96, 128, 256};
enum { N_DIMS = sizeof dims / sizeof dims[0] };

typedef bool (*check_fn)(const pith_cpu_kernels *c, const pith_cpu_kernels *k, pith_rng *rng, int n_keys, int dim,
                         int variant);

static void each(check_fn check, const char *name, int variants)
{
    uint32_t flags[3];
    int n_tiers = attn_tiers(flags);
    pith_cpu_kernels c, k;
    pith_cpu_kernels_init(&c, PITH_CPU_SCALAR);
    for (int i = 1; i < n_tiers; i++) {
        pith_cpu_kernels_init(&k, flags[i]);
        pith_rng rng;
        pith_rng_init(&rng, pith_gen_seed(1, name));
        for (int d = 0; d < N_DIMS; d++) {
            for (int n = 1; n <= PITH_CPU_ATTN_KEYS; n += d < 6 || n > 58 ? 1 : 3) {
                for (int v = 0; v < variants; v++) {
                    bool ok = check(&c, &k, &rng, n, dims[d], v);
                    if (!ok)
                        fprintf(stderr, "%s flags %u keys %d dim %d variant %d\n", name, flags[i], n, dims[d], v);
                    assert_true(ok);
                }
            }
        }
    }
}

static float *fresh(pith_rng *rng, size_t n, size_t offset)
{
    float *p = pith_guard_alloc(n * sizeof *p, offset);
    pith_gen_f32(rng, PITH_GEN_NORMAL, p, n);
    return p;
}

/* variant: width 16, 32, 48, without and with a bias. Rows of keys are further apart than dim, NaN between. */
static bool scores(const pith_cpu_kernels *c, const pith_cpu_kernels *k, pith_rng *rng, int n_keys, int dim, int variant)
{
    int width = (variant % 3 + 1) * 16;
    int64_t ld = dim + 3;
    float *q = fresh(rng, (size_t)(dim * width), 0), *keys = pith_guard_alloc((size_t)(n_keys * ld) * 4, 4);
    float *s = pith_guard_alloc((size_t)(n_keys * width) * 4, 0), *want = pith_guard_alloc((size_t)(n_keys * width) * 4, 0);
    float *bias = fresh(rng, (size_t)n_keys, 8);
    for (int i = 0; i < n_keys; i++)
        pith_gen_f32(rng, PITH_GEN_NORMAL, keys + i * ld, (size_t)dim);
    c->attn_scores_f32(want, q, keys, ld, variant >= 3 ? bias : NULL, n_keys, dim, width);
    k->attn_scores_f32(s, q, keys, ld, variant >= 3 ? bias : NULL, n_keys, dim, width);
    pith_compare cmp;
    pith_compare_init(&cmp);
    for (int i = 0; i < n_keys; i++) {
        for (int r = 0; r < width; r++) {
            double size = variant >= 3 ? fabs((double)bias[i]) : 0;
            for (int e = 0; e < dim; e++)
                size += fabs((double)q[e * width + r] * keys[i * ld + e]);
            pith_compare_add(&cmp, (size_t)(i * width + r), s[i * width + r], want[i * width + r],
                             pith_bound_f32((size_t)dim + 1, size));
        }
    }
    bool ok = pith_compare_ok(&cmp, "scores") && pith_guard_check(s, "s");
    pith_guard_free(q), pith_guard_free(keys), pith_guard_free(s), pith_guard_free(want), pith_guard_free(bias);
    return ok;
}

static bool values(const pith_cpu_kernels *c, const pith_cpu_kernels *k, pith_rng *rng, int n_keys, int dim, int variant)
{
    int width = (variant % 3 + 1) * 16;
    int64_t ld = dim + 5;
    float *o = fresh(rng, (size_t)(dim * width), 0), *v = pith_guard_alloc((size_t)(n_keys * ld) * 4, 12);
    float *p = fresh(rng, (size_t)(n_keys * width), 0), *factor = fresh(rng, (size_t)width, 4);
    float *want = pith_guard_alloc((size_t)(dim * width) * 4, 0), *before = pith_guard_alloc((size_t)(dim * width) * 4, 0);
    for (int i = 0; i < n_keys; i++)
        pith_gen_f32(rng, PITH_GEN_NORMAL, v + i * ld, (size_t)dim);
    memcpy(want, o, (size_t)(dim * width) * 4), memcpy(before, o, (size_t)(dim * width) * 4);
    c->attn_values_f32(want, p, v, ld, variant >= 3 ? factor : NULL, n_keys, dim, width);
    k->attn_values_f32(o, p, v, ld, variant >= 3 ? factor : NULL, n_keys, dim, width);
    pith_compare cmp;
    pith_compare_init(&cmp);
    for (int e = 0; e < dim; e++) {
        for (int r = 0; r < width; r++) {
            double size = fabs((double)before[e * width + r] * (variant >= 3 ? factor[r] : 1));
            for (int i = 0; i < n_keys; i++)
                size += fabs((double)p[i * width + r] * v[i * ld + e]);
            pith_compare_add(&cmp, (size_t)(e * width + r), o[e * width + r], want[e * width + r],
                             pith_bound_f32((size_t)n_keys + 2, size));
        }
    }
    bool ok = pith_compare_ok(&cmp, "values") && pith_guard_check(o, "o");
    pith_guard_free(o), pith_guard_free(v), pith_guard_free(p), pith_guard_free(factor), pith_guard_free(want),
        pith_guard_free(before);
    return ok;
}

/* Mask, then softmax, twice over, so that maxima grow, stay, and rows begin late or never. Only for one head size: these
 * kernels have none. */
static bool softmax(const pith_cpu_kernels *c, const pith_cpu_kernels *k, pith_rng *rng, int n_keys, int dim, int variant)
{
    if (dim != dims[0])
        return true;
    int width = (variant % 3 + 1) * 16;
    size_t bytes = (size_t)(n_keys * width) * 4, row = (size_t)width * 4;
    float *s = pith_guard_alloc(bytes, 0), *want = pith_guard_alloc(bytes, 0);
    float *state[6]; /* m, l, factor of the tier and of the scalar */
    int32_t *lo = pith_guard_alloc(row, 0), *hi = pith_guard_alloc(row, 0);
    for (int i = 0; i < 6; i++) {
        state[i] = pith_guard_alloc(row, 0);
        for (int r = 0; r < width; r++)
            state[i][r] = i % 3 == 0 ? -INFINITY : 0;
    }
    pith_compare cmp;
    pith_compare_init(&cmp);
    bool ok = true;
    for (int round = 0; round < 3; round++) {
        pith_gen_f32(rng, PITH_GEN_NORMAL, s, (size_t)(n_keys * width));
        for (int i = 0; i < n_keys * width; i++)
            s[i] = s[i] * (variant >= 3 ? 1e5f : 4) + (float)round * (variant % 2 ? 10 : 1);
        for (int r = 0; r < width; r++) {
            lo[r] = (int32_t)(pith_rng_u64(rng) % (uint64_t)(n_keys + 1));
            hi[r] = r % 5 == 4 ? 0 : (int32_t)(pith_rng_u64(rng) % (uint64_t)(n_keys + 1));
            lo[r] = r % 3 ? 0 : lo[r];
        }
        memcpy(want, s, bytes);
        c->attn_mask_f32(want, lo, hi, n_keys, width);
        k->attn_mask_f32(s, lo, hi, n_keys, width);
        ok &= memcmp(s, want, bytes) == 0;
        float *given = malloc(bytes);
        memcpy(given, s, bytes);
        bool a = c->attn_softmax_f32(want, state[3], state[4], state[5], n_keys, width);
        bool b = k->attn_softmax_f32(s, state[0], state[1], state[2], n_keys, width);
        ok &= a == b && memcmp(state[0], state[3], row) == 0;
        for (int r = 0; r < width; r++) {
            double shift = state[3][r] == -INFINITY ? 0 : state[3][r], error = 0;
            for (int i = 0; i < n_keys; i++) {
                double x = given[i * width + r],
                       bound = (4 + (x == -INFINITY ? 0 : fabs(x - shift))) * u * want[i * width + r] + 0x1p-126;
                pith_compare_add(&cmp, (size_t)(i * width + r), s[i * width + r], want[i * width + r],
                                 x == -INFINITY ? 0 : bound);
                error += bound;
            }
            pith_compare_add(&cmp, (size_t)r, state[1][r], state[4][r],
                             4 * (error + (64 + 4 * sqrt(n_keys)) * u * state[4][r]));
            pith_compare_add(&cmp, (size_t)r, state[2][r], state[5][r], 64 * u * state[5][r] + 0x1p-126);
            state[1][r] = state[4][r]; /* errors must not add up over the rounds */
        }
        free(given);
    }
    ok &= pith_compare_ok(&cmp, "softmax") && pith_guard_check(s, "s");
    for (int i = 0; i < 6; i++) {
        ok &= pith_guard_check(state[i], "m, l, factor");
        pith_guard_free(state[i]);
    }
    pith_guard_free(s), pith_guard_free(want), pith_guard_free(lo), pith_guard_free(hi);
    return ok;
}

/* Rows of a store; their values as doubles in `x`. NaN lies between and behind the rows. */
static pith_cpu_kv_rows rows_make(pith_rng *rng, pith_dtype dtype, int n, int dim, uint8_t **bytes, uint16_t **scales,
                                  float *x)
{
    int64_t size = dim * (dtype == PITH_DTYPE_F32 ? 4 : dtype == PITH_DTYPE_F16 ? 2 : 1), stride = size + 4;
    *bytes = pith_guard_alloc((size_t)(n * stride), 4);
    *scales = pith_guard_alloc((size_t)(n * (dim / 32 + 1)) * 2, 2);
    memset(*bytes, 0xff, (size_t)(n * stride));
    for (int i = 0; i < n; i++) {
        for (int e = 0; e < dim; e++) {
            uint16_t *scale = &(*scales)[i * (dim / 32) + e / 32], h = pith_f32_to_f16(pith_rng_normal(rng));
            if (e % 32 == 0 && dtype == PITH_DTYPE_Q8_0)
                *scale = pith_f32_to_f16(0.01f + 0.02f * (float)pith_rng_unit(rng));
            uint8_t *at = *bytes + i * stride;
            x[i * dim + e] = dtype == PITH_DTYPE_F32 ? pith_rng_normal(rng) : pith_f16_to_f32(h);
            if (dtype == PITH_DTYPE_F32) {
                memcpy(at + 4 * e, &x[i * dim + e], 4);
            } else if (dtype == PITH_DTYPE_F16) {
                memcpy(at + 2 * e, &h, 2);
            } else {
                at[e] = (uint8_t)(pith_rng_u64(rng) % 255 - 127);
                x[i * dim + e] = (float)(int8_t)at[e] * pith_f16_to_f32(*scale);
            }
        }
    }
    return (pith_cpu_kv_rows){*bytes, stride, dtype == PITH_DTYPE_Q8_0 ? *scales : NULL, dim / 32, dtype};
}

/* variant: 1 to 9 queries, three store types. */
static bool few(const pith_cpu_kernels *c, const pith_cpu_kernels *k, pith_rng *rng, int n_keys, int dim, int variant)
{
    static const pith_dtype types[] = {PITH_DTYPE_F32, PITH_DTYPE_F16, PITH_DTYPE_Q8_0};
    int rows = variant % 9 + 1;
    pith_dtype dtype = types[variant / 9];
    if ((dtype == PITH_DTYPE_Q8_0 && dim % 32) || (n_keys % 5 && rows > 4 && dim > 40))
        return true;
    int64_t ldq = dim + 2, lds = n_keys + 3, ldo = dim + 1;
    uint8_t *bytes;
    uint16_t *scales;
    float *x = malloc(sizeof *x * (size_t)(n_keys * dim)), *q = fresh(rng, (size_t)(rows * ldq), 4);
    float *s = fresh(rng, (size_t)(rows * lds), 8), *want = fresh(rng, (size_t)(rows * lds), 0);
    float *o = fresh(rng, (size_t)(rows * ldo), 12), *o_want = fresh(rng, (size_t)(rows * ldo), 0),
          *before = fresh(rng, (size_t)(rows * ldo), 0);
    memcpy(o_want, o, (size_t)(rows * ldo) * 4), memcpy(before, o, (size_t)(rows * ldo) * 4),
        memcpy(want, s, (size_t)(rows * lds) * 4);
    pith_cpu_kv_rows r = rows_make(rng, dtype, n_keys, dim, &bytes, &scales, x);
    c->attn_dot_rows(want, lds, q, ldq, rows, &r, n_keys, dim);
    k->attn_dot_rows(s, lds, q, ldq, rows, &r, n_keys, dim);
    c->attn_mix_rows(o_want, ldo, want, lds, rows, &r, n_keys, dim);
    k->attn_mix_rows(o, ldo, want, lds, rows, &r, n_keys, dim);
    pith_compare dot, mix;
    pith_compare_init(&dot), pith_compare_init(&mix);
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < lds; j++) {
            double size = 0;
            for (int e = 0; e < dim && j < n_keys; e++)
                size += fabs((double)q[i * ldq + e] * x[j * dim + e]);
            pith_compare_add(&dot, (size_t)(i * lds + j), s[i * lds + j], want[i * lds + j],
                             pith_bound_f32((size_t)dim, size));
        }
        for (int e = 0; e < ldo; e++) {
            double size = e < dim ? fabs((double)before[i * ldo + e]) : 0;
            for (int j = 0; j < n_keys && e < dim; j++)
                size += fabs((double)want[i * lds + j] * x[j * dim + e]);
            pith_compare_add(&mix, (size_t)(i * ldo + e), o[i * ldo + e], o_want[i * ldo + e],
                             pith_bound_f32((size_t)n_keys + 1, size));
        }
    }
    bool ok = pith_compare_ok(&dot, "dot");
    ok &= pith_compare_ok(&mix, "mix");
    ok &= pith_guard_check(s, "s") && pith_guard_check(o, "o");
    pith_guard_free(q), pith_guard_free(s), pith_guard_free(want), pith_guard_free(o), pith_guard_free(o_want);
    pith_guard_free(before), pith_guard_free(bytes), pith_guard_free(scales), free(x);
    return ok;
}

static void test_scores(void **s) { (void)s; each(scores, "scores", 6); }
static void test_values(void **s) { (void)s; each(values, "values", 6); }
static void test_softmax(void **s) { (void)s; each(softmax, "softmax", 6); }
static void test_few(void **s) { (void)s; each(few, "dot and mix", 27); }

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_scores), cmocka_unit_test(test_values),
                                       cmocka_unit_test(test_softmax), cmocka_unit_test(test_few)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
