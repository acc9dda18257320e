/* SPDX-License-Identifier: MIT */
/* Pieces that the AVX-512 matrix kernels share: unpacking of 32 columns x 16 rows to unsigned bytes, scales, stores.
 * Signed types are raised by 128 (the activations' `corr` takes that out again, inside the integer sum, at no cost);
 * types with mins keep their unsigned codes. Functions are templates: `type` is a constant at every call. */
#ifndef PITH_CPU_KERNELS_MATMUL_AVX512_H
#define PITH_CPU_KERNELS_MATMUL_AVX512_H

#include "matmul_layout.h"

#include <immintrin.h>
#include <string.h>

#define PITH_INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define PITH_UNROLL _Pragma("clang loop unroll(full)")
#pragma clang diagnostic ignored "-Wpass-failed" /* sanitizers get in the way of unrolling: slow, but right */
#else
#define PITH_UNROLL _Pragma("GCC unroll 32")
#endif

/* Asks for the bytes that a stream of weights reaches a little later. One stream per core and this distance reach 43 GB/s on
 * a Zen 5 core whose plain loads get 35; two streams at 2 KiB got 28. */
#ifndef PITH_MM_AHEAD
#define PITH_MM_AHEAD 6144
#endif
PITH_INLINE void read_ahead(const uint8_t *p, int bytes)
{
    PITH_UNROLL
    for (int i = 0; i < bytes; i += 64)
        _mm_prefetch((const char *)p + i + PITH_MM_AHEAD, _MM_HINT_T0);
}

PITH_INLINE bool has_mins(pith_dtype type)
{
    return type == PITH_DTYPE_Q4_1 || type == PITH_DTYPE_Q5_1 || type == PITH_DTYPE_Q2_K || type == PITH_DTYPE_Q4_K || type == PITH_DTYPE_Q5_K;
}

PITH_INLINE __m512i set4(const void *p) /* four consecutive int8 (or one int32) of an activation row, to every row */
{
    int v;
    memcpy(&v, p, 4);
    return _mm512_set1_epi32(v);
}

PITH_INLINE __m512 setf(const float *p) { return _mm512_set1_ps(*p); }

PITH_INLINE __m512 halves16(const void *p) { return _mm512_cvtph_ps(_mm256_loadu_si256(p)); }

PITH_INLINE __m512i level_table(void)
{
    __m128i levels = _mm_xor_si128(_mm_loadu_si128((const __m128i *)pith_mm_iq4_levels), _mm_set1_epi8((char)0x80));
    return _mm512_broadcast_i32x4(levels);
}

/* Step vectors 0..7 of 32 columns. */
PITH_INLINE void unpack32(pith_dtype type, const uint8_t *codes, __m512i w[8])
{
    const pith_mm_format f = pith_mm_format_of(type);
    const bool p1 = f.planes & PITH_MM_PLANE_1, p2 = f.planes & PITH_MM_PLANE_2, p4 = f.planes & PITH_MM_PLANE_4;
    if (f.planes & PITH_MM_PLANE_8) {
        PITH_UNROLL
        for (int j = 0; j < 8; j++)
            w[j] = _mm512_xor_si512(_mm512_loadu_si512(codes + 64 * j), _mm512_set1_epi8((char)0x80));
        return;
    }
    if (p4) {
        const __m512i low = _mm512_set1_epi8(15);
        PITH_UNROLL
        for (int z = 0; z < 4; z++) {
            __m512i v = _mm512_loadu_si512(codes + 64 * z);
            w[z] = _mm512_and_si512(v, low);
            w[z + 4] = _mm512_and_si512(_mm512_srli_epi16(v, 4), low);
        }
        codes += 256;
    }
    if (p2) { /* to bits 0..1, or above a nibble to bits 4..5 */
        const __m512i mask = _mm512_set1_epi8(p4 ? 0x30 : 3);
        PITH_UNROLL
        for (int z = 0; z < 2; z++) {
            __m512i v = _mm512_loadu_si512(codes + 64 * z);
            PITH_UNROLL
            for (int s = 0; s < 4; s++) {
                int shift = 2 * s - (p4 ? 4 : 0);
                __m512i t = shift > 0 ? _mm512_srli_epi16(v, (unsigned)(shift > 0 ? shift : 0))
                                      : _mm512_slli_epi16(v, (unsigned)(shift < 0 ? -shift : 0));
                if (p4) /* w | (t & mask) */
                    w[4 * z + s] = _mm512_ternarylogic_epi32(w[4 * z + s], t, mask, 0xf8);
                else
                    w[4 * z + s] = _mm512_and_si512(t, mask);
            }
        }
        codes += 128;
    }
    if (p1) { /* to bit 4, or above two bits to bit 2 */
        const __m512i mask = _mm512_set1_epi8(p4 ? 0x10 : 4);
        __m512i v = _mm512_loadu_si512(codes);
        PITH_UNROLL
        for (int j = 0; j < 8; j++) {
            int shift = j - (p4 ? 4 : 2);
            __m512i t = shift > 0 ? _mm512_srli_epi16(v, (unsigned)(shift > 0 ? shift : 0))
                                  : _mm512_slli_epi16(v, (unsigned)(shift < 0 ? -shift : 0));
            w[j] = _mm512_ternarylogic_epi32(w[j], t, mask, 0xf8);
        }
    }
    if (type == PITH_DTYPE_IQ4_NL || type == PITH_DTYPE_IQ4_XS) {
        const __m512i table = level_table();
        PITH_UNROLL
        for (int j = 0; j < 8; j++)
            w[j] = _mm512_shuffle_epi8(table, w[j]);
    } else if (!has_mins(type)) {
        const __m512i raise = _mm512_set1_epi8(type == PITH_DTYPE_Q4_0   ? 120
                                               : type == PITH_DTYPE_Q5_0 ? 112
                                               : type == PITH_DTYPE_Q6_K ? 96
                                                                         : 124 /* Q3_K */);
        PITH_UNROLL
        for (int j = 0; j < 8; j++)
            w[j] = _mm512_add_epi8(w[j], raise);
    }
}

/* y[row .. row + 16) of token t, cut at the end of the matrix. */
PITH_INLINE void store16(const pith_cpu_matmul_job *job, int64_t t, int64_t row, __m512 sum)
{
    int64_t left = job->row1 - row;
    __mmask16 mask = left >= 16 ? (__mmask16)0xffff : (__mmask16)_bzhi_u32(0xffffu, (unsigned)left);
    float *y = job->y + t * job->ldy + row;
    if (job->accumulate)
        sum = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, y), sum);
    else if (job->bias)
        sum = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, job->bias + row), sum);
    _mm512_mask_storeu_ps(y, mask, sum);
}

/* The `finish` of a sweep: n_tokens x 16 n sums. */
static inline void store_tile(const pith_cpu_matmul_job *job, int n, int64_t row, int64_t t, int64_t n_tokens, const float *sum)
{
    for (; n_tokens > 0; n_tokens--, t++, sum += 16 * n)
        for (int r = 0; r < n; r++)
            store16(job, t, row + 16 * r, _mm512_loadu_ps(sum + 16 * r));
}

#endif
