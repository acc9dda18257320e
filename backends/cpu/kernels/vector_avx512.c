/* SPDX-License-Identifier: MIT */
/* Vector kernels for AVX-512: the templates under their names. */
#include "kernels.h"

#include "vector_simd_avx512.h"

#include "vector_template.h"

static void pith_cpu_rms_norm_f32_avx512(float *y, const float *x, const float *w, int64_t n, float eps)
{
    rms_norm_f32(y, x, w, n, eps);
}

static void pith_cpu_silu_mul_f32_avx512(float *y, const float *gate, const float *up, int64_t n)
{
    silu_mul_f32(y, gate, up, n);
}

static void pith_cpu_add_f32_avx512(float *y, const float *a, const float *b, int64_t n)
{
    add_f32(y, a, b, n);
}

static void pith_cpu_scale_f32_avx512(float *y, const float *x, float a, int64_t n)
{
    scale_f32(y, x, a, n);
}

static void pith_cpu_axpy_f32_avx512(float *y, const float *x, float a, int64_t n)
{
    axpy_f32(y, x, a, n);
}

static float pith_cpu_dot_f32_avx512(const float *a, const float *b, int64_t n)
{
    return dot_f32(a, b, n);
}

static float pith_cpu_max_f32_avx512(const float *x, int64_t n)
{
    return max_f32(x, n);
}

static float pith_cpu_exp2_sum_f32_avx512(float *y, const float *x, float shift, int64_t n)
{
    return exp2_sum_f32(y, x, shift, n);
}

static void pith_cpu_rope_pairs_f32_avx512(float *x, const float *c, const float *s, int64_t n_pairs)
{
    rope_pairs_f32(x, c, s, n_pairs);
}

static void pith_cpu_rope_halves_f32_avx512(float *x, const float *c, const float *s, int64_t n_pairs)
{
    rope_halves_f32(x, c, s, n_pairs);
}

static void pith_cpu_f16_to_f32_avx512(float *y, const uint16_t *x, int64_t n)
{
    f16_to_f32(y, x, n);
}

static void pith_cpu_f32_to_f16_avx512(uint16_t *y, const float *x, int64_t n)
{
    f32_to_f16(y, x, n);
}

static void pith_cpu_bf16_to_f32_avx512(float *y, const uint16_t *x, int64_t n)
{
    bf16_to_f32(y, x, n);
}

static void pith_cpu_f32_to_bf16_avx512(uint16_t *y, const float *x, int64_t n)
{
    f32_to_bf16(y, x, n);
}

static void pith_cpu_f32_to_q8_0_avx512(int8_t *q, uint16_t *scales, const float *x, int64_t n)
{
    f32_to_q8_0(q, scales, x, n);
}

static void pith_cpu_q8_0_to_f32_avx512(float *y, const int8_t *q, const uint16_t *scales, int64_t n)
{
    q8_0_to_f32(y, q, scales, n);
}

void pith_cpu_vector_init_avx512(pith_cpu_kernels *k)
{
#define X(name, ret, args) k->name = pith_cpu_##name##_avx512;
    PITH_CPU_VECTOR_KERNELS(X)
#undef X
}
