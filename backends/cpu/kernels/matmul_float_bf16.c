/* SPDX-License-Identifier: MIT */
/* BF16 weights with the AVX512-BF16 dot product: activations are kept as bf16 (they are rounded to it for these weights
 * anyway), a vector holds 16 rows x 2 columns, which is how the matrix lies in memory. Otherwise as
 * matmul_float_avx512.c, with twice the columns per panel. The instruction treats subnormals as zero. */
#include "kernels/matmul_avx512.h"
#include "matmul_sweep.h"

#define COLS_MAX 384
#define TILE 8 /* 16 sums: the instruction takes 6 cycles, two start in each */

void pith_cpu_matmul_act_bf16_bf16(const float *x, int64_t n, void *dst)
{
    uint16_t *out = dst;
    const __m512i one = _mm512_set1_epi32(1), half = _mm512_set1_epi32(0x7fff), quiet = _mm512_set1_epi32(0x400000);
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 mask = (__mmask16)_bzhi_u32(0xffffu, n - i >= 16 ? 16 : (unsigned)(n - i));
        const __m512 v = _mm512_maskz_loadu_ps(mask, x + i);
        const __m512i u = _mm512_castps_si512(v);
        __m512i r = _mm512_add_epi32(_mm512_add_epi32(u, half), _mm512_and_si512(_mm512_srli_epi32(u, 16), one));
        r = _mm512_mask_or_epi32(r, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), u, quiet);
        _mm512_mask_cvtepi32_storeu_epi16(out + i, mask, _mm512_srli_epi32(r, 16));
    }
    if (n % 2)
        out[n] = 0;
}

PITH_INLINE __m512 dot(__m512 sum, __m512i w, __m512i a) { return _mm512_dpbf16_ps(sum, (__m512bh)w, (__m512bh)a); }

PITH_INLINE void vec(const pith_cpu_matmul_job *job, const int S, const int N, int64_t row)
{
    const pith_mm_format f = pith_mm_format_of(PITH_DTYPE_BF16);
    const size_t strip_bytes = pith_mm_strip_bytes(&f, job->m->cols), stride = pith_mm_act_stride(f.act, job->m->cols);
    const uint8_t *p = (const uint8_t *)job->m->data + (size_t)(row / 16) * strip_bytes;
    const int64_t units = (job->m->cols + 1) / 2, ranges = pith_mm_ranges(job->m->cols, COLS_MAX);
    __m512 total[4][3], sum[4][3];
    PITH_UNROLL
    for (int s = 0; s < S; s++)
        PITH_UNROLL
        for (int n = 0; n < N; n++)
            total[s][n] = _mm512_setzero_ps();
    for (int64_t i = 0; i < ranges; i++) {
        PITH_UNROLL
        for (int s = 0; s < S; s++)
            PITH_UNROLL
            for (int n = 0; n < N; n++)
                sum[s][n] = _mm512_setzero_ps();
        for (int64_t u = pith_mm_range(units, i, ranges); u < pith_mm_range(units, i + 1, ranges); u++) {
            PITH_UNROLL
            for (int s = 0; s < S; s++) {
                const uint8_t *strip = p + (size_t)s * strip_bytes + (size_t)u * 64;
                _mm_prefetch((const char *)strip + 2048, _MM_HINT_T0);
                PITH_UNROLL
                for (int n = 0; n < N; n++)
                    sum[s][n] = dot(sum[s][n], _mm512_loadu_si512(strip), set4(job->act + (size_t)n * stride + (size_t)u * 4));
            }
        }
        PITH_UNROLL
        for (int s = 0; s < S; s++)
            PITH_UNROLL
            for (int n = 0; n < N; n++)
                total[s][n] = _mm512_add_ps(total[s][n], sum[s][n]);
    }
    PITH_UNROLL
    for (int s = 0; s < S; s++)
        PITH_UNROLL
        for (int n = 0; n < N; n++)
            store16(job, n, row + 16 * s, total[s][n]);
}

PITH_INLINE void few(const pith_cpu_matmul_job *job, const int N)
{
    int64_t row = job->row0;
    for (; row + 48 < job->row1; row += 64)
        vec(job, 4, N, row);
    for (; row < job->row1; row += 16)
        vec(job, 1, N, row);
}

/* n pairs of columns; part[c][r] += or = a fresh sum. */
PITH_INLINE void tile(const uint8_t *panel, const uint8_t *act, size_t stride, int64_t n, float *part, bool first, const int R, const int C)
{
    __m512 sum[2][TILE];
    PITH_UNROLL
    for (int c = 0; c < C; c++)
        PITH_UNROLL
        for (int r = 0; r < R; r++)
            sum[r][c] = _mm512_setzero_ps();
    for (; n > 0; n--, panel += 64 * R, act += 4) {
        __m512i w[2];
        PITH_UNROLL
        for (int r = 0; r < R; r++)
            w[r] = _mm512_loadu_si512(panel + 64 * r);
        PITH_UNROLL
        for (int c = 0; c < C; c++) {
            const __m512i a = set4(act + (size_t)c * stride);
            PITH_UNROLL
            for (int r = 0; r < R; r++)
                sum[r][c] = dot(sum[r][c], w[r], a);
        }
    }
    PITH_UNROLL
    for (int c = 0; c < C; c++)
        PITH_UNROLL
        for (int r = 0; r < R; r++) {
            float *at = part + (c * R + r) * 16;
            _mm512_storeu_ps(at, first ? sum[r][c] : _mm512_add_ps(_mm512_loadu_ps(at), sum[r][c]));
        }
}

#define TILES(X) TILES_R(X, 1) TILES_R(X, 2)
#define TILES_R(X, R) X(R, 1) X(R, 2) X(R, 3) X(R, 4) X(R, 5) X(R, 6) X(R, 7) X(R, 8)
#define X(R, C)                                                                                                                    \
    static void tile_##R##C(const uint8_t *panel, const uint8_t *act, size_t stride, int64_t n, float *part, bool first)           \
    {                                                                                                                              \
        tile(panel, act, stride, n, part, first, R, C);                                                                            \
    }
TILES(X)
#undef X

static void fill(const pith_cpu_matmul_job *job, int n, int64_t row, int64_t u0, int64_t u1, uint8_t *panel)
{
    const pith_mm_format f = pith_mm_format_of(PITH_DTYPE_BF16);
    const size_t strip_bytes = pith_mm_strip_bytes(&f, job->m->cols);
    for (int r = 0; r < n; r++) {
        const uint8_t *strip = (const uint8_t *)job->m->data + (size_t)(row / 16 + r) * strip_bytes;
        for (int64_t u = u0; u < u1; u++)
            _mm512_storeu_si512(panel + (size_t)(u - u0) * 64 * (size_t)n + 64 * r, _mm512_loadu_si512(strip + 64 * u));
    }
}

void pith_cpu_matmul_bf16_bf16(const pith_cpu_matmul_job *job)
{
#define X(R, C) tile_##R##C,
    static const pith_mm_tile_fn tiles[2 * TILE] = {TILES(X)};
#undef X
    static const pith_mm_sweep sweep = {2, COLS_MAX, 4, 2, TILE, tiles, fill, store_tile};
    switch (job->n_tokens) {
    case 1: few(job, 1); break;
    case 2: few(job, 2); break;
    case 3: few(job, 3); break;
    default: pith_mm_sweep_run(&sweep, job); break;
    }
}
