/* SPDX-License-Identifier: MIT */
/* Sizes that depend on the device: data, chosen in one place. */
#ifndef PITH_VK_TUNE_H
#define PITH_VK_TUNE_H

#include "device.h"
#include "pith_spv.h"

#define PITH_VK_TILE_MAX 256 /* operands of tile kernels are readable up to a multiple of so many tokens and rows */

/* What a tile kernel multiplies: act.comp's halves or floats with unpacked weights or, of halves, packed ones; or
 * act_int8.comp's bytes with packed weights. */
typedef enum pith_vk_operands { PITH_VK_HALVES, PITH_VK_FLOATS, PITH_VK_BYTES } pith_vk_operands;

/* Tile of a matrix product: a workgroup computes bm tokens x bn rows, a subgroup (of bytes: an invocation) wm x wn of them,
 * bk columns a step, in `stages` buffers of shared memory. */
typedef struct pith_vk_tile {
    pith_spv variant; /* of those for bytes: the first type's */
    uint32_t bm, bn, bk, wm, wn, stages;
    uint32_t invocations;
} pith_vk_tile;

/* Candidates among the matrix tiles, largest first; *n of them. */
const pith_vk_tile *pith_vk_tile_list(int *n);
/* The same of the tiles for bytes. */
const pith_vk_tile *pith_vk_byte_tile_list(int *n);
/* Whether a tile of the matrix kernels or of bytes runs on the device and divides K (bytes: any); sets its invocations. */
bool pith_vk_tile_fits(const pith_vk_device *device, uint32_t k, pith_vk_tile *t);
/* Does this build and this device have the matrix kernels? */
bool pith_vk_has_coopmat(const pith_vk_device *device);
/* Do activations become bytes where every weight of a product is quantised? In builds with the modules, on devices without
 * cooperative matrices whose driver calls packed dot products accelerated, unless the user wants exact products.
 * PITH_VK_INT8 in the environment: 0 never, 1 wherever such dot products run, seen by the self-test or not. */
bool pith_vk_has_int8(const pith_vk_device *device);
/* Specialisation constants 0.. of the tile's kernel. flags: epilogue | bias << 2 | pairs << 3. */
void pith_vk_tile_spec(const pith_vk_device *device, const pith_vk_tile *t, pith_vk_operands operands, uint32_t flags, uint32_t *spec);
/* Among matrix tiles: what was measured to be fastest (tuner.h), else, and among those of bytes, a rule of thumb.
 * PITH_VK_TILE="bm,bn,bk,wm,wn,stages" in the environment overrides both. */
pith_vk_tile pith_vk_tile_choose(const pith_vk_device *device, uint32_t m, uint32_t n, uint32_t k, pith_vk_operands operands);

/* A product with one token: `lanes` invocations share `rows` packed rows; `stage` units of x are kept in shared memory,
 * `depth` units of an invocation are loaded ahead. PITH_VK_MATVEC="invocations,rows,depth" in the environment overrides. */
typedef struct pith_vk_vector {
    uint32_t invocations, lanes, rows, stage, depth, workgroups, split;
} pith_vk_vector;

pith_vk_vector pith_vk_vector_choose(const pith_vk_device *device, uint32_t rows, uint32_t units);

/* The same with products in halves (matvec_half.comp): is it there, and its sizes; depth is that of staging x;
 * nibbles: a format that needs few registers.
 * PITH_VK_HALF="invocations,rows,workgroups per core" in the environment overrides, PITH_VK_HALF=0 turns it off. */
bool pith_vk_has_half_vectors(const pith_vk_device *device);
pith_vk_vector pith_vk_vector_half_choose(const pith_vk_device *device, uint32_t rows, uint32_t units, bool nibbles);

/* Attention of many tokens: `subs` subgroups of a workgroup of attn_matrix2.comp (`two`) or attn_matrix.comp, 16 rows each,
 * take `keys` keys at a time; subs 0: the device can run neither at this head width.
 * PITH_VK_ATTEND="subs[,keys]" in the environment: at most so many. */
typedef struct pith_vk_attend {
    uint32_t subs, keys;
    bool two;
} pith_vk_attend;

pith_vk_attend pith_vk_attend_choose(const pith_vk_device *device, uint32_t head_dim);

#endif
