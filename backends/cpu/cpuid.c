/* SPDX-License-Identifier: MIT */
#include "cpuid.h"

#include <pith/pith.h>
#include <stdio.h>
#include <string.h>

#if defined(PITH_SIMD) && defined(__x86_64__)
/* Leaf 1, ecx bit 29: not every compiler's __builtin_cpu_supports knows this name. */
static bool has_f16c(void)
{
    uint32_t a = 1, b, c = 0, d;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return c >> 29 & 1;
}
#endif

uint32_t pith_cpu_flags(void)
{
    uint32_t flags = PITH_CPU_SCALAR;
#if defined(PITH_SIMD) && defined(__x86_64__)
    /* The compiler's runtime checks XCR0 as well: a flag is only reported when the OS saves the registers. */
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c() &&
        __builtin_cpu_supports("bmi2"))
        flags |= PITH_CPU_AVX2;
    if ((flags & PITH_CPU_AVX2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        flags |= PITH_CPU_AVX512;
        if (__builtin_cpu_supports("avx512vnni"))
            flags |= PITH_CPU_VNNI;
        if (__builtin_cpu_supports("avx512bf16"))
            flags |= PITH_CPU_BF16;
    }
#endif
    return flags;
}

void pith_cpu_flags_describe(uint32_t flags, char *text, size_t size)
{
    static const struct { uint32_t flag; const char *name; } names[] = {
        {PITH_CPU_AVX2, "avx2"}, {PITH_CPU_AVX512, "avx512"}, {PITH_CPU_VNNI, "vnni"}, {PITH_CPU_BF16, "bf16"}};
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (flags & names[i].flag) {
            int n = snprintf(text + used, size - used, "%s%s", used ? ", " : "", names[i].name);
            used = n > 0 && used + (size_t)n < size ? used + (size_t)n : used;
        }
    }
    if (!used)
        snprintf(text, size, "scalar");
}
