/* SPDX-License-Identifier: MIT */
#include "harness/gen.h"

#include "base/half.h"

#include <math.h>
#include <string.h>

const char *pith_gen_name(pith_gen_kind kind)
{
    static const char *const names[] = {
#define X(name, what) #name,
        PITH_GEN_MAP(X)
#undef X
    };
    return kind < PITH_GEN_END ? names[kind] : "?";
}

static float sign(pith_rng *rng) { return pith_rng_u64(rng) & 1 ? 1.0f : -1.0f; }

static float value(pith_rng *rng, pith_gen_kind kind, size_t i)
{
    switch (kind) {
    case PITH_GEN_NORMAL: return pith_rng_normal(rng);
    case PITH_GEN_UNIFORM: return pith_rng_range(rng, -1.0f, 1.0f);
    case PITH_GEN_ZERO: return 0.0f * sign(rng);
    case PITH_GEN_ONE_HOT: return i % 64 == (i / 64 * 7 + 3) % 64 ? sign(rng) : 0.0f;
    case PITH_GEN_EXTREME: return sign(rng);
    case PITH_GEN_LARGE: return pith_rng_normal(rng) * (pith_rng_u64(rng) % 50 ? 1e4f : 1e7f);
    case PITH_GEN_TINY: return pith_rng_normal(rng) * 1e-6f;
    case PITH_GEN_DENORMAL: return pith_rng_normal(rng) * 1e-39f;
    case PITH_GEN_OUTLIER: return pith_rng_normal(rng) * (pith_rng_u64(rng) % 50 ? 1.0f : 100.0f);
    default: return 0.0f;
    }
}

void pith_gen_f32(pith_rng *rng, pith_gen_kind kind, float *dst, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (kind == PITH_GEN_CANCEL)
            dst[i] = i % 2 ? -dst[i - 1] * (1.0f + 1e-6f) : pith_rng_normal(rng);
        else
            dst[i] = value(rng, kind, i);
    }
}

uint64_t pith_gen_seed(uint64_t seed, const char *name)
{
    uint64_t h = 0xcbf29ce484222325u ^ seed; /* FNV-1a */
    for (; *name; name++)
        h = (h ^ (uint8_t)*name) * 0x100000001b3u;
    return h;
}

/* Byte offsets of the half-precision fields of a block; -1: none. */
static void half_fields(pith_dtype type, int *d, int *m)
{
    *m = -1;
    switch (type) {
    case PITH_DTYPE_Q4_1:
    case PITH_DTYPE_Q5_1:
    case PITH_DTYPE_Q4_K:
    case PITH_DTYPE_Q5_K: *d = 0; *m = 2; return;
    case PITH_DTYPE_Q2_K: *d = 80; *m = 82; return;
    case PITH_DTYPE_Q3_K: *d = 108; return;
    case PITH_DTYPE_Q6_K: *d = 208; return;
    default: *d = 0; return;
    }
}

static void put_half(uint8_t *block, int at, float v)
{
    uint16_t h = pith_f32_to_f16(v);
    block[at] = (uint8_t)h;
    block[at + 1] = (uint8_t)(h >> 8);
}

static void floats(pith_rng *rng, pith_dtype type, double scale, bool extreme, uint8_t *dst, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float v = (float)scale * (extreme ? sign(rng) : pith_rng_normal(rng));
        if (type == PITH_DTYPE_F32) {
            memcpy(dst + 4 * i, &v, 4);
        } else {
            uint16_t h = type == PITH_DTYPE_F16 ? pith_f32_to_f16(v) : pith_f32_to_bf16(v);
            memcpy(dst + 2 * i, &h, 2);
        }
    }
}

void pith_gen_blocks(pith_rng *rng, pith_dtype type, double scale, bool extreme, void *dst, size_t n)
{
    pith_dtype_info info = pith_dtype_get((uint32_t)type);
    uint8_t *out = dst;
    if (info.block_elems == 1) {
        floats(rng, type, scale, extreme, out, n);
        return;
    }
    int d, m;
    half_fields(type, &d, &m);
    for (size_t b = 0; b < n / info.block_elems; b++, out += info.block_bytes) {
        int fill = extreme ? (int)(pith_rng_u64(rng) % 4) : 3; /* all zero bits, all one bits, int8 -128, random */
        for (uint32_t i = 0; i < info.block_bytes; i++)
            out[i] = fill == 0 ? 0x00 : fill == 1 ? 0xff : fill == 2 ? 0x80 : (uint8_t)(pith_rng_u64(rng) >> 32);
        double size = scale * (0.5 + pith_rng_unit(rng));
        put_half(out, d, (float)(size * sign(rng)));
        if (m >= 0)
            put_half(out, m, (float)(size * sign(rng) * (0.5 + pith_rng_unit(rng))));
    }
}
