/* SPDX-License-Identifier: MIT */
/* Where the planes of a layer's KV store lie. Planes follow each other in a fixed order, each at a multiple of 64 bytes,
 * so that a head's rows begin on a cache line:
 *
 *     raw K [scales] | raw V [scales] | core K [scales] | core V [scales] | core bias */
#include "graph/kv.h"

#include "base/mem.h"

#include <string.h>

/* *size = a * b rounded up to the alignment of planes; false on overflow. */
static bool plane_size(uint64_t a, uint64_t b, uint64_t *size)
{
    size_t bytes, aligned;
    if (a > SIZE_MAX || b > SIZE_MAX || !pith_size_mul((size_t)a, (size_t)b, &bytes) ||
        !pith_size_align(bytes, PITH_ALIGN, &aligned))
        return false;
    *size = aligned;
    return true;
}

/* Puts `heads` blocks of `head_bytes` at *end; their place is *offset. */
static bool place(uint64_t *end, uint64_t heads, uint64_t head_bytes, uint64_t *offset)
{
    size_t bytes, total;
    if (head_bytes > SIZE_MAX || !pith_size_mul((size_t)heads, (size_t)head_bytes, &bytes) ||
        !pith_size_add((size_t)*end, bytes, &total))
        return false;
    *offset = *end;
    *end = total;
    return true;
}

static bool plane(pith_kv_plane *p, pith_dtype dtype, uint64_t dim, uint64_t heads, uint64_t rows, uint64_t *end)
{
    uint64_t element = dtype == PITH_DTYPE_F32 ? 4 : dtype == PITH_DTYPE_F16 ? 2 : 1;
    p->row_bytes = (uint32_t)(dim * element);
    if (!plane_size(rows, p->row_bytes, &p->head_bytes) || !place(end, heads, p->head_bytes, &p->offset))
        return false;
    if (dtype != PITH_DTYPE_Q8_0)
        return true;
    return plane_size(rows, dim / 32 * 2, &p->scale_head_bytes) &&
           place(end, heads, p->scale_head_bytes, &p->scale_offset);
}

bool pith_kv_layout_fill(pith_kv_layout *l)
{
    bool known = l->dtype == PITH_DTYPE_F32 || l->dtype == PITH_DTYPE_F16 || l->dtype == PITH_DTYPE_Q8_0;
    if (!known || l->n_kv < 1 || l->core_heads < 0 || l->head_dim < 1 || l->head_dim > INT32_MAX / 4 || l->n_fixed < 0 ||
        l->raw_rows < l->n_fixed || l->core_rows < 0 || (l->dtype == PITH_DTYPE_Q8_0 && l->head_dim % 32 != 0))
        return false;
    l->raw_k = l->raw_v = l->core_k = l->core_v = (pith_kv_plane){0};
    l->bias_offset = l->bias_head_bytes = 0;
    uint64_t end = 0, dim = (uint64_t)l->head_dim, n_kv = (uint64_t)l->n_kv, raw = (uint64_t)l->raw_rows;
    if (!plane(&l->raw_k, l->dtype, dim, n_kv, raw, &end) || !plane(&l->raw_v, l->dtype, dim, n_kv, raw, &end))
        return false;
    l->raw_bytes = end;
    uint64_t heads = (uint64_t)l->core_heads, cores = heads ? (uint64_t)l->core_rows : 0;
    if (!plane(&l->core_k, l->dtype, dim, heads, cores, &end) || !plane(&l->core_v, l->dtype, dim, heads, cores, &end) ||
        !plane_size(cores, 2, &l->bias_head_bytes) || !place(&end, heads, l->bias_head_bytes, &l->bias_offset))
        return false;
    l->bytes = end;
    return true;
}
