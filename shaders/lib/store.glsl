// SPDX-License-Identifier: MIT
// Writing rows of a layer's KV store from vectors of DIM floats in shared memory, `vecs`; what a row keeps of them.
// Needs KV_TYPE, DIM, LANES invocations per vector, `vecs`, and the windows of lib/kv.glsl writable.

// Half i of a buffer of words; its neighbour may be written by another workgroup at the same time.
#define PUT_HALF(words, i, value)                                         \
    {                                                                     \
        uint put_shift = 16u * ((i) & 1u), put_bits = half_bits(value);   \
        atomicAnd(words[(i) >> 1], ~(0xFFFFu << put_shift));              \
        atomicOr(words[(i) >> 1], put_bits << put_shift);                 \
    }

// Scale of a block of 32, as a half keeps it.
float block_scale(uint v, uint block)
{
    float most = 0.0;
    for (uint e = 0u; e < 32u; e++)
        most = max(most, abs(vecs[v * DIM + block * 32u + e]));
    return unpackHalf2x16(half_bits(min(most / 127.0, 65504.0))).x;
}

uint quant_byte(float x, float d) { return uint(int(roundEven(clamp(d > 0.0 ? x * (1.0 / d) : 0.0, -127.0, 127.0)))) & 255u; }

// Vector v of shared memory into row `row` of a plane; done by LANES invocations.
#define PUT_ROW(window, plane, hd, rw, v, lane)                                                     \
    {                                                                                               \
        uint w = plane.base + (hd) * plane.head + (rw) * plane.row, o = (v) * DIM;                  \
        if (KV_TYPE == 0u) {                                                                        \
            for (uint e = lane; e < DIM; e += LANES)                                                \
                window##1[w + e] = floatBitsToUint(vecs[o + e]);                                    \
        } else if (KV_TYPE == 1u) {                                                                 \
            for (uint e = lane; e < DIM / 2u; e += LANES)                                           \
                window##1[w + e] = half_pair(vecs[o + 2u * e], vecs[o + 2u * e + 1u]);              \
        } else {                                                                                    \
            for (uint e = lane; e < DIM / 4u; e += LANES) {                                         \
                float d = block_scale(v, e / 8u);                                                   \
                uint word = 0u;                                                                     \
                for (uint b = 0u; b < 4u; b++)                                                      \
                    word |= quant_byte(vecs[o + 4u * e + b], d) << (8u * b);                        \
                window##1[w + e] = word;                                                            \
                if (e % 8u == 0u) {                                                                 \
                    uint at = plane.scale + (hd) * plane.scale_head + (rw) * (DIM / 32u) + e / 8u;  \
                    PUT_HALF(window##1, at, d)                                                      \
                }                                                                                   \
            }                                                                                       \
        }                                                                                           \
    }
