// SPDX-License-Identifier: MIT
// A unit of packed weights as sixteen pairs of halves, exact: a code c below 1024 is the half 0x6400 | c minus 1024, so two
// codes take one AND-OR and one subtraction. Pair 2 w holds elements 4 w and 4 w + 2, pair 2 w + 1 the two between.
// Loading and unpacking are apart, so that the next unit's loads are in flight while this one is computed.
// Needs lib/format.glsl, GL_EXT_shader_explicit_arithmetic_types_float16.

#if defined(FMT_Q4_0) || defined(FMT_Q4_1) || defined(FMT_Q4_K)
#define RAW_NIBBLES
#endif

#if defined(FMT_IQ4_NL) || defined(FMT_IQ4_XS)
#define RAW_LEVELS // codes are places in a table of 16 levels
#endif

#if defined(RAW_NIBBLES) || defined(RAW_LEVELS)
struct Raw {
    uvec4 v;     // nib plane
    uvec4 h;     // what scales are made of
};
#else
struct Raw {
    uint c[8];
    vec4 s;
};
#endif

const f16vec2 CODE_ZERO = f16vec2(-1024.0 - OFFSET);

Raw unit_load(uint U)
{
    Raw raw;
#if defined(RAW_NIBBLES) || defined(RAW_LEVELS)
    raw.v = W4[P.plane[0] + U];
#if defined(FMT_Q4_0) || defined(FMT_IQ4_NL)
    raw.h = uvec4(W1[P.plane[1] * 4u + (U >> 1)], 0u, 0u, 0u);
#elif defined(FMT_Q4_1)
    raw.h = uvec4(W1[P.plane[1] * 4u + U], 0u, 0u, 0u);
#elif defined(FMT_IQ4_XS)
    raw.h = uvec4(W1[P.plane[1] * 4u + 2u * (U >> 3)], W1[P.plane[1] * 4u + 2u * (U >> 3) + 1u], 0u, 0u);
#else
    raw.h = W4[P.plane[1] + (U >> 3)];
#endif
#else
    unit_codes(U, raw.c, raw.s);
#endif
    return raw;
}

#if defined(RAW_NIBBLES) || defined(RAW_LEVELS)
vec4 unit_scales(Raw raw, uint U)
{
#if defined(FMT_Q4_0) || defined(FMT_IQ4_NL)
    return vec4(vec2(half_at(raw.h.x, U)), 0, 0);
#elif defined(FMT_Q4_1)
    return unpackHalf2x16(raw.h.x).xxyy;
#elif defined(FMT_IQ4_XS)
    return iq4_xs_scales(raw.h.xy, U);
#else
    vec4 s;
    header_k(raw.h, U & 7u, s);
    return s;
#endif
}
#endif

#ifdef RAW_NIBBLES
// The same pairs with a single operation each: the bits of codes as they are, as subnormal halves. Codes of the first 16
// elements count 2^-24, those of the others 2^-20; OFFSET is not taken off.
void unit_tiny(Raw raw, out f16vec2 q[16])
{
    [[unroll]] for (int i = 0; i < 4; i++) {
        uint even = raw.v[i], odd = even >> 8;
        q[2 * i] = unpackFloat2x16(even & 0x000F000Fu);
        q[2 * i + 1] = unpackFloat2x16(odd & 0x000F000Fu);
        q[2 * i + 8] = unpackFloat2x16(even & 0x00F000F0u);
        q[2 * i + 9] = unpackFloat2x16(odd & 0x00F000F0u);
    }
}
#endif

#ifdef RAW_LEVELS
#ifdef LEVELS_SHARED
// Both levels of a pair at once, by the two codes of a byte, each level less the 128 of lib/format.glsl.
shared uint levels[256];

void levels_fill(uint i)
{
    for (; i < 256u; i += gl_WorkGroupSize.x) {
        uint both = iq4_levels(i & 15u | (i >> 4) << 8);
        levels[i] = packHalf2x16(vec2(both & 255u, (both >> 8) & 255u) - OFFSET);
    }
}

// Codes 0 and 2 of four.
f16vec2 levels_pair(uint codes) { return unpackFloat2x16(levels[codes & 15u | (codes >> 12) & 240u]); }
#else
f16vec2 levels_pair(uint codes) { return unpackFloat2x16((iq4_levels(codes & 0x000F000Fu) & 0x00FF00FFu) | 0x64006400u) + CODE_ZERO; }
#endif
#endif

// Pairs of unit U, and its scales as in lib/format.glsl.
void unit_pairs(Raw raw, uint U, out f16vec2 q[16], out vec4 s)
{
#if defined(RAW_LEVELS)
    [[unroll]] for (int i = 0; i < 4; i++) {
        q[2 * i] = levels_pair(raw.v[i]);
        q[2 * i + 1] = levels_pair(raw.v[i] >> 8);
        q[2 * i + 8] = levels_pair(raw.v[i] >> 4);
        q[2 * i + 9] = levels_pair(raw.v[i] >> 12);
    }
    s = unit_scales(raw, U);
#elif defined(RAW_NIBBLES)
    [[unroll]] for (int i = 0; i < 4; i++) {
        uint even = raw.v[i], odd = even >> 8;
        q[2 * i] = unpackFloat2x16((even & 0x000F000Fu) | 0x64006400u) + CODE_ZERO;
        q[2 * i + 1] = unpackFloat2x16((odd & 0x000F000Fu) | 0x64006400u) + CODE_ZERO;
        // 1024 + 16 c: still exact
        q[2 * i + 8] = fma(unpackFloat2x16((even & 0x00F000F0u) | 0x64006400u), f16vec2(0.0625), f16vec2(-64.0 - OFFSET));
        q[2 * i + 9] = fma(unpackFloat2x16((odd & 0x00F000F0u) | 0x64006400u), f16vec2(0.0625), f16vec2(-64.0 - OFFSET));
    }
    s = unit_scales(raw, U);
#else
    [[unroll]] for (int i = 0; i < 8; i++) {
        q[2 * i] = unpackFloat2x16((raw.c[i] & 0x00FF00FFu) | 0x64006400u) + CODE_ZERO;
        q[2 * i + 1] = unpackFloat2x16(((raw.c[i] >> 8) & 0x00FF00FFu) | 0x64006400u) + CODE_ZERO;
    }
    s = raw.s;
#endif
}
