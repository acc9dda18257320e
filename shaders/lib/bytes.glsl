// SPDX-License-Identifier: MIT
// Units of 32 activations as signed bytes, for integer dot products with codes of weights:
//
//   uvec4 0   codes of elements 0..15, four to a word, the first in the low byte
//   uvec4 1   codes of elements 16..31
//   uvec4 2   floats {d, d S0, d S1, d (S0 + S1)}, S0 and S1 the sums of the codes in uvec4 0 and 1
//
//   d = max |x| / 127,  code = x / d to the nearest, ties to even:  |x - d code| <= d / 2
//
// The sums make what a weight adds to every element (OFFSET, minima) exact with respect to the codes. A unit below 2^-100
// is zero. One with an element that is not finite has NaN for floats, which reach every result: whoever checks results sees it.
const uint BYTES_UNIT = 3u; // uvec4

// The bits of |x|, which order as numbers do, with NaN as the largest.
uint magnitude_bits(vec4 v)
{
    uvec4 a = floatBitsToUint(v) & 0x7FFFFFFFu;
    return max(max(a.x, a.y), max(a.z, a.w));
}

bool bytes_finite(uint most) { return most < 0x7F800000u; }
bool bytes_zero(uint most) { return most < 0x0D800000u; }
float bytes_step(uint most) { return bytes_zero(most) ? 0.0 : uintBitsToFloat(most) / 127.0; }

// What elements are multiplied with to become codes; `most`: the largest magnitude_bits of the unit.
float bytes_factor(uint most)
{
    return bytes_zero(most) || !bytes_finite(most) ? 0.0 : 127.0 / uintBitsToFloat(most);
}

// Four codes, whose sum is added to `sum`.
uint bytes_codes(vec4 v, float factor, inout int sum)
{
    ivec4 q = factor > 0.0 ? ivec4(roundEven(v * factor)) : ivec4(0);
    sum += q.x + q.y + q.z + q.w;
    uvec4 b = uvec4(q) & 255u;
    return b.x | b.y << 8 | b.z << 16 | b.w << 24;
}

uvec4 bytes_scales(uint most, int lo, int hi)
{
    float d = bytes_step(most);
    return bytes_finite(most) ? floatBitsToUint(d * vec4(1, lo, hi, lo + hi)) : uvec4(0x7FC00000u);
}
