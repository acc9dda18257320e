/* SPDX-License-Identifier: MIT */
/* AVX2 products for the 32-element weight types. Few tokens: weights stream through the registers ("vec"). Many tokens:
 * 16 rows by up to COLS_MAX columns are unpacked to bytes in L1, and all tokens sweep over them ("tile"):
 *
 *     panel, per 32 columns: | step 0: 16 rows x 4 | step 1 ... step 7 | scales f32[16] | mins f32[16] |
 *
 * A tile is 16 rows x TILE tokens; per step 2 weight loads, TILE broadcasts, 2 TILE byte products and additions. Bound:
 * two byte products per cycle (Zen 3), i.e. 128 operations; the float part per 32 columns takes about a fifth more.
 *
 * Both paths add per element, in this order: sum += float(exact integer dot of a block) * (dw * da); sum += m * s. */
#include "kernels/matmul_avx2.h"
#include "matmul_sweep.h"

#define COLS_MAX 1024 /* panel codes: 16 KiB, half of L1 */
#define TILE 4

/* corr = -128 * sum, so this takes out what the codes of `type` are raised by. */
PITH_INLINE __m256i start_of(pith_dtype type, const int32_t *corr)
{
    const int by = raised_by(type);
    return by ? _mm256_srai_epi32(set4(corr), by == 8 ? 4 : 3) : _mm256_setzero_si256();
}

/* ---- few tokens ------------------------------------------------------------------------------------------------- */

PITH_INLINE void vec(const pith_cpu_matmul_job *job, const pith_dtype type, const int N, int64_t row)
{
    const pith_mm_format f = pith_mm_format_of(type);
    const size_t stride = pith_mm_act_stride(PITH_ACT_Q8_32, job->m->cols);
    const uint8_t *p = (const uint8_t *)job->m->data + (size_t)(row / 16) * pith_mm_strip_bytes(&f, job->m->cols);
    const pith_act_q8_32 *a = (const void *)job->act;
    const __m256i ones = _mm256_set1_epi16(1);
    __m256 sum[2][2];
    PITH_UNROLL
    for (int h = 0; h < 2; h++)
        PITH_UNROLL
        for (int n = 0; n < N; n++)
            sum[h][n] = _mm256_setzero_ps();
    for (int64_t u = (job->m->cols + 63) / 64; u > 0; u--, p += f.unit_bytes) {
        read_ahead(p, f.unit_bytes);
        PITH_UNROLL
        for (int b = 0; b < 2; b++, a++) {
            const uint8_t *codes = p + f.code_at + b * f.code_bytes;
            PITH_UNROLL
            for (int h = 0; h < 2; h++) {
                __m256i w[8];
                unpack32(type, codes + 32 * h, w);
                const __m256 scale = halves8(p + 32 * b + 16 * h);
                PITH_UNROLL
                for (int n = 0; n < N; n++) {
                    const pith_act_q8_32 *an = (const void *)((const uint8_t *)a + (size_t)n * stride);
                    const __m256i dot = dot_steps(type, w, an->q, 8, ones, start_of(type, &an->corr));
                    sum[h][n] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_mul_ps(scale, setf(&an->d)), sum[h][n]);
                    if (has_mins(type))
                        sum[h][n] = _mm256_fmadd_ps(halves8(p + f.min_at + 32 * b + 16 * h), setf(&an->s), sum[h][n]);
                }
            }
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
    const int chain = chain_of(type);
    const __m256i ones = _mm256_set1_epi16(1);
    for (int64_t n = 2 * n_units; n > 0; n--, act += sizeof(pith_act_q8_32), first = false) {
        __m256i dot[2][TILE], sum[2][TILE];
        PITH_UNROLL
        for (int j = 0; j < 8; j++, panel += 64) {
            const __m256i w0 = load(panel), w1 = load(panel + 32);
            PITH_UNROLL
            for (int c = 0; c < C; c++) {
                const __m256i a = set4(act + (size_t)c * stride + 4 * j);
                const __m256i p0 = product16(type, w0, a), p1 = product16(type, w1, a);
                sum[0][c] = j % chain ? _mm256_add_epi16(sum[0][c], p0) : p0;
                sum[1][c] = j % chain ? _mm256_add_epi16(sum[1][c], p1) : p1;
                PITH_PIN(sum[0][c]);
                PITH_PIN(sum[1][c]);
                if (j % chain == chain - 1) {
                    PITH_UNROLL
                    for (int h = 0; h < 2; h++) {
                        const __m256i d = _mm256_madd_epi16(sum[h][c], ones);
                        dot[h][c] = j < chain ? d : _mm256_add_epi32(dot[h][c], d);
                    }
                }
            }
        }
        const __m256 scale0 = _mm256_loadu_ps((const float *)(const void *)panel), scale1 = _mm256_loadu_ps((const float *)(const void *)(panel + 32));
        PITH_UNROLL
        for (int c = 0; c < C; c++) {
            const pith_act_q8_32 *a = (const void *)(act + (size_t)c * stride);
            const __m256 d = setf(&a->d);
            const __m256i start = start_of(type, &a->corr);
            PITH_UNROLL
            for (int h = 0; h < 2; h++) {
                float *at = part + c * 16 + 8 * h;
                const __m256i whole = raised_by(type) ? _mm256_add_epi32(dot[h][c], start) : dot[h][c];
                __m256 v = first ? _mm256_setzero_ps() : _mm256_loadu_ps(at);
                v = _mm256_fmadd_ps(_mm256_cvtepi32_ps(whole), _mm256_mul_ps(h ? scale1 : scale0, d), v);
                if (has_mins(type))
                    v = _mm256_fmadd_ps(_mm256_loadu_ps((const float *)(const void *)(panel + 64 + 32 * h)), setf(&a->s), v);
                _mm256_storeu_ps(at, v);
            }
        }
        panel += has_mins(type) ? 128 : 64;
    }
}

/* Units [u0, u1) of one strip to the panel. */
PITH_INLINE void fill(const pith_cpu_matmul_job *job, const pith_dtype type, int64_t row, int64_t u0, int64_t u1, uint8_t *out)
{
    const pith_mm_format f = pith_mm_format_of(type);
    const uint8_t *unit = (const uint8_t *)job->m->data + (size_t)(row / 16) * pith_mm_strip_bytes(&f, job->m->cols) + (size_t)u0 * f.unit_bytes;
    for (int64_t u = u0; u < u1; u++, unit += f.unit_bytes) {
        for (int b = 0; b < 2; b++, out += has_mins(type) ? 640 : 576) {
            PITH_UNROLL
            for (int h = 0; h < 2; h++) {
                __m256i w[8];
                unpack32(type, unit + f.code_at + b * f.code_bytes + 32 * h, w);
                PITH_UNROLL
                for (int j = 0; j < 8; j++)
                    _mm256_storeu_si256((__m256i *)(void *)(out + 64 * j + 32 * h), w[j]);
                _mm256_storeu_ps((float *)(void *)(out + 512 + 32 * h), halves8(unit + 32 * b + 16 * h));
                if (has_mins(type))
                    _mm256_storeu_ps((float *)(void *)(out + 576 + 32 * h), halves8(unit + f.min_at + 32 * b + 16 * h));
            }
        }
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
    TILE_FN(slot, TYPE, 4)                                                                                                         \
    static void fill_##slot(const pith_cpu_matmul_job *job, int n, int64_t row, int64_t u0, int64_t u1, uint8_t *panel)            \
    {                                                                                                                              \
        (void)n;                                                                                                                   \
        fill(job, TYPE, row, u0, u1, panel);                                                                                       \
    }                                                                                                                              \
    void pith_cpu_##slot##_avx2(const pith_cpu_matmul_job *job)                                                                    \
    {                                                                                                                              \
        static const pith_mm_tile_fn tiles[TILE] = {tile_##slot##_1, tile_##slot##_2, tile_##slot##_3, tile_##slot##_4};           \
        static const pith_mm_sweep sweep = {64, COLS_MAX, 2 * sizeof(pith_act_q8_32), 1, TILE, tiles, fill_##slot, store_tile};        \
        switch (job->n_tokens) {                                                                                                   \
        case 1: few(job, TYPE, 1); break;                                                                                          \
        case 2: few(job, TYPE, 2); break; /* at 3 the panel is faster by a quarter */                                             \
        default: pith_mm_sweep_run(&sweep, job); break;                                                                            \
        }                                                                                                                          \
    }
PRODUCT(matmul_q4_0, PITH_DTYPE_Q4_0)
PRODUCT(matmul_q4_1, PITH_DTYPE_Q4_1)
PRODUCT(matmul_q5_0, PITH_DTYPE_Q5_0)
PRODUCT(matmul_q5_1, PITH_DTYPE_Q5_1)
PRODUCT(matmul_q8_0, PITH_DTYPE_Q8_0)
PRODUCT(matmul_iq4_nl, PITH_DTYPE_IQ4_NL)
