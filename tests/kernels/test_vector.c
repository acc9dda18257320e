/* SPDX-License-Identifier: MIT */
/* Every tier of every vector kernel against the scalar one: all lengths around the lanes, every kind of values, in place,
 * guarded. Bounds come from rounding theory; kernels that only round once, or copy, must agree bit by bit. */
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

#define N_MAX 600
static const double u = 0x1p-24;

/* Lengths 1 to 70, then around larger steps. */
static int next_length(int n) { return n < 70 ? n + 1 : n < 127 ? 127 : n < 131 ? n + 1 : n < 576 ? 576 : N_MAX; }

struct world { pith_cpu_kernels c, k; const char *tier; float *a, *b, *w, *y, *want; };

typedef bool (*check_fn)(struct world *w, int n, pith_gen_kind kind);

static void each(check_fn check, const char *name)
{
    static const char *tiers[] = {"scalar", "avx2", "avx512"};
    uint32_t flags[3];
    int n_tiers = attn_tiers(flags);
    struct world w;
    pith_cpu_kernels_init(&w.c, PITH_CPU_SCALAR);
    for (int i = 1; i < n_tiers; i++) {
        pith_cpu_kernels_init(&w.k, flags[i]);
        w.tier = tiers[i];
        for (int kind = 0; kind < PITH_GEN_END; kind++) {
            pith_rng rng;
            pith_rng_init(&rng, pith_gen_seed(1, name));
            for (int n = 1;; n = next_length(n)) {
                size_t bytes = (size_t)n * sizeof(float), offset = (size_t)(n % 16) * 4;
                w.a = pith_guard_alloc(bytes, offset), w.b = pith_guard_alloc(bytes, 64 - 4 - offset);
                w.w = pith_guard_alloc(bytes, 0), w.y = pith_guard_alloc(bytes, offset);
                w.want = pith_guard_alloc(bytes, 0);
                pith_gen_f32(&rng, (pith_gen_kind)kind, w.a, (size_t)n);
                pith_gen_f32(&rng, (pith_gen_kind)kind, w.b, (size_t)n);
                pith_gen_f32(&rng, PITH_GEN_UNIFORM, w.w, (size_t)n);
                bool ok = check(&w, n, (pith_gen_kind)kind);
                ok &= pith_guard_check(w.a, name) && pith_guard_check(w.b, name) && pith_guard_check(w.y, name) &&
                      pith_guard_check(w.want, name);
                if (!ok)
                    fprintf(stderr, "%s %s n %d values %s\n", name, w.tier, n, pith_gen_name((pith_gen_kind)kind));
                pith_guard_free(w.a), pith_guard_free(w.b), pith_guard_free(w.w), pith_guard_free(w.y),
                    pith_guard_free(w.want);
                assert_true(ok);
                if (n == N_MAX)
                    break;
            }
        }
    }
}

/* |y - want| <= relative * |want| + floor for all. */
static bool near_each(const struct world *w, int n, double relative, double floor_, const char *what)
{
    pith_compare c;
    pith_compare_init(&c);
    for (int i = 0; i < n; i++)
        pith_compare_add(&c, (size_t)i, w->y[i], w->want[i], relative * fabs((double)w->want[i]) + floor_);
    return pith_compare_ok(&c, what);
}

static bool same_bits(const void *a, const void *b, size_t bytes, const char *what)
{
    if (memcmp(a, b, bytes) == 0)
        return true;
    fprintf(stderr, "%s: bits differ\n", what);
    return false;
}

static bool norm(struct world *w, int n, pith_gen_kind kind)
{
    (void)kind;
    w->c.rms_norm_f32(w->want, w->a, w->w, n, 1e-5f);
    w->k.rms_norm_f32(w->y, w->a, w->w, n, 1e-5f);
    bool ok = near_each(w, n, (4 + 4 * sqrt(n)) * u, 1e-40, "norm");
    w->k.rms_norm_f32(w->a, w->a, w->w, n, 1e-5f);
    return ok && same_bits(w->a, w->y, (size_t)n * 4, "norm in place");
}

static bool silu(struct world *w, int n, pith_gen_kind kind)
{
    (void)kind;
    for (int i = 0; i < n; i++)
        w->a[i] = i % 3 == 0 ? w->a[i] * 30 : w->a[i]; /* into the tails of exp */
    w->c.silu_mul_f32(w->want, w->a, w->b, n);
    w->k.silu_mul_f32(w->y, w->a, w->b, n);
    pith_compare c;
    pith_compare_init(&c);
    for (int i = 0; i < n; i++) /* where exp saturates, silu is below 1e-35 of its argument */
        pith_compare_add(&c, (size_t)i, w->y[i], w->want[i],
                         6 * u * fabs((double)w->want[i]) + 1e-36 * (1 + fabs((double)w->a[i] * w->b[i])));
    bool ok = pith_compare_ok(&c, "silu");
    w->k.silu_mul_f32(w->b, w->a, w->b, n);
    return ok && same_bits(w->b, w->y, (size_t)n * 4, "silu in place");
}

static bool linear(struct world *w, int n, pith_gen_kind kind)
{
    (void)kind;
    size_t bytes = (size_t)n * 4;
    w->c.add_f32(w->want, w->a, w->b, n), w->k.add_f32(w->y, w->a, w->b, n);
    bool ok = same_bits(w->y, w->want, bytes, "add");
    w->c.scale_f32(w->want, w->a, 0.7f, n), w->k.scale_f32(w->y, w->a, 0.7f, n);
    ok &= same_bits(w->y, w->want, bytes, "scale");
    memcpy(w->y, w->b, bytes), memcpy(w->want, w->b, bytes);
    w->c.axpy_f32(w->want, w->a, -1.3f, n), w->k.axpy_f32(w->y, w->a, -1.3f, n);
    for (int i = 0; i < n; i++) { /* fused against rounded from double: once in 2^29 they may differ by an ulp */
        double ulp = 2 * u * (fabs((double)w->want[i]) + 1e-38);
        ok &= fabs((double)w->y[i] - w->want[i]) <= ulp;
    }
    return ok;
}

static bool reductions(struct world *w, int n, pith_gen_kind kind)
{
    (void)kind;
    double size = 0;
    for (int i = 0; i < n; i++)
        size += fabs((double)w->a[i] * w->b[i]);
    pith_compare c;
    pith_compare_init(&c);
    pith_compare_add(&c, 0, w->k.dot_f32(w->a, w->b, n), w->c.dot_f32(w->a, w->b, n),
                     pith_bound_f32((size_t)n, size) + 1e-37);
    bool ok = pith_compare_ok(&c, "dot") && w->k.max_f32(w->a, n) == w->c.max_f32(w->a, n);
    return ok && w->k.max_f32(w->a, 0) == -INFINITY;
}

static bool powers(struct world *w, int n, pith_gen_kind kind)
{
    (void)kind;
    for (int i = 0; i < n; i++)
        w->a[i] = i % 11 == 7 ? -INFINITY : i % 5 == 1 ? -400 * fabsf(w->w[i]) : fminf(w->a[i], 60);
    float want = w->c.exp2_sum_f32(w->want, w->a, 1.25f, n), got = w->k.exp2_sum_f32(w->y, w->a, 1.25f, n);
    pith_compare c, sum;
    pith_compare_init(&c), pith_compare_init(&sum);
    double total = 4 * sqrt(n) * u * want;
    for (int i = 0; i < n; i++) { /* the subtraction rounds too */
        double x = w->a[i] == -INFINITY ? 0 : fabs(w->a[i] - 1.25), bound = (4 + x) * u * w->want[i] + 0x1p-126;
        pith_compare_add(&c, (size_t)i, w->y[i], w->want[i], w->a[i] == -INFINITY ? 0 : bound);
        total += bound;
    }
    pith_compare_add(&sum, 0, got, want, total);
    bool ok = pith_compare_ok(&c, "exp2");
    return pith_compare_ok(&sum, "exp2 sum") && ok;
}

static bool rope(struct world *w, int n, pith_gen_kind kind)
{
    (void)kind;
    for (int half = 0; half < 2; half++) {
        int pairs = n / 2;
        memcpy(w->y, w->a, (size_t)n * 4), memcpy(w->want, w->a, (size_t)n * 4);
        for (int i = 0; i < pairs; i++)
            w->b[i] = sinf((float)i);
        (half ? w->c.rope_halves_f32 : w->c.rope_pairs_f32)(w->want, w->w, w->b, pairs);
        (half ? w->k.rope_halves_f32 : w->k.rope_pairs_f32)(w->y, w->w, w->b, pairs);
        pith_compare c;
        pith_compare_init(&c);
        for (int i = 0; i < n; i++) {
            int p = half ? i % (pairs ? pairs : 1) : i / 2, x = half ? p : 2 * p, y = half ? p + pairs : 2 * p + 1;
            bool turned = i < 2 * pairs;
            double size = turned ? fabs((double)w->a[x]) + fabs((double)w->a[y]) : 0;
            pith_compare_add(&c, (size_t)i, w->y[i], w->want[i], 3 * u * size + (turned ? 1e-44 : 0));
        }
        if (!pith_compare_ok(&c, half ? "rope halves" : "rope pairs"))
            return false;
    }
    return true;
}

static bool conversions(struct world *w, int n, pith_gen_kind kind)
{
    (void)kind;
    uint16_t *h = pith_guard_alloc((size_t)n * 2, (size_t)(n % 32) * 2), *h_want = (uint16_t *)(void *)w->b;
    for (int i = 0; i < n; i++)
        w->a[i] = i % 13 == 5 ? NAN : i % 17 == 3 ? -INFINITY : i % 19 == 2 ? 65519.9f + (float)(i % 2) * 0.2f : w->a[i];
    w->c.f32_to_f16(h_want, w->a, n), w->k.f32_to_f16(h, w->a, n);
    bool ok = same_bits(h, h_want, (size_t)n * 2, "to f16");
    w->c.f16_to_f32(w->want, h, n), w->k.f16_to_f32(w->y, h, n);
    ok &= same_bits(w->y, w->want, (size_t)n * 4, "from f16");
    w->c.f32_to_bf16(h_want, w->a, n), w->k.f32_to_bf16(h, w->a, n);
    ok &= same_bits(h, h_want, (size_t)n * 2, "to bf16");
    w->c.bf16_to_f32(w->want, h, n), w->k.bf16_to_f32(w->y, h, n);
    ok &= same_bits(w->y, w->want, (size_t)n * 4, "from bf16") && pith_guard_check(h, "halves");
    pith_guard_free(h);
    return ok;
}

static bool q8(struct world *w, int n, pith_gen_kind kind)
{
    (void)kind;
    n = n / 32 * 32;
    if (n == 0)
        return true;
    int8_t *q = pith_guard_alloc((size_t)n, (size_t)(n / 32 % 3)), *q_want = pith_guard_alloc((size_t)n, 0);
    uint16_t *d = pith_guard_alloc((size_t)(n / 16), 2), *d_want = pith_guard_alloc((size_t)(n / 16), 0);
    w->c.f32_to_q8_0(q_want, d_want, w->a, n), w->k.f32_to_q8_0(q, d, w->a, n);
    bool ok = same_bits(q, q_want, (size_t)n, "to q8_0") && same_bits(d, d_want, (size_t)(n / 16), "scales");
    w->c.q8_0_to_f32(w->want, q, d, n), w->k.q8_0_to_f32(w->y, q, d, n);
    ok &= same_bits(w->y, w->want, (size_t)n * 4, "from q8_0");
    for (int i = 0; i < n; i++) { /* half a step, or a flushed scale, or a clamped one */
        double step = pith_f16_to_f32(d[i / 32]), off = fabs((double)w->y[i] - w->a[i]);
        ok &= off <= 0.5001 * step + 127 * 0x1p-25 || step > 65000;
    }
    ok &= pith_guard_check(q, "q8 codes") && pith_guard_check(d, "q8 scales");
    pith_guard_free(q), pith_guard_free(q_want), pith_guard_free(d), pith_guard_free(d_want);
    return ok;
}

static void test_norm(void **s) { (void)s; each(norm, "rms_norm"); }
static void test_silu(void **s) { (void)s; each(silu, "silu_mul"); }
static void test_linear(void **s) { (void)s; each(linear, "add, scale, axpy"); }
static void test_reductions(void **s) { (void)s; each(reductions, "dot, max"); }
static void test_powers(void **s) { (void)s; each(powers, "exp2_sum"); }
static void test_rope(void **s) { (void)s; each(rope, "rope"); }
static void test_conversions(void **s) { (void)s; each(conversions, "conversions"); }
static void test_q8(void **s) { (void)s; each(q8, "q8_0"); }

/* The scalar tier itself: what it must give is known in closed form. */
static void test_scalar(void **state)
{
    (void)state;
    pith_cpu_kernels k;
    pith_cpu_kernels_init(&k, PITH_CPU_SCALAR);
    float x[4] = {1, 2, 3, 4}, w[4] = {1, 1, 2, -1}, y[4], c[2] = {0, 1}, s[2] = {1, 0};
    k.rms_norm_f32(y, x, w, 4, 0); /* mean square 7.5 */
    for (int i = 0; i < 4; i++)
        assert_true(fabs(y[i] - x[i] * w[i] / sqrt(7.5)) < 1e-6);
    k.silu_mul_f32(y, x, w, 4);
    for (int i = 0; i < 4; i++)
        assert_true(fabs(y[i] - x[i] / (1 + exp(-x[i])) * w[i]) < 1e-6);
    k.rope_pairs_f32(x, c, s, 2); /* a quarter turn of (1, 2), none of (3, 4) */
    assert_true(x[0] == -2 && x[1] == 1 && x[2] == 3 && x[3] == 4);
    k.rope_halves_f32(x, c, s, 2); /* pairs (-2, 3) and (1, 4) */
    assert_true(x[0] == -3 && x[2] == -2 && x[1] == 1 && x[3] == 4);
    assert_true(k.dot_f32(x, w, 4) == -3 + 1 - 4 - 4 && k.max_f32(x, 4) == 4);
    assert_true(k.exp2_sum_f32(y, x, 1, 4) == 0.0625f + 1 + 0.125f + 8 && y[3] == 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalar), cmocka_unit_test(test_norm),   cmocka_unit_test(test_silu),
        cmocka_unit_test(test_linear), cmocka_unit_test(test_reductions), cmocka_unit_test(test_powers),
        cmocka_unit_test(test_rope),   cmocka_unit_test(test_conversions), cmocka_unit_test(test_q8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
