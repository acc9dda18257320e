/* SPDX-License-Identifier: MIT */
/* Storage types of tensors. The numbers are GGUF's type ids (spec: "GGML types"), so a file's id is our enum. */
#ifndef PITH_GRAPH_DTYPE_H
#define PITH_GRAPH_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(name, id, elements per block, bytes per block, usable): unusable types are known only so that a file that has them
 * can be listed and bounds-checked. */
#define PITH_DTYPE_MAP(X)      \
    X(F32, 0, 1, 4, true)      \
    X(F16, 1, 1, 2, true)      \
    X(Q4_0, 2, 32, 18, true)   \
    X(Q4_1, 3, 32, 20, true)   \
    X(Q5_0, 6, 32, 22, true)   \
    X(Q5_1, 7, 32, 24, true)   \
    X(Q8_0, 8, 32, 34, true)   \
    X(Q8_1, 9, 32, 36, false)  \
    X(Q2_K, 10, 256, 84, true) \
    X(Q3_K, 11, 256, 110, true) \
    X(Q4_K, 12, 256, 144, true) \
    X(Q5_K, 13, 256, 176, true) \
    X(Q6_K, 14, 256, 210, true) \
    X(Q8_K, 15, 256, 292, false) \
    X(IQ2_XXS, 16, 256, 66, false) \
    X(IQ2_XS, 17, 256, 74, false) \
    X(IQ3_XXS, 18, 256, 98, false) \
    X(IQ1_S, 19, 256, 50, false) \
    X(IQ4_NL, 20, 32, 18, true) \
    X(IQ3_S, 21, 256, 110, false) \
    X(IQ2_S, 22, 256, 82, false) \
    X(IQ4_XS, 23, 256, 136, true) \
    X(I8, 24, 1, 1, false)     \
    X(I16, 25, 1, 2, false)    \
    X(I32, 26, 1, 4, false)    \
    X(I64, 27, 1, 8, false)    \
    X(F64, 28, 1, 8, false)    \
    X(IQ1_M, 29, 256, 56, false) \
    X(BF16, 30, 1, 2, true)    \
    X(TQ1_0, 34, 256, 54, false) \
    X(TQ2_0, 35, 256, 66, false) \
    X(MXFP4, 39, 32, 17, false) \
    X(NVFP4, 40, 64, 36, false) \
    X(Q1_0, 41, 128, 18, false) \
    X(Q2_0, 42, 64, 18, false)

typedef enum pith_dtype {
#define X(name, id, elems, bytes, usable) PITH_DTYPE_##name = id,
    PITH_DTYPE_MAP(X)
#undef X
    PITH_DTYPE_END = 43
} pith_dtype;

typedef struct pith_dtype_info {
    const char *name;      /* "Q4_0"; NULL: no such type */
    uint32_t block_elems;
    uint32_t block_bytes;
    bool usable;           /* as a weight */
} pith_dtype_info;

/* Any number may be asked for; unknown ones give a zeroed info. */
pith_dtype_info pith_dtype_get(uint32_t id);

/* Bytes of a row of n elements; n must be a multiple of the block. */
static inline size_t pith_dtype_row_bytes(pith_dtype type, size_t n)
{
    pith_dtype_info info = pith_dtype_get((uint32_t)type);
    return n / info.block_elems * info.block_bytes;
}

/* Dequantises n elements (a multiple of the block, any usable type) in plain C: the meaning of every tensor type,
 * gguf specification "block layouts". src need not be aligned. */
void pith_dequantize(pith_dtype type, const void *src, float *dst, size_t n);

#endif
