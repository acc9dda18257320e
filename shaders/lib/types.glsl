// SPDX-License-Identifier: MIT
// What every shader begins with: shared structs, halves kept in pairs in 32-bit words (no 16-bit feature needed).
#define PITH_GLSL
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : enable

// f32 to the bits of an f16, to nearest even, in integers: the built-in's rounding is the driver's choice.
uint half_bits(float x)
{
    uint u = floatBitsToUint(x), sign = (u >> 16) & 0x8000u;
    u &= 0x7FFFFFFFu;
    if (u >= 0x477FF000u)
        return sign | (u > 0x7F800000u ? 0x7E00u : 0x7C00u);
    if (u < 0x38800000u) // below the least normal: one addition aligns and rounds
        return sign | (floatBitsToUint(uintBitsToFloat(u) + 0.5) - 0x3F000000u);
    u += 0xFFFu + ((u >> 13) & 1u);
    return sign | ((u - 0x38000000u) >> 13);
}

uint half_pair(float a, float b) { return half_bits(a) | half_bits(b) << 16; }
uvec2 half_quad(vec4 v) { return uvec2(half_pair(v.x, v.y), half_pair(v.z, v.w)); }
vec4 quad_floats(uvec2 u) { return vec4(unpackHalf2x16(u.x), unpackHalf2x16(u.y)); }
float half_at(uint word, uint i) { return unpackHalf2x16(word >> (16u * (i & 1u))).x; }

// What a half can hold; NaN stays NaN.
float half_clamp(float x) { return x > 65504.0 ? 65504.0 : x < -65504.0 ? -65504.0 : x; }
vec4 half_clamp(vec4 v) { return vec4(half_clamp(v.x), half_clamp(v.y), half_clamp(v.z), half_clamp(v.w)); }

vec4 bytes_u8(uint w) { return vec4(w & 255u, (w >> 8) & 255u, (w >> 16) & 255u, w >> 24); }
// Through halves: a signed byte c as 0x6400 | (c + 128) is the half c + 1152. Converting integers is slow on some devices.
vec4 bytes_s8(uint w)
{
    vec2 even = unpackHalf2x16((w & 0x00FF00FFu) ^ 0x64806480u), odd = unpackHalf2x16(((w >> 8) & 0x00FF00FFu) ^ 0x64806480u);
    return vec4(even.x, odd.x, even.y, odd.y) - 1152.0; // here and not after a sum, which would lose what it has beyond it
}
int byte_i8(uint w, uint i) { return bitfieldExtract(int(w), int(8u * i), 8); }

float silu(float x) { return x / (1.0 + exp(-x)); }
