/* SPDX-License-Identifier: MIT */
/* Kernels on one row of floats: norm, activation, rotation, storage formats, small reductions. Lengths are arbitrary,
 * pointers need no alignment, nothing outside [0, n) is read or written, and y may be one of the inputs (the element
 * itself, no other overlap). The sum of a reduction has one fixed order per tier and length.
 *
 * q8_0 rows are planar: int8 elements, and one f16 scale per 32 elements in an array of its own; n % 32 == 0. */
#ifndef PITH_CPU_VECTOR_KERNELS_H
#define PITH_CPU_VECTOR_KERNELS_H

#include <stdint.h>

#define PITH_CPU_VECTOR_KERNELS(X)                                                                                \
    /* y = x * w / sqrt(mean(x^2) + eps) */                                                                       \
    X(rms_norm_f32, void, (float *y, const float *x, const float *w, int64_t n, float eps))                       \
    /* y = gate / (1 + exp(-gate)) * up */                                                                        \
    X(silu_mul_f32, void, (float *y, const float *gate, const float *up, int64_t n))                              \
    X(add_f32, void, (float *y, const float *a, const float *b, int64_t n))                                       \
    X(scale_f32, void, (float *y, const float *x, float a, int64_t n)) /* y = a x */                              \
    X(axpy_f32, void, (float *y, const float *x, float a, int64_t n))  /* y += a x */                             \
    X(dot_f32, float, (const float *a, const float *b, int64_t n))                                                \
    X(max_f32, float, (const float *x, int64_t n)) /* -inf when n == 0 */                                         \
    /* y = 2^(x - shift); the sum of y. shift finite, x - shift <= 126, x may be -inf (gives 0). */               \
    X(exp2_sum_f32, float, (float *y, const float *x, float shift, int64_t n))                                    \
    /* (a, b) -> (a c - b s, a s + b c) for pairs (x[2i], x[2i+1]) or (x[i], x[i + n_pairs]) */                   \
    X(rope_pairs_f32, void, (float *x, const float *c, const float *s, int64_t n_pairs))                          \
    X(rope_halves_f32, void, (float *x, const float *c, const float *s, int64_t n_pairs))                         \
    /* Conversions; narrowing ones round to nearest even. */                                                      \
    X(f16_to_f32, void, (float *y, const uint16_t *x, int64_t n))                                                 \
    X(f32_to_f16, void, (uint16_t *y, const float *x, int64_t n))                                                 \
    X(bf16_to_f32, void, (float *y, const uint16_t *x, int64_t n))                                                \
    X(f32_to_bf16, void, (uint16_t *y, const float *x, int64_t n))                                                \
    /* scale = f16(min(max|x| / 127, 65504)), q = round(x / scale) */                                             \
    X(f32_to_q8_0, void, (int8_t *q, uint16_t *scales, const float *x, int64_t n))                                \
    X(q8_0_to_f32, void, (float *y, const int8_t *q, const uint16_t *scales, int64_t n))

#endif
