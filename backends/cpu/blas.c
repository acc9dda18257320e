/* SPDX-License-Identifier: MIT */
#include "blas.h"

#include "matmul_layout.h"

#ifndef PITH_HAVE_BLAS

bool pith_cpu_matmul_init_blas(pith_cpu_kernels *k)
{
    (void)k;
    return false;
}

bool pith_cpu_matmul_is_blas(const pith_cpu_kernels *k)
{
    (void)k;
    return false;
}

const char *pith_cpu_blas_name(void) { return "none"; }

#else

#include "base/mem.h"

#include <cblas.h>
#include <string.h>

void openblas_set_num_threads(int n) __attribute__((weak)); /* other libraries with this interface lack it */

#define COLS PITH_MM_BLAS_COLS /* expanded at a time, with ROWS rows: panel[COLS][ROWS], then act[PITH_MM_SLAB][COLS] */
#define ROWS 256
#define FEW 16 /* tokens: below, expanding costs more than it saves */

_Static_assert(COLS * ROWS * sizeof(float) == PITH_MM_PANEL_BYTES, "the panel's part of the scratch");

/* Codes of 32 columns x 16 rows, all bit planes joined, into the 8-bit picture of matmul_layout.h. */
static void join_planes(uint16_t planes, const uint8_t *codes, uint8_t w[8][64])
{
    int shift = 0;
    if (planes & PITH_MM_PLANE_8) {
        memcpy(w, codes, 512);
        return;
    }
    memset(w, 0, 512);
    if (planes & PITH_MM_PLANE_4) {
        for (int z = 0; z < 4; z++)
            for (int i = 0; i < 64; i++) {
                w[z][i] = codes[64 * z + i] & 15;
                w[z + 4][i] = codes[64 * z + i] >> 4;
            }
        codes += 256;
        shift = 4;
    }
    if (planes & PITH_MM_PLANE_2) {
        for (int j = 0; j < 8; j++)
            for (int i = 0; i < 64; i++)
                w[j][i] = (uint8_t)(w[j][i] | (codes[64 * (j / 4) + i] >> (j % 4 * 2) & 3) << shift);
        codes += 128;
        shift += 2;
    }
    if (planes & PITH_MM_PLANE_1)
        for (int j = 0; j < 8; j++)
            for (int i = 0; i < 64; i++)
                w[j][i] = (uint8_t)(w[j][i] | (codes[i] >> j & 1) << shift);
}

/* Columns [k0, k0 + n) of the 16 rows of a strip to panel[n][ROWS]. */
static void expand_quantised(const pith_cpu_matrix *m, const pith_mm_format *f, const uint8_t *strip, int64_t k0, int64_t n, float *panel)
{
    const int per_unit = f->unit_elems / 32;
    for (int64_t b = k0 / 32; b < (k0 + n) / 32; b++, panel += 32 * ROWS) {
        uint8_t w[8][64];
        float scale[2][16], min[2][16];
        const uint8_t *unit = strip + (size_t)(b / per_unit) * f->unit_bytes;
        join_planes(f->planes, unit + f->code_at + (b % per_unit) * f->code_bytes, w);
        for (int r = 0; r < 16; r++) {
            pith_mm_scales s;
            pith_mm_scales_get(m->dtype, f, unit, r, (int)(b % per_unit), &s);
            for (int h = 0; h < 2; h++) {
                scale[h][r] = (float)s.scale[h];
                min[h][r] = (float)s.min[h];
            }
        }
        const int8_t *levels = pith_mm_levels(m->dtype);
        const int raise = pith_mm_raise(m->dtype);
        for (int k = 0; k < 32; k++)
            for (int r = 0; r < 16; r++) {
                const uint8_t code = w[k / 4][4 * r + k % 4];
                const int q = levels ? levels[code] : f->planes & PITH_MM_PLANE_8 ? (int8_t)code : code - raise;
                panel[k * ROWS + r] = scale[k / 16][r] * (float)q - min[k / 16][r];
            }
    }
}

static void expand_weights(const pith_cpu_matrix *m, int64_t row, int64_t k0, int64_t n, float *panel)
{
    const pith_mm_format *f = pith_mm_format_get(m->dtype);
    const uint8_t *strip = (const uint8_t *)m->data + (size_t)(row / 16) * pith_mm_strip_bytes(f, m->cols);
    if (f->planes) {
        expand_quantised(m, f, strip, k0, n, panel);
        return;
    }
    for (int64_t k = k0; k < k0 + n; k++)
        for (int r = 0; r < 16; r++)
            panel[(k - k0) * ROWS + r] = pith_mm_float_get(m->dtype, strip, r, k);
}

/* Columns [k0, k0 + n) of a token as the product sees them. */
static void expand_act(const pith_cpu_matmul_job *job, int64_t t, int64_t k0, int64_t n, float *out)
{
    const uint8_t *row = job->act + (size_t)t * pith_mm_act_stride(job->m->act, job->m->cols);
    for (int64_t i = 0, k = k0; i < n; i++, k++) {
        if (job->m->act == PITH_ACT_Q8_32) {
            const pith_act_q8_32 *a = (const pith_act_q8_32 *)(const void *)row + k / 32;
            out[i] = a->d * (float)a->q[k % 32];
        } else if (job->m->act == PITH_ACT_Q8_256) {
            const pith_act_q8_256 *a = (const pith_act_q8_256 *)(const void *)row + k / 256;
            out[i] = a->d * (float)a->q[k % 256];
        } else {
            out[i] = ((const float *)(const void *)row)[k];
        }
    }
}

static void product(const pith_cpu_matmul_job *job)
{
    float *panel = job->scratch, *act = panel + COLS * ROWS;
    for (int64_t t0 = 0; t0 < job->n_tokens; t0 += PITH_MM_SLAB) {
        const int64_t n = pith_min_i64(PITH_MM_SLAB, job->n_tokens - t0);
        for (int64_t t = t0; t < t0 + n; t++)
            for (int64_t r = job->row0; r < job->row1; r++)
                job->y[t * job->ldy + r] = pith_mm_start(job, t, r);
        for (int64_t k0 = 0; k0 < job->m->cols; k0 += COLS) {
            const int64_t cols = pith_min_i64(COLS, job->m->cols - k0);
            for (int64_t t = 0; t < n; t++)
                expand_act(job, t0 + t, k0, cols, act + t * COLS);
            for (int64_t r0 = job->row0; r0 < job->row1; r0 += ROWS) {
                const int64_t rows = pith_min_i64(ROWS, job->row1 - r0);
                for (int64_t r = 0; r < rows; r += 16)
                    expand_weights(job->m, r0 + r, k0, cols, panel + r);
                cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)n, (int)rows, (int)cols, 1.0f, act, COLS, panel, ROWS, 1.0f,
                            job->y + t0 * job->ldy + r0, (int)job->ldy);
            }
        }
    }
}

#define X(type, slot)                                     \
    static void slot##_blas(const pith_cpu_matmul_job *job) \
    {                                                     \
        if (job->n_tokens < FEW)                          \
            pith_cpu_##slot##_c(job);                     \
        else                                              \
            product(job);                                 \
    }
PITH_CPU_MATMUL_TYPES(X)
#undef X

bool pith_cpu_matmul_init_blas(pith_cpu_kernels *k)
{
    if (openblas_set_num_threads)
        openblas_set_num_threads(1); /* our own threads bring disjoint rows */
#define X(type, slot) k->slot = slot##_blas;
    PITH_CPU_MATMUL_TYPES(X)
#undef X
    return true;
}

bool pith_cpu_matmul_is_blas(const pith_cpu_kernels *k) { return k->matmul_f32 == matmul_f32_blas; }

const char *pith_cpu_blas_name(void)
{
#ifdef PITH_BLAS_VERSION
    return "openblas " PITH_BLAS_VERSION;
#else
    return "openblas";
#endif
}

#endif
