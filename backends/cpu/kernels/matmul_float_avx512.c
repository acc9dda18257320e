/* SPDX-License-Identifier: MIT */
/* AVX-512 products of F32, F16 and BF16 weights in f32. Few tokens read the packed matrix as it is; many tokens sweep over
 * panels of 32 rows x COLS_MAX columns of f32 (24 KiB, in L1): panel[k][32]. A tile is 32 rows x 6 tokens: per column
 * 2 weight loads, 6 broadcasts, 12 fused multiply-adds. Bound: two of those per cycle (Zen 5), 64 operations.
 *
 * Each range of columns has a sum of its own, which is then added to the total: the error grows with
 * sqrt(COLS_MAX) + sqrt(ranges), and both paths make the same sums. */
#include "kernels/matmul_avx512.h"
#include "matmul_sweep.h"

#define COLS_MAX 192
#define TILE 6

/* Column k of a strip as floats. BF16 lies in pairs of columns. */
PITH_INLINE __m512 column(pith_dtype type, const uint8_t *strip, int64_t k)
{
    if (type == PITH_DTYPE_F32)
        return _mm512_loadu_ps(strip + 64 * k);
    if (type == PITH_DTYPE_F16)
        return halves16(strip + 32 * k);
    const __m512i two = _mm512_loadu_si512(strip + 64 * (k / 2));
    return _mm512_castsi512_ps(k % 2 ? _mm512_and_si512(two, _mm512_set1_epi32((int)0xffff0000u)) : _mm512_slli_epi32(two, 16));
}

PITH_INLINE void vec(const pith_cpu_matmul_job *job, const pith_dtype type, const int S, const int N, int64_t row)
{
    const pith_mm_format f = pith_mm_format_of(type);
    const size_t strip_bytes = pith_mm_strip_bytes(&f, job->m->cols), stride = pith_mm_act_stride(f.act, job->m->cols);
    const uint8_t *p = (const uint8_t *)job->m->data + (size_t)(row / 16) * strip_bytes;
    const int64_t units = (job->m->cols + f.unit_elems - 1) / f.unit_elems, ranges = pith_mm_ranges(job->m->cols, COLS_MAX);
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
        const int64_t end = pith_mm_range(units, i + 1, ranges) * f.unit_elems;
        for (int64_t k = pith_mm_range(units, i, ranges) * f.unit_elems; k < end; k += f.unit_elems) {
            PITH_UNROLL
            for (int s = 0; s < S; s++) {
                const uint8_t *strip = p + (size_t)s * strip_bytes;
                _mm_prefetch((const char *)strip + (size_t)k * (type == PITH_DTYPE_F32 ? 64 : 32) + 2048, _MM_HINT_T0);
                PITH_UNROLL
                for (int j = 0; j < f.unit_elems; j++)
                    PITH_UNROLL
                    for (int n = 0; n < N; n++) {
                        const float *a = (const float *)(const void *)(job->act + (size_t)n * stride);
                        sum[s][n] = _mm512_fmadd_ps(column(type, strip, k + j), setf(a + k + j), sum[s][n]);
                    }
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

PITH_INLINE void few(const pith_cpu_matmul_job *job, const pith_dtype type, const int N)
{
    int64_t row = job->row0;
    for (; row + 48 < job->row1; row += 64)
        vec(job, type, 4, N, row);
    for (; row < job->row1; row += 16)
        vec(job, type, 1, N, row);
}

/* n columns; part[c][r] += or = a fresh sum. */
PITH_INLINE void tile(const uint8_t *panel, const uint8_t *act, size_t stride, int64_t n, float *part, bool first, const int R, const int C)
{
    __m512 sum[2][TILE];
    PITH_UNROLL
    for (int c = 0; c < C; c++)
        PITH_UNROLL
        for (int r = 0; r < R; r++)
            sum[r][c] = _mm512_setzero_ps();
    for (; n > 0; n--, panel += 64 * R, act += sizeof(float)) {
        __m512 w[2];
        PITH_UNROLL
        for (int r = 0; r < R; r++)
            w[r] = _mm512_loadu_ps(panel + 64 * r);
        PITH_UNROLL
        for (int c = 0; c < C; c++) {
            const __m512 a = setf((const float *)(const void *)(act + (size_t)c * stride));
            PITH_UNROLL
            for (int r = 0; r < R; r++)
                sum[r][c] = _mm512_fmadd_ps(w[r], a, sum[r][c]);
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

#define TILES(X) X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(1, 5) X(1, 6) X(2, 1) X(2, 2) X(2, 3) X(2, 4) X(2, 5) X(2, 6)
#define TILE_FN(name, R, C, unit)                                                                                                  \
    static void name##_##R##C(const uint8_t *panel, const uint8_t *act, size_t stride, int64_t n, float *part, bool first)         \
    {                                                                                                                              \
        tile(panel, act, stride, n *(unit), part, first, R, C);                                                                    \
    }
#define X(R, C) TILE_FN(tile_one, R, C, 1) TILE_FN(tile_two, R, C, 2)
TILES(X)
#undef X
#define X(R, C) tile_one_##R##C,
static const pith_mm_tile_fn tiles_one[2 * TILE] = {TILES(X)}; /* units of one column */
#undef X
#define X(R, C) tile_two_##R##C,
static const pith_mm_tile_fn tiles_two[2 * TILE] = {TILES(X)};
#undef X

PITH_INLINE void fill(const pith_cpu_matmul_job *job, const pith_dtype type, int R, int64_t row, int64_t u0, int64_t u1, uint8_t *panel)
{
    const pith_mm_format f = pith_mm_format_of(type);
    const size_t strip_bytes = pith_mm_strip_bytes(&f, job->m->cols);
    for (int r = 0; r < R; r++) {
        const uint8_t *strip = (const uint8_t *)job->m->data + (size_t)(row / 16 + r) * strip_bytes;
        uint8_t *out = panel + 64 * r;
        for (int64_t k = u0 * f.unit_elems; k < u1 * f.unit_elems; k += f.unit_elems)
            PITH_UNROLL
            for (int j = 0; j < f.unit_elems; j++, out += 64 * R)
                _mm512_storeu_ps(out, column(type, strip, k + j));
    }
}

#define PRODUCT(slot, TYPE, UNIT, TILES_OF)                                                                                        \
    static void fill_##slot(const pith_cpu_matmul_job *job, int n, int64_t row, int64_t u0, int64_t u1, uint8_t *panel)            \
    {                                                                                                                              \
        fill(job, TYPE, n, row, u0, u1, panel);                                                                                    \
    }                                                                                                                              \
    void pith_cpu_##slot##_avx512(const pith_cpu_matmul_job *job)                                                                  \
    {                                                                                                                              \
        static const pith_mm_sweep sweep = {UNIT, COLS_MAX, UNIT * sizeof(float), 2, TILE, TILES_OF, fill_##slot, store_tile};         \
        switch (job->n_tokens) {                                                                                                   \
        case 1: few(job, TYPE, 1); break;                                                                                          \
        case 2: few(job, TYPE, 2); break;                                                                                          \
        case 3: few(job, TYPE, 3); break;                                                                                          \
        default: pith_mm_sweep_run(&sweep, job); break;                                                                            \
        }                                                                                                                          \
    }
PRODUCT(matmul_f32, PITH_DTYPE_F32, 1, tiles_one)
PRODUCT(matmul_f16, PITH_DTYPE_F16, 1, tiles_one)
PRODUCT(matmul_bf16, PITH_DTYPE_BF16, 2, tiles_two)
