/* SPDX-License-Identifier: MIT */
/* Arguments of the kernels around matrix products. Offsets of planes count 16-byte units from the bound range. */
#ifndef PITH_PUSH_MATMUL_H
#define PITH_PUSH_MATMUL_H
#include "link.h"

/* dequant.comp: rows of a packed weight as floats or halves. */
struct pith_vk_push_dequant {
    PITH_U32 plane[PITH_PLANES];
    PITH_U32 units;      /* of 32 elements, per packed row */
    PITH_U32 row0, rows; /* packed rows; gather: rows of the bound slab begin at row0 of the table */
    PITH_U32 n;          /* rows to write: rows, or tokens */
    PITH_U32 cols;       /* elements of a written row that exist */
    PITH_U32 ld;         /* elements between written rows */
    PITH_U32 list;       /* gather: word of the first id in the state */
};

/* matvec.comp: one token, or a few, against packed rows. */
struct pith_vk_push_matvec {
    PITH_U32 plane[PITH_PLANES];
    PITH_U32 units;
    PITH_U32 rows;       /* packed rows in the bound slab */
    PITH_U32 row0;       /* packed row of the group that the slab begins with */
    PITH_U32 group_rows; /* packed rows of the whole group */
    PITH_U32 col0;       /* result column of the group's row 0 */
    PITH_U32 cols;       /* K */
    PITH_U32 ldx, ldy;   /* elements between tokens */
    PITH_F32 eps;
    PITH_STRUCT(pith_vk_push_link) link;
};

/* act.comp: activations as the tile kernels read them. */
struct pith_vk_push_act {
    PITH_U32 cols, ldx, ldy; /* ldy: elements, a multiple of 32; cols..ldy-1 become zero */
    PITH_F32 eps;
};

/* gemm_*.comp: y[t][col(n)] = sum_k x[t][k] w[n][k]. */
struct pith_vk_push_gemm {
    PITH_U32 plane[PITH_PLANES], units; /* packed weights: as in matvec */
    PITH_U32 m, n, k;    /* tokens, packed rows, padded columns (a multiple of 32) */
    PITH_U32 w0;         /* halves: where they begin, in 16-byte units */
    PITH_U32 row0, group_rows, col0; /* as in matvec */
    PITH_U32 ldy;
};

/* rows.comp: y[r] = x[rows[r]]. */
struct pith_vk_push_rows {
    PITH_U32 cols, list;
};

#endif
