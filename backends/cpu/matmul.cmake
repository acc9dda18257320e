# SPDX-License-Identifier: MIT
target_sources(pith_cpu PRIVATE matmul.c matmul_format.c matmul_pack.c matmul_sweep.c matmul_tiers.c blas.c kernels/matmul_c.c)
set_source_files_properties(blas.c TARGET_DIRECTORY pith_cpu PROPERTIES COMPILE_DEFINITIONS "$<$<BOOL:${PITH_OPENBLAS_VERSION}>:PITH_BLAS_VERSION=\"${PITH_OPENBLAS_VERSION}\">")
pith_cpu_tier(avx2 kernels/matmul_act_avx2.c kernels/matmul_avx2_32.c kernels/matmul_avx2_256.c kernels/matmul_float_avx2.c)
pith_cpu_tier(avx512 kernels/matmul_float_avx512.c)
pith_cpu_tier(vnni kernels/matmul_vnni_32.c kernels/matmul_vnni_256.c)
pith_cpu_tier(bf16 kernels/matmul_float_bf16.c)
