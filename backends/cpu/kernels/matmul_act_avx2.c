/* SPDX-License-Identifier: MIT */
/* Activations for the products, AVX2: bit for bit what matmul_c.c makes. Rounding is to nearest even. The largest
 * magnitude is found on the bits as integers, where a NaN is larger than everything and so survives.
 * Horizontal steps are shared by four blocks: their 8-lane partial results are transposed into one 4-lane vector. */
#include "matmul_layout.h"

#include <immintrin.h>
#include <string.h>

void pith_cpu_matmul_act_f16_avx2(const float *x, int64_t n, void *dst)
{
    float *out = dst;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT)));
    for (; i < n; i++)
        out[i] = _cvtsh_ss(_cvtss_sh(x[i], _MM_FROUND_TO_NEAREST_INT));
    if (n % 2)
        out[n] = 0.0f;
}

void pith_cpu_matmul_act_bf16_avx2(const float *x, int64_t n, void *dst)
{
    float *out = dst;
    const __m256i one = _mm256_set1_epi32(1), half = _mm256_set1_epi32(0x7fff), high = _mm256_set1_epi32((int)0xffff0000u);
    for (int64_t i = 0; i < n; i += 8) {
        float tail[8] = {0};
        if (n - i < 8)
            memcpy(tail, x + i, (size_t)(n - i) * sizeof *x);
        __m256 v = _mm256_loadu_ps(n - i < 8 ? tail : x + i);
        __m256i u = _mm256_castps_si256(v), odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), one);
        __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(u, half), odd), quiet = _mm256_or_si256(u, _mm256_set1_epi32(0x400000));
        __m256 r = _mm256_blendv_ps(_mm256_castsi256_ps(rounded), _mm256_castsi256_ps(quiet), _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
        r = _mm256_and_ps(r, _mm256_castsi256_ps(high));
        if (n - i >= 8) {
            _mm256_storeu_ps(out + i, r);
        } else {
            _mm256_storeu_ps(tail, r);
            memcpy(out + i, tail, (size_t)(n - i) * sizeof *x);
        }
    }
    if (n % 2)
        out[n] = 0.0f;
}

/* v[i] = eight partial values of block i; result lane i: all of v[i] combined. */
static inline __m128i max_of_four(const __m256i v[4])
{
    __m256i a = _mm256_max_epi32(_mm256_unpacklo_epi32(v[0], v[1]), _mm256_unpackhi_epi32(v[0], v[1]));
    __m256i b = _mm256_max_epi32(_mm256_unpacklo_epi32(v[2], v[3]), _mm256_unpackhi_epi32(v[2], v[3]));
    __m256i m = _mm256_max_epi32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
    return _mm_max_epi32(_mm256_castsi256_si128(m), _mm256_extracti128_si256(m, 1));
}

/* 32 floats, scaled, to int8 in order. */
static inline __m256i quantise32(const float *x, __m256 scale)
{
    __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), scale)), b = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8), scale));
    __m256i c = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 16), scale)), d = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 24), scale));
    __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
    return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

/* Sums of groups of four int8, as int32: lanes 0..3 belong to the first 16, lanes 4..7 to the second. */
static inline __m256i sum_fours(__m256i q)
{
    return _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), q), _mm256_set1_epi16(1));
}

/* The largest magnitude's bits over 32 floats, in eight lanes. */
static inline __m256i magnitude32(const float *x)
{
    const __m256i mask = _mm256_set1_epi32(0x7fffffff);
    __m256i m = _mm256_setzero_si256();
    for (int i = 0; i < 4; i++)
        m = _mm256_max_epi32(m, _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(x + 8 * i)), mask));
    return m;
}

static inline __m128 round_to_half(__m128 v) { return _mm_cvtph_ps(_mm_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT)); }

static inline void four_blocks(const float *x, pith_act_q8_32 *out)
{
    __m256i m[4], q[4], s[4];
    for (int i = 0; i < 4; i++)
        m[i] = magnitude32(x + 32 * i);
    const __m128 amax = _mm_castsi128_ps(max_of_four(m)), d = _mm_div_ps(amax, _mm_set1_ps(127.0f));
    const __m128 id = _mm_and_ps(_mm_div_ps(_mm_set1_ps(127.0f), amax), _mm_cmp_ps(amax, _mm_set1_ps(0x1p-100f), _CMP_GE_OQ));
    float ids[4];
    _mm_storeu_ps(ids, id);
    for (int i = 0; i < 4; i++) {
        q[i] = quantise32(x + 32 * i, _mm256_set1_ps(ids[i]));
        s[i] = sum_fours(q[i]);
    }
    const __m256i h = _mm256_hadd_epi32(_mm256_hadd_epi32(s[0], s[1]), _mm256_hadd_epi32(s[2], s[3]));
    const __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
    const __m128 dh = round_to_half(d), sh = round_to_half(_mm_mul_ps(d, _mm_cvtepi32_ps(sum)));
    const __m128i corr = _mm_sub_epi32(_mm_setzero_si128(), _mm_slli_epi32(sum, 7));
    /* | d0 corr0 s0 0 | per block: a 4 x 4 transposition */
    __m128 a = _mm_unpacklo_ps(dh, sh), b = _mm_unpackhi_ps(dh, sh);
    __m128 c = _mm_unpacklo_ps(_mm_castsi128_ps(corr), _mm_setzero_ps()), e = _mm_unpackhi_ps(_mm_castsi128_ps(corr), _mm_setzero_ps());
    const __m128 meta[4] = {_mm_unpacklo_ps(a, c), _mm_unpackhi_ps(a, c), _mm_unpacklo_ps(b, e), _mm_unpackhi_ps(b, e)};
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_si256((__m256i *)(void *)out[i].q, q[i]);
        _mm_storeu_ps(&out[i].d, meta[i]);
    }
}

void pith_cpu_matmul_act_q8_32_avx2(const float *x, int64_t n, void *dst)
{
    pith_act_q8_32 *out = dst;
    int64_t i = 0;
    for (; i + 128 <= n; i += 128, out += 4)
        four_blocks(x + i, out);
    if (i < n) {
        float tail[128] = {0};
        pith_act_q8_32 blocks[4];
        memcpy(tail, x + i, (size_t)(n - i) * sizeof *x);
        four_blocks(tail, blocks);
        memcpy(out, blocks, (size_t)((n - i + 63) / 64 * 2) * sizeof *out);
    }
}

/* The first element of the largest magnitude: where +amax and -amax both occur. */
static float first_extreme(const float *x, float amax)
{
    int i = 0;
    while (i < 255 && x[i] != amax && x[i] != -amax)
        i++;
    return x[i];
}

static inline void super_block(const float *x, pith_act_q8_256 *out)
{
    __m256i m = _mm256_setzero_si256();
    __m256 high = _mm256_loadu_ps(x), low = high;
    const __m256i mask = _mm256_set1_epi32(0x7fffffff);
    for (int i = 0; i < 32; i++) {
        __m256 v = _mm256_loadu_ps(x + 8 * i);
        m = _mm256_max_epi32(m, _mm256_and_si256(_mm256_castps_si256(v), mask));
        high = _mm256_max_ps(high, v);
        low = _mm256_min_ps(low, v);
    }
    __m128i r = _mm_max_epi32(_mm256_castsi256_si128(m), _mm256_extracti128_si256(m, 1));
    r = _mm_max_epi32(r, _mm_shuffle_epi32(r, 0x4e));
    r = _mm_max_epi32(r, _mm_shuffle_epi32(r, 0xb1));
    const float amax = _mm_cvtss_f32(_mm_castsi128_ps(r));
    if (amax < 0x1p-100f) {
        memset(out, 0, sizeof *out);
        return;
    }
    const bool plus = _mm256_movemask_ps(_mm256_cmp_ps(high, _mm256_set1_ps(amax), _CMP_EQ_OQ)) != 0;
    const bool minus = _mm256_movemask_ps(_mm256_cmp_ps(low, _mm256_set1_ps(-amax), _CMP_EQ_OQ)) != 0;
    const float iscale = -127.0f / (plus && minus ? first_extreme(x, amax) : minus ? -amax : amax);
    const __m256 scale = _mm256_set1_ps(iscale);
    for (int i = 0; i < 8; i += 4) {
        __m256i s[4];
        for (int j = 0; j < 4; j++) {
            __m256i q = quantise32(x + 32 * (i + j), scale);
            _mm256_storeu_si256((__m256i *)(void *)(out->q + 32 * (i + j)), q);
            s[j] = sum_fours(q);
        }
        /* lanes 0..3: the first halves of the four 32s, lanes 4..7: the second */
        const __m256i h = _mm256_hadd_epi32(_mm256_hadd_epi32(s[0], s[1]), _mm256_hadd_epi32(s[2], s[3]));
        const __m128i a = _mm256_castsi256_si128(h), b = _mm256_extracti128_si256(h, 1), zero = _mm_setzero_si128();
        const __m128i lo = _mm_unpacklo_epi32(a, b), hi = _mm_unpackhi_epi32(a, b), whole = _mm_add_epi32(a, b);
        _mm_storeu_si128((__m128i *)(void *)(out->corr16 + 2 * i), _mm_sub_epi32(zero, _mm_slli_epi32(lo, 7)));
        _mm_storeu_si128((__m128i *)(void *)(out->corr16 + 2 * i + 4), _mm_sub_epi32(zero, _mm_slli_epi32(hi, 7)));
        _mm_storeu_si128((__m128i *)(void *)(out->corr32 + i), _mm_sub_epi32(zero, _mm_slli_epi32(whole, 7)));
        _mm_storeu_si128((__m128i *)(void *)(out->sum16 + 2 * i), _mm_packs_epi32(lo, hi));
        _mm_storel_epi64((__m128i *)(void *)(out->sum32 + i), _mm_packs_epi32(whole, zero));
    }
    out->d = 1.0f / iscale;
    memset(out->zero, 0, sizeof out->zero);
}

void pith_cpu_matmul_act_q8_256_avx2(const float *x, int64_t n, void *dst)
{
    pith_act_q8_256 *out = dst;
    for (int64_t i = 0; i < n; i += 256, out++)
        super_block(x + i, out);
}
