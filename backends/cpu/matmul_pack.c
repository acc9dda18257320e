/* SPDX-License-Identifier: MIT */
/* From the file's row-major blocks to the 16-row units of matmul_layout.h, in plain C: the work is moving 4-byte groups
 * of columns (and masking them), 16 lanes to a unit, which is limited by stores, not by instructions. The layout does
 * not depend on the tier, so this is the only packer.
 *
 * In the code of one lane, w[4 j .. 4 j + 3] (columns 4 j + i of its row) is one little-endian word: step j. */
#include "matmul_layout.h"

#include <string.h>

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
}

static void put_half(uint8_t *plane, int lane, const uint8_t *half)
{
    plane[2 * lane] = half[0];
    plane[2 * lane + 1] = half[1];
}

/* Four bits to the lowest bits of four bytes. */
static uint32_t spread4(uint32_t bits) { return (bits & 15u) * 0x00204081u & 0x01010101u; }

/* One lane of one unit: src = the file's block (the first of two for the 32-element types, n = 1 or 2 present). */

static void unit_32(const pith_mm_format *f, bool fifth, const uint8_t *src, int n, int lane, uint8_t *unit)
{
    int m = f->min_at ? 2 : 0, qh = 2 + m;
    for (int b = 0; b < n; b++, src += f->file_bytes) {
        uint8_t *codes = unit + f->code_at + b * f->code_bytes + 4 * lane;
        put_half(unit + 32 * b, lane, src);
        if (m)
            put_half(unit + f->min_at + 32 * b, lane, src + 2);
        for (int z = 0; z < 4; z++) /* the file's bytes already pair step z with step z + 4 */
            put32(codes + 64 * z, get32(src + qh + (fifth ? 4 : 0) + 4 * z));
        if (fifth) {
            uint32_t bits = get32(src + qh), plane = 0;
            for (int j = 0; j < 8; j++)
                plane |= spread4(bits >> 4 * j) << j;
            put32(codes + 256, plane);
        }
    }
}

static void unit_q8_0(const pith_mm_format *f, const uint8_t *src, int n, int lane, uint8_t *unit)
{
    for (int b = 0; b < n; b++, src += f->file_bytes) {
        uint8_t *codes = unit + f->code_at + b * f->code_bytes + 4 * lane;
        put_half(unit + 32 * b, lane, src);
        for (int j = 0; j < 8; j++)
            put32(codes + 64 * j, get32(src + 2 + 4 * j));
    }
}

/* Two low bits of 32 columns: qs = 32 bytes, field j of each. */
static void plane2(const uint8_t *qs, int j, uint8_t *out)
{
    for (int z = 0; z < 2; z++) {
        uint32_t plane = 0;
        for (int s = 0; s < 4; s++)
            plane |= (get32(qs + 16 * z + 4 * s) >> 2 * j & 0x03030303u) << 2 * s;
        put32(out + 64 * z, plane);
    }
}

/* Bit k of each of 32 bytes. */
static void plane1(const uint8_t *bytes, int k, uint8_t *out)
{
    uint32_t plane = 0;
    for (int s = 0; s < 8; s++)
        plane |= (get32(bytes + 4 * s) >> k & 0x01010101u) << s;
    put32(out, plane);
}

static void unit_q2_k(const pith_mm_format *f, const uint8_t *src, int lane, uint8_t *unit)
{
    put_half(unit, lane, src + 80);
    put_half(unit + 32, lane, src + 82);
    for (int s = 0; s < 16; s++)
        unit[f->scale_at + 16 * s + lane] = src[s];
    for (int k = 0; k < 8; k++)
        plane2(src + 16 + 32 * (k / 4), k % 4, unit + f->code_at + k * f->code_bytes + 4 * lane);
}

static void unit_q3_k(const pith_mm_format *f, const uint8_t *src, int lane, uint8_t *unit)
{
    const uint8_t *sc = src + 96;
    put_half(unit, lane, src + 108);
    for (int s = 0; s < 16; s++) {
        int scale = (sc[s % 8] >> 4 * (s / 8) & 15) | (sc[8 + s % 4] >> 2 * (s / 4) & 3) << 4;
        unit[f->scale_at + 16 * s + lane] = (uint8_t)(scale - 32);
    }
    for (int k = 0; k < 8; k++) {
        uint8_t *codes = unit + f->code_at + k * f->code_bytes + 4 * lane;
        plane2(src + 32 + 32 * (k / 4), k % 4, codes);
        plane1(src, k, codes + 128);
    }
}

static void unit_q45_k(const pith_mm_format *f, bool fifth, const uint8_t *src, int lane, uint8_t *unit)
{
    const uint8_t *sc = src + 4, *qs = src + (fifth ? 48 : 16);
    put_half(unit, lane, src);
    put_half(unit + 32, lane, src + 2);
    for (int k = 0; k < 4; k++) {
        unit[f->scale_at + 16 * k + lane] = sc[k] & 63;
        unit[f->min_at + 16 * k + lane] = sc[k + 4] & 63;
        unit[f->scale_at + 16 * (k + 4) + lane] = (uint8_t)((sc[k + 8] & 15) | sc[k] >> 6 << 4);
        unit[f->min_at + 16 * (k + 4) + lane] = (uint8_t)(sc[k + 8] >> 4 | sc[k + 4] >> 6 << 4);
    }
    for (int g = 0; g < 4; g++, qs += 32) { /* low nibbles: block 2 g; high nibbles: block 2 g + 1 */
        uint8_t *even = unit + f->code_at + 2 * g * f->code_bytes + 4 * lane, *odd = even + f->code_bytes;
        for (int z = 0; z < 4; z++) {
            uint32_t a = get32(qs + 4 * z), b = get32(qs + 16 + 4 * z);
            put32(even + 64 * z, (a & 0x0f0f0f0fu) | (b & 0x0f0f0f0fu) << 4);
            put32(odd + 64 * z, (a >> 4 & 0x0f0f0f0fu) | (b & 0xf0f0f0f0u));
        }
        if (fifth) {
            plane1(src + 16, 2 * g, even + 256);
            plane1(src + 16, 2 * g + 1, odd + 256);
        }
    }
}

static void unit_q6_k(const pith_mm_format *f, const uint8_t *src, int lane, uint8_t *unit)
{
    put_half(unit, lane, src + 208);
    for (int s = 0; s < 16; s++)
        unit[f->scale_at + 16 * s + lane] = src[192 + s];
    for (int k = 0; k < 8; k++) {
        int c = k / 4, j = k % 4;
        uint8_t *codes = unit + f->code_at + k * f->code_bytes + 4 * lane;
        const uint8_t *ql = src + 64 * c + 32 * (j % 2);
        int shift = j / 2 * 4;
        for (int z = 0; z < 4; z++) {
            uint32_t a = get32(ql + 4 * z) >> shift, b = get32(ql + 16 + 4 * z) >> shift;
            put32(codes + 64 * z, (a & 0x0f0f0f0fu) | (b & 0x0f0f0f0fu) << 4);
        }
        plane2(src + 128 + 32 * c, j, codes + 256);
    }
}

static void unit_iq4_xs(const pith_mm_format *f, const uint8_t *src, int lane, uint8_t *unit)
{
    uint32_t high = (uint32_t)src[2] | (uint32_t)src[3] << 8;
    put_half(unit, lane, src);
    for (int k = 0; k < 8; k++) {
        uint32_t scale = (src[4 + k / 2] >> 4 * (k % 2) & 15u) | (high >> 2 * k & 3u) << 4;
        unit[f->scale_at + 16 * k + lane] = (uint8_t)(scale - 32);
        for (int z = 0; z < 4; z++)
            put32(unit + f->code_at + k * f->code_bytes + 4 * lane + 64 * z, get32(src + 8 + 16 * k + 4 * z));
    }
}

static void unit_lane(pith_dtype dtype, const pith_mm_format *f, const uint8_t *src, int n, int lane, uint8_t *unit)
{
    switch (dtype) {
    case PITH_DTYPE_Q5_0:
    case PITH_DTYPE_Q5_1: unit_32(f, true, src, n, lane, unit); break;
    case PITH_DTYPE_Q8_0: unit_q8_0(f, src, n, lane, unit); break;
    case PITH_DTYPE_Q2_K: unit_q2_k(f, src, lane, unit); break;
    case PITH_DTYPE_Q3_K: unit_q3_k(f, src, lane, unit); break;
    case PITH_DTYPE_Q4_K: unit_q45_k(f, false, src, lane, unit); break;
    case PITH_DTYPE_Q5_K: unit_q45_k(f, true, src, lane, unit); break;
    case PITH_DTYPE_Q6_K: unit_q6_k(f, src, lane, unit); break;
    case PITH_DTYPE_IQ4_XS: unit_iq4_xs(f, src, lane, unit); break;
    default: unit_32(f, false, src, n, lane, unit); break;
    }
}

/* Floats: n_cells cells of `bytes` bytes per row (a column, or a pair of bf16 columns), in tiles of 16, so that both sides
 * stay in L1. `bytes` is a constant at every call. */
static inline __attribute__((always_inline)) void strip_cells(size_t bytes, const uint8_t *src, size_t row_bytes, int lanes, int64_t n_cells,
                                                              uint8_t *dst)
{
    for (int64_t k0 = 0; k0 < n_cells; k0 += 16) {
        const size_t from = (size_t)k0, to = (size_t)(k0 + 16 < n_cells ? k0 + 16 : n_cells);
        for (int lane = 0; lane < lanes; lane++)
            for (size_t k = from; k < to; k++)
                memcpy(dst + (k * 16 + (size_t)lane) * bytes, src + (size_t)lane * row_bytes + k * bytes, bytes);
    }
}

static void strip_floats(pith_dtype dtype, const uint8_t *rows, size_t row_bytes, int lanes, int64_t n_cols, uint8_t *strip)
{
    if (dtype == PITH_DTYPE_F16)
        strip_cells(2, rows, row_bytes, lanes, n_cols, strip);
    else if (dtype == PITH_DTYPE_F32)
        strip_cells(4, rows, row_bytes, lanes, n_cols, strip);
    else
        strip_cells(4, rows, row_bytes, lanes, n_cols / 2, strip);
    for (int lane = 0; dtype == PITH_DTYPE_BF16 && n_cols % 2 && lane < lanes; lane++) /* the half of the last pair */
        memcpy(strip + ((size_t)(n_cols / 2) * 16 + (size_t)lane) * 4, rows + (size_t)lane * row_bytes + (size_t)(n_cols - 1) * 2, 2);
}

void pith_cpu_matrix_pack(const pith_cpu_matrix *m, const pith_cpu_kernels *k, const void *src, int64_t row0, int64_t row1)
{
    (void)k;
    const pith_mm_format *f = pith_mm_format_get(m->dtype);
    size_t row_bytes = (size_t)m->cols / f->file_elems * f->file_bytes, strip_bytes = pith_mm_strip_bytes(f, m->cols);
    assert(m->data && row0 % 16 == 0 && (row1 % 16 == 0 || row1 == m->rows));
    for (int64_t r = row0; r < row1; r += 16) {
        uint8_t *strip = (uint8_t *)m->data + (size_t)(r / 16) * strip_bytes;
        const uint8_t *rows = (const uint8_t *)src + (size_t)r * row_bytes;
        int lanes = m->rows - r < 16 ? (int)(m->rows - r) : 16;
        bool ragged = lanes < 16 || m->cols % f->unit_elems != 0;
        if (!f->planes) {
            if (ragged)
                memset(strip, 0, strip_bytes);
            strip_floats(m->dtype, rows, row_bytes, lanes, m->cols, strip);
            continue;
        }
        int per_unit = f->unit_elems / f->file_elems;
        int64_t n_blocks = m->cols / f->file_elems;
        for (int64_t b = 0; b < n_blocks; b += per_unit) {
            uint8_t *unit = strip + (size_t)(b / per_unit) * f->unit_bytes;
            if (ragged || (f->code_at >= 192 && !f->min_at)) /* also clears the unused half of the d plane */
                memset(unit, 0, f->unit_bytes);
            int n = n_blocks - b < per_unit ? (int)(n_blocks - b) : per_unit;
            for (int lane = 0; lane < lanes; lane++)
                unit_lane(m->dtype, f, rows + (size_t)lane * row_bytes + (size_t)b * f->file_bytes, n, lane, unit);
        }
    }
}
