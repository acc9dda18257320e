/* SPDX-License-Identifier: MIT */
/* Weights as the shaders read them: a row is cut into units of 32 elements, the parts of a unit lie in planes of their
 * own, so that neighbouring invocations load neighbouring 16-byte pieces. Nothing is rounded: only bits move.
 *
 *   slab:  [plane 0: row 0 | row 1 | ...][plane 1: row 0 | row 1 | ...]...     planes begin at multiples of 16 bytes
 *
 * shaders/lib/format.glsl reads them back. */
#ifndef PITH_VK_PACK_H
#define PITH_VK_PACK_H

#include "graph/dtype.h"

/* In the order of the `types` line of shaders/variants.txt: modules of one algorithm are counted from its first. */
#define PITH_VK_FORMAT_MAP(X) \
    X(F32) X(F16) X(BF16) X(Q4_0) X(Q4_1) X(Q5_0) X(Q5_1) X(Q8_0) X(Q2_K) X(Q3_K) X(Q4_K) X(Q5_K) X(Q6_K) X(IQ4_NL) X(IQ4_XS)

typedef enum pith_vk_format_id {
#define X(NAME) PITH_VK_FORMAT_##NAME,
    PITH_VK_FORMAT_MAP(X)
#undef X
    PITH_VK_FORMAT_COUNT
} pith_vk_format_id;

typedef struct pith_vk_format {
    const char *layout;   /* for reports */
    uint32_t n_planes;
    struct { uint32_t bytes, units; } plane[4]; /* `bytes` for each `units` (1 or 8) units of a row */
} pith_vk_format;

/* -1: no such format. */
int pith_vk_format_of(pith_dtype type);
const pith_vk_format *pith_vk_format_get(int format);
/* Units of a row of n elements; rows of floats are filled up with zeros. */
static inline uint32_t pith_vk_units(int64_t cols) { return (uint32_t)((cols + 31) / 32); }
static inline size_t pith_vk_plane_row_bytes(const pith_vk_format *f, uint32_t p, uint32_t units)
{
    return (size_t)(units / f->plane[p].units) * f->plane[p].bytes;
}
/* One row of the file's bytes into its place in each plane. */
void pith_vk_pack_row(pith_dtype type, const void *src, int64_t cols, uint8_t *const *planes);

#endif
