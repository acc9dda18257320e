# SPDX-License-Identifier: MIT
target_sources(pith_cpu PRIVATE matmul.c matmul_format.c matmul_pack.c matmul_sweep.c matmul_tiers.c kernels/matmul_c.c)

# The flags of a source belong to the folder that made its target: named here, else they would be lost.
function(pith_matmul_tier tier)
  pith_cpu_tier(${tier} ${ARGN})
  set_source_files_properties(${ARGN} TARGET_DIRECTORY pith_cpu PROPERTIES COMPILE_OPTIONS "${PITH_FLAGS_${tier}}")
endfunction()
pith_matmul_tier(vnni kernels/matmul_vnni_32.c)
