/* SPDX-License-Identifier: MIT */
/* Attention kernels whose lanes are elements of the head, in the words of vector_simd_<tier>.h. Rows of the store are
 * turned into floats in registers; each serves up to ROWS queries before the next is read.
 *
 *   dot:  4 keys x R queries of sums, reduced to 4 neighbouring logits      mix:  R queries x V vectors of the output
 *
 * V = 4 where the sums then leave a quarter of the registers for operands, else 2. More queries against 2 keys were tried
 * for dot: slower than two passes (two reductions a key instead of one). */
#ifndef PITH_CPU_ATTN_TEMPLATE_FEW_H
#define PITH_CPU_ATTN_TEMPLATE_FEW_H

#include "attn_kernels.h"
#include "attn_unroll.h"

#define FEW_SCALES (PITH_CPU_ATTN_KEYS * PITH_CPU_HEAD_DIM_MAX / 32)
#define DOT_ROWS (VF_REGISTERS == 32 ? 6 : 3)
#define MIX_ROWS (VF_REGISTERS / 4)
#define MIX_VECTORS(R, dtype) ((R) * 4 + ((dtype) == PITH_DTYPE_Q8_0) <= VF_REGISTERS * 3 / 4 ? 4 : 2)

/* VL elements, or the n left over, from element e of row i; d: the tile's scales as floats (Q8_0). */
PITH_TEMPLATE vf row_vector(const pith_cpu_kv_rows *v, const float *d, int64_t i, int64_t e, int64_t n,
                            const pith_dtype dtype)
{
    const uint8_t *row = v->rows + i * v->row_bytes;
    if (dtype == PITH_DTYPE_F32) {
        const float *p = (const float *)(const void *)row + e;
        return n < VL ? vf_load_part(p, n) : vf_load(p);
    }
    if (dtype == PITH_DTYPE_F16) {
        const uint16_t *p = (const uint16_t *)(const void *)row + e;
        return n < VL ? vf_from_f16_part(p, n) : vf_from_f16(p);
    }
    return vf_mul(vf_from_i8((const int8_t *)row + e), vf_set1(d[i * v->row_scales + e / 32]));
}

PITH_TEMPLATE void dot_step(vf sum[4][DOT_ROWS], const float *q, int64_t ldq, const pith_cpu_kv_rows *keys, const float *d,
                            int64_t k, int64_t e, int64_t n, const int K, const int R, const pith_dtype dtype)
{
    vf x[DOT_ROWS];
    PITH_UNROLL
    for (int r = 0; r < R; r++)
        x[r] = n < VL ? vf_load_part(q + r * ldq + e, n) : vf_load(q + r * ldq + e);
    PITH_UNROLL
    for (int i = 0; i < K; i++) {
        vf y = row_vector(keys, d, k + i, e, n, dtype);
        PITH_UNROLL
        for (int r = 0; r < R; r++)
            sum[i][r] = vf_fma(y, x[r], sum[i][r]);
    }
}

PITH_TEMPLATE void dot_block(float *s, int64_t lds, const float *q, int64_t ldq, const pith_cpu_kv_rows *keys,
                             const float *d, int64_t k, int dim, const int K, const int R, const pith_dtype dtype)
{
    vf sum[4][DOT_ROWS];
    PITH_UNROLL
    for (int i = 0; i < K; i++) {
        PITH_UNROLL
        for (int r = 0; r < R; r++)
            sum[i][r] = vf_zero();
    }
    int e = 0;
    for (; e + VL <= dim; e += VL)
        dot_step(sum, q, ldq, keys, d, k, e, VL, K, R, dtype);
    if (e < dim && dtype != PITH_DTYPE_Q8_0)
        dot_step(sum, q, ldq, keys, d, k, e, dim - e, K, R, dtype);
    PITH_UNROLL
    for (int r = 0; r < R; r++) {
        if (K == 4)
            _mm_storeu_ps(s + r * lds + k, vf_reduce_add4(sum[0][r], sum[1][r], sum[2][r], sum[3][r]));
        else
            s[r * lds + k] = vf_reduce_add(sum[0][r]);
    }
}

PITH_TEMPLATE void dot_rows(float *s, int64_t lds, const float *q, int64_t ldq, const pith_cpu_kv_rows *keys, const float *d,
                            int n_keys, int dim, const int R, const pith_dtype dtype)
{
    int k = 0;
    for (; k + 4 <= n_keys; k += 4)
        dot_block(s, lds, q, ldq, keys, d, k, dim, 4, R, dtype);
    for (; k < n_keys; k++)
        dot_block(s, lds, q, ldq, keys, d, k, dim, 1, R, dtype);
}

/* Elements e .. e + n - 1 of R outputs; V vectors, the last of which may be a part. */
PITH_TEMPLATE void mix_block(float *o, int64_t ldo, const float *p, int64_t ldp, const pith_cpu_kv_rows *values,
                             const float *d, int n_keys, int64_t e, int64_t n, const int V, const int R,
                             const pith_dtype dtype)
{
    vf sum[MIX_ROWS][4];
    PITH_UNROLL
    for (int r = 0; r < R; r++) {
        PITH_UNROLL
        for (int v = 0; v < V; v++)
            sum[r][v] = n < VL ? vf_load_part(o + r * ldo + e, n) : vf_load(o + r * ldo + e + v * VL);
    }
    for (int k = 0; k < n_keys; k++) {
        vf x[MIX_ROWS];
        PITH_UNROLL
        for (int r = 0; r < R; r++)
            x[r] = vf_set1(p[r * ldp + k]);
        PITH_UNROLL
        for (int v = 0; v < V; v++) {
            vf y = row_vector(values, d, k, e + v * VL, n, dtype);
            PITH_UNROLL
            for (int r = 0; r < R; r++)
                sum[r][v] = vf_fma(x[r], y, sum[r][v]);
        }
    }
    PITH_UNROLL
    for (int r = 0; r < R; r++) {
        PITH_UNROLL
        for (int v = 0; v < V; v++) {
            if (n < VL)
                vf_store_part(o + r * ldo + e, sum[r][v], n);
            else
                vf_store(o + r * ldo + e + v * VL, sum[r][v]);
        }
    }
}

PITH_TEMPLATE void mix_rows(float *o, int64_t ldo, const float *p, int64_t ldp, const pith_cpu_kv_rows *values,
                            const float *d, int n_keys, int dim, const int R, const pith_dtype dtype)
{
    const int V = MIX_VECTORS(R, dtype);
    int e = 0;
    for (; e + V * VL <= dim; e += V * VL)
        mix_block(o, ldo, p, ldp, values, d, n_keys, e, VL, V, R, dtype);
    for (; e + VL <= dim; e += VL)
        mix_block(o, ldo, p, ldp, values, d, n_keys, e, VL, 1, R, dtype);
    if (e < dim && dtype != PITH_DTYPE_Q8_0)
        mix_block(o, ldo, p, ldp, values, d, n_keys, e, dim - e, 1, R, dtype);
}

/* Rows are shared out evenly among as few passes as possible: 7 = 4 + 3. */
static inline int rows_of_pass(int left, int most)
{
    int passes = (left + most - 1) / most;
    return (left + passes - 1) / passes;
}

/* The queries of one pass (R must be a constant inside) and then of all passes. */
PITH_TEMPLATE void dot_pass(float *s, int64_t lds, const float *q, int64_t ldq, int n_rows, const pith_cpu_kv_rows *keys,
                            const float *d, int n_keys, int dim, const pith_dtype dtype)
{
    switch (n_rows) {
    case 1: dot_rows(s, lds, q, ldq, keys, d, n_keys, dim, 1, dtype); break;
    case 2: dot_rows(s, lds, q, ldq, keys, d, n_keys, dim, 2, dtype); break;
    case 3: dot_rows(s, lds, q, ldq, keys, d, n_keys, dim, 3, dtype); break;
#if VF_REGISTERS == 32
    case 4: dot_rows(s, lds, q, ldq, keys, d, n_keys, dim, 4, dtype); break;
    case 5: dot_rows(s, lds, q, ldq, keys, d, n_keys, dim, 5, dtype); break;
    case 6: dot_rows(s, lds, q, ldq, keys, d, n_keys, dim, 6, dtype); break;
#endif
    default: break;
    }
}

PITH_TEMPLATE void mix_pass(float *o, int64_t ldo, const float *p, int64_t ldp, int n_rows, const pith_cpu_kv_rows *values,
                            const float *d, int n_keys, int dim, const pith_dtype dtype)
{
    switch (n_rows) {
    case 1: mix_rows(o, ldo, p, ldp, values, d, n_keys, dim, 1, dtype); break;
    case 2: mix_rows(o, ldo, p, ldp, values, d, n_keys, dim, 2, dtype); break;
    case 3: mix_rows(o, ldo, p, ldp, values, d, n_keys, dim, 3, dtype); break;
    case 4: mix_rows(o, ldo, p, ldp, values, d, n_keys, dim, 4, dtype); break;
#if VF_REGISTERS == 32
    case 5: mix_rows(o, ldo, p, ldp, values, d, n_keys, dim, 5, dtype); break;
    case 6: mix_rows(o, ldo, p, ldp, values, d, n_keys, dim, 6, dtype); break;
    case 7: mix_rows(o, ldo, p, ldp, values, d, n_keys, dim, 7, dtype); break;
    case 8: mix_rows(o, ldo, p, ldp, values, d, n_keys, dim, 8, dtype); break;
#endif
    default: break;
    }
}

/* The scales of a tile, so that the products need only broadcast them. */
static inline const float *scales_load(const pith_cpu_kv_rows *v, int n_keys, float *d)
{
    int64_t n = v->dtype == PITH_DTYPE_Q8_0 ? n_keys * v->row_scales : 0, i = 0;
    for (; i + VL <= n; i += VL)
        vf_store(d + i, vf_from_f16(v->scales + i));
    for (; i < n; i++)
        d[i] = _cvtsh_ss(v->scales[i]);
    return d;
}

static inline void attn_dot_rows(float *s, int64_t lds, const float *q, int64_t ldq, int n_rows,
                                 const pith_cpu_kv_rows *keys, int n_keys, int dim)
{
    float buffer[FEW_SCALES];
    const float *d = scales_load(keys, n_keys, buffer);
    for (int n; n_rows > 0; n_rows -= n, s += n * lds, q += n * ldq) {
        n = rows_of_pass(n_rows, DOT_ROWS);
        if (keys->dtype == PITH_DTYPE_F32)
            dot_pass(s, lds, q, ldq, n, keys, d, n_keys, dim, PITH_DTYPE_F32);
        else if (keys->dtype == PITH_DTYPE_F16)
            dot_pass(s, lds, q, ldq, n, keys, d, n_keys, dim, PITH_DTYPE_F16);
        else
            dot_pass(s, lds, q, ldq, n, keys, d, n_keys, dim, PITH_DTYPE_Q8_0);
    }
}

static inline void attn_mix_rows(float *o, int64_t ldo, const float *p, int64_t ldp, int n_rows,
                                 const pith_cpu_kv_rows *values, int n_keys, int dim)
{
    float buffer[FEW_SCALES];
    const float *d = scales_load(values, n_keys, buffer);
    for (int n; n_rows > 0; n_rows -= n, o += n * ldo, p += n * ldp) {
        n = rows_of_pass(n_rows, MIX_ROWS);
        if (values->dtype == PITH_DTYPE_F32)
            mix_pass(o, ldo, p, ldp, n, values, d, n_keys, dim, PITH_DTYPE_F32);
        else if (values->dtype == PITH_DTYPE_F16)
            mix_pass(o, ldo, p, ldp, n, values, d, n_keys, dim, PITH_DTYPE_F16);
        else
            mix_pass(o, ldo, p, ldp, n, values, d, n_keys, dim, PITH_DTYPE_Q8_0);
    }
}

#endif
