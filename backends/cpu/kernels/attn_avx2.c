/* SPDX-License-Identifier: MIT */
/* Attention kernels for AVX2: the templates under their names. */
#include "kernels.h"

#include "vector_simd_avx2.h"

#include "attn_template_few.h"
#include "attn_template_many.h"

static void pith_cpu_attn_scores_f32_avx2(float *s, const float *q, const float *keys, int64_t ldk, const float *bias,
                                          int n_keys, int dim, int width)
{
    attn_scores_f32(s, q, keys, ldk, bias, n_keys, dim, width);
}

static void pith_cpu_attn_mask_f32_avx2(float *s, const int32_t *lo, const int32_t *hi, int n_keys, int width)
{
    attn_mask_f32(s, lo, hi, n_keys, width);
}

static bool pith_cpu_attn_softmax_f32_avx2(float *s, float *m, float *l, float *factor, int n_keys, int width)
{
    return attn_softmax_f32(s, m, l, factor, n_keys, width);
}

static void pith_cpu_attn_values_f32_avx2(float *o, const float *p, const float *values, int64_t ldv, const float *factor,
                                          int n_keys, int dim, int width)
{
    attn_values_f32(o, p, values, ldv, factor, n_keys, dim, width);
}

static void pith_cpu_attn_dot_rows_avx2(float *s, int64_t lds, const float *q, int64_t ldq, int n_rows,
                                        const pith_cpu_kv_rows *keys, int n_keys, int dim)
{
    attn_dot_rows(s, lds, q, ldq, n_rows, keys, n_keys, dim);
}

static void pith_cpu_attn_mix_rows_avx2(float *o, int64_t ldo, const float *p, int64_t ldp, int n_rows,
                                        const pith_cpu_kv_rows *values, int n_keys, int dim)
{
    attn_mix_rows(o, ldo, p, ldp, n_rows, values, n_keys, dim);
}

void pith_cpu_attn_init_avx2(pith_cpu_kernels *k)
{
#define X(name, ret, args) k->name = pith_cpu_##name##_avx2;
    PITH_CPU_ATTN_KERNELS(X)
#undef X
}
