/* SPDX-License-Identifier: MIT */
/* What the bytes of every usable tensor type mean, as plain C: one function per type turns one block into floats.
 * This is the dictionary that the kernels are tested against, so it follows the format description (gguf
 * specification, "block layouts") line by line and is never optimised. Blocks are read byte by byte: no alignment is
 * needed, and the result does not depend on the byte order of the machine.
 *
 * Elements of the 32-wide types:  byte j of qs = | element j + 16 | element j |   (high nibble, low nibble)
 * The 256-wide types number their elements i = 128 c + 32 j + l  (c 0..1, j 0..3, l 0..31), or i = 32 k + l. */
#include "graph/dtype.h"
#include "base/half.h"

#include <assert.h>

/* The sixteen levels of IQ4_NL and IQ4_XS. */
static const float iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

static uint32_t u16_at(const uint8_t *b)
{
    return (uint32_t)b[0] | (uint32_t)b[1] << 8;
}

static uint32_t u32_at(const uint8_t *b)
{
    return u16_at(b) | u16_at(b + 2) << 16;
}

static float half_at(const uint8_t *b)
{
    return pith_f16_to_f32((uint16_t)u16_at(b));
}

static int nibble(uint8_t byte, bool high)
{
    return high ? byte >> 4 : byte & 15;
}

/* ---- floats: blocks of one ------------------------------------------------------------------------------------- */

static void block_f32(const uint8_t *b, float *y)
{
    union { uint32_t u; float f; } v = {u32_at(b)};
    y[0] = v.f;
}

static void block_f16(const uint8_t *b, float *y)
{
    y[0] = half_at(b);
}

static void block_bf16(const uint8_t *b, float *y)
{
    y[0] = pith_bf16_to_f32((uint16_t)u16_at(b));
}

/* ---- blocks of 32 ---------------------------------------------------------------------------------------------- */

static void block_q4_0(const uint8_t *b, float *y) /* d, qs[16] */
{
    float d = half_at(b);
    for (int i = 0; i < 32; i++)
        y[i] = d * (float)(nibble(b[2 + i % 16], i >= 16) - 8);
}

static void block_q4_1(const uint8_t *b, float *y) /* d, m, qs[16] */
{
    float d = half_at(b), m = half_at(b + 2);
    for (int i = 0; i < 32; i++)
        y[i] = d * (float)nibble(b[4 + i % 16], i >= 16) + m;
}

static void block_q5_0(const uint8_t *b, float *y) /* d, fifth bits (u32), qs[16] */
{
    float d = half_at(b);
    uint32_t fifth = u32_at(b + 2);
    for (int i = 0; i < 32; i++)
        y[i] = d * (float)((nibble(b[6 + i % 16], i >= 16) | (int)(fifth >> i & 1) << 4) - 16);
}

static void block_q5_1(const uint8_t *b, float *y) /* d, m, fifth bits (u32), qs[16] */
{
    float d = half_at(b), m = half_at(b + 2);
    uint32_t fifth = u32_at(b + 4);
    for (int i = 0; i < 32; i++)
        y[i] = d * (float)(nibble(b[8 + i % 16], i >= 16) | (int)(fifth >> i & 1) << 4) + m;
}

static void block_q8_0(const uint8_t *b, float *y) /* d, int8 qs[32] */
{
    float d = half_at(b);
    for (int i = 0; i < 32; i++)
        y[i] = d * (float)(int8_t)b[2 + i];
}

static void block_iq4_nl(const uint8_t *b, float *y) /* d, qs[16] */
{
    float d = half_at(b);
    for (int i = 0; i < 32; i++)
        y[i] = d * iq4_levels[nibble(b[2 + i % 16], i >= 16)];
}

/* ---- blocks of 256 --------------------------------------------------------------------------------------------- */

/* Two-bit value i of 64 bytes: bits 2j of byte 32 c + l. */
static int two_bits(const uint8_t *qs, int i)
{
    int c = i / 128, j = i % 128 / 32, l = i % 32;
    return qs[32 * c + l] >> 2 * j & 3;
}

static void block_q2_k(const uint8_t *b, float *y) /* scales[16] (scale low, min high), qs[64], d, dmin */
{
    float d = half_at(b + 80), dmin = half_at(b + 82);
    for (int i = 0; i < 256; i++) {
        uint8_t s = b[i / 16];
        y[i] = d * (float)(s & 15) * (float)two_bits(b + 16, i) - dmin * (float)(s >> 4);
    }
}

static void block_q3_k(const uint8_t *b, float *y) /* hmask[32], qs[64], scales[12], d */
{
    const uint8_t *hmask = b, *qs = b + 32, *sc = b + 96;
    float d = half_at(b + 108);
    for (int i = 0; i < 256; i++) {
        int k = i / 16; /* sub-block; its scale: 4 low bits in sc[0..7], 2 high bits in sc[8..11] */
        int scale = (sc[k % 8] >> 4 * (k / 8) & 15) | (sc[8 + k % 4] >> 2 * (k / 4) & 3) << 4;
        int q = two_bits(qs, i) - (hmask[i % 32] >> i / 32 & 1 ? 0 : 4);
        y[i] = d * (float)(scale - 32) * (float)q;
    }
}

/* 6-bit scale and min of sub-block k, as Q4_K and Q5_K pack eight pairs into 12 bytes:
 *   sc[0..3] = | scale k+4, bits 4..5 | scale k |    sc[4..7] = | min k+4, bits 4..5 | min k |
 *   sc[8..11] = | min k+4, bits 0..3 | scale k+4, bits 0..3 | */
static void scale_min(const uint8_t *sc, int k, float *scale, float *min)
{
    if (k < 4) {
        *scale = (float)(sc[k] & 63);
        *min = (float)(sc[k + 4] & 63);
    } else {
        *scale = (float)((sc[k + 4] & 15) | sc[k - 4] >> 6 << 4);
        *min = (float)(sc[k + 4] >> 4 | sc[k] >> 6 << 4);
    }
}

static void block_q4_k(const uint8_t *b, float *y) /* d, dmin, sc[12], qs[128] */
{
    float d = half_at(b), dmin = half_at(b + 2);
    for (int k = 0; k < 8; k++) {
        float scale, min;
        scale_min(b + 4, k, &scale, &min);
        for (int l = 0; l < 32; l++)
            y[32 * k + l] = d * scale * (float)nibble(b[16 + 32 * (k / 2) + l], k % 2) - dmin * min;
    }
}

static void block_q5_k(const uint8_t *b, float *y) /* d, dmin, sc[12], qh[32], qs[128] */
{
    float d = half_at(b), dmin = half_at(b + 2);
    for (int k = 0; k < 8; k++) {
        float scale, min;
        scale_min(b + 4, k, &scale, &min);
        for (int l = 0; l < 32; l++) {
            int q = nibble(b[48 + 32 * (k / 2) + l], k % 2) | (b[16 + l] >> k & 1) << 4;
            y[32 * k + l] = d * scale * (float)q - dmin * min;
        }
    }
}

static void block_q6_k(const uint8_t *b, float *y) /* ql[128], qh[64], int8 scales[16], d */
{
    float d = half_at(b + 208);
    for (int i = 0; i < 256; i++) {
        int c = i / 128, j = i % 128 / 32, l = i % 32;
        int q = nibble(b[64 * c + 32 * (j % 2) + l], j >= 2) | two_bits(b + 128, i) << 4;
        y[i] = d * (float)(int8_t)b[192 + i / 16] * (float)(q - 32);
    }
}

static void block_iq4_xs(const uint8_t *b, float *y) /* d, scales_h (u16), scales_l[4], qs[128] */
{
    float d = half_at(b);
    uint32_t high = u16_at(b + 2);
    for (int k = 0; k < 8; k++) {
        int scale = nibble(b[4 + k / 2], k % 2) | (int)(high >> 2 * k & 3) << 4;
        for (int l = 0; l < 32; l++)
            y[32 * k + l] = d * (float)(scale - 32) * iq4_levels[nibble(b[8 + 16 * k + l % 16], l >= 16)];
    }
}

/* ---------------------------------------------------------------------------------------------------------------- */

typedef void (*block_fn)(const uint8_t *b, float *y);

static block_fn block_of(pith_dtype type)
{
    switch (type) {
    case PITH_DTYPE_F32: return block_f32;
    case PITH_DTYPE_F16: return block_f16;
    case PITH_DTYPE_BF16: return block_bf16;
    case PITH_DTYPE_Q4_0: return block_q4_0;
    case PITH_DTYPE_Q4_1: return block_q4_1;
    case PITH_DTYPE_Q5_0: return block_q5_0;
    case PITH_DTYPE_Q5_1: return block_q5_1;
    case PITH_DTYPE_Q8_0: return block_q8_0;
    case PITH_DTYPE_Q2_K: return block_q2_k;
    case PITH_DTYPE_Q3_K: return block_q3_k;
    case PITH_DTYPE_Q4_K: return block_q4_k;
    case PITH_DTYPE_Q5_K: return block_q5_k;
    case PITH_DTYPE_Q6_K: return block_q6_k;
    case PITH_DTYPE_IQ4_NL: return block_iq4_nl;
    case PITH_DTYPE_IQ4_XS: return block_iq4_xs;
    default: return NULL;
    }
}

void pith_dequantize(pith_dtype type, const void *src, float *dst, size_t n)
{
    pith_dtype_info info = pith_dtype_get((uint32_t)type);
    block_fn block = block_of(type);
    assert(block && n % info.block_elems == 0);
    if (!block)
        return;
    const uint8_t *b = src;
    for (size_t i = 0; i < n; i += info.block_elems, b += info.block_bytes)
        block(b, dst + i);
}
