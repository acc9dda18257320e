/* SPDX-License-Identifier: MIT */
#include "kernels.h"

void pith_cpu_attn_init_avx512(pith_cpu_kernels *k)
{
    (void)k;
}
