/* SPDX-License-Identifier: MIT */
/* The table of CPU kernels: a value inside the backend. Init puts in the scalar (_c) kernels, the dictionary, and then
 * climbs: each tier replaces what it has better. A kernel is named pith_cpu_<op>_<types>_<tier>.
 *
 *   list of kernels            scalar            tiers
 *   matmul_kernels.h           kernels/matmul_c.c ...   matmul_avx2.c, matmul_avx512.c, ...
 *   vector_kernels.h           kernels/vector_c.c ...   norm, rope, activation functions, conversions
 *   attn_kernels.h             kernels/attn_c.c ...     attention, pooling
 */
#ifndef PITH_CPU_KERNELS_H
#define PITH_CPU_KERNELS_H

#include "attn_kernels.h"
#include "matmul_kernels.h"
#include "vector_kernels.h"

#include <stdint.h>

#define PITH_CPU_KERNELS(X) PITH_CPU_MATMUL_KERNELS(X) PITH_CPU_VECTOR_KERNELS(X) PITH_CPU_ATTN_KERNELS(X)

typedef struct pith_cpu_kernels {
    uint32_t flags; /* PITH_CPU_*: the tiers that init was allowed to use */
#define X(name, ret, args) ret (*name) args;
    PITH_CPU_KERNELS(X)
#undef X
} pith_cpu_kernels;

/* flags: pith_cpu_flags() & the caller's mask. */
void pith_cpu_kernels_init(pith_cpu_kernels *kernels, uint32_t flags);

/* One per list and tier, each in that tier's file, called by init only when the flag is set. */
void pith_cpu_matmul_init_c(pith_cpu_kernels *k);
void pith_cpu_matmul_init_avx2(pith_cpu_kernels *k);
void pith_cpu_matmul_init_avx512(pith_cpu_kernels *k);
void pith_cpu_matmul_init_vnni(pith_cpu_kernels *k);
void pith_cpu_matmul_init_bf16(pith_cpu_kernels *k);
void pith_cpu_vector_init_c(pith_cpu_kernels *k);
void pith_cpu_vector_init_avx2(pith_cpu_kernels *k);
void pith_cpu_vector_init_avx512(pith_cpu_kernels *k);
void pith_cpu_attn_init_c(pith_cpu_kernels *k);
void pith_cpu_attn_init_avx2(pith_cpu_kernels *k);
void pith_cpu_attn_init_avx512(pith_cpu_kernels *k);

#endif
