/* SPDX-License-Identifier: MIT */
/* The matrix kernels of the table: one product per weight type (all token counts), one packer per kind of activations.
 * Data layouts: matmul_layout.h. Callers go through matmul.h. */
#ifndef PITH_CPU_MATMUL_KERNELS_H
#define PITH_CPU_MATMUL_KERNELS_H

#include <stdint.h>

struct pith_cpu_matmul_job; /* matmul_layout.h */

/* One row of n floats (whole blocks) to one activation row. */
#define PITH_CPU_MATMUL_ACT_KERNELS(X)                                   \
    X(matmul_act_f32, void, (const float *x, int64_t n, void *dst))      \
    X(matmul_act_f16, void, (const float *x, int64_t n, void *dst))      \
    X(matmul_act_bf16, void, (const float *x, int64_t n, void *dst))     \
    X(matmul_act_q8_32, void, (const float *x, int64_t n, void *dst))    \
    X(matmul_act_q8_256, void, (const float *x, int64_t n, void *dst))

/* X(weight type, slot) */
#define PITH_CPU_MATMUL_TYPES(X) \
    X(F32, matmul_f32)           \
    X(F16, matmul_f16)           \
    X(BF16, matmul_bf16)         \
    X(Q4_0, matmul_q4_0)         \
    X(Q4_1, matmul_q4_1)         \
    X(Q5_0, matmul_q5_0)         \
    X(Q5_1, matmul_q5_1)         \
    X(Q8_0, matmul_q8_0)         \
    X(IQ4_NL, matmul_iq4_nl)     \
    X(Q2_K, matmul_q2_k)         \
    X(Q3_K, matmul_q3_k)         \
    X(Q4_K, matmul_q4_k)         \
    X(Q5_K, matmul_q5_k)         \
    X(Q6_K, matmul_q6_k)         \
    X(IQ4_XS, matmul_iq4_xs)

#define PITH_CPU_MATMUL_KERNELS(X)                                  \
    PITH_CPU_MATMUL_ACT_KERNELS(X)                                  \
    X(matmul_f32, void, (const struct pith_cpu_matmul_job *job))    \
    X(matmul_f16, void, (const struct pith_cpu_matmul_job *job))    \
    X(matmul_bf16, void, (const struct pith_cpu_matmul_job *job))   \
    X(matmul_q4_0, void, (const struct pith_cpu_matmul_job *job))   \
    X(matmul_q4_1, void, (const struct pith_cpu_matmul_job *job))   \
    X(matmul_q5_0, void, (const struct pith_cpu_matmul_job *job))   \
    X(matmul_q5_1, void, (const struct pith_cpu_matmul_job *job))   \
    X(matmul_q8_0, void, (const struct pith_cpu_matmul_job *job))   \
    X(matmul_iq4_nl, void, (const struct pith_cpu_matmul_job *job)) \
    X(matmul_q2_k, void, (const struct pith_cpu_matmul_job *job))   \
    X(matmul_q3_k, void, (const struct pith_cpu_matmul_job *job))   \
    X(matmul_q4_k, void, (const struct pith_cpu_matmul_job *job))   \
    X(matmul_q5_k, void, (const struct pith_cpu_matmul_job *job))   \
    X(matmul_q6_k, void, (const struct pith_cpu_matmul_job *job))   \
    X(matmul_iq4_xs, void, (const struct pith_cpu_matmul_job *job))

#endif
