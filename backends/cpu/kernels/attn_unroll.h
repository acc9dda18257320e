/* SPDX-License-Identifier: MIT */
/* Words for templates: always inlined, so that constant arguments become constants; loops over them wholly unrolled, so
 * that small arrays become registers. */
#ifndef PITH_CPU_ATTN_UNROLL_H
#define PITH_CPU_ATTN_UNROLL_H

#define PITH_TEMPLATE static inline __attribute__((always_inline))
#ifdef __clang__
#define PITH_UNROLL _Pragma("clang loop unroll(full)")
#else
#define PITH_UNROLL _Pragma("GCC unroll 16")
#endif

#endif
