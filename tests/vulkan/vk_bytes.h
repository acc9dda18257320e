/* SPDX-License-Identifier: MIT */
/* Activations rounded to bytes as the device rounds them before products of bytes (shaders/lib/bytes.glsl), in double. */
#ifndef PITH_TESTS_VK_BYTES_H
#define PITH_TESTS_VK_BYTES_H

#include <stdint.h>

/* x: n elements, a multiple of 32. rounded: what the codes mean, x itself or elsewhere; NaN in a unit with an element that is not finite.
 * doubt: 0, or a step of the code where floats that are off in their last bits may round to the neighbour. */
void vk_bytes_round(const double *x, int64_t n, double *rounded, double *doubt);

#endif
