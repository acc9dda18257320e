/* SPDX-License-Identifier: MIT */
/* The meaning of every vector kernel: plain loops, sums in double. Never optimised; faster siblings are compared with
 * these element by element. */
#include "base/half.h"
#include "kernels.h"

#include <math.h>

static void pith_cpu_rms_norm_f32_c(float *y, const float *x, const float *w, int64_t n, float eps)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    double inverse = 1 / sqrt(sum / (double)n + eps);
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)(x[i] * inverse * w[i]);
}

static void pith_cpu_silu_mul_f32_c(float *y, const float *gate, const float *up, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)(gate[i] / (1 + exp(-(double)gate[i])) * up[i]);
}

static void pith_cpu_add_f32_c(float *y, const float *a, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

static void pith_cpu_scale_f32_c(float *y, const float *x, float a, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = a * x[i];
}

static void pith_cpu_axpy_f32_c(float *y, const float *x, float a, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)(y[i] + (double)a * x[i]);
}

static float pith_cpu_dot_f32_c(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return (float)sum;
}

static float pith_cpu_max_f32_c(const float *x, int64_t n)
{
    float m = -INFINITY;
    for (int64_t i = 0; i < n; i++)
        m = x[i] > m ? x[i] : m;
    return m;
}

static float pith_cpu_exp2_sum_f32_c(float *y, const float *x, float shift, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        y[i] = (float)exp2((double)x[i] - shift);
        sum += y[i];
    }
    return (float)sum;
}

static void rotate(float *a, float *b, float c, float s)
{
    double x = *a, y = *b;
    *a = (float)(x * c - y * s);
    *b = (float)(x * s + y * c);
}

static void pith_cpu_rope_pairs_f32_c(float *x, const float *c, const float *s, int64_t n_pairs)
{
    for (int64_t i = 0; i < n_pairs; i++)
        rotate(&x[2 * i], &x[2 * i + 1], c[i], s[i]);
}

static void pith_cpu_rope_halves_f32_c(float *x, const float *c, const float *s, int64_t n_pairs)
{
    for (int64_t i = 0; i < n_pairs; i++)
        rotate(&x[i], &x[i + n_pairs], c[i], s[i]);
}

static void pith_cpu_f16_to_f32_c(float *y, const uint16_t *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = pith_f16_to_f32(x[i]);
}

static void pith_cpu_f32_to_f16_c(uint16_t *y, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = pith_f32_to_f16(x[i]);
}

static void pith_cpu_bf16_to_f32_c(float *y, const uint16_t *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = pith_bf16_to_f32(x[i]);
}

static void pith_cpu_f32_to_bf16_c(uint16_t *y, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = pith_f32_to_bf16(x[i]);
}

/* The scale is rounded first and the elements are divided by what will be read back. Every tier does these operations
 * in float, so all tiers store the same bits. */
static void pith_cpu_f32_to_q8_0_c(int8_t *q, uint16_t *scales, const float *x, int64_t n)
{
    for (int64_t b = 0; b < n / 32; b++, x += 32, q += 32) {
        float amax = 0;
        for (int i = 0; i < 32; i++)
            amax = fabsf(x[i]) > amax ? fabsf(x[i]) : amax;
        float d = amax / 127.0f;
        scales[b] = pith_f32_to_f16(d < 65504.0f ? d : 65504.0f);
        d = pith_f16_to_f32(scales[b]);
        float inverse = d > 0 ? 1.0f / d : 0;
        for (int i = 0; i < 32; i++)
            q[i] = (int8_t)lrintf(fminf(fmaxf(x[i] * inverse, -127.0f), 127.0f));
    }
}

static void pith_cpu_q8_0_to_f32_c(float *y, const int8_t *q, const uint16_t *scales, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)q[i] * pith_f16_to_f32(scales[i / 32]);
}

void pith_cpu_vector_init_c(pith_cpu_kernels *k)
{
#define X(name, ret, args) k->name = pith_cpu_##name##_c;
    PITH_CPU_VECTOR_KERNELS(X)
#undef X
}
