/* SPDX-License-Identifier: MIT */
/* The ladder of the matrix kernels: which tier brings which. The scalar rung is in kernels/matmul_c.c. AVX-512 without VNNI
 * keeps the AVX2 integer kernels; with BF16 both kernels that know how bf16 activations are kept change together. */
#include "matmul_layout.h"

#if defined(PITH_SIMD) && defined(__x86_64__)

void pith_cpu_matmul_init_avx2(pith_cpu_kernels *k)
{
    k->matmul_act_f16 = pith_cpu_matmul_act_f16_avx2;
    k->matmul_act_bf16 = pith_cpu_matmul_act_bf16_avx2;
    k->matmul_act_q8_32 = pith_cpu_matmul_act_q8_32_avx2;
    k->matmul_act_q8_256 = pith_cpu_matmul_act_q8_256_avx2;
    k->matmul_f32 = pith_cpu_matmul_f32_avx2;
    k->matmul_f16 = pith_cpu_matmul_f16_avx2;
    k->matmul_bf16 = pith_cpu_matmul_bf16_avx2;
    k->matmul_q4_0 = pith_cpu_matmul_q4_0_avx2;
    k->matmul_q4_1 = pith_cpu_matmul_q4_1_avx2;
    k->matmul_q5_0 = pith_cpu_matmul_q5_0_avx2;
    k->matmul_q5_1 = pith_cpu_matmul_q5_1_avx2;
    k->matmul_q8_0 = pith_cpu_matmul_q8_0_avx2;
    k->matmul_iq4_nl = pith_cpu_matmul_iq4_nl_avx2;
    k->matmul_q2_k = pith_cpu_matmul_q2_k_avx2;
    k->matmul_q3_k = pith_cpu_matmul_q3_k_avx2;
    k->matmul_q4_k = pith_cpu_matmul_q4_k_avx2;
    k->matmul_q5_k = pith_cpu_matmul_q5_k_avx2;
    k->matmul_q6_k = pith_cpu_matmul_q6_k_avx2;
    k->matmul_iq4_xs = pith_cpu_matmul_iq4_xs_avx2;
}

void pith_cpu_matmul_init_avx512(pith_cpu_kernels *k)
{
    k->matmul_f32 = pith_cpu_matmul_f32_avx512;
    k->matmul_f16 = pith_cpu_matmul_f16_avx512;
    k->matmul_bf16 = pith_cpu_matmul_bf16_avx512;
}

void pith_cpu_matmul_init_vnni(pith_cpu_kernels *k)
{
    k->matmul_q4_0 = pith_cpu_matmul_q4_0_vnni;
    k->matmul_q4_1 = pith_cpu_matmul_q4_1_vnni;
    k->matmul_q5_0 = pith_cpu_matmul_q5_0_vnni;
    k->matmul_q5_1 = pith_cpu_matmul_q5_1_vnni;
    k->matmul_q8_0 = pith_cpu_matmul_q8_0_vnni;
    k->matmul_iq4_nl = pith_cpu_matmul_iq4_nl_vnni;
    k->matmul_q2_k = pith_cpu_matmul_q2_k_vnni;
    k->matmul_q3_k = pith_cpu_matmul_q3_k_vnni;
    k->matmul_q4_k = pith_cpu_matmul_q4_k_vnni;
    k->matmul_q5_k = pith_cpu_matmul_q5_k_vnni;
    k->matmul_q6_k = pith_cpu_matmul_q6_k_vnni;
    k->matmul_iq4_xs = pith_cpu_matmul_iq4_xs_vnni;
}

void pith_cpu_matmul_init_bf16(pith_cpu_kernels *k)
{
    k->matmul_act_bf16 = pith_cpu_matmul_act_bf16_bf16;
    k->matmul_bf16 = pith_cpu_matmul_bf16_bf16;
}

#endif
