/* SPDX-License-Identifier: MIT */
/* AVX-512 VNNI products for the 32-element weight types.
 *
 * Few tokens: the weights stream once through the registers, unpacked on the fly ("vec"). Many tokens: 32 rows by up to
 * COLS_MAX columns are unpacked into a panel that stays in L1, and all tokens sweep over it ("tile"):
 *
 *     panel, per 32 columns: | step 0: 16 rows x 4 | (second strip) | step 1 ... step 7 | scales f32[32] | mins f32[32] |
 *
 * A tile is 32 rows x 6 tokens: 12 integer and 12 float accumulators; per step 2 weight loads, 6 broadcasts and 12 dot
 * products, no shuffles. Bound: two dot products per cycle (Zen 5; one on Zen 4), plus per 32 columns 24 multiplications.
 *
 * Both paths add per element, in this order: sum += float(exact integer dot of a block) * (dw * da); sum += m * s. So
 * results depend neither on the number of tokens nor on the split of rows. */
#include "kernels/matmul_avx512.h"
#include "matmul_sweep.h"

#define COLS_MAX 768 /* panel codes: 24 KiB, in L1 beside the streams */
#define TILE 6

/* ---- few tokens ------------------------------------------------------------------------------------------------- */

PITH_INLINE void vec(const pith_cpu_matmul_job *job, const pith_dtype type, const int N, int64_t row)
{
    const pith_mm_format f = pith_mm_format_of(type);
    const size_t stride = pith_mm_act_stride(PITH_ACT_Q8_32, job->m->cols);
    const uint8_t *unit = (const uint8_t *)job->m->data + (size_t)(row / 16) * pith_mm_strip_bytes(&f, job->m->cols);
    const pith_act_q8_32 *a = (const void *)job->act;
    __m512 sum[3];
    PITH_UNROLL
    for (int n = 0; n < N; n++)
        sum[n] = _mm512_setzero_ps();
    for (int64_t u = (job->m->cols + 63) / 64; u > 0; u--, unit += f.unit_bytes) {
        read_ahead(unit, f.unit_bytes);
        PITH_UNROLL
        for (int b = 0; b < 2; b++, a++) {
            __m512i w[8];
            unpack32(type, unit + f.code_at + b * f.code_bytes, w);
            const __m512 scale = halves16(unit + 32 * b);
            PITH_UNROLL
            for (int n = 0; n < N; n++) {
                const pith_act_q8_32 *an = (const void *)((const uint8_t *)a + (size_t)n * stride);
                __m512i dot = has_mins(type) ? _mm512_setzero_si512() : set4(&an->corr), odd = _mm512_setzero_si512();
                PITH_UNROLL
                for (int j = 0; j < 8; j += 2) {
                    dot = _mm512_dpbusd_epi32(dot, w[j], set4(an->q + 4 * j));
                    odd = _mm512_dpbusd_epi32(odd, w[j + 1], set4(an->q + 4 * j + 4));
                }
                const __m512 d = _mm512_mul_ps(scale, setf(&an->d));
                sum[n] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_add_epi32(dot, odd)), d, sum[n]);
                if (has_mins(type))
                    sum[n] = _mm512_fmadd_ps(halves16(unit + f.min_at + 32 * b), setf(&an->s), sum[n]);
            }
        }
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
                      const int C, const bool mins)
{
    __m512 sum[2][TILE];
    PITH_UNROLL
    for (int c = 0; c < C; c++)
        PITH_UNROLL
        for (int r = 0; r < R; r++)
            sum[r][c] = first ? _mm512_setzero_ps() : _mm512_loadu_ps(part + (c * R + r) * 16);
    for (int64_t n_blocks = 2 * n_units; n_blocks > 0; n_blocks--, act += sizeof(pith_act_q8_32)) {
        __m512i dot[2][TILE];
        PITH_UNROLL
        for (int c = 0; c < C; c++) {
            const pith_act_q8_32 *a = (const void *)(act + (size_t)c * stride);
            PITH_UNROLL
            for (int r = 0; r < R; r++)
                dot[r][c] = mins ? _mm512_setzero_si512() : set4(&a->corr);
        }
        PITH_UNROLL
        for (int j = 0; j < 8; j++, panel += 64 * R) {
            __m512i w[2];
            PITH_UNROLL
            for (int r = 0; r < R; r++)
                w[r] = _mm512_loadu_si512(panel + 64 * r);
            PITH_UNROLL
            for (int c = 0; c < C; c++) {
                const __m512i a = set4(act + (size_t)c * stride + 4 * j);
                PITH_UNROLL
                for (int r = 0; r < R; r++)
                    dot[r][c] = _mm512_dpbusd_epi32(dot[r][c], w[r], a);
            }
        }
        PITH_UNROLL
        for (int r = 0; r < R; r++, panel += 64) {
            const __m512 scale = _mm512_loadu_ps(panel);
            PITH_UNROLL
            for (int c = 0; c < C; c++) {
                const pith_act_q8_32 *a = (const void *)(act + (size_t)c * stride);
                sum[r][c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[r][c]), _mm512_mul_ps(scale, setf(&a->d)), sum[r][c]);
            }
        }
        if (mins) {
            PITH_UNROLL
            for (int r = 0; r < R; r++, panel += 64) {
                const __m512 m = _mm512_loadu_ps(panel);
                PITH_UNROLL
                for (int c = 0; c < C; c++) {
                    const pith_act_q8_32 *a = (const void *)(act + (size_t)c * stride);
                    sum[r][c] = _mm512_fmadd_ps(m, setf(&a->s), sum[r][c]);
                }
            }
        }
    }
    PITH_UNROLL
    for (int c = 0; c < C; c++)
        PITH_UNROLL
        for (int r = 0; r < R; r++)
            _mm512_storeu_ps(part + (c * R + r) * 16, sum[r][c]);
}

#define TILES(X) X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(1, 5) X(1, 6) X(2, 1) X(2, 2) X(2, 3) X(2, 4) X(2, 5) X(2, 6)
#define X(R, C)                                                                                                                    \
    static void tile_##R##C(const uint8_t *panel, const uint8_t *act, size_t stride, int64_t n, float *part, bool first)           \
    {                                                                                                                              \
        tile(panel, act, stride, n, part, first, R, C, false);                                                                     \
    }                                                                                                                              \
    static void tile_mins_##R##C(const uint8_t *panel, const uint8_t *act, size_t stride, int64_t n, float *part, bool first)      \
    {                                                                                                                              \
        tile(panel, act, stride, n, part, first, R, C, true);                                                                      \
    }
TILES(X)
#undef X
#define X(R, C) tile_##R##C,
static const pith_mm_tile_fn tiles[2 * TILE] = {TILES(X)};
#undef X
#define X(R, C) tile_mins_##R##C,
static const pith_mm_tile_fn tiles_mins[2 * TILE] = {TILES(X)};
#undef X

/* Units [u0, u1) of R strips to the panel. */
PITH_INLINE void fill(const pith_cpu_matmul_job *job, const pith_dtype type, int R, int64_t row, int64_t u0, int64_t u1, uint8_t *panel)
{
    const pith_mm_format f = pith_mm_format_of(type);
    const size_t strip_bytes = pith_mm_strip_bytes(&f, job->m->cols);
    const size_t step = (size_t)R * (has_mins(type) ? 640 : 576);
    for (int r = 0; r < R; r++) {
        const uint8_t *unit = (const uint8_t *)job->m->data + (size_t)(row / 16 + r) * strip_bytes + (size_t)u0 * f.unit_bytes;
        uint8_t *out = panel + 64 * r;
        for (int64_t u = u0; u < u1; u++, unit += f.unit_bytes) {
            for (int b = 0; b < 2; b++, out += step) {
                __m512i w[8];
                unpack32(type, unit + f.code_at + b * f.code_bytes, w);
                PITH_UNROLL
                for (int j = 0; j < 8; j++)
                    _mm512_storeu_si512(out + 64 * R * j, w[j]);
                _mm512_storeu_ps(out + 64 * R * 8, halves16(unit + 32 * b));
                if (has_mins(type))
                    _mm512_storeu_ps(out + 64 * R * 9, halves16(unit + f.min_at + 32 * b));
            }
        }
    }
}

#define PRODUCT(slot, TYPE, TILES_OF)                                                                                                        \
    static void fill_##slot(const pith_cpu_matmul_job *job, int n, int64_t row, int64_t u0, int64_t u1, uint8_t *panel)            \
    {                                                                                                                              \
        fill(job, TYPE, n, row, u0, u1, panel);                                                                                    \
    }                                                                                                                              \
    void pith_cpu_##slot##_vnni(const pith_cpu_matmul_job *job)                                                                    \
    {                                                                                                                              \
        static const pith_mm_sweep sweep = {                                                                                       \
            64, COLS_MAX, 2 * sizeof(pith_act_q8_32), 2, TILE, TILES_OF, fill_##slot, store_tile,                                        \
        };                                                                                                                         \
        switch (job->n_tokens) {                                                                                                   \
        case 1: few(job, TYPE, 1); break;                                                                                          \
        case 2: few(job, TYPE, 2); break;                                                                                          \
        case 3: few(job, TYPE, 3); break;                                                                                          \
        default: pith_mm_sweep_run(&sweep, job); break;                                                                           \
        }                                                                                                                          \
    }
PRODUCT(matmul_q4_0, PITH_DTYPE_Q4_0, tiles)
PRODUCT(matmul_q4_1, PITH_DTYPE_Q4_1, tiles_mins)
PRODUCT(matmul_q5_0, PITH_DTYPE_Q5_0, tiles)
PRODUCT(matmul_q5_1, PITH_DTYPE_Q5_1, tiles_mins)
PRODUCT(matmul_q8_0, PITH_DTYPE_Q8_0, tiles)
PRODUCT(matmul_iq4_nl, PITH_DTYPE_IQ4_NL, tiles)
