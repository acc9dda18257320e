// SPDX-License-Identifier: MIT
// A unit of packed weights as halves, scaled: pairs in the order of lib/halves.glsl, a word each. Needs lib/halves.glsl, and
// SUBNORMAL: the device keeps halves below 2^-14 as they are.
//
// Where the file's scale d is itself a half, and nothing is added, halves are multiplied: the same to the bit as in f32. A
// code c has at most 8 bits and d 11, so that f32 holds c d exactly and rounds it once, when it becomes a half; a product
// of halves is rounded once too. With a d of 2^-14 or more it is zero or as large, so that no half is subnormal; smaller
// ones go through f32 where a device may take such halves for zero, and scales that are products themselves, which need more
// than 11 bits, everywhere.
#if defined(FMT_Q4_0) || defined(FMT_Q5_0) || defined(FMT_Q8_0) || defined(FMT_IQ4_NL)
#define HALF_SCALE
#endif

void unit_scaled(Raw raw, uint U, out uint w[16])
{
    f16vec2 q[16];
    vec4 s;
    unit_pairs(raw, U, q, s);
#ifdef HALF_SCALE
    if (SUBNORMAL || abs(s.x) >= 6.103515625e-5) {
        float16_t d = float16_t(s.x);
        [[unroll]] for (int i = 0; i < 16; i++)
            w[i] = packFloat2x16(q[i] * d);
        return;
    }
#endif
    [[unroll]] for (int i = 0; i < 16; i++) {
        vec2 v = vec2(q[i]) * (i < 8 ? s.x : s.y);
        if (HAS_MIN != 0)
            v += i < 8 ? s.z : s.w;
        w[i] = packHalf2x16(v);
    }
}
