/* SPDX-License-Identifier: MIT */
/* AVX-512 VNNI products for the 256-element weight types: as matmul_vnni_32.c, with two levels of scales.
 *
 *     panel, per 256 columns and R strips: 8 x | 8 steps of R x 64 codes | 1 or 2 sub-scales f32[16 R] |
 *                                          then, with mins, | 4 or 8 pairs of mins int16[16 R][2] | dmin f32[16 R] |
 *
 * Per element and super-block, in this order on both paths:
 *     b = 0;  b += float(exact dot of a sub-block) * (d * sub-scale), ...;  b -= float(exact dot of mins and sums) * dmin
 *     sum += b * (scale of the activations)
 * The inner sums and b fill the registers, so `sum` lives in memory (once per 256 columns). */
#include "kernels/matmul_avx512.h"
#include "matmul_sweep.h"

#define COLS_MAX 768
#define TILE 6

/* d * sub-scale `sub` of 16 rows. */
PITH_INLINE __m512 sub_scale(pith_dtype type, const uint8_t *unit, __m512 d, int sub)
{
    const pith_mm_format f = pith_mm_format_of(type);
    __m128i bytes = _mm_loadu_si128((const __m128i *)(unit + f.scale_at + 16 * sub));
    if (type == PITH_DTYPE_Q2_K)
        bytes = _mm_and_si128(bytes, _mm_set1_epi8(15));
    return _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)));
}

/* Mins of sub-blocks 2 p (low halves) and 2 p + 1. */
PITH_INLINE __m512i min_pair(pith_dtype type, const uint8_t *unit, int p)
{
    const pith_mm_format f = pith_mm_format_of(type);
    const __m128i *at = (const __m128i *)(unit + f.min_at + 32 * p);
    __m128i even = _mm_loadu_si128(at), odd = _mm_loadu_si128(at + 1);
    if (type == PITH_DTYPE_Q2_K) {
        even = _mm_and_si128(_mm_srli_epi16(even, 4), _mm_set1_epi8(15));
        odd = _mm_and_si128(_mm_srli_epi16(odd, 4), _mm_set1_epi8(15));
    }
    return _mm512_or_si512(_mm512_cvtepu8_epi32(even), _mm512_slli_epi32(_mm512_cvtepu8_epi32(odd), 16));
}

/* Where the sums of the activations' sub-blocks are, and where their corrections. */
PITH_INLINE const int16_t *sums(const pith_act_q8_256 *a, int sub) { return sub == 16 ? a->sum16 : a->sum32; }

PITH_INLINE __m512i start(pith_dtype type, const pith_act_q8_256 *a, int sub, int i)
{
    return has_mins(type) ? _mm512_setzero_si512() : set4(sub == 16 ? a->corr16 + i : a->corr32 + i);
}

/* ---- few tokens ------------------------------------------------------------------------------------------------- */

PITH_INLINE void vec(const pith_cpu_matmul_job *job, const pith_dtype type, const int N, int64_t row)
{
    const pith_mm_format f = pith_mm_format_of(type);
    const int halves = 32 / f.sub, steps = 8 / halves;
    const size_t stride = pith_mm_act_stride(PITH_ACT_Q8_256, job->m->cols);
    const uint8_t *unit = (const uint8_t *)job->m->data + (size_t)(row / 16) * pith_mm_strip_bytes(&f, job->m->cols);
    const uint8_t *act = job->act;
    __m512 sum[3];
    PITH_UNROLL
    for (int n = 0; n < N; n++)
        sum[n] = _mm512_setzero_ps();
    for (int64_t u = job->m->cols / 256; u > 0; u--, unit += f.unit_bytes, act += sizeof(pith_act_q8_256)) {
        const __m512 d = halves16(unit);
        __m512 b[3];
        PITH_UNROLL
        for (int n = 0; n < N; n++)
            b[n] = _mm512_setzero_ps();
        read_ahead(unit, f.code_at);
        for (int k = 0; k < 8; k++) {
            const uint8_t *codes = unit + f.code_at + k * f.code_bytes;
            __m512i w[8];
            unpack32(type, codes, w);
            read_ahead(codes, f.code_bytes);
            PITH_UNROLL
            for (int h = 0; h < halves; h++) {
                const __m512 scale = sub_scale(type, unit, d, k * halves + h);
                PITH_UNROLL
                for (int n = 0; n < N; n++) {
                    const pith_act_q8_256 *a = (const void *)(act + (size_t)n * stride);
                    __m512i dot = start(type, a, f.sub, k * halves + h), odd = _mm512_setzero_si512();
                    PITH_UNROLL
                    for (int j = 0; j < steps; j += 2) {
                        dot = _mm512_dpbusd_epi32(dot, w[h * steps + j], set4(a->q + 32 * k + 4 * (h * steps + j)));
                        odd = _mm512_dpbusd_epi32(odd, w[h * steps + j + 1], set4(a->q + 32 * k + 4 * (h * steps + j) + 4));
                    }
                    b[n] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_add_epi32(dot, odd)), scale, b[n]);
                }
            }
        }
        if (has_mins(type)) {
            const __m512 dmin = halves16(unit + 32);
            __m512i dot[3];
            PITH_UNROLL
            for (int n = 0; n < N; n++)
                dot[n] = _mm512_setzero_si512();
            PITH_UNROLL
            for (int i = 0; i < 4 * halves; i++) {
                const __m512i m = min_pair(type, unit, i);
                PITH_UNROLL
                for (int n = 0; n < N; n++)
                    dot[n] = _mm512_dpwssd_epi32(dot[n], m, set4(sums((const void *)(act + (size_t)n * stride), f.sub) + 2 * i));
            }
            PITH_UNROLL
            for (int n = 0; n < N; n++)
                b[n] = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(dot[n]), dmin, b[n]);
        }
        PITH_UNROLL
        for (int n = 0; n < N; n++)
            sum[n] = _mm512_fmadd_ps(b[n], setf(&((const pith_act_q8_256 *)(const void *)(act + (size_t)n * stride))->d), sum[n]);
    }
    PITH_UNROLL
    for (int n = 0; n < N; n++)
        store16(job, n, row, sum[n]);
}

PITH_INLINE void few(const pith_cpu_matmul_job *job, const pith_dtype type, const int N)
{
    for (int64_t row = job->row0; row < job->row1; row += 16)
        vec(job, type, N, row);
}

/* ---- many tokens ------------------------------------------------------------------------------------------------ */

PITH_INLINE void tile(const uint8_t *panel, const uint8_t *act, size_t stride, int64_t n_units, float *part, bool first, const int R,
                      const int C, const int sub, const bool mins)
{
    const int halves = 32 / sub, steps = 8 / halves;
    for (; n_units > 0; n_units--, act += sizeof(pith_act_q8_256), first = false) {
        __m512 b[2][TILE];
        __m512i dot[2][TILE];
        PITH_UNROLL
        for (int c = 0; c < C; c++)
            PITH_UNROLL
            for (int r = 0; r < R; r++)
                b[r][c] = _mm512_setzero_ps();
        const uint8_t *q = act, *corr = act + (sub == 16 ? offsetof(pith_act_q8_256, corr16) : offsetof(pith_act_q8_256, corr32));
        for (int i = 0; i < 8 * halves; i++, q += sub, corr += 4) {
            PITH_UNROLL
            for (int c = 0; c < C; c++)
                PITH_UNROLL
                for (int r = 0; r < R; r++)
                    dot[r][c] = mins ? _mm512_setzero_si512() : set4(corr + (size_t)c * stride);
            PITH_UNROLL
            for (int j = 0; j < steps; j++, panel += 64 * R) {
                __m512i w[2];
                PITH_UNROLL
                for (int r = 0; r < R; r++)
                    w[r] = _mm512_loadu_si512(panel + 64 * r);
                PITH_UNROLL
                for (int c = 0; c < C; c++) {
                    const __m512i a = set4(q + (size_t)c * stride + 4 * j);
                    PITH_UNROLL
                    for (int r = 0; r < R; r++)
                        dot[r][c] = _mm512_dpbusd_epi32(dot[r][c], w[r], a);
                }
            }
            PITH_UNROLL
            for (int r = 0; r < R; r++, panel += 64) {
                const __m512 scale = _mm512_loadu_ps(panel);
                PITH_UNROLL
                for (int c = 0; c < C; c++)
                    b[r][c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[r][c]), scale, b[r][c]);
            }
        }
        if (mins) {
            PITH_UNROLL
            for (int c = 0; c < C; c++)
                PITH_UNROLL
                for (int r = 0; r < R; r++)
                    dot[r][c] = _mm512_setzero_si512();
            PITH_UNROLL
            for (int i = 0; i < 4 * halves; i++) {
                PITH_UNROLL
                for (int r = 0; r < R; r++, panel += 64) {
                    const __m512i m = _mm512_loadu_si512(panel);
                    PITH_UNROLL
                    for (int c = 0; c < C; c++)
                        dot[r][c] = _mm512_dpwssd_epi32(dot[r][c], m, set4(sums((const void *)(act + (size_t)c * stride), sub) + 2 * i));
                }
            }
            PITH_UNROLL
            for (int r = 0; r < R; r++, panel += 64) {
                const __m512 dmin = _mm512_loadu_ps(panel);
                PITH_UNROLL
                for (int c = 0; c < C; c++)
                    b[r][c] = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(dot[r][c]), dmin, b[r][c]);
            }
        }
        PITH_UNROLL
        for (int c = 0; c < C; c++) {
            const __m512 d = setf(&((const pith_act_q8_256 *)(const void *)(act + (size_t)c * stride))->d);
            PITH_UNROLL
            for (int r = 0; r < R; r++) {
                float *sum = part + (c * R + r) * 16;
                _mm512_storeu_ps(sum, _mm512_fmadd_ps(b[r][c], d, first ? _mm512_setzero_ps() : _mm512_loadu_ps(sum)));
            }
        }
    }
}

#define TILES(X) X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(1, 5) X(1, 6) X(2, 1) X(2, 2) X(2, 3) X(2, 4) X(2, 5) X(2, 6)
#define DEFINE(name, R, C, sub, mins)                                                                                              \
    static void name##_##R##C(const uint8_t *panel, const uint8_t *act, size_t stride, int64_t n, float *part, bool first)         \
    {                                                                                                                              \
        tile(panel, act, stride, n, part, first, R, C, sub, mins);                                                                 \
    }
#define X(R, C) DEFINE(tile32, R, C, 32, false) DEFINE(tile32_mins, R, C, 32, true) DEFINE(tile16, R, C, 16, false) DEFINE(tile16_mins, R, C, 16, true)
TILES(X)
#undef X
#define X(R, C) tile32_##R##C,
static const pith_mm_tile_fn tiles32[2 * TILE] = {TILES(X)};
#undef X
#define X(R, C) tile32_mins_##R##C,
static const pith_mm_tile_fn tiles32_mins[2 * TILE] = {TILES(X)};
#undef X
#define X(R, C) tile16_##R##C,
static const pith_mm_tile_fn tiles16[2 * TILE] = {TILES(X)};
#undef X
#define X(R, C) tile16_mins_##R##C,
static const pith_mm_tile_fn tiles16_mins[2 * TILE] = {TILES(X)};
#undef X

/* Units [u0, u1) of R strips to the panel. */
PITH_INLINE void fill(const pith_cpu_matmul_job *job, const pith_dtype type, int R, int64_t row, int64_t u0, int64_t u1, uint8_t *panel)
{
    const pith_mm_format f = pith_mm_format_of(type);
    const int halves = 32 / f.sub, steps = 8 / halves;
    const size_t strip_bytes = pith_mm_strip_bytes(&f, job->m->cols);
    const size_t step = 64 * (size_t)R, unit_step = step * (size_t)(64 + 8 * halves + (has_mins(type) ? 4 * halves + 1 : 0));
    for (int r = 0; r < R; r++) {
        const uint8_t *unit = (const uint8_t *)job->m->data + (size_t)(row / 16 + r) * strip_bytes + (size_t)u0 * f.unit_bytes;
        for (int64_t u = u0; u < u1; u++, unit += f.unit_bytes) {
            uint8_t *out = panel + 64 * r + (size_t)(u - u0) * unit_step;
            const __m512 d = halves16(unit);
            for (int k = 0; k < 8; k++) {
                __m512i w[8];
                unpack32(type, unit + f.code_at + k * f.code_bytes, w);
                PITH_UNROLL
                for (int h = 0; h < halves; h++) {
                    PITH_UNROLL
                    for (int j = 0; j < steps; j++, out += step)
                        _mm512_storeu_si512(out, w[h * steps + j]);
                    _mm512_storeu_ps(out, sub_scale(type, unit, d, k * halves + h));
                    out += step;
                }
            }
            if (has_mins(type)) {
                for (int i = 0; i < 4 * halves; i++, out += step)
                    _mm512_storeu_si512(out, min_pair(type, unit, i));
                _mm512_storeu_ps(out, halves16(unit + 32));
            }
        }
    }
}

#define PRODUCT(slot, TYPE, TILES_OF)                                                                                              \
    static void fill_##slot(const pith_cpu_matmul_job *job, int n, int64_t row, int64_t u0, int64_t u1, uint8_t *panel)            \
    {                                                                                                                              \
        fill(job, TYPE, n, row, u0, u1, panel);                                                                                    \
    }                                                                                                                              \
    void pith_cpu_##slot##_vnni(const pith_cpu_matmul_job *job)                                                                    \
    {                                                                                                                              \
        static const pith_mm_sweep sweep = {                                                                                       \
            256, COLS_MAX, sizeof(pith_act_q8_256), 2, TILE, TILES_OF, fill_##slot, store_tile,                                      \
        };                                                                                                                         \
        switch (job->n_tokens) {                                                                                                   \
        case 1: few(job, TYPE, 1); break;                                                                                          \
        case 2: few(job, TYPE, 2); break;                                                                                          \
        case 3: few(job, TYPE, 3); break;                                                                                          \
        default: pith_mm_sweep_run(&sweep, job); break;                                                                            \
        }                                                                                                                          \
    }
PRODUCT(matmul_q2_k, PITH_DTYPE_Q2_K, tiles16_mins)
PRODUCT(matmul_q3_k, PITH_DTYPE_Q3_K, tiles16)
PRODUCT(matmul_q4_k, PITH_DTYPE_Q4_K, tiles32_mins)
PRODUCT(matmul_q5_k, PITH_DTYPE_Q5_K, tiles32_mins)
PRODUCT(matmul_q6_k, PITH_DTYPE_Q6_K, tiles16)
PRODUCT(matmul_iq4_xs, PITH_DTYPE_IQ4_XS, tiles32)
