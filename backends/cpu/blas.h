/* SPDX-License-Identifier: MIT */
/* Single-precision BLAS (OpenBLAS through CBLAS), for processors that no vector kernel of ours knows. Elsewhere it has
 * nothing to offer: on one Zen 5 core, F32 weights [1536,576] by 512 tokens, OpenBLAS 0.3.21 makes 123 GFLOP/s with AVX2
 * and 216 with AVX-512 where our kernels make 121 and 236, and int8 products are three times faster than that.
 * Compiled out without PITH_HAVE_BLAS. */
#ifndef PITH_CPU_BLAS_H
#define PITH_CPU_BLAS_H

#include "kernels.h"

#include <stdbool.h>

/* Replaces the products by ones that expand weights and activations to f32 and call sgemm in the calling thread, from
 * 16 tokens on; fewer keep the scalar kernels. Quantised types multiply the same quantised activations as everywhere,
 * in f32 and in the library's order of sums. False: a build without BLAS, nothing was changed. */
bool pith_cpu_matmul_init_blas(pith_cpu_kernels *k);
bool pith_cpu_matmul_is_blas(const pith_cpu_kernels *k);

#endif
