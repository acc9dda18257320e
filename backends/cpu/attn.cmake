# SPDX-License-Identifier: MIT
target_sources(pith_cpu PRIVATE attn_append.c attn_cores.c attn_keys.c attn_many.c attn_few.c attn_attend.c
  kernels/vector_c.c kernels/attn_c.c)
pith_cpu_tier(avx2 kernels/vector_avx2.c kernels/attn_avx2.c)
pith_cpu_tier(avx512 kernels/vector_avx512.c kernels/attn_avx512.c)
