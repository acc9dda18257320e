/* SPDX-License-Identifier: MIT */
/* y = x W^T for weights of any tensor type: W repacked once at load into 16-row interleaved layouts, x quantised once
 * per product the way the weight type wants it. Above the kernels, below the graph: knows nothing of nodes or threads;
 * callers split rows of W among threads. */
#ifndef PITH_CPU_MATMUL_H
#define PITH_CPU_MATMUL_H

#include "base/status.h"
#include "graph/dtype.h"
#include "kernels.h"

#include <stdbool.h>

#define PITH_CPU_ROW_UNIT 16 /* rows of W are split among threads in multiples of this; multiples of 32 run faster */

/* How activations enter a product. The types mirror what the reference engine (ggml) multiplies with, so that both
 * engines round alike and whole-model comparisons are sharp. */
typedef enum pith_cpu_act {
    PITH_ACT_F32,    /* F32 weights */
    PITH_ACT_F16,    /* F16 weights: rounded to f16 (kept as f32 or f16, the kernels' choice) */
    PITH_ACT_BF16,   /* BF16 weights: rounded to bf16 */
    PITH_ACT_Q8_32,  /* 32-element weight blocks: int8, scale per 32 = f16(amax / 127), q = round(x * 127 / amax) */
    PITH_ACT_Q8_256, /* 256-element super-blocks: int8, f32 scale per 256 from the signed extreme */
} pith_cpu_act;

typedef struct pith_cpu_matrix {
    pith_dtype dtype;
    int64_t rows, cols;   /* N outputs, K inputs */
    pith_cpu_act act;
    const char *layout;   /* "q4x16", ...: static, for reports */
    int32_t variant;      /* the implementation's own */
    size_t bytes;         /* of data, padding rows included */
    void *data;           /* [bytes], PITH_ALIGN aligned; allocated by the caller */
} pith_cpu_matrix;

/* Chooses layout and size for this kernel table; data stays NULL. Errors: UNSUPPORTED, FORMAT (cols not in blocks). */
pith_status pith_cpu_matrix_init(pith_cpu_matrix *m, const pith_cpu_kernels *k, pith_dtype dtype, int64_t rows, int64_t cols);
/* Repacks rows [row0, row1) (row0 a multiple of PITH_CPU_ROW_UNIT, row1 too unless the last) from `src`, the file's
 * bytes of the whole tensor. Different ranges may be packed by different threads. */
void pith_cpu_matrix_pack(const pith_cpu_matrix *m, const pith_cpu_kernels *k, const void *src, int64_t row0, int64_t row1);
/* One row as floats, exactly the dequantised values: embedding lookup in a tied matrix. dst: [cols]. */
void pith_cpu_matrix_row(const pith_cpu_matrix *m, int64_t row, float *dst);

/* Bytes for T rows of K activations. */
size_t pith_cpu_act_bytes(pith_cpu_act act, int64_t n_cols, int64_t n_tokens);
/* Quantises rows [t0, t1) of x (row stride ldx floats) into `dst` (made for T = n_tokens). */
void pith_cpu_act_pack(const pith_cpu_kernels *k, pith_cpu_act act, const float *x, int64_t ldx, int64_t n_cols,
                       int64_t n_tokens, int64_t t0, int64_t t1, void *dst);

/* Scratch that each thread must bring to pith_cpu_matmul. */
size_t pith_cpu_matmul_scratch_bytes(const pith_cpu_kernels *k, const pith_cpu_matrix *m, int64_t n_tokens);

/* Rows [row0, row1) of W (multiples of PITH_CPU_ROW_UNIT but for the matrix's end):
 *     y[t * ldy + r] = (accumulate ? y[t * ldy + r] : bias ? bias[r] : 0) + sum_k x[t][k] W[r][k]      r in [row0, row1)
 * n_tokens >= 1: one token runs the memory-bound kernels, many the register-tiled ones; the sum over k has one fixed
 * order per (kernel tier, path), independent of the split. Writes exactly the named elements. */
void pith_cpu_matmul(const pith_cpu_kernels *k, const pith_cpu_matrix *m, const void *act, int64_t n_tokens, int64_t row0,
                     int64_t row1, const float *bias, bool accumulate, float *y, int64_t ldy, void *scratch);

/* "openblas 0.3.21" or "none". */
const char *pith_cpu_blas_name(void);

#endif
