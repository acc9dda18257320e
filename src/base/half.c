/* SPDX-License-Identifier: MIT */
#include "base/half.h"

union bits { uint32_t u; float f; };

float pith_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t exponent = (h >> 10) & 0x1fu, mantissa = h & 0x3ffu;
    union bits v;
    if (exponent == 0) { /* zero or subnormal: mantissa * 2^-24 is exact in f32 */
        v.f = (float)mantissa * 0x1p-24f;
        v.u |= sign;
    } else if (exponent == 31) {
        v.u = sign | 0x7f800000u | mantissa << 13;
    } else {
        v.u = sign | (exponent + 112) << 23 | mantissa << 13;
    }
    return v.f;
}

uint16_t pith_f32_to_f16(float f)
{
    union bits v = {.f = f};
    uint16_t sign = (uint16_t)(v.u >> 16 & 0x8000u);
    uint32_t magnitude = v.u & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
    if (magnitude >= 0x477ff000u) /* 65520 and above round to infinity */
        return sign | 0x7c00u;
    if (magnitude < 0x38800000u) { /* below 2^-14: adding 0.5 aligns the mantissa at 2^-24 and rounds to even */
        union bits a = {.u = magnitude};
        a.f += 0.5f;
        return (uint16_t)(sign | (a.u - 0x3f000000u));
    }
    uint32_t rounded = magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u);
    return (uint16_t)(sign | rounded >> 13);
}

uint16_t pith_f32_to_bf16(float f)
{
    union bits v = {.f = f};
    if ((v.u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(v.u >> 16 | 0x40u);
    return (uint16_t)((v.u + 0x7fffu + (v.u >> 16 & 1u)) >> 16);
}
