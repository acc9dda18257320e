/* SPDX-License-Identifier: MIT */
/* Kernels of attention, in two forms.
 *
 * Many queries: the lanes of a vector are queries. A panel is `width` queries (16, 32 or 48); K and V tiles are floats
 * and are read one element at a time (broadcast), so neither needs transposing, and maxima and sums stay inside lanes.
 *
 *     q  [dim][width]      s, p [n_keys][width]      o [dim][width]      keys, values [n_keys][ld >= dim]
 *
 *     s = K q,  p = 2^(s - m),  o = o * factor + V^T p                  (MODEL.md: one softmax over all segments)
 *
 * Few queries (decode): the lanes are elements of the head; rows of the store are read in their own type, once for
 * all queries.
 *
 *     q [n_rows][ldq]      s, p [n_rows][ld >= n_keys]      o [n_rows][ldo]
 *
 * Logits are in units of log2: the factor scale * log2(e) is in q. dim in [1, 1024], n_keys in [1, 64]. */
#ifndef PITH_CPU_ATTN_KERNELS_H
#define PITH_CPU_ATTN_KERNELS_H

#include "graph/dtype.h"

#define PITH_CPU_ATTN_KEYS 64   /* most keys in a tile */
#define PITH_CPU_ATTN_PANEL 48  /* widest panel */
#define PITH_CPU_HEAD_DIM_MAX 1024
#define PITH_CPU_ATTN_LAZY 8.0f /* log2: a maximum that grows by less leaves m where it is, so p <= 2^8 */

/* Consecutive rows of one plane of the store. */
typedef struct pith_cpu_kv_rows {
    const uint8_t *rows;
    int64_t row_bytes;
    const uint16_t *scales; /* Q8_0: f16, row_scales per row; else NULL */
    int64_t row_scales;
    pith_dtype dtype;       /* F32, F16, Q8_0 */
} pith_cpu_kv_rows;

#define PITH_CPU_ATTN_KERNELS(X)                                                                                     \
    /* s[k][r] = bias[k] + sum_e keys[k][e] q[e][r]; bias may be NULL */                                             \
    X(attn_scores_f32, void, (float *s, const float *q, const float *keys, int64_t ldk, const float *bias,           \
                              int n_keys, int dim, int width))                                                       \
    /* s[k][r] = -inf unless lo[r] <= k < hi[r] */                                                                   \
    X(attn_mask_f32, void, (float *s, const int32_t *lo, const int32_t *hi, int n_keys, int width))                  \
    /* In place s -> p, updates m and l [width] (begin: -inf and 0); true when some m grew: o must then be multiplied \
     * by factor [width], which is always written. */                                                                \
    X(attn_softmax_f32, bool, (float *s, float *m, float *l, float *factor, int n_keys, int width))                  \
    /* o[e][r] = o[e][r] * factor[r] + sum_k values[k][e] p[k][r]; factor NULL: 1 */                                 \
    X(attn_values_f32, void, (float *o, const float *p, const float *values, int64_t ldv, const float *factor,       \
                              int n_keys, int dim, int width))                                                       \
    /* s[r][k] = <q[r], keys[k]> */                                                                                  \
    X(attn_dot_rows, void, (float *s, int64_t lds, const float *q, int64_t ldq, int n_rows,                          \
                            const pith_cpu_kv_rows *keys, int n_keys, int dim))                                      \
    /* o[r] += sum_k p[r][k] values[k] */                                                                            \
    X(attn_mix_rows, void, (float *o, int64_t ldo, const float *p, int64_t ldp, int n_rows,                          \
                            const pith_cpu_kv_rows *values, int n_keys, int dim))

#endif
