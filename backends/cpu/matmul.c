/* SPDX-License-Identifier: MIT */
/* The contract of matmul.h over the kernel table: sizes, packing of activations, single rows, dispatch by type. */
#include "matmul.h"

#include "base/mem.h"
#include "blas.h"
#include "matmul_layout.h"

#include <string.h>

pith_status pith_cpu_matrix_init(pith_cpu_matrix *m, const pith_cpu_kernels *k, pith_dtype dtype, int64_t rows, int64_t cols)
{
    (void)k;
    memset(m, 0, sizeof *m);
    const pith_mm_format *f = pith_mm_format_get(dtype);
    pith_dtype_info info = pith_dtype_get((uint32_t)dtype);
    if (!f)
        return pith_fail(PITH_ERROR_UNSUPPORTED, "matrix type %s (%d): not usable as weights", info.name ? info.name : "?", (int)dtype);
    if (rows < 1 || cols < 1 || cols % f->file_elems != 0)
        return pith_fail(PITH_ERROR_FORMAT, "matrix of type %s: [%lld,%lld], expected rows >= 1 and columns in blocks of %d", info.name,
                         (long long)rows, (long long)cols, f->file_elems);
    size_t bytes;
    if ((uint64_t)cols > SIZE_MAX / 512 || !pith_size_mul(pith_mm_strip_bytes(f, cols), ((size_t)rows + 15) / 16, &bytes))
        return pith_fail(PITH_ERROR_FORMAT, "matrix of type %s: [%lld,%lld] is too large", info.name, (long long)rows, (long long)cols);
    *m = (pith_cpu_matrix){.dtype = dtype, .rows = rows, .cols = cols, .act = f->act, .layout = f->layout, .bytes = bytes};
    return PITH_OK;
}

void pith_cpu_matrix_row(const pith_cpu_matrix *m, int64_t row, float *dst)
{
    const pith_mm_format *f = pith_mm_format_get(m->dtype);
    const uint8_t *strip = (const uint8_t *)m->data + (size_t)(row / 16) * pith_mm_strip_bytes(f, m->cols);
    int lane = (int)(row % 16);
    if (!f->planes) {
        for (int64_t k = 0; k < m->cols; k++)
            dst[k] = pith_mm_float_get(m->dtype, strip, lane, k);
        return;
    }
    for (int64_t b = 0; b < m->cols / 32; b++) {
        pith_mm_block block;
        pith_mm_block_get(m->dtype, f, strip, lane, b, &block);
        for (int i = 0; i < 32; i++) /* all but the last operation is exact in double, so this rounds once, as in f32 */
            dst[32 * b + i] = (float)(block.s.scale[i / 16] * block.q[i] - block.s.min[i / 16]);
    }
}

size_t pith_cpu_act_bytes(pith_cpu_act act, int64_t n_cols, int64_t n_tokens)
{
    return pith_mm_act_stride(act, n_cols) * (size_t)n_tokens + PITH_PAD_BYTES;
}

void pith_cpu_act_pack(const pith_cpu_kernels *k, pith_cpu_act act, const float *x, int64_t ldx, int64_t n_cols, int64_t n_tokens, int64_t t0,
                       int64_t t1, void *dst)
{
    assert(0 <= t0 && t0 <= t1 && t1 <= n_tokens);
    (void)n_tokens;
    void (*pack)(const float *, int64_t, void *) = act == PITH_ACT_F32    ? k->matmul_act_f32
                                                   : act == PITH_ACT_F16  ? k->matmul_act_f16
                                                   : act == PITH_ACT_BF16 ? k->matmul_act_bf16
                                                   : act == PITH_ACT_Q8_32 ? k->matmul_act_q8_32
                                                                          : k->matmul_act_q8_256;
    size_t stride = pith_mm_act_stride(act, n_cols);
    for (int64_t t = t0; t < t1; t++)
        pack(x + t * ldx, n_cols, (uint8_t *)dst + (size_t)t * stride);
}

size_t pith_cpu_matmul_scratch_bytes(const pith_cpu_kernels *k, const pith_cpu_matrix *m, int64_t n_tokens)
{
    (void)m;
    int64_t slab = (pith_min_i64(n_tokens, PITH_MM_SLAB) + 15) / 16 * 16;
    size_t per_token = pith_cpu_matmul_is_blas(k) ? PITH_MM_BLAS_COLS : PITH_MM_PANEL_ROWS;
    return PITH_MM_PANEL_BYTES + (size_t)slab * per_token * sizeof(float) + PITH_PAD_BYTES;
}

void pith_cpu_matmul(const pith_cpu_kernels *k, const pith_cpu_matrix *m, const void *act, int64_t n_tokens, int64_t row0, int64_t row1,
                     const float *bias, bool accumulate, float *y, int64_t ldy, void *scratch)
{
    assert(row0 % PITH_CPU_ROW_UNIT == 0 && row0 <= row1 && row1 <= m->rows && (row1 % PITH_CPU_ROW_UNIT == 0 || row1 == m->rows));
    if (row0 == row1 || n_tokens < 1)
        return;
    pith_cpu_matmul_job job = {m, act, n_tokens, row0, row1, bias, accumulate, y, ldy, scratch};
    switch (m->dtype) {
#define X(type, slot) \
    case PITH_DTYPE_##type: k->slot(&job); break;
        PITH_CPU_MATMUL_TYPES(X)
#undef X
    default: assert(false && "a type that pith_cpu_matrix_init refuses"); break;
    }
}
