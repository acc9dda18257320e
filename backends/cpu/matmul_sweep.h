/* SPDX-License-Identifier: MIT */
/* The many-token product as a loop nest around two things that a tier brings: `fill` unpacks a panel of weights, a tile
 * function multiplies it with a few tokens.
 *
 *     for each slab of tokens, for each panel of 16 or 32 rows, for each range of columns (so that a panel fits L1):
 *         fill the panel, then for each group of `tile` tokens: part += panel x tokens
 *
 * Sums that cross column ranges wait in `part` (scratch) as f32, which changes no rounding. */
#ifndef PITH_CPU_MATMUL_SWEEP_H
#define PITH_CPU_MATMUL_SWEEP_H

#include "matmul_layout.h"

/* n_units units of R strips times C tokens (R, C fixed by the function), added to part[C][16 R]; first: starts at zero. */
typedef void (*pith_mm_tile_fn)(const uint8_t *panel, const uint8_t *act, size_t stride, int64_t n_units, float *part, bool first);

typedef struct pith_mm_sweep {
    int64_t unit_elems;    /* columns per unit */
    int64_t cols_max;      /* columns per panel, a multiple of unit_elems */
    size_t act_unit_bytes; /* of one activation row per unit */
    int strips;            /* of a full panel: 1 or 2 */
    int tile;              /* tokens of the widest tile */
    const pith_mm_tile_fn *tiles; /* [strips][tile] */
    /* Units [u0, u1) of n strips from `row` on. */
    void (*fill)(const pith_cpu_matmul_job *job, int n, int64_t row, int64_t u0, int64_t u1, uint8_t *panel);
    /* y of tokens t .. t + n_tokens, rows row .. row + 16 n (cut at job->row1) from sum[n_tokens][16 n]. */
    void (*finish)(const pith_cpu_matmul_job *job, int n, int64_t row, int64_t t, int64_t n_tokens, const float *sum);
} pith_mm_sweep;

/* The column ranges of n_cols columns in units: range i of n is [pith_mm_range(i), pith_mm_range(i + 1)), in units. Kernels
 * that start a new sum per range must use the same ones for few tokens. */
static inline int64_t pith_mm_ranges(int64_t n_cols, int64_t cols_max) { return (n_cols + cols_max - 1) / cols_max; }
static inline int64_t pith_mm_range(int64_t units, int64_t i, int64_t n) { return units * i / n; }

void pith_mm_sweep_run(const pith_mm_sweep *s, const pith_cpu_matmul_job *job);

#endif
