/* SPDX-License-Identifier: MIT */
#include "kernels.h"

#include <pith/pith.h>

void pith_cpu_kernels_init(pith_cpu_kernels *k, uint32_t flags)
{
    k->flags = flags;
    pith_cpu_matmul_init_c(k);
    pith_cpu_vector_init_c(k);
    pith_cpu_attn_init_c(k);
#if defined(PITH_SIMD) && defined(__x86_64__)
    if (!(flags & PITH_CPU_AVX2))
        return;
    pith_cpu_matmul_init_avx2(k);
    pith_cpu_vector_init_avx2(k);
    pith_cpu_attn_init_avx2(k);
    if (!(flags & PITH_CPU_AVX512))
        return;
    pith_cpu_matmul_init_avx512(k);
    pith_cpu_vector_init_avx512(k);
    pith_cpu_attn_init_avx512(k);
    if (flags & PITH_CPU_VNNI)
        pith_cpu_matmul_init_vnni(k);
    if (flags & PITH_CPU_BF16)
        pith_cpu_matmul_init_bf16(k);
#endif
}
