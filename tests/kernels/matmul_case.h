/* SPDX-License-Identifier: MIT */
/* What the matmul tests and the bench share: tiers, a random matrix with its activations, a run into guarded memory. */
#ifndef PITH_TESTS_MATMUL_CASE_H
#define PITH_TESTS_MATMUL_CASE_H

#include "harness/gen.h"
#include "matmul.h"

typedef struct mm_tier { const char *name; uint32_t flags; } mm_tier;

/* Tiers of this machine, scalar first; the count is returned. */
int mm_tiers(const mm_tier **out);
/* The table with the matrix kernels of these flags only. */
void mm_table(pith_cpu_kernels *k, uint32_t flags);

extern const pith_dtype mm_types[];
extern const int mm_n_types;

typedef struct mm_case {
    pith_dtype type;
    int64_t rows, cols, n;
    uint8_t *file;      /* [rows] rows of the file's blocks */
    pith_cpu_matrix m;  /* packed from it */
    float *x;           /* [n][cols] */
} mm_case;

/* blocks: 0 usual scales, 1 extreme codes */
void mm_case_make(mm_case *c, uint64_t seed, pith_dtype type, int64_t rows, int64_t cols, int64_t n, pith_gen_kind kind, bool extreme);
void mm_case_free(mm_case *c);

/* y[n][ldy], rows [row0, row1), tokens [t0, t1) with the kernels k: packs activations, brings scratch, checks guards.
 * False (and a message) when a margin was written. */
bool mm_case_run(const mm_case *c, const pith_cpu_kernels *k, int64_t t0, int64_t t1, int64_t row0, int64_t row1, const float *bias,
                 bool accumulate, float *y, int64_t ldy);

extern uint64_t mm_seed; /* of the whole run */
const char *mm_type_name(pith_dtype type);
uint64_t mm_case_seed(const char *test, pith_dtype type, int64_t rows, int64_t cols, int64_t n, pith_gen_kind kind);

/* Activations of token t as the product sees them: a[i], and by how much each may differ from x: e[i]. *sum_error is
 * infinite when a half-precision scale overflowed, else 0. */
void mm_act_values(const mm_case *c, int64_t t, double *a, double *e, double *sum_error);
/* The weights, dequantised. Release with pith_guard_free. */
float *mm_weights(const mm_case *c);

#endif
