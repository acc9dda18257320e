/* SPDX-License-Identifier: MIT */
/* Data layouts shared by the matrix kernels of every tier. Weights at rest:
 *
 *   strip = 16 rows; strips follow each other; a strip is a sequence of units, a unit covers `unit_elems` columns:
 *
 *     32-element types, 64 columns:   | d[2][16] f16 | m[2][16] f16 (*_1) | codes of block 0 | codes of block 1 |
 *     256-element types, 256 columns: | d[16] f16 | dmin[16] f16 or zeros | sub-scales | sub-mins | codes of 8 x 32 |
 *         sub-scales: [8 or 16][16 rows] bytes (int8; unsigned 6 bits where there are mins; Q2_K: scale | min << 4)
 *     F32, F16: [k][16 rows]     BF16: [k / 2][16 rows][2]
 *
 *   Codes of 32 columns x 16 rows are bit planes over one 64-byte "lane picture": byte 4 r + i belongs to row r and the
 *   columns 4 j + i, j = 0..7 ("step" j). That picture is the operand of a 4-way byte dot product as it stands.
 *
 *     4-bit plane, 4 x 64 bytes:  vector z: low nibble = step z, high nibble = step z + 4
 *     2-bit plane, 2 x 64 bytes:  vector z: bits 2 f .. 2 f + 1 = step 4 z + f
 *     1-bit plane, 1 x 64 bytes:  bit j = step j
 *     8-bit plane, 8 x 64 bytes:  vector j = step j, int8
 *
 *     Q4_*, IQ4_*, Q4_K: 4        Q5_*, Q5_K: 4 + 1        Q6_K: 4 + 2        Q2_K: 2        Q3_K: 2 + 1        Q8_0: 8
 *
 * So every type keeps its file's bits per weight (a few bytes of sub-scales apart). Missing rows and columns are zeros. */
#ifndef PITH_CPU_MATMUL_LAYOUT_H
#define PITH_CPU_MATMUL_LAYOUT_H

#include "matmul.h"

#include <assert.h>
#include <stddef.h>

enum { PITH_MM_PLANE_4 = 1, PITH_MM_PLANE_2 = 2, PITH_MM_PLANE_1 = 4, PITH_MM_PLANE_8 = 8 };

typedef struct pith_mm_format {
    const char *layout;
    pith_cpu_act act;
    uint16_t unit_elems, unit_bytes; /* bytes of one unit of 16 rows */
    uint16_t file_elems, file_bytes; /* the file's block */
    uint16_t planes;                 /* PITH_MM_PLANE_*: 0 for floats */
    uint16_t scale_at, min_at;       /* of sub-scales and sub-mins (or m[2][16]) in the unit; 0: none */
    uint16_t code_at, code_bytes;    /* of the first 32 columns; per 32 columns */
    uint8_t sub;                     /* elements per sub-scale: 16 or 32 */
} pith_mm_format;

/* X(type, layout, act, unit elements and bytes, file block, planes, sub-scales, mins, codes, bytes per 32, sub) */
#define PITH_MM_FORMAT_MAP(X)                                                                                                 \
    X(F32, "f32x16", PITH_ACT_F32, 1, 64, 1, 4, 0, 0, 0, 0, 0, 0)                                                             \
    X(F16, "f16x16", PITH_ACT_F16, 1, 32, 1, 2, 0, 0, 0, 0, 0, 0)                                                             \
    X(BF16, "bf16x16", PITH_ACT_BF16, 2, 64, 1, 2, 0, 0, 0, 0, 0, 0)                                                          \
    X(Q4_0, "q4x16", PITH_ACT_Q8_32, 64, 576, 32, 18, PITH_MM_PLANE_4, 0, 0, 64, 256, 32)                                     \
    X(Q4_1, "q4mx16", PITH_ACT_Q8_32, 64, 640, 32, 20, PITH_MM_PLANE_4, 0, 64, 128, 256, 32)                                  \
    X(Q5_0, "q5x16", PITH_ACT_Q8_32, 64, 704, 32, 22, PITH_MM_PLANE_4 | PITH_MM_PLANE_1, 0, 0, 64, 320, 32)                   \
    X(Q5_1, "q5mx16", PITH_ACT_Q8_32, 64, 768, 32, 24, PITH_MM_PLANE_4 | PITH_MM_PLANE_1, 0, 64, 128, 320, 32)                \
    X(Q8_0, "q8x16", PITH_ACT_Q8_32, 64, 1088, 32, 34, PITH_MM_PLANE_8, 0, 0, 64, 512, 32)                                    \
    X(IQ4_NL, "iq4x16", PITH_ACT_Q8_32, 64, 576, 32, 18, PITH_MM_PLANE_4, 0, 0, 64, 256, 32)                                  \
    X(Q2_K, "q2kx16", PITH_ACT_Q8_256, 256, 1344, 256, 84, PITH_MM_PLANE_2, 64, 64, 320, 128, 16)                             \
    X(Q3_K, "q3kx16", PITH_ACT_Q8_256, 256, 1856, 256, 110, PITH_MM_PLANE_2 | PITH_MM_PLANE_1, 64, 0, 320, 192, 16)           \
    X(Q4_K, "q4kx16", PITH_ACT_Q8_256, 256, 2368, 256, 144, PITH_MM_PLANE_4, 64, 192, 320, 256, 32)                           \
    X(Q5_K, "q5kx16", PITH_ACT_Q8_256, 256, 2880, 256, 176, PITH_MM_PLANE_4 | PITH_MM_PLANE_1, 64, 192, 320, 320, 32)         \
    X(Q6_K, "q6kx16", PITH_ACT_Q8_256, 256, 3392, 256, 210, PITH_MM_PLANE_4 | PITH_MM_PLANE_2, 64, 0, 320, 384, 16)           \
    X(IQ4_XS, "iq4kx16", PITH_ACT_Q8_256, 256, 2240, 256, 136, PITH_MM_PLANE_4, 64, 0, 192, 256, 32)

/* NULL: the type cannot be a weight. */
const pith_mm_format *pith_mm_format_get(pith_dtype dtype);

/* The same by value: with a constant type the fields are constants in the vector kernels. */
static inline pith_mm_format pith_mm_format_of(pith_dtype dtype)
{
    switch (dtype) {
#define X(type, ...) \
    case PITH_DTYPE_##type: return (pith_mm_format){__VA_ARGS__};
        PITH_MM_FORMAT_MAP(X)
#undef X
    default: return (pith_mm_format){0};
    }
}

/* Bytes of one strip of 16 rows and n_cols columns. */
static inline size_t pith_mm_strip_bytes(const pith_mm_format *f, int64_t n_cols)
{
    size_t units = ((size_t)n_cols + f->unit_elems - 1) / f->unit_elems;
    return units * f->unit_bytes;
}

/* Value k of 32 columns of one row = scale[k / 16] * q[k] - min[k / 16]. */
typedef struct pith_mm_scales { double scale[2], min[2]; } pith_mm_scales;
typedef struct pith_mm_block { int8_t q[32]; pith_mm_scales s; } pith_mm_block;

/* The 32 columns k of a unit, in row `lane` (a quantised type). */
void pith_mm_scales_get(pith_dtype dtype, const pith_mm_format *f, const uint8_t *unit, int lane, int k, pith_mm_scales *out);
/* Columns [32 b, 32 b + 32) of row `lane` of a strip (a quantised type). */
void pith_mm_block_get(pith_dtype dtype, const pith_mm_format *f, const uint8_t *strip, int lane, int64_t b, pith_mm_block *out);
/* Column k of row `lane` of a strip (a float type). */
float pith_mm_float_get(pith_dtype dtype, const uint8_t *strip, int lane, int64_t k);

/* q = levels[code] where there are levels, else code - raise (8-bit codes: int8, as they are). */
const int8_t *pith_mm_levels(pith_dtype dtype);
int pith_mm_raise(pith_dtype dtype);
extern const int8_t pith_mm_iq4_levels[16];

/* Quantised activations: a row is an array of blocks, then padding up to the stride. `corr` starts the integer sums of
 * kernels that multiply with weights raised by 128 to unsigned bytes. Only d, q and the sums carry information. */
typedef struct pith_act_q8_32 {
    int8_t q[32];
    float d;      /* f16-rounded amax / 127 */
    int32_t corr; /* -128 * sum q */
    float s;      /* f16-rounded (amax / 127) * sum q: multiplies the mins of Q4_1 and Q5_1 */
    int32_t zero;
} pith_act_q8_32;

typedef struct pith_act_q8_256 {
    int8_t q[256];
    int32_t corr16[16]; /* -128 * sum of 16 */
    int32_t corr32[8];  /* -128 * sum of 32 */
    int16_t sum16[16];  /* sums of 16, in pairs as operands of a 2-way int16 dot product */
    int16_t sum32[8];
    float d;
    int32_t zero[3];
} pith_act_q8_256;

_Static_assert(sizeof(pith_act_q8_32) == 48 && sizeof(pith_act_q8_256) == 416, "kernels step by these sizes");

/* Bytes from one activation row to the next: an odd number of cache lines, so that rows do not share cache sets. */
static inline size_t pith_mm_act_stride(pith_cpu_act act, int64_t n_cols)
{
    size_t n = (size_t)n_cols, bytes;
    if (act == PITH_ACT_Q8_32)
        bytes = (n + 63) / 64 * 2 * sizeof(pith_act_q8_32);
    else if (act == PITH_ACT_Q8_256)
        bytes = (n + 255) / 256 * sizeof(pith_act_q8_256);
    else
        bytes = (n + 1) / 2 * 8; /* f32, or less for kernels that keep 16 bits */
    size_t lines = (bytes + 63) / 64;
    return (lines | 1) * 64;
}

typedef struct pith_cpu_matmul_job { /* the arguments of pith_cpu_matmul */
    const pith_cpu_matrix *m;
    const uint8_t *act;
    int64_t n_tokens, row0, row1;
    const float *bias;
    bool accumulate;
    float *y;
    int64_t ldy;
    void *scratch;
} pith_cpu_matmul_job;

/* Scratch: a panel of unpacked weights, then per token of a slab a row of partial sums (BLAS: of activations). */
#define PITH_MM_PANEL_BYTES (256 * 1024)
#define PITH_MM_SLAB 256 /* tokens between two unpackings of a panel: their activations stay in L2 */
#define PITH_MM_PANEL_ROWS 32
#define PITH_MM_BLAS_COLS 256

/* The fused C = 0, bias or y prologue, per element; vector kernels have their own. */
static inline float pith_mm_start(const pith_cpu_matmul_job *job, int64_t t, int64_t r)
{
    return job->accumulate ? job->y[t * job->ldy + r] : job->bias ? job->bias[r] : 0.0f;
}

/* Per type and tier; a tier has those that its init function names. */
#define PITH_MM_DECLARE(type, slot)                                        \
    void pith_cpu_##slot##_c(const struct pith_cpu_matmul_job *job);       \
    void pith_cpu_##slot##_avx2(const struct pith_cpu_matmul_job *job);    \
    void pith_cpu_##slot##_avx512(const struct pith_cpu_matmul_job *job);  \
    void pith_cpu_##slot##_vnni(const struct pith_cpu_matmul_job *job);    \
    void pith_cpu_##slot##_bf16(const struct pith_cpu_matmul_job *job);
PITH_CPU_MATMUL_TYPES(PITH_MM_DECLARE)
#undef PITH_MM_DECLARE
#define PITH_MM_DECLARE(name, ret, args)    \
    ret pith_cpu_##name##_c args;           \
    ret pith_cpu_##name##_avx2 args;        \
    ret pith_cpu_##name##_avx512 args;      \
    ret pith_cpu_##name##_bf16 args;
PITH_CPU_MATMUL_ACT_KERNELS(PITH_MM_DECLARE)
#undef PITH_MM_DECLARE

#endif
