/* SPDX-License-Identifier: MIT */
/* The dictionary of the matrix kernels: quantised activations and products in plain C, integer dots exact, everything
 * else in double. The vector kernels are tested against these. Never optimised. */
#include "matmul_layout.h"

#include "blas.h"
#include "cpuid.h"

#include "base/half.h"

#include <math.h>
#include <string.h>

/* ---- activations ------------------------------------------------------------------------------------------------ */

void pith_cpu_matmul_act_f32_c(const float *x, int64_t n, void *dst)
{
    float *out = dst;
    memcpy(out, x, (size_t)n * sizeof *x);
    if (n % 2)
        out[n] = 0.0f;
}

void pith_cpu_matmul_act_f16_c(const float *x, int64_t n, void *dst)
{
    float *out = dst;
    for (int64_t i = 0; i < n; i++)
        out[i] = pith_f16_to_f32(pith_f32_to_f16(x[i]));
    if (n % 2)
        out[n] = 0.0f;
}

void pith_cpu_matmul_act_bf16_c(const float *x, int64_t n, void *dst)
{
    float *out = dst;
    for (int64_t i = 0; i < n; i++)
        out[i] = pith_bf16_to_f32(pith_f32_to_bf16(x[i]));
    if (n % 2)
        out[n] = 0.0f;
}

/* Largest magnitude; NaN when there is one. */
static float amax_of(const float *x, int n)
{
    float amax = 0.0f;
    for (int i = 0; i < n; i++) {
        float a = fabsf(x[i]);
        if (a > amax || isnan(a))
            amax = a;
        if (isnan(amax))
            break;
    }
    return amax;
}

#define TINY 0x1p-100f /* below, scales vanish in half precision and reciprocals overflow: a block of zeros */

static int8_t to_int8(float v) { return v >= 127.0f ? 127 : v >= -128.0f ? (int8_t)lrintf(v) : -128; /* NaN: -128 */ }

void pith_cpu_matmul_act_q8_32_c(const float *x, int64_t n, void *dst)
{
    pith_act_q8_32 *out = dst;
    for (int64_t b = 0; b < (n + 63) / 64 * 2; b++, out++) {
        memset(out, 0, sizeof *out);
        if (32 * b >= n)
            continue;
        float amax = amax_of(x + 32 * b, 32), d = amax / 127.0f, id = amax >= TINY ? 127.0f / amax : 0.0f;
        int sum = 0;
        for (int i = 0; i < 32; i++) {
            out->q[i] = to_int8(x[32 * b + i] * id);
            sum += out->q[i];
        }
        out->d = pith_f16_to_f32(pith_f32_to_f16(d));
        out->corr = -128 * sum;
        out->s = pith_f16_to_f32(pith_f32_to_f16(d * (float)sum));
    }
}

void pith_cpu_matmul_act_q8_256_c(const float *x, int64_t n, void *dst)
{
    pith_act_q8_256 *out = dst;
    for (int64_t b = 0; b < n / 256; b++, out++, x += 256) {
        memset(out, 0, sizeof *out);
        float amax = amax_of(x, 256), extreme = amax;
        if (amax < TINY)
            continue;
        for (int i = 256; i-- > 0;) /* ends at the first element of the largest magnitude, with its sign */
            if (fabsf(x[i]) == amax)
                extreme = x[i];
        float iscale = -127.0f / extreme;
        for (int i = 0; i < 256; i++) {
            out->q[i] = to_int8(iscale * x[i]);
            out->sum16[i / 16] = (int16_t)(out->sum16[i / 16] + out->q[i]);
            out->sum32[i / 32] = (int16_t)(out->sum32[i / 32] + out->q[i]);
        }
        for (int i = 0; i < 16; i++)
            out->corr16[i] = -128 * out->sum16[i];
        for (int i = 0; i < 8; i++)
            out->corr32[i] = -128 * out->sum32[i];
        out->d = 1.0f / iscale;
    }
}

/* ---- products --------------------------------------------------------------------------------------------------- */

static const uint8_t *strip_of(const pith_cpu_matmul_job *job, int64_t row)
{
    return (const uint8_t *)job->m->data + (size_t)(row / 16) * pith_mm_strip_bytes(pith_mm_format_get(job->m->dtype), job->m->cols);
}

/* One block of 32 columns against one token. */
static double dot_block(const pith_cpu_matmul_job *job, const pith_mm_block *w, int64_t t, int64_t b)
{
    const uint8_t *row = job->act + (size_t)t * pith_mm_act_stride(job->m->act, job->m->cols);
    int dot[2] = {0, 0};
    if (job->m->act == PITH_ACT_Q8_32) {
        const pith_act_q8_32 *a = (const pith_act_q8_32 *)row + b;
        for (int i = 0; i < 32; i++)
            dot[0] += w->q[i] * a->q[i];
        return w->s.scale[0] * (double)a->d * dot[0] - (w->s.min[0] != 0.0 ? w->s.min[0] * (double)a->s : 0.0);
    }
    const pith_act_q8_256 *a = (const pith_act_q8_256 *)row + b / 8;
    for (int i = 0; i < 32; i++)
        dot[i / 16] += w->q[i] * a->q[b % 8 * 32 + i];
    double sum = 0.0;
    for (int h = 0; h < 2; h++)
        sum += w->s.scale[h] * dot[h] - w->s.min[h] * a->sum16[b % 8 * 2 + h];
    return sum * (double)a->d;
}

static void quantised(const pith_cpu_matmul_job *job)
{
    const pith_mm_format *f = pith_mm_format_get(job->m->dtype);
    enum { TOKENS = 64 };
    for (int64_t r = job->row0; r < job->row1; r++) {
        for (int64_t t0 = 0; t0 < job->n_tokens; t0 += TOKENS) {
            int64_t t1 = t0 + TOKENS < job->n_tokens ? t0 + TOKENS : job->n_tokens;
            double sum[TOKENS] = {0};
            for (int64_t b = 0; b < job->m->cols / 32; b++) {
                pith_mm_block w;
                pith_mm_block_get(job->m->dtype, f, strip_of(job, r), (int)(r % 16), b, &w);
                for (int64_t t = t0; t < t1; t++)
                    sum[t - t0] += dot_block(job, &w, t, b);
            }
            for (int64_t t = t0; t < t1; t++)
                job->y[t * job->ldy + r] = (float)((double)pith_mm_start(job, t, r) + sum[t - t0]);
        }
    }
}

static void floats(const pith_cpu_matmul_job *job)
{
    size_t stride = pith_mm_act_stride(job->m->act, job->m->cols);
    for (int64_t r = job->row0; r < job->row1; r++) {
        const uint8_t *strip = strip_of(job, r);
        for (int64_t t = 0; t < job->n_tokens; t++) {
            const float *a = (const float *)(job->act + (size_t)t * stride);
            double sum = 0.0;
            for (int64_t k = 0; k < job->m->cols; k++)
                sum += (double)pith_mm_float_get(job->m->dtype, strip, (int)(r % 16), k) * (double)a[k];
            job->y[t * job->ldy + r] = (float)((double)pith_mm_start(job, t, r) + sum);
        }
    }
}

#define X(type, slot) \
    void pith_cpu_##slot##_c(const pith_cpu_matmul_job *job) { (pith_mm_format_get(PITH_DTYPE_##type)->planes ? quantised : floats)(job); }
PITH_CPU_MATMUL_TYPES(X)
#undef X

void pith_cpu_matmul_init_c(pith_cpu_kernels *k)
{
#define X(type, slot) k->slot = pith_cpu_##slot##_c;
    PITH_CPU_MATMUL_TYPES(X)
#undef X
#define X(name, ret, args) k->name = pith_cpu_##name##_c;
    PITH_CPU_MATMUL_ACT_KERNELS(X)
#undef X
    if (pith_cpu_flags() == 0) /* a processor that no tier knows: not the same as a mask that asks for the dictionary */
        pith_cpu_matmul_init_blas(k);
}
