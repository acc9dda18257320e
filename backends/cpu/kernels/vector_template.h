/* SPDX-License-Identifier: MIT */
/* Vector kernels in the words of vector_simd_<tier>.h: whole vectors, then one part vector. Reductions keep four sums,
 * joined pairwise, so that their order depends on the length alone. */
#ifndef PITH_CPU_VECTOR_TEMPLATE_H
#define PITH_CPU_VECTOR_TEMPLATE_H

#include "base/half.h"
#include "vector_exp.h"

#include <math.h>

/* for each vector of [0, n): BODY with load/store words for whole vectors, then for the rest. */
#define VECTOR_LOOP(n, i, WHOLE, PART)     \
    do {                                   \
        int64_t i = 0;                     \
        for (; i + VL <= (n); i += VL) {   \
            WHOLE;                         \
        }                                  \
        if (i < (n)) {                     \
            int64_t rest = (n) - i;        \
            PART;                          \
        }                                  \
    } while (0)

static inline float dot_f32(const float *a, const float *b, int64_t n)
{
    vf s0 = vf_zero(), s1 = vf_zero(), s2 = vf_zero(), s3 = vf_zero();
    int64_t i = 0;
    for (; i + 4 * VL <= n; i += 4 * VL) {
        s0 = vf_fma(vf_load(a + i), vf_load(b + i), s0);
        s1 = vf_fma(vf_load(a + i + VL), vf_load(b + i + VL), s1);
        s2 = vf_fma(vf_load(a + i + 2 * VL), vf_load(b + i + 2 * VL), s2);
        s3 = vf_fma(vf_load(a + i + 3 * VL), vf_load(b + i + 3 * VL), s3);
    }
    for (; i + VL <= n; i += VL)
        s0 = vf_fma(vf_load(a + i), vf_load(b + i), s0);
    if (i < n)
        s1 = vf_fma(vf_load_part(a + i, n - i), vf_load_part(b + i, n - i), s1);
    return vf_reduce_add(vf_add(vf_add(s0, s1), vf_add(s2, s3)));
}

static inline void rms_norm_f32(float *y, const float *x, const float *w, int64_t n, float eps)
{
    float mean = dot_f32(x, x, n) / (float)n;
    vf inverse = vf_set1(1.0f / sqrtf(mean + eps));
    VECTOR_LOOP(n, i, vf_store(y + i, vf_mul(vf_mul(vf_load(x + i), inverse), vf_load(w + i))),
                vf_store_part(y + i, vf_mul(vf_mul(vf_load_part(x + i, rest), inverse), vf_load_part(w + i, rest)), rest));
}

static inline vf silu(vf gate, vf up)
{
    vf one = vf_set1(1), e = vf_exp(vf_sub(vf_zero(), gate));
    return vf_mul(vf_div(gate, vf_add(one, e)), up);
}

static inline void silu_mul_f32(float *y, const float *gate, const float *up, int64_t n)
{
    VECTOR_LOOP(n, i, vf_store(y + i, silu(vf_load(gate + i), vf_load(up + i))),
                vf_store_part(y + i, silu(vf_load_part(gate + i, rest), vf_load_part(up + i, rest)), rest));
}

static inline void add_f32(float *y, const float *a, const float *b, int64_t n)
{
    VECTOR_LOOP(n, i, vf_store(y + i, vf_add(vf_load(a + i), vf_load(b + i))),
                vf_store_part(y + i, vf_add(vf_load_part(a + i, rest), vf_load_part(b + i, rest)), rest));
}

static inline void scale_f32(float *y, const float *x, float a, int64_t n)
{
    vf va = vf_set1(a);
    VECTOR_LOOP(n, i, vf_store(y + i, vf_mul(va, vf_load(x + i))),
                vf_store_part(y + i, vf_mul(va, vf_load_part(x + i, rest)), rest));
}

static inline void axpy_f32(float *y, const float *x, float a, int64_t n)
{
    vf va = vf_set1(a);
    VECTOR_LOOP(n, i, vf_store(y + i, vf_fma(va, vf_load(x + i), vf_load(y + i))),
                vf_store_part(y + i, vf_fma(va, vf_load_part(x + i, rest), vf_load_part(y + i, rest)), rest));
}

static inline float max_f32(const float *x, int64_t n)
{
    vf m = vf_set1(-INFINITY);
    float top = -INFINITY;
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        m = vf_max(vf_load(x + i), m);
    for (; i < n; i++)
        top = x[i] > top ? x[i] : top;
    float rest = vf_reduce_max(m);
    return rest > top ? rest : top;
}

static inline float exp2_sum_f32(float *y, const float *x, float shift, int64_t n)
{
    vf sum = vf_zero(), s = vf_set1(shift);
    int64_t i = 0;
    for (; i + VL <= n; i += VL) {
        vf p = vf_exp2(vf_sub(vf_load(x + i), s));
        vf_store(y + i, p);
        sum = vf_add(sum, p);
    }
    if (i < n) {
        vf_store_part(y + i, vf_exp2(vf_sub(vf_load_part(x + i, n - i), s)), n - i);
        sum = vf_add(sum, vf_load_part(y + i, n - i)); /* lanes past the end must not count */
    }
    return vf_reduce_add(sum);
}

static inline void rotate(float *a, float *b, float c, float s)
{
    float x = *a, y = *b;
    *a = fmaf(x, c, -(y * s));
    *b = fmaf(x, s, y * c);
}

static inline void rope_pairs_f32(float *x, const float *c, const float *s, int64_t n_pairs)
{
    int64_t i = 0;
    for (; i + VL / 2 <= n_pairs; i += VL / 2) {
        vf v = vf_load(x + 2 * i), turned = vf_mul(vf_swap_pairs(v), vf_load_twice(s + i));
        vf_store(x + 2 * i, vf_fmaddsub(v, vf_load_twice(c + i), turned));
    }
    for (; i < n_pairs; i++)
        rotate(&x[2 * i], &x[2 * i + 1], c[i], s[i]);
}

static inline void rope_halves_f32(float *x, const float *c, const float *s, int64_t n_pairs)
{
    int64_t i = 0;
    for (; i + VL <= n_pairs; i += VL) {
        vf a = vf_load(x + i), b = vf_load(x + n_pairs + i), vc = vf_load(c + i), vs = vf_load(s + i);
        vf_store(x + i, vf_fnma(b, vs, vf_mul(a, vc)));
        vf_store(x + n_pairs + i, vf_fma(a, vs, vf_mul(b, vc)));
    }
    for (; i < n_pairs; i++)
        rotate(&x[i], &x[i + n_pairs], c[i], s[i]);
}

static inline void f16_to_f32(float *y, const uint16_t *x, int64_t n)
{
    VECTOR_LOOP(n, i, vf_store(y + i, vf_from_f16(x + i)), vf_store_part(y + i, vf_from_f16_part(x + i, rest), rest));
}

static inline void f32_to_f16(uint16_t *y, const float *x, int64_t n)
{
    VECTOR_LOOP(n, i, vf_to_f16(y + i, vf_load(x + i)), vf_to_f16_part(y + i, vf_load_part(x + i, rest), rest));
}

static inline void bf16_to_f32(float *y, const uint16_t *x, int64_t n)
{
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        vf_store(y + i, vf_from_bf16(x + i));
    for (; i < n; i++)
        y[i] = pith_bf16_to_f32(x[i]);
}

static inline void f32_to_bf16(uint16_t *y, const float *x, int64_t n)
{
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        vf_to_bf16(y + i, vf_load(x + i));
    for (; i < n; i++)
        y[i] = pith_f32_to_bf16(x[i]);
}

static inline void f32_to_q8_0(int8_t *q, uint16_t *scales, const float *x, int64_t n)
{
    for (int64_t b = 0; b < n / 32; b++, x += 32, q += 32) {
        vf top = vf_zero();
        for (int i = 0; i < 32; i += VL)
            top = vf_max(vf_abs(vf_load(x + i)), top);
        float d = vf_reduce_max(top) / 127.0f;
        scales[b] = pith_f32_to_f16(d < 65504.0f ? d : 65504.0f);
        d = pith_f16_to_f32(scales[b]);
        vf inverse = vf_set1(d > 0 ? 1.0f / d : 0), least = vf_set1(-127), most = vf_set1(127);
        for (int i = 0; i < 32; i += VL)
            vf_to_i8(q + i, vf_min(vf_max(vf_mul(vf_load(x + i), inverse), least), most));
    }
}

static inline void q8_0_to_f32(float *y, const int8_t *q, const uint16_t *scales, int64_t n)
{
    for (int64_t b = 0; b < n / 32; b++, y += 32, q += 32) {
        vf d = vf_set1(_cvtsh_ss(scales[b]));
        for (int i = 0; i < 32; i += VL)
            vf_store(y + i, vf_mul(vf_from_i8(q + i), d));
    }
}

#endif
