/* SPDX-License-Identifier: MIT */
/* AVX2 products of F32, F16 and BF16 weights in f32: as matmul_float_avx512.c. A tile is 16 rows x 6 tokens: 12 sums, per
 * column 2 weight loads, 6 broadcasts, 12 fused multiply-adds. Bound: two of those per cycle, 32 operations.
 * panel[k][16] of f32, COLS_MAX columns: 16 KiB. */
#include "kernels/matmul_avx2.h"
#include "matmul_sweep.h"

#define COLS_MAX 256
#define TILE 6

/* Column k, rows 8 h .. 8 h + 7 of a strip. BF16 lies in pairs of columns. */
PITH_INLINE __m256 column(pith_dtype type, const uint8_t *strip, int64_t k, int h)
{
    if (type == PITH_DTYPE_F32)
        return _mm256_loadu_ps((const float *)(const void *)(strip + 64 * k + 32 * h));
    if (type == PITH_DTYPE_F16)
        return halves8(strip + 32 * k + 16 * h);
    const __m256i two = load(strip + 64 * (k / 2) + 32 * h);
    return _mm256_castsi256_ps(k % 2 ? _mm256_and_si256(two, _mm256_set1_epi32((int)0xffff0000u)) : _mm256_slli_epi32(two, 16));
}

PITH_INLINE void vec(const pith_cpu_matmul_job *job, const pith_dtype type, const int S, const int N, int64_t row)
{
    const pith_mm_format f = pith_mm_format_of(type);
    const size_t strip_bytes = pith_mm_strip_bytes(&f, job->m->cols), stride = pith_mm_act_stride(f.act, job->m->cols);
    const uint8_t *p = (const uint8_t *)job->m->data + (size_t)(row / 16) * strip_bytes;
    const int64_t units = (job->m->cols + f.unit_elems - 1) / f.unit_elems, ranges = pith_mm_ranges(job->m->cols, COLS_MAX);
    __m256 total[8][3], sum[8][3];
    PITH_UNROLL
    for (int s = 0; s < 2 * S; s++)
        PITH_UNROLL
        for (int n = 0; n < N; n++)
            total[s][n] = _mm256_setzero_ps();
    for (int64_t i = 0; i < ranges; i++) {
        PITH_UNROLL
        for (int s = 0; s < 2 * S; s++)
            PITH_UNROLL
            for (int n = 0; n < N; n++)
                sum[s][n] = _mm256_setzero_ps();
        const int64_t end = pith_mm_range(units, i + 1, ranges) * f.unit_elems;
        for (int64_t k = pith_mm_range(units, i, ranges) * f.unit_elems; k < end; k += f.unit_elems) {
            PITH_UNROLL
            for (int s = 0; s < S; s++) {
                const uint8_t *strip = p + (size_t)s * strip_bytes;
                _mm_prefetch((const char *)strip + (size_t)k * (type == PITH_DTYPE_F32 ? 64 : 32) + 2048, _MM_HINT_T0);
                PITH_UNROLL
                for (int j = 0; j < f.unit_elems; j++)
                    PITH_UNROLL
                    for (int h = 0; h < 2; h++)
                        PITH_UNROLL
                        for (int n = 0; n < N; n++) {
                            const float *a = (const float *)(const void *)(job->act + (size_t)n * stride);
                            sum[2 * s + h][n] = _mm256_fmadd_ps(column(type, strip, k + j, h), setf(a + k + j), sum[2 * s + h][n]);
                        }
            }
        }
        PITH_UNROLL
        for (int s = 0; s < 2 * S; s++)
            PITH_UNROLL
            for (int n = 0; n < N; n++)
                total[s][n] = _mm256_add_ps(total[s][n], sum[s][n]);
    }
    PITH_UNROLL
    for (int s = 0; s < 2 * S; s++)
        PITH_UNROLL
        for (int n = 0; n < N; n++)
            store8(job, n, row + 8 * s, total[s][n]);
}

PITH_INLINE void few(const pith_cpu_matmul_job *job, const pith_dtype type, const int N)
{
    const int S = N == 1 ? 4 : N == 2 ? 2 : 1; /* sums stay in registers */
    int64_t row = job->row0;
    for (; row + 16 * (S - 1) < job->row1; row += 16 * S)
        vec(job, type, S, N, row);
    for (; row < job->row1; row += 16)
        vec(job, type, 1, N, row);
}

/* n columns; part[c] += or = a fresh sum. */
PITH_INLINE void tile(const uint8_t *panel, const uint8_t *act, size_t stride, int64_t n, float *part, bool first, const int C)
{
    __m256 sum[2][TILE];
    PITH_UNROLL
    for (int c = 0; c < C; c++)
        sum[0][c] = sum[1][c] = _mm256_setzero_ps();
    for (; n > 0; n--, panel += 64, act += sizeof(float)) {
        const __m256 w0 = _mm256_loadu_ps((const float *)(const void *)panel), w1 = _mm256_loadu_ps((const float *)(const void *)(panel + 32));
        PITH_UNROLL
        for (int c = 0; c < C; c++) {
            const __m256 a = setf((const float *)(const void *)(act + (size_t)c * stride));
            sum[0][c] = _mm256_fmadd_ps(w0, a, sum[0][c]);
            sum[1][c] = _mm256_fmadd_ps(w1, a, sum[1][c]);
        }
    }
    PITH_UNROLL
    for (int c = 0; c < C; c++)
        PITH_UNROLL
        for (int h = 0; h < 2; h++) {
            float *at = part + c * 16 + 8 * h;
            _mm256_storeu_ps(at, first ? sum[h][c] : _mm256_add_ps(_mm256_loadu_ps(at), sum[h][c]));
        }
}

#define TILES(X) X(1) X(2) X(3) X(4) X(5) X(6)
#define TILE_FN(name, C, unit)                                                                                                     \
    static void name##_##C(const uint8_t *panel, const uint8_t *act, size_t stride, int64_t n, float *part, bool first)            \
    {                                                                                                                              \
        tile(panel, act, stride, n *(unit), part, first, C);                                                                       \
    }
#define X(C) TILE_FN(tile_one, C, 1) TILE_FN(tile_two, C, 2)
TILES(X)
#undef X
#define X(C) tile_one_##C,
static const pith_mm_tile_fn tiles_one[TILE] = {TILES(X)}; /* units of one column */
#undef X
#define X(C) tile_two_##C,
static const pith_mm_tile_fn tiles_two[TILE] = {TILES(X)};
#undef X

PITH_INLINE void fill(const pith_cpu_matmul_job *job, const pith_dtype type, int64_t row, int64_t u0, int64_t u1, uint8_t *out)
{
    const pith_mm_format f = pith_mm_format_of(type);
    const uint8_t *strip = (const uint8_t *)job->m->data + (size_t)(row / 16) * pith_mm_strip_bytes(&f, job->m->cols);
    for (int64_t k = u0 * f.unit_elems; k < u1 * f.unit_elems; k += f.unit_elems)
        PITH_UNROLL
        for (int j = 0; j < f.unit_elems; j++, out += 64) {
            _mm256_storeu_ps((float *)(void *)out, column(type, strip, k + j, 0));
            _mm256_storeu_ps((float *)(void *)(out + 32), column(type, strip, k + j, 1));
        }
}

#define PRODUCT(slot, TYPE, UNIT, TILES_OF)                                                                                        \
    static void fill_##slot(const pith_cpu_matmul_job *job, int n, int64_t row, int64_t u0, int64_t u1, uint8_t *panel)            \
    {                                                                                                                              \
        (void)n;                                                                                                                   \
        fill(job, TYPE, row, u0, u1, panel);                                                                                       \
    }                                                                                                                              \
    void pith_cpu_##slot##_avx2(const pith_cpu_matmul_job *job)                                                                    \
    {                                                                                                                              \
        static const pith_mm_sweep sweep = {UNIT, COLS_MAX, UNIT * sizeof(float), 1, TILE, TILES_OF, fill_##slot, store_tile};         \
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
