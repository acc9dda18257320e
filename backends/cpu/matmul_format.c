/* SPDX-License-Identifier: MIT */
/* The table of weight layouts (matmul_layout.h draws them) and the plain reading of one block: the meaning of the
 * layouts, used by the scalar kernels and for single rows. */
#include "matmul_layout.h"

#include "base/half.h"

#include <string.h>

const int8_t pith_mm_iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

const pith_mm_format *pith_mm_format_get(pith_dtype dtype)
{
#define X(type, ...) static const pith_mm_format format_##type = {__VA_ARGS__};
    PITH_MM_FORMAT_MAP(X)
#undef X
    switch (dtype) {
#define X(type, ...) \
    case PITH_DTYPE_##type: return &format_##type;
        PITH_MM_FORMAT_MAP(X)
#undef X
    default: return NULL;
    }
}

static double half_at(const uint8_t *p, int i)
{
    return (double)pith_f16_to_f32((uint16_t)(p[2 * i] | p[2 * i + 1] << 8));
}

/* Code of column k (0..31) in row `lane`, as the file's unsigned bits (8-bit plane: as is). */
static int code(uint16_t planes, const uint8_t *codes, int lane, int k)
{
    int j = k / 4, byte = 4 * lane + k % 4, shift = 0, v = 0;
    if (planes & PITH_MM_PLANE_8)
        return codes[64 * j + byte];
    if (planes & PITH_MM_PLANE_4) {
        v = codes[64 * (j % 4) + byte] >> (j / 4 * 4) & 15;
        codes += 256;
        shift = 4;
    }
    if (planes & PITH_MM_PLANE_2) {
        v |= (codes[64 * (j / 4) + byte] >> (j % 4 * 2) & 3) << shift;
        codes += 128;
        shift += 2;
    }
    if (planes & PITH_MM_PLANE_1)
        v |= (codes[byte] >> j & 1) << shift;
    return v;
}

const int8_t *pith_mm_levels(pith_dtype dtype)
{
    return dtype == PITH_DTYPE_IQ4_NL || dtype == PITH_DTYPE_IQ4_XS ? pith_mm_iq4_levels : NULL;
}

int pith_mm_raise(pith_dtype dtype)
{
    return dtype == PITH_DTYPE_Q4_0 ? 8 : dtype == PITH_DTYPE_Q5_0 ? 16 : dtype == PITH_DTYPE_Q6_K ? 32 : dtype == PITH_DTYPE_Q3_K ? 4 : 0;
}

void pith_mm_scales_get(pith_dtype dtype, const pith_mm_format *f, const uint8_t *unit, int lane, int k, pith_mm_scales *out)
{
    for (int h = 0; h < 2; h++) {
        double min = 0.0, scale;
        if (f->act == PITH_ACT_Q8_32) {
            scale = half_at(unit, 16 * k + lane);
            if (f->min_at)
                min = -half_at(unit + f->min_at, 16 * k + lane);
        } else {
            int sub = f->sub == 16 ? 2 * k + h : k;
            uint8_t s = unit[f->scale_at + 16 * sub + lane];
            scale = half_at(unit, lane);
            if (dtype == PITH_DTYPE_Q2_K) {
                scale *= s & 15;
                min = half_at(unit + 32, lane) * (s >> 4);
            } else {
                scale *= (int8_t)s;
                if (f->min_at)
                    min = half_at(unit + 32, lane) * unit[f->min_at + 16 * sub + lane];
            }
        }
        out->scale[h] = scale;
        out->min[h] = min;
    }
}

void pith_mm_block_get(pith_dtype dtype, const pith_mm_format *f, const uint8_t *strip, int lane, int64_t b, pith_mm_block *out)
{
    int per_unit = f->unit_elems / 32, k = (int)(b % per_unit), raise = pith_mm_raise(dtype);
    const uint8_t *unit = strip + (size_t)(b / per_unit) * f->unit_bytes, *codes = unit + f->code_at + k * f->code_bytes;
    const int8_t *levels = pith_mm_levels(dtype);
    for (int i = 0; i < 32; i++) {
        int v = code(f->planes, codes, lane, i);
        out->q[i] = levels ? levels[v] : (int8_t)(v - raise);
    }
    pith_mm_scales_get(dtype, f, unit, lane, k, &out->s);
}

float pith_mm_float_get(pith_dtype dtype, const uint8_t *strip, int lane, int64_t k)
{
    size_t i = (size_t)k, l = (size_t)lane;
    float v;
    uint16_t h;
    if (dtype == PITH_DTYPE_F32) {
        memcpy(&v, strip + (i * 16 + l) * 4, 4);
        return v;
    }
    memcpy(&h, strip + (dtype == PITH_DTYPE_F16 ? i * 16 + l : (i / 2 * 16 + l) * 2 + i % 2) * 2, 2);
    return dtype == PITH_DTYPE_F16 ? pith_f16_to_f32(h) : pith_bf16_to_f32(h);
}
