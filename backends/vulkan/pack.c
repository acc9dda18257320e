/* SPDX-License-Identifier: MIT */
/* From the file's blocks (gguf specification, "block layouts"; src/graph/dequant.c says what they mean) to planes. */
#include "pack.h"

#include <string.h>

/* A plane of n bytes per unit, or per eight. */
#define U(n) {n, 1}
#define S(n) {n, 8}

static const pith_vk_format formats[PITH_VK_FORMAT_COUNT] = {
    [PITH_VK_FORMAT_F32] = {"f32", 1, {U(128)}},
    [PITH_VK_FORMAT_F16] = {"f16", 1, {U(64)}},
    [PITH_VK_FORMAT_BF16] = {"bf16", 1, {U(64)}},
    [PITH_VK_FORMAT_Q4_0] = {"q4_0 planes", 2, {U(16), U(2)}},
    [PITH_VK_FORMAT_Q4_1] = {"q4_1 planes", 2, {U(16), U(4)}},
    [PITH_VK_FORMAT_Q5_0] = {"q5_0 planes", 3, {U(16), U(4), U(2)}},
    [PITH_VK_FORMAT_Q5_1] = {"q5_1 planes", 3, {U(16), U(4), U(4)}},
    [PITH_VK_FORMAT_Q8_0] = {"q8_0 planes", 2, {U(32), U(2)}},
    [PITH_VK_FORMAT_Q2_K] = {"q2_k planes", 3, {U(8), U(2), S(4)}},
    [PITH_VK_FORMAT_Q3_K] = {"q3_k planes", 4, {U(8), U(4), U(2), S(2)}},
    [PITH_VK_FORMAT_Q4_K] = {"q4_k planes", 2, {U(16), S(16)}},
    [PITH_VK_FORMAT_Q5_K] = {"q5_k planes", 3, {U(16), U(4), S(16)}},
    [PITH_VK_FORMAT_Q6_K] = {"q6_k planes", 4, {U(16), U(8), U(2), S(2)}},
    [PITH_VK_FORMAT_IQ4_NL] = {"iq4_nl planes", 2, {U(16), U(2)}},
    [PITH_VK_FORMAT_IQ4_XS] = {"iq4_xs planes", 2, {U(16), S(8)}},
};

int pith_vk_format_of(pith_dtype type)
{
    switch (type) {
#define X(NAME) case PITH_DTYPE_##NAME: return PITH_VK_FORMAT_##NAME;
        PITH_VK_FORMAT_MAP(X)
#undef X
    default: return -1;
    }
}

const pith_vk_format *pith_vk_format_get(int format)
{
    return &formats[format];
}

/* ---- codes of a unit into planes ---------------------------------------------------------------------------------- */

static void put_nibbles(uint8_t *plane, const uint8_t *code) /* low four bits of 32 codes */
{
    for (int j = 0; j < 16; j++)
        plane[j] = (uint8_t)((code[j] & 15) | (code[j + 16] & 15) << 4);
}

static void put_bit1(uint8_t *plane, const uint8_t *code, int at) /* bit `at` of each */
{
    for (int b = 0; b < 4; b++) {
        int bits = 0;
        for (int i = 0; i < 8; i++)
            bits |= (code[8 * b + i] >> at & 1) << i;
        plane[b] = (uint8_t)bits;
    }
}

static void put_bit2(uint8_t *plane, const uint8_t *code, int at) /* bits `at`, `at` + 1 of each */
{
    for (int j = 0; j < 8; j++) {
        int bits = 0;
        for (int i = 0; i < 4; i++)
            bits |= (code[j + 8 * i] >> at & 3) << 2 * i;
        plane[j] = (uint8_t)bits;
    }
}

/* ---- super-blocks of 256: codes of unit k of a block ---------------------------------------------------------------- */

static uint8_t two_bits(const uint8_t *qs, int i) /* element i of 64 bytes */
{
    return (uint8_t)(qs[32 * (i / 128) + i % 32] >> 2 * (i % 128 / 32) & 3);
}

static void codes_q2_k(const uint8_t *b, int k, uint8_t *code)
{
    for (int l = 0; l < 32; l++)
        code[l] = two_bits(b + 16, 32 * k + l);
}

static void codes_q3_k(const uint8_t *b, int k, uint8_t *code)
{
    for (int l = 0; l < 32; l++)
        code[l] = (uint8_t)(two_bits(b + 32, 32 * k + l) | (b[l] >> k & 1) << 2);
}

static void codes_q4_k(const uint8_t *qs, int k, uint8_t *code)
{
    for (int l = 0; l < 32; l++)
        code[l] = (uint8_t)(qs[32 * (k / 2) + l] >> 4 * (k % 2) & 15);
}

static void codes_q5_k(const uint8_t *b, int k, uint8_t *code)
{
    codes_q4_k(b + 48, k, code);
    for (int l = 0; l < 32; l++)
        code[l] = (uint8_t)(code[l] | (b[16 + l] >> k & 1) << 4);
}

static void codes_q6_k(const uint8_t *b, int k, uint8_t *code)
{
    for (int l = 0; l < 32; l++) {
        int low = b[64 * (k / 4) + 32 * (k % 2) + l] >> 4 * (k % 4 / 2) & 15;
        code[l] = (uint8_t)(low | two_bits(b + 128, 32 * k + l) << 4);
    }
}

/* The twelve bytes of 6-bit scales as signed bytes, 32 taken off. */
static void scales_q3_k(const uint8_t *sc, uint8_t *out)
{
    for (int k = 0; k < 16; k++)
        out[k] = (uint8_t)(((sc[k % 8] >> 4 * (k / 8) & 15) | (sc[8 + k % 4] >> 2 * (k / 4) & 3) << 4) - 32);
}

static void pack_super(pith_dtype type, const uint8_t *b, int64_t block, uint8_t *const *p)
{
    uint8_t code[32];
    for (int k = 0; k < 8; k++) {
        int64_t u = 8 * block + k;
        switch (type) {
        case PITH_DTYPE_Q2_K:
            codes_q2_k(b, k, code);
            put_bit2(p[0] + 8 * u, code, 0);
            break;
        case PITH_DTYPE_Q3_K:
            codes_q3_k(b, k, code);
            put_bit2(p[0] + 8 * u, code, 0);
            put_bit1(p[1] + 4 * u, code, 2);
            break;
        case PITH_DTYPE_Q4_K:
            codes_q4_k(b + 16, k, code);
            put_nibbles(p[0] + 16 * u, code);
            break;
        case PITH_DTYPE_Q5_K:
            codes_q5_k(b, k, code);
            put_nibbles(p[0] + 16 * u, code);
            put_bit1(p[1] + 4 * u, code, 4);
            break;
        case PITH_DTYPE_Q6_K:
            codes_q6_k(b, k, code);
            put_nibbles(p[0] + 16 * u, code);
            put_bit2(p[1] + 8 * u, code, 4);
            break;
        default: break;
        }
    }
    switch (type) {
    case PITH_DTYPE_Q2_K:
        memcpy(p[1] + 16 * block, b, 16);
        memcpy(p[2] + 4 * block, b + 80, 4);
        break;
    case PITH_DTYPE_Q3_K:
        scales_q3_k(b + 96, p[2] + 16 * block);
        memcpy(p[3] + 2 * block, b + 108, 2);
        break;
    case PITH_DTYPE_Q4_K: memcpy(p[1] + 16 * block, b, 16); break;
    case PITH_DTYPE_Q5_K: memcpy(p[2] + 16 * block, b, 16); break;
    case PITH_DTYPE_Q6_K:
        memcpy(p[2] + 16 * block, b + 192, 16);
        memcpy(p[3] + 2 * block, b + 208, 2);
        break;
    case PITH_DTYPE_IQ4_XS:
        memcpy(p[0] + 128 * block, b + 8, 128);
        memcpy(p[1] + 8 * block, b, 8);
        break;
    default: break;
    }
}

/* ---- blocks of 32: their parts are planes already ------------------------------------------------------------------ */

static void pack_block(pith_dtype type, const uint8_t *b, int64_t u, uint8_t *const *p)
{
    switch (type) {
    case PITH_DTYPE_Q4_0:
    case PITH_DTYPE_IQ4_NL:
        memcpy(p[0] + 16 * u, b + 2, 16);
        memcpy(p[1] + 2 * u, b, 2);
        break;
    case PITH_DTYPE_Q4_1:
        memcpy(p[0] + 16 * u, b + 4, 16);
        memcpy(p[1] + 4 * u, b, 4);
        break;
    case PITH_DTYPE_Q5_0:
        memcpy(p[0] + 16 * u, b + 6, 16);
        memcpy(p[1] + 4 * u, b + 2, 4);
        memcpy(p[2] + 2 * u, b, 2);
        break;
    case PITH_DTYPE_Q5_1:
        memcpy(p[0] + 16 * u, b + 8, 16);
        memcpy(p[1] + 4 * u, b + 4, 4);
        memcpy(p[2] + 4 * u, b, 4);
        break;
    case PITH_DTYPE_Q8_0:
        for (int i = 0; i < 32; i++)
            p[0][32 * u + i] = (uint8_t)(b[2 + i] ^ 0x80); /* two's complement to offset 128 */
        memcpy(p[1] + 2 * u, b, 2);
        break;
    default: break;
    }
}

void pith_vk_pack_row(pith_dtype type, const void *src, int64_t cols, uint8_t *const *planes)
{
    pith_dtype_info info = pith_dtype_get((uint32_t)type);
    const uint8_t *b = src;
    if (info.block_elems == 1) {
        size_t bytes = (size_t)cols * info.block_bytes;
        memcpy(planes[0], src, bytes);
        memset(planes[0] + bytes, 0, (size_t)pith_vk_units(cols) * 32 * info.block_bytes - bytes);
        return;
    }
    for (int64_t i = 0; i < cols / info.block_elems; i++, b += info.block_bytes) {
        if (info.block_elems == 32)
            pack_block(type, b, i, planes);
        else
            pack_super(type, b, i, planes);
    }
}
