/* SPDX-License-Identifier: MIT */
#include "vk_bytes.h"

#include <math.h>

#define UNIT 32

/* How far x / d in f32 may be off, in codes: at most 127 times ten roundings of 2^-24. Of the element and of the largest
 * one two each (times norm weight and factor), 5 of the division (Vulkan: 2.5 units in the last place), 1 of the product. */
#define BLUR (127 * 0x1p-20)

static void unit_round(const double *x, double *rounded, double *doubt)
{
    double most = 0;
    for (int i = 0; i < UNIT; i++)
        if (!(fabs(x[i]) <= most)) /* a NaN, once there, stays */
            most = isfinite(x[i]) && !isnan(most) ? fabs(x[i]) : NAN;
    double step = most / 127;
    for (int i = 0; i < UNIT; i++) {
        double code = most < 0x1p-100 ? 0 : x[i] / step, below = floor(code);
        rounded[i] = step * rint(code);
        doubt[i] = fabs(code - below - 0.5) <= BLUR ? step : 0;
    }
}

void vk_bytes_round(const double *x, int64_t n, double *rounded, double *doubt)
{
    for (int64_t i = 0; i < n; i += UNIT)
        unit_round(x + i, rounded + i, doubt + i);
}
