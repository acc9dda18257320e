/* SPDX-License-Identifier: MIT */
/* AVX2 products for the 256-element weight types: as matmul_avx2_32.c, with the sub-scales inside the integer sum. The
 * step from int16 pairs to int32 multiplies by the sub-scale instead of by one, so a super-block is one exact integer:
 *
 *     panel, per 256 columns: 8 x | 8 steps of 64 codes, each 4 or 8 steps followed by sub-scales int16[16][2] (twice the same) |
 *                             | 4 or 8 pairs of mins int16[16][2], where there are any | d f32[16] | dmin f32[16] |
 *
 * Codes that are raised (Q3_K, Q6_K) count as having mins of sub-scale * raise with dmin = d. Per element and super-block:
 *     sum += float(sum over sub-blocks of scale * dot [- raise * scale * sum of activations]) * (d * da)
 *     sum -= float(sum over sub-blocks of min * sum of activations) * (dmin * da)                      types with mins */
#include "kernels/matmul_avx2.h"
#include "matmul_sweep.h"

#define COLS_MAX 768
#define TILE 3

/* Whether a second integer sum runs over the activations' own sums, and how many pairs it has. */
PITH_INLINE bool second_sum(pith_dtype type) { return has_mins(type) || raised_by(type) != 0; }
PITH_INLINE int pairs_of(pith_dtype type) { return second_sum(type) ? 128 / pith_mm_format_of(type).sub : 0; }

/* Sub-scale `sub` of rows 8 h .. 8 h + 7 as int32. */
PITH_INLINE __m256i sub_scale(pith_dtype type, const uint8_t *unit, int sub, int h)
{
    __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)(unit + pith_mm_format_of(type).scale_at + 16 * sub + 8 * h));
    if (type == PITH_DTYPE_Q2_K)
        bytes = _mm_and_si128(bytes, _mm_set1_epi8(15));
    return _mm256_cvtepi8_epi32(bytes);
}

PITH_INLINE __m256i pair(__m256i even, __m256i odd) { return _mm256_blend_epi16(even, _mm256_slli_epi32(odd, 16), 0xaa); }

PITH_INLINE __m256i sub_min(pith_dtype type, const uint8_t *unit, int sub, int h)
{
    if (raised_by(type))
        return _mm256_slli_epi32(sub_scale(type, unit, sub, h), raised_by(type) == 32 ? 5 : 2);
    __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)(unit + pith_mm_format_of(type).min_at + 16 * sub + 8 * h));
    if (type == PITH_DTYPE_Q2_K)
        bytes = _mm_and_si128(_mm_srli_epi16(bytes, 4), _mm_set1_epi8(15));
    return _mm256_cvtepu8_epi32(bytes);
}

PITH_INLINE const int16_t *sums(const pith_act_q8_256 *a, pith_dtype type) { return pith_mm_format_of(type).sub == 16 ? a->sum16 : a->sum32; }

/* The float part of a super-block. */
PITH_INLINE __m256 add_block(pith_dtype type, __m256 sum, __m256i dot, __m256i second, __m256 d, __m256 dmin, __m256 da)
{
    if (raised_by(type))
        dot = _mm256_sub_epi32(dot, second);
    sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_mul_ps(d, da), sum);
    if (has_mins(type))
        sum = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(second), _mm256_mul_ps(dmin, da), sum);
    return sum;
}

/* ---- few tokens ------------------------------------------------------------------------------------------------- */

PITH_INLINE void vec(const pith_cpu_matmul_job *job, const pith_dtype type, const int N, int64_t row)
{
    const pith_mm_format f = pith_mm_format_of(type);
    const int halves = 32 / f.sub, steps = 8 / halves;
    const size_t stride = pith_mm_act_stride(PITH_ACT_Q8_256, job->m->cols);
    const uint8_t *unit = (const uint8_t *)job->m->data + (size_t)(row / 16) * pith_mm_strip_bytes(&f, job->m->cols);
    const uint8_t *act = job->act;
    __m256 sum[2][2];
    PITH_UNROLL
    for (int h = 0; h < 2; h++)
        PITH_UNROLL
        for (int n = 0; n < N; n++)
            sum[h][n] = _mm256_setzero_ps();
    for (int64_t u = job->m->cols / 256; u > 0; u--, unit += f.unit_bytes, act += sizeof(pith_act_q8_256)) {
        __m256i dot[2][2], second[2][2];
        PITH_UNROLL
        for (int h = 0; h < 2; h++)
            PITH_UNROLL
            for (int n = 0; n < N; n++)
                dot[h][n] = second[h][n] = _mm256_setzero_si256();
        read_ahead(unit, f.code_at);
        for (int k = 0; k < 8; k++) {
            const uint8_t *codes = unit + f.code_at + k * f.code_bytes;
            read_ahead(codes, f.code_bytes);
            PITH_UNROLL
            for (int h = 0; h < 2; h++) {
                __m256i w[8];
                unpack32(type, codes + 32 * h, w);
                PITH_UNROLL
                for (int i = 0; i < halves; i++) {
                    const __m256i s = sub_scale(type, unit, k * halves + i, h), scale = pair(s, s);
                    PITH_UNROLL
                    for (int n = 0; n < N; n++) {
                        const pith_act_q8_256 *a = (const void *)(act + (size_t)n * stride);
                        dot[h][n] = dot_steps(type, w + i * steps, a->q + 32 * k + i * f.sub, steps, scale, dot[h][n]);
                    }
                }
            }
        }
        PITH_UNROLL
        for (int h = 0; h < 2; h++) {
            PITH_UNROLL
            for (int i = 0; i < pairs_of(type); i++) {
                const __m256i m = pair(sub_min(type, unit, 2 * i, h), sub_min(type, unit, 2 * i + 1, h));
                PITH_UNROLL
                for (int n = 0; n < N; n++) {
                    const int16_t *s = sums((const void *)(act + (size_t)n * stride), type) + 2 * i;
                    second[h][n] = _mm256_add_epi32(second[h][n], _mm256_madd_epi16(m, set4(s)));
                }
            }
            const __m256 d = halves8(unit + 16 * h), dmin = halves8(unit + 32 + 16 * h);
            PITH_UNROLL
            for (int n = 0; n < N; n++)
                sum[h][n] = add_block(type, sum[h][n], dot[h][n], second[h][n], d, dmin,
                                      setf(&((const pith_act_q8_256 *)(const void *)(act + (size_t)n * stride))->d));
        }
    }
    PITH_UNROLL
    for (int h = 0; h < 2; h++)
        PITH_UNROLL
        for (int n = 0; n < N; n++)
            store8(job, n, row + 8 * h, sum[h][n]);
}

PITH_INLINE void few(const pith_cpu_matmul_job *job, const pith_dtype type, const int N)
{
    for (int64_t row = job->row0; row < job->row1; row += 16)
        vec(job, type, N, row);
}

/* ---- many tokens ------------------------------------------------------------------------------------------------ */

PITH_INLINE void tile(const uint8_t *panel, const uint8_t *act, size_t stride, int64_t n_units, float *part, bool first, const int C,
                      const pith_dtype type)
{
    const int sub = pith_mm_format_of(type).sub, steps = sub / 4, chain = chain_of(type) < steps ? chain_of(type) : steps;
    for (; n_units > 0; n_units--, act += sizeof(pith_act_q8_256), first = false) {
        __m256i dot[2][TILE];
        PITH_UNROLL
        for (int h = 0; h < 2; h++)
            PITH_UNROLL
            for (int c = 0; c < C; c++)
                dot[h][c] = _mm256_setzero_si256();
        const uint8_t *q = act;
        for (int i = 0; i < 256 / sub; i++, q += sub, panel += 64 * (steps + 1)) {
            const uint8_t *scale = panel + 64 * steps;
            __m256i sum[2][TILE];
            PITH_UNROLL
            for (int j = 0; j < steps; j++) {
                const __m256i w0 = load(panel + 64 * j), w1 = load(panel + 64 * j + 32);
                PITH_UNROLL
                for (int c = 0; c < C; c++) {
                    const __m256i a = set4(q + (size_t)c * stride + 4 * j);
                    const __m256i p0 = product16(type, w0, a), p1 = product16(type, w1, a);
                    sum[0][c] = j % chain ? _mm256_add_epi16(sum[0][c], p0) : p0;
                    sum[1][c] = j % chain ? _mm256_add_epi16(sum[1][c], p1) : p1;
                    PITH_PIN(sum[0][c]);
                    PITH_PIN(sum[1][c]);
                    if (j % chain == chain - 1) {
                        dot[0][c] = _mm256_add_epi32(dot[0][c], _mm256_madd_epi16(sum[0][c], load(scale)));
                        dot[1][c] = _mm256_add_epi32(dot[1][c], _mm256_madd_epi16(sum[1][c], load(scale + 32)));
                    }
                }
            }
        }
        const uint8_t *d = panel + 64 * pairs_of(type);
        PITH_UNROLL
        for (int c = 0; c < C; c++) {
            const pith_act_q8_256 *a = (const void *)(act + (size_t)c * stride);
            PITH_UNROLL
            for (int h = 0; h < 2; h++) {
                __m256i second = _mm256_setzero_si256();
                PITH_UNROLL
                for (int i = 0; i < pairs_of(type); i++)
                    second = _mm256_add_epi32(second, _mm256_madd_epi16(load(panel + 64 * i + 32 * h), set4(sums(a, type) + 2 * i)));
                float *at = part + c * 16 + 8 * h;
                _mm256_storeu_ps(at, add_block(type, first ? _mm256_setzero_ps() : _mm256_loadu_ps(at), dot[h][c], second,
                                               _mm256_loadu_ps((const float *)(const void *)(d + 32 * h)),
                                               _mm256_loadu_ps((const float *)(const void *)(d + 64 + 32 * h)), setf(&a->d)));
            }
        }
        panel = d + 128;
    }
}

/* Units [u0, u1) of one strip to the panel. */
PITH_INLINE void fill(const pith_cpu_matmul_job *job, const pith_dtype type, int64_t row, int64_t u0, int64_t u1, uint8_t *out)
{
    const pith_mm_format f = pith_mm_format_of(type);
    const int halves = 32 / f.sub, steps = 8 / halves;
    const uint8_t *unit = (const uint8_t *)job->m->data + (size_t)(row / 16) * pith_mm_strip_bytes(&f, job->m->cols) + (size_t)u0 * f.unit_bytes;
    for (int64_t u = u0; u < u1; u++, unit += f.unit_bytes) {
        for (int k = 0; k < 8; k++) {
            PITH_UNROLL
            for (int h = 0; h < 2; h++) {
                __m256i w[8];
                unpack32(type, unit + f.code_at + k * f.code_bytes + 32 * h, w);
                uint8_t *to = out + 32 * h;
                PITH_UNROLL
                for (int i = 0; i < halves; i++, to += 64) {
                    PITH_UNROLL
                    for (int j = 0; j < steps; j++, to += 64)
                        _mm256_storeu_si256((__m256i *)(void *)to, w[i * steps + j]);
                    const __m256i s = sub_scale(type, unit, k * halves + i, h);
                    _mm256_storeu_si256((__m256i *)(void *)to, pair(s, s));
                }
            }
            out += 64 * (8 + halves);
        }
        PITH_UNROLL
        for (int h = 0; h < 2; h++) {
            for (int i = 0; i < pairs_of(type); i++)
                _mm256_storeu_si256((__m256i *)(void *)(out + 64 * i + 32 * h), pair(sub_min(type, unit, 2 * i, h), sub_min(type, unit, 2 * i + 1, h)));
            _mm256_storeu_ps((float *)(void *)(out + 64 * pairs_of(type) + 32 * h), halves8(unit + 16 * h));
            _mm256_storeu_ps((float *)(void *)(out + 64 * pairs_of(type) + 64 + 32 * h), halves8(unit + 32 + 16 * h));
        }
        out += 64 * pairs_of(type) + 128;
    }
}

#define TILE_FN(slot, TYPE, C)                                                                                                     \
    static void tile_##slot##_##C(const uint8_t *panel, const uint8_t *act, size_t stride, int64_t n, float *part, bool first)     \
    {                                                                                                                              \
        tile(panel, act, stride, n, part, first, C, TYPE);                                                                         \
    }
#define PRODUCT(slot, TYPE)                                                                                                        \
    TILE_FN(slot, TYPE, 1)                                                                                                         \
    TILE_FN(slot, TYPE, 2)                                                                                                         \
    TILE_FN(slot, TYPE, 3)                                                                                                         \
    static void fill_##slot(const pith_cpu_matmul_job *job, int n, int64_t row, int64_t u0, int64_t u1, uint8_t *panel)            \
    {                                                                                                                              \
        (void)n;                                                                                                                   \
        fill(job, TYPE, row, u0, u1, panel);                                                                                       \
    }                                                                                                                              \
    void pith_cpu_##slot##_avx2(const pith_cpu_matmul_job *job)                                                                    \
    {                                                                                                                              \
        static const pith_mm_tile_fn tiles[TILE] = {tile_##slot##_1, tile_##slot##_2, tile_##slot##_3};                            \
        static const pith_mm_sweep sweep = {256, COLS_MAX, sizeof(pith_act_q8_256), 1, TILE, tiles, fill_##slot, store_tile};          \
        switch (job->n_tokens) {                                                                                                   \
        case 1: few(job, TYPE, 1); break;                                                                                          \
        case 2: few(job, TYPE, 2); break; /* at 3 the panel is faster by a quarter */                                             \
        default: pith_mm_sweep_run(&sweep, job); break;                                                                            \
        }                                                                                                                          \
    }
PRODUCT(matmul_q2_k, PITH_DTYPE_Q2_K)
PRODUCT(matmul_q3_k, PITH_DTYPE_Q3_K)
PRODUCT(matmul_q4_k, PITH_DTYPE_Q4_K)
PRODUCT(matmul_q5_k, PITH_DTYPE_Q5_K)
PRODUCT(matmul_q6_k, PITH_DTYPE_Q6_K)
PRODUCT(matmul_iq4_xs, PITH_DTYPE_IQ4_XS)
