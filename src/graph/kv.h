/* SPDX-License-Identifier: MIT */
/* Memory of one layer's KV store, as every backend lays it out: one buffer, planes of rows.
 *
 *   raw rows:   [fixed: positions 0..n_fixed-1][sliding: positions base, base+1, ...        free]
 *   core rows:  [core 0][core 1]...   core j stands for positions j*g .. j*g+g-1
 *
 *   plane of K or V:  head 0: row 0 | row 1 | ...   head 1: row 0 | ...       a row: head_dim elements
 *   q8_0 planes keep int8 elements; their scales (f16, one per 32 elements) lie in a plane of their own.
 *
 * Keys are stored rotated, ready for use. The entropy bias of a core is one f16 per (core head, core). */
#ifndef PITH_GRAPH_KV_H
#define PITH_GRAPH_KV_H

#include "graph/dtype.h"

typedef struct pith_kv_plane {
    uint64_t offset;           /* bytes from the layer's buffer to row 0 of head 0; multiple of 64 */
    uint64_t head_bytes;       /* from head to head; multiple of 64 */
    uint32_t row_bytes;        /* head_dim elements */
    uint64_t scale_offset;     /* q8_0 only: f16 [heads][rows][head_dim / 32] */
    uint64_t scale_head_bytes; /* q8_0 only; multiple of 64 */
} pith_kv_plane;

typedef struct pith_kv_layout {
    pith_dtype dtype;    /* F32, F16 or Q8_0 (head_dim % 32 == 0) */
    int32_t n_kv;        /* K: heads of the raw planes */
    int32_t core_heads;  /* heads of the core planes: K, or H when every query head has its own cores; 0: no cores */
    int32_t head_dim;    /* E */
    int64_t n_fixed;     /* raw rows that never slide */
    int64_t raw_rows;    /* capacity, n_fixed included */
    int64_t core_rows;   /* capacity */
    pith_kv_plane raw_k, raw_v, core_k, core_v;
    uint64_t bias_offset;     /* f16 [core_heads][core_rows], heads bias_head_bytes apart */
    uint64_t bias_head_bytes;
    uint64_t bytes;      /* of the whole buffer */
    uint64_t raw_bytes;  /* its part for raw rows */
} pith_kv_layout;

/* Fills offsets and sizes from dtype, counts and capacities; false when a size overflows. */
bool pith_kv_layout_fill(pith_kv_layout *layout);

/* Row of a position in the raw planes; `base`: position of the first sliding row. */
static inline int64_t pith_kv_raw_row(const pith_kv_layout *layout, int64_t base, int64_t position)
{
    return position < layout->n_fixed ? position : layout->n_fixed + position - base;
}

#endif
