// SPDX-License-Identifier: MIT
// Packed weights, unit by unit of 32 elements. Defines exactly one of FMT_F32 ... FMT_IQ4_XS; W4 and W1 must be the
// bound slab as uvec4[] and uint[]; `plane` the planes' first 16-byte units. backends/vulkan/pack.c writes the planes:
//
//   nib   16 bytes/unit  byte j: element j low, element j + 16 high
//   bit1   4 bytes/unit  bit i: element i
//   bit2   8 bytes/unit  byte j: elements j, j + 8, j + 16, j + 24, low bits first
//   byte  32 bytes/unit  element + 128
//   scales per unit or per 256 elements, as the file has them; 6-bit scales of Q3_K unpacked to bytes
//
//   element = s.x (code - OFFSET) + s.z   of the first 16,   s.y (code - OFFSET) + s.w   of the others
// Matching C: src/graph/dequant.c.

#if defined(FMT_F32) || defined(FMT_F16) || defined(FMT_BF16)
#define UNIT_FLOATS
#define HAS_MIN 0
#endif

uint low_nibbles(uint w) { return w & 0x0F0F0F0Fu; }
uint high_nibbles(uint w) { return (w >> 4) & 0x0F0F0F0Fu; }

// Four consecutive bits of a word, one per byte.
uint spread4(uint bits) { return (bits & 1u) | (bits & 2u) << 7 | (bits & 4u) << 14 | (bits & 8u) << 21; }

uint half_word(uint plane16, uint i) { return (W1[plane16 * 4u + (i >> 1)] >> (16u * (i & 1u))) & 0xFFFFu; }
float half_plane(uint plane16, uint i) { return unpackHalf2x16(half_word(plane16, i)).x; }

#ifndef UNIT_FLOATS

void nibble_codes(uint plane16, uint u, out uint c[8])
{
    uvec4 v = W4[plane16 + u];
    [[unroll]] for (int i = 0; i < 4; i++) {
        c[i] = low_nibbles(v[i]);
        c[4 + i] = high_nibbles(v[i]);
    }
}

// Adds one bit per element at bit `at` of each code.
void add_bit1(uint plane16, uint u, uint at, inout uint c[8])
{
    uint bits = W1[plane16 * 4u + u];
    [[unroll]] for (uint i = 0u; i < 8u; i++)
        c[i] |= spread4(bits >> (4u * i)) << at;
}

void add_bit2(uint plane16, uint u, uint at, inout uint c[8])
{
    uint a = W1[plane16 * 4u + 2u * u], b = W1[plane16 * 4u + 2u * u + 1u];
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        c[2u * i] |= ((a >> (2u * i)) & 0x03030303u) << at;
        c[2u * i + 1u] |= ((b >> (2u * i)) & 0x03030303u) << at;
    }
}

// Scale and min of sub-block k from the 16-byte header of Q4_K and Q5_K: d, dmin, twelve bytes of 6-bit pairs.
void header_k(uvec4 h, uint k, out vec4 s)
{
    uint shift = 8u * (k & 3u), a = h.y >> shift, b = h.z >> shift, c = h.w >> shift;
    uint scale = k < 4u ? a & 63u : (c & 15u) | ((a >> 6) & 3u) << 4;
    uint least = k < 4u ? b & 63u : ((c >> 4) & 15u) | ((b >> 6) & 3u) << 4;
    vec2 d = unpackHalf2x16(h.x);
    float x = d.x * float(scale), z = -d.y * float(least);
    s = vec4(x, x, z, z);
}

// Scales of unit U from the eight bytes of its 256 elements.
vec4 iq4_xs_scales(uvec2 h, uint U)
{
    uint k = U & 7u;
    int scale = int(((h.y >> (4u * k)) & 15u) | ((h.x >> (16u + 2u * k)) & 3u) << 4) - 32;
    return vec4(vec2(unpackHalf2x16(h.x).x * float(scale)), 0, 0);
}

// The levels of IQ4_NL and IQ4_XS plus 128, four to a word.
uint iq4_levels(uint codes)
{
    const uvec4 table = uvec4(0x3F2D1801u, 0x766A5D4Fu, 0xA6998D81u, 0xF1D9C5B5u);
    uint r = 0u;
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        uint n = (codes >> (8u * i)) & 15u;
        uint w = n < 8u ? (n < 4u ? table.x : table.y) : (n < 12u ? table.z : table.w);
        r |= ((w >> (8u * (n & 3u))) & 255u) << (8u * i);
    }
    return r;
}
#endif

#if defined(FMT_Q4_0)
#define OFFSET 8.0
#define HAS_MIN 0
void unit_codes(uint U, out uint c[8], out vec4 s)
{
    nibble_codes(P.plane[0], U, c);
    s = vec4(vec2(half_plane(P.plane[1], U)), 0, 0);
}
#elif defined(FMT_Q4_1)
#define OFFSET 0.0
#define HAS_MIN 1
void unit_codes(uint U, out uint c[8], out vec4 s)
{
    nibble_codes(P.plane[0], U, c);
    s = unpackHalf2x16(W1[P.plane[1] * 4u + U]).xxyy;
}
#elif defined(FMT_Q5_0)
#define OFFSET 16.0
#define HAS_MIN 0
void unit_codes(uint U, out uint c[8], out vec4 s)
{
    nibble_codes(P.plane[0], U, c);
    add_bit1(P.plane[1], U, 4u, c);
    s = vec4(vec2(half_plane(P.plane[2], U)), 0, 0);
}
#elif defined(FMT_Q5_1)
#define OFFSET 0.0
#define HAS_MIN 1
void unit_codes(uint U, out uint c[8], out vec4 s)
{
    nibble_codes(P.plane[0], U, c);
    add_bit1(P.plane[1], U, 4u, c);
    s = unpackHalf2x16(W1[P.plane[2] * 4u + U]).xxyy;
}
#elif defined(FMT_Q8_0)
#define OFFSET 128.0
#define HAS_MIN 0
void unit_codes(uint U, out uint c[8], out vec4 s)
{
    uvec4 a = W4[P.plane[0] + 2u * U], b = W4[P.plane[0] + 2u * U + 1u];
    [[unroll]] for (int i = 0; i < 4; i++) {
        c[i] = a[i];
        c[4 + i] = b[i];
    }
    s = vec4(vec2(half_plane(P.plane[1], U)), 0, 0);
}
#elif defined(FMT_Q2_K)
#define OFFSET 0.0
#define HAS_MIN 1
void unit_codes(uint U, out uint c[8], out vec4 s)
{
    c = uint[8](0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u);
    add_bit2(P.plane[0], U, 0u, c);
    uint w = half_word(P.plane[1], U);
    vec2 d = unpackHalf2x16(W1[P.plane[2] * 4u + (U >> 3)]);
    s = vec4(d.x * float(w & 15u), d.x * float((w >> 8) & 15u), -d.y * float((w >> 4) & 15u), -d.y * float(w >> 12));
}
#elif defined(FMT_Q3_K)
#define OFFSET 4.0
#define HAS_MIN 0
void unit_codes(uint U, out uint c[8], out vec4 s)
{
    c = uint[8](0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u);
    add_bit2(P.plane[0], U, 0u, c);
    add_bit1(P.plane[1], U, 2u, c);
    uint w = half_word(P.plane[2], U);
    float d = half_plane(P.plane[3], U >> 3);
    s = vec4(d * float(byte_i8(w, 0u)), d * float(byte_i8(w, 1u)), 0, 0);
}
#elif defined(FMT_Q4_K)
#define OFFSET 0.0
#define HAS_MIN 1
void unit_codes(uint U, out uint c[8], out vec4 s)
{
    nibble_codes(P.plane[0], U, c);
    header_k(W4[P.plane[1] + (U >> 3)], U & 7u, s);
}
#elif defined(FMT_Q5_K)
#define OFFSET 0.0
#define HAS_MIN 1
void unit_codes(uint U, out uint c[8], out vec4 s)
{
    nibble_codes(P.plane[0], U, c);
    add_bit1(P.plane[1], U, 4u, c);
    header_k(W4[P.plane[2] + (U >> 3)], U & 7u, s);
}
#elif defined(FMT_Q6_K)
#define OFFSET 32.0
#define HAS_MIN 0
void unit_codes(uint U, out uint c[8], out vec4 s)
{
    nibble_codes(P.plane[0], U, c);
    add_bit2(P.plane[1], U, 4u, c);
    uint w = half_word(P.plane[2], U);
    float d = half_plane(P.plane[3], U >> 3);
    s = vec4(d * float(byte_i8(w, 0u)), d * float(byte_i8(w, 1u)), 0, 0);
}
#elif defined(FMT_IQ4_NL)
#define OFFSET 128.0
#define HAS_MIN 0
void unit_codes(uint U, out uint c[8], out vec4 s)
{
    nibble_codes(P.plane[0], U, c);
    [[unroll]] for (int i = 0; i < 8; i++)
        c[i] = iq4_levels(c[i]);
    s = vec4(vec2(half_plane(P.plane[1], U)), 0, 0);
}
#elif defined(FMT_IQ4_XS)
#define OFFSET 128.0
#define HAS_MIN 0
void unit_codes(uint U, out uint c[8], out vec4 s)
{
    nibble_codes(P.plane[0], U, c);
    [[unroll]] for (int i = 0; i < 8; i++)
        c[i] = iq4_levels(c[i]);
    uint at = P.plane[1] * 4u + 2u * (U >> 3);
    s = iq4_xs_scales(uvec2(W1[at], W1[at + 1u]), U);
}
#endif

#ifndef UNIT_FLOATS
#if defined(FMT_Q2_K) || defined(FMT_Q3_K) || defined(FMT_Q6_K)
#define SCALES_OF_16 // the two halves of a unit have scales of their own
#endif

// Four codes as signed bytes, code - OFFSET.
uint signed_codes(uint c)
{
    const uint offset = uint(OFFSET);
    return offset == 0u     ? c
           : offset == 128u ? c ^ 0x80808080u
                            : ((c | 0x80808080u) - offset * 0x01010101u) ^ 0x80808080u; // codes below 128: no borrow
}
#endif

// Elements of unit U in order, four to a vector, before scales: element = s.{x,y} q + s.{z,w}.
void unit_values(uint U, out vec4 q[8], out vec4 s)
{
#if defined(FMT_F32)
    [[unroll]] for (uint i = 0u; i < 8u; i++)
        q[i] = uintBitsToFloat(W4[P.plane[0] + 8u * U + i]);
    s = vec4(1, 1, 0, 0);
#elif defined(FMT_F16)
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        uvec4 v = W4[P.plane[0] + 4u * U + i];
        q[2u * i] = quad_floats(v.xy);
        q[2u * i + 1u] = quad_floats(v.zw);
    }
    s = vec4(1, 1, 0, 0);
#elif defined(FMT_BF16)
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        uvec4 v = W4[P.plane[0] + 4u * U + i];
        q[2u * i] = uintBitsToFloat(uvec4(v.x << 16, v.x & 0xFFFF0000u, v.y << 16, v.y & 0xFFFF0000u));
        q[2u * i + 1u] = uintBitsToFloat(uvec4(v.z << 16, v.z & 0xFFFF0000u, v.w << 16, v.w & 0xFFFF0000u));
    }
    s = vec4(1, 1, 0, 0);
#else
    uint c[8];
    unit_codes(U, c, s);
    [[unroll]] for (int i = 0; i < 8; i++)
        q[i] = bytes_u8(c[i]) - OFFSET;
#endif
}
