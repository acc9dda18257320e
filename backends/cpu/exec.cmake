# SPDX-License-Identifier: MIT
target_sources(pith_cpu PRIVATE backend.c weights.c exec.c ops.c ceilings.c)
