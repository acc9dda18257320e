/* SPDX-License-Identifier: MIT */
/* What this processor and its operating system can run, as PITH_CPU_* flags (pith.h). */
#ifndef PITH_CPU_CPUID_H
#define PITH_CPU_CPUID_H

#include <stddef.h>
#include <stdint.h>

/* AVX2 means AVX2 + FMA + F16C + BMI2; AVX512 means F + BW + DQ + VL; each with the OS saving its registers.
 * 0 (scalar) on other processors and in builds without SIMD kernels. */
uint32_t pith_cpu_flags(void);

/* "avx2, avx512, vnni, bf16" of the set flags, "scalar" for none; into text[size]. */
void pith_cpu_flags_describe(uint32_t flags, char *text, size_t size);

#endif
