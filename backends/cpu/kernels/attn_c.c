/* SPDX-License-Identifier: MIT */
/* The meaning of every attention kernel: plain loops, sums in double. */
#include "base/half.h"
#include "kernels.h"

#include <math.h>

static void pith_cpu_attn_scores_f32_c(float *s, const float *q, const float *keys, int64_t ldk, const float *bias,
                                       int n_keys, int dim, int width)
{
    for (int k = 0; k < n_keys; k++) {
        for (int r = 0; r < width; r++) {
            double sum = bias ? bias[k] : 0;
            for (int e = 0; e < dim; e++)
                sum += (double)keys[k * ldk + e] * q[e * width + r];
            s[k * width + r] = (float)sum;
        }
    }
}

static void pith_cpu_attn_mask_f32_c(float *s, const int32_t *lo, const int32_t *hi, int n_keys, int width)
{
    for (int k = 0; k < n_keys; k++) {
        for (int r = 0; r < width; r++) {
            if (k < lo[r] || k >= hi[r])
                s[k * width + r] = -INFINITY;
        }
    }
}

/* A row whose keys were all masked keeps m = -inf and l = 0. */
static bool pith_cpu_attn_softmax_f32_c(float *s, float *m, float *l, float *factor, int n_keys, int width)
{
    bool grew = false;
    for (int r = 0; r < width; r++) {
        float top = -INFINITY;
        for (int k = 0; k < n_keys; k++)
            top = s[k * width + r] > top ? s[k * width + r] : top;
        factor[r] = 1;
        if (top > m[r] + PITH_CPU_ATTN_LAZY) {
            factor[r] = (float)exp2((double)m[r] - top);
            m[r] = top;
            grew = true;
        }
        float shift = m[r] == -INFINITY ? 0 : m[r];
        double sum = 0;
        for (int k = 0; k < n_keys; k++) {
            s[k * width + r] = (float)exp2((double)s[k * width + r] - shift);
            sum += s[k * width + r];
        }
        l[r] = (float)((double)l[r] * factor[r] + sum);
    }
    return grew;
}

static void pith_cpu_attn_values_f32_c(float *o, const float *p, const float *values, int64_t ldv, const float *factor,
                                       int n_keys, int dim, int width)
{
    for (int e = 0; e < dim; e++) {
        for (int r = 0; r < width; r++) {
            double sum = (double)o[e * width + r] * (factor ? factor[r] : 1);
            for (int k = 0; k < n_keys; k++)
                sum += (double)values[k * ldv + e] * p[k * width + r];
            o[e * width + r] = (float)sum;
        }
    }
}

static float element(const pith_cpu_kv_rows *v, int row, int e)
{
    const uint8_t *p = v->rows + row * v->row_bytes;
    if (v->dtype == PITH_DTYPE_F32)
        return ((const float *)(const void *)p)[e];
    if (v->dtype == PITH_DTYPE_F16)
        return pith_f16_to_f32(((const uint16_t *)(const void *)p)[e]);
    return (float)((const int8_t *)p)[e] * pith_f16_to_f32(v->scales[row * v->row_scales + e / 32]);
}

static void pith_cpu_attn_dot_rows_c(float *s, int64_t lds, const float *q, int64_t ldq, int n_rows,
                                     const pith_cpu_kv_rows *keys, int n_keys, int dim)
{
    for (int r = 0; r < n_rows; r++) {
        for (int k = 0; k < n_keys; k++) {
            double sum = 0;
            for (int e = 0; e < dim; e++)
                sum += (double)q[r * ldq + e] * element(keys, k, e);
            s[r * lds + k] = (float)sum;
        }
    }
}

static void pith_cpu_attn_mix_rows_c(float *o, int64_t ldo, const float *p, int64_t ldp, int n_rows,
                                     const pith_cpu_kv_rows *values, int n_keys, int dim)
{
    for (int r = 0; r < n_rows; r++) {
        for (int e = 0; e < dim; e++) {
            double sum = o[r * ldo + e];
            for (int k = 0; k < n_keys; k++)
                sum += (double)p[r * ldp + k] * element(values, k, e);
            o[r * ldo + e] = (float)sum;
        }
    }
}

void pith_cpu_attn_init_c(pith_cpu_kernels *k)
{
#define X(name, ret, args) k->name = pith_cpu_##name##_c;
    PITH_CPU_ATTN_KERNELS(X)
#undef X
}
