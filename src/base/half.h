/* SPDX-License-Identifier: MIT */
/* f16 (IEEE binary16) and bf16 to and from f32, in plain C: the reference that every vector kernel must match. */
#ifndef PITH_BASE_HALF_H
#define PITH_BASE_HALF_H

#include <stdint.h>

float pith_f16_to_f32(uint16_t h);
uint16_t pith_f32_to_f16(float f); /* round to nearest even; overflow to infinity; NaN stays NaN (quiet) */

static inline float pith_bf16_to_f32(uint16_t b)
{
    union { uint32_t u; float f; } v = {(uint32_t)b << 16};
    return v.f;
}

uint16_t pith_f32_to_bf16(float f); /* round to nearest even; NaN stays NaN (quiet) */

#endif
