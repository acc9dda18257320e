/* SPDX-License-Identifier: MIT */
/* Rows of a layer's KV store (graph/kv.h): where they are, writing one from floats, reading one as floats. */
#ifndef PITH_CPU_ATTN_STORE_H
#define PITH_CPU_ATTN_STORE_H

#include "graph/kv.h"
#include "kernels.h"

/* Rows row, row + 1, ... of one head of a plane. */
static inline pith_cpu_kv_rows pith_cpu_kv_rows_at(const pith_kv_layout *l, const pith_kv_plane *p, const uint8_t *kv,
                                                   int32_t head, int64_t row)
{
    pith_cpu_kv_rows r = {.row_bytes = p->row_bytes, .dtype = l->dtype};
    r.rows = kv + p->offset + (uint64_t)head * p->head_bytes + (uint64_t)row * p->row_bytes;
    if (l->dtype == PITH_DTYPE_Q8_0) {
        r.row_scales = l->head_dim / 32;
        r.scales = (const uint16_t *)(const void *)(kv + p->scale_offset + (uint64_t)head * p->scale_head_bytes) +
                   row * r.row_scales;
    }
    return r;
}

/* n elements from the row's first on: dim for one row, a multiple of dim for several, which lie close together. */
static inline void pith_cpu_kv_read(const pith_cpu_kernels *k, const pith_cpu_kv_rows *r, int64_t row, int64_t n, float *y)
{
    const uint8_t *p = r->rows + row * r->row_bytes;
    if (r->dtype == PITH_DTYPE_F32) {
        for (int64_t e = 0; e < n; e++)
            y[e] = ((const float *)(const void *)p)[e];
    } else if (r->dtype == PITH_DTYPE_F16) {
        k->f16_to_f32(y, (const uint16_t *)(const void *)p, n);
    } else {
        k->q8_0_to_f32(y, (const int8_t *)p, r->scales + row * r->row_scales, n);
    }
}

static inline void pith_cpu_kv_write(const pith_cpu_kernels *k, const pith_kv_layout *l, const pith_kv_plane *p, uint8_t *kv,
                                     int32_t head, int64_t row, const float *x)
{
    uint8_t *y = kv + p->offset + (uint64_t)head * p->head_bytes + (uint64_t)row * p->row_bytes;
    if (l->dtype == PITH_DTYPE_F32) {
        for (int32_t e = 0; e < l->head_dim; e++)
            ((float *)(void *)y)[e] = x[e];
    } else if (l->dtype == PITH_DTYPE_F16) {
        k->f32_to_f16((uint16_t *)(void *)y, x, l->head_dim);
    } else {
        uint16_t *scales = (uint16_t *)(void *)(kv + p->scale_offset + (uint64_t)head * p->scale_head_bytes);
        k->f32_to_q8_0((int8_t *)y, scales + row * (l->head_dim / 32), x, l->head_dim);
    }
}

#endif
