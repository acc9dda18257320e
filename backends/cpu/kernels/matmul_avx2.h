/* SPDX-License-Identifier: MIT */
/* Pieces that the AVX2 matrix kernels share. A strip of 16 rows is two halves of 8 rows, one 32-byte vector each. Without
 * a 4-way dot product a byte product takes two steps, u8 x s8 pairs to int16 and int16 pairs to int32; the second step
 * is shared by as many of the first as cannot overflow int16 (|activation| <= 128):
 *
 *     codes <= 15 (4, 3, 2 bits): 8 products  8 * 2 * 15 * 128 = 30720        codes <= 31: 4    codes <= 63: 2
 *     signed bytes: |w| times sign(w) a, one product
 *
 * Functions are templates: `type` is a constant at every call. */
#ifndef PITH_CPU_KERNELS_MATMUL_AVX2_H
#define PITH_CPU_KERNELS_MATMUL_AVX2_H

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

/* The value is needed here and now: keeps the compiler from collecting all products first and spilling them. */
#define PITH_PIN(v) __asm__("" : "+x"(v))

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

PITH_INLINE bool is_signed(pith_dtype type)
{
    return type == PITH_DTYPE_Q8_0 || type == PITH_DTYPE_IQ4_NL || type == PITH_DTYPE_IQ4_XS;
}

/* What the unsigned codes are raised by. */
PITH_INLINE int raised_by(pith_dtype type)
{
    return type == PITH_DTYPE_Q4_0 ? 8 : type == PITH_DTYPE_Q5_0 ? 16 : type == PITH_DTYPE_Q6_K ? 32 : type == PITH_DTYPE_Q3_K ? 4 : 0;
}

/* Products that one int16 can add; signed bytes: 1. */
PITH_INLINE int chain_of(pith_dtype type)
{
    return is_signed(type) ? 1
           : type == PITH_DTYPE_Q6_K ? 2
           : type == PITH_DTYPE_Q5_0 || type == PITH_DTYPE_Q5_1 || type == PITH_DTYPE_Q5_K ? 4
                                                                                           : 8;
}

PITH_INLINE __m256i set4(const void *p) /* four consecutive int8 (or one int32) of an activation row, to every row */
{
    int v;
    memcpy(&v, p, 4);
    return _mm256_set1_epi32(v);
}

PITH_INLINE __m256 setf(const float *p) { return _mm256_broadcast_ss(p); }
PITH_INLINE __m256i load(const void *p) { return _mm256_loadu_si256(p); }
PITH_INLINE __m256 halves8(const void *p) { return _mm256_cvtph_ps(_mm_loadu_si128(p)); }

PITH_INLINE __m256i shift_right(__m256i v, int by) { return by >= 0 ? _mm256_srli_epi16(v, by) : _mm256_slli_epi16(v, -by); }

/* Step vectors 0..7 of 32 columns x 8 rows; codes: the half's first byte (32 h into the picture). */
PITH_INLINE void unpack32(pith_dtype type, const uint8_t *codes, __m256i w[8])
{
    const pith_mm_format f = pith_mm_format_of(type);
    const bool p1 = f.planes & PITH_MM_PLANE_1, p2 = f.planes & PITH_MM_PLANE_2, p4 = f.planes & PITH_MM_PLANE_4;
    if (f.planes & PITH_MM_PLANE_8) {
        PITH_UNROLL
        for (int j = 0; j < 8; j++)
            w[j] = load(codes + 64 * j);
        return;
    }
    if (p4) {
        const __m256i low = _mm256_set1_epi8(15);
        PITH_UNROLL
        for (int z = 0; z < 4; z++) {
            __m256i v = load(codes + 64 * z);
            w[z] = _mm256_and_si256(v, low);
            w[z + 4] = _mm256_and_si256(_mm256_srli_epi16(v, 4), low);
        }
        codes += 256;
    }
    if (p2) {
        const __m256i mask = _mm256_set1_epi8(p4 ? 0x30 : 3);
        PITH_UNROLL
        for (int z = 0; z < 2; z++) {
            __m256i v = load(codes + 64 * z);
            PITH_UNROLL
            for (int s = 0; s < 4; s++) {
                __m256i bits = _mm256_and_si256(shift_right(v, 2 * s - (p4 ? 4 : 0)), mask);
                w[4 * z + s] = p4 ? _mm256_or_si256(w[4 * z + s], bits) : bits;
            }
        }
        codes += 128;
    }
    if (p1) {
        const __m256i mask = _mm256_set1_epi8(p4 ? 0x10 : 4), v = load(codes);
        PITH_UNROLL
        for (int j = 0; j < 8; j++)
            w[j] = _mm256_or_si256(w[j], _mm256_and_si256(shift_right(v, j - (p4 ? 4 : 2)), mask));
    }
    if (type == PITH_DTYPE_IQ4_NL || type == PITH_DTYPE_IQ4_XS) {
        const __m256i levels = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)pith_mm_iq4_levels));
        PITH_UNROLL
        for (int j = 0; j < 8; j++)
            w[j] = _mm256_shuffle_epi8(levels, w[j]);
    }
}

/* int16 products of one step. */
PITH_INLINE __m256i product16(pith_dtype type, __m256i w, __m256i a)
{
    return is_signed(type) ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w)) : _mm256_maddubs_epi16(w, a);
}

/* start + sum over `steps` steps of products, each int16 pair times `factor` (ones or sub-scales, in pairs). */
PITH_INLINE __m256i dot_steps(pith_dtype type, const __m256i *w, const int8_t *q, int steps, __m256i factor, __m256i start)
{
    const int chain = chain_of(type) < steps ? chain_of(type) : steps;
    PITH_UNROLL
    for (int j = 0; j < steps; j += chain) {
        __m256i sum = product16(type, w[j], set4(q + 4 * j));
        PITH_UNROLL
        for (int i = 1; i < chain; i++) {
            sum = _mm256_add_epi16(sum, product16(type, w[j + i], set4(q + 4 * (j + i))));
            PITH_PIN(sum);
        }
        start = _mm256_add_epi32(start, _mm256_madd_epi16(sum, factor));
    }
    return start;
}

/* y[row .. row + 8) of token t, cut at the end of the matrix. */
PITH_INLINE void store8(const pith_cpu_matmul_job *job, int64_t t, int64_t row, __m256 sum)
{
    int64_t left = job->row1 - row;
    float *y = job->y + t * job->ldy + row;
    if (left >= 8) {
        if (job->accumulate)
            sum = _mm256_add_ps(_mm256_loadu_ps(y), sum);
        else if (job->bias)
            sum = _mm256_add_ps(_mm256_loadu_ps(job->bias + row), sum);
        _mm256_storeu_ps(y, sum);
    } else if (left > 0) {
        const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)left), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
        if (job->accumulate)
            sum = _mm256_add_ps(_mm256_maskload_ps(y, mask), sum);
        else if (job->bias)
            sum = _mm256_add_ps(_mm256_maskload_ps(job->bias + row, mask), sum);
        _mm256_maskstore_ps(y, mask, sum);
    }
}

/* The `finish` of a sweep of single strips: n_tokens x 16 sums. */
static inline void store_tile(const pith_cpu_matmul_job *job, int n, int64_t row, int64_t t, int64_t n_tokens, const float *sum)
{
    (void)n;
    for (; n_tokens > 0; n_tokens--, t++, sum += 16) {
        store8(job, t, row, _mm256_loadu_ps(sum));
        store8(job, t, row + 8, _mm256_loadu_ps(sum + 8));
    }
}

#endif
