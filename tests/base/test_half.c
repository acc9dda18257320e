/* SPDX-License-Identifier: MIT */
/* f16 and bf16 against the definition of the formats, in double: every 16-bit pattern, and at every border between two
 * neighbours the float on it, just below it and just above it. */
#include "base/half.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* A 16-bit format with `mantissa_bits` behind an implied one; the rest but the sign is the exponent. */
typedef struct half_format {
    int mantissa_bits, exponent_bits;
    float (*widen)(uint16_t);
    uint16_t (*narrow)(float);
} half_format;

static float bf16_widen(uint16_t b)
{
    return pith_bf16_to_f32(b);
}

static const half_format formats[] = {
    {10, 5, pith_f16_to_f32, pith_f32_to_f16},
    {7, 8, bf16_widen, pith_f32_to_bf16},
};

/* The value of a pattern by definition; NaN patterns give NaN. */
static double half_value(const half_format *f, uint16_t h)
{
    int exponent_max = (1 << f->exponent_bits) - 1, bias = exponent_max / 2;
    int exponent = (h >> f->mantissa_bits) & exponent_max;
    int mantissa = h & ((1 << f->mantissa_bits) - 1);
    double sign = h & 0x8000 ? -1.0 : 1.0;
    if (exponent == exponent_max)
        return mantissa ? (double)NAN : sign * (double)INFINITY;
    if (exponent == 0)
        return sign * ldexp(mantissa, 1 - bias - f->mantissa_bits);
    return sign * ldexp(mantissa + (1 << f->mantissa_bits), exponent - bias - f->mantissa_bits);
}

static void widen_every_pattern(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        const half_format *f = &formats[i];
        for (uint32_t h = 0; h < 65536; h++) {
            double expected = half_value(f, (uint16_t)h);
            float got = f->widen((uint16_t)h);
            if (isnan(expected) ? !isnan(got) : !((double)got == expected && !signbit(got) == !(h & 0x8000)))
                fail_msg("format %d, pattern 0x%04x: expected %g, got %g", (int)i, h, expected, (double)got);
        }
    }
}

static void narrow_returns_every_pattern(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        const half_format *f = &formats[i];
        for (uint32_t h = 0; h < 65536; h++) {
            uint16_t back = f->narrow(f->widen((uint16_t)h));
            if (isnan(half_value(f, (uint16_t)h))) {
                if (!isnan(half_value(f, back)) || ((back ^ h) & 0x8000))
                    fail_msg("format %d: NaN 0x%04x came back as 0x%04x", (int)i, h, back);
            } else if (back != h) {
                fail_msg("format %d: 0x%04x came back as 0x%04x", (int)i, h, back);
            }
        }
    }
}

static void check_narrow(const half_format *f, float x, uint16_t expected)
{
    uint16_t got = f->narrow(x), got_minus = f->narrow(-x);
    if (got != expected || got_minus != (expected | 0x8000))
        fail_msg("%d mantissa bits: %a: expected 0x%04x, got 0x%04x and for the negative 0x%04x", f->mantissa_bits,
                 (double)x, expected, got, got_minus);
}

/* Between neighbours h and h + 1 the border is their middle: on it the even one wins, beside it the nearer one. The
 * border above the largest finite value is where infinity begins. */
static void narrow_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        const half_format *f = &formats[i];
        uint16_t infinity = (uint16_t)(((1 << f->exponent_bits) - 1) << f->mantissa_bits);
        for (uint16_t h = 0; h < infinity; h++) {
            double here = half_value(f, h), step;
            if (h + 1 < infinity)
                step = half_value(f, (uint16_t)(h + 1)) - here;
            else
                step = here - half_value(f, (uint16_t)(h - 1));
            double border_exact = here + step / 2;
            float border = (float)border_exact;
            assert_true((double)border == border_exact); /* the middle is a float: both formats are far narrower */
            check_narrow(f, border, (uint16_t)(h & 1 ? h + 1 : h));
            check_narrow(f, nextafterf(border, 0.0f), h);
            check_narrow(f, nextafterf(border, INFINITY), (uint16_t)(h + 1));
        }
        check_narrow(f, INFINITY, infinity);
    }
}

static void narrow_keeps_nan(void **state)
{
    (void)state;
    static const uint32_t nans[] = {0x7f800001u, 0x7f801fffu, 0x7fc00000u, 0x7fffffffu, 0xff800001u, 0xffc12345u};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        for (size_t j = 0; j < sizeof nans / sizeof *nans; j++) {
            union { uint32_t u; float f; } v = {nans[j]};
            uint16_t h = formats[i].narrow(v.f);
            assert_true(isnan(half_value(&formats[i], h)));
            assert_true(h >> 15 == nans[j] >> 31);
            assert_true(h >> (formats[i].mantissa_bits - 1) & 1); /* quiet */
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(widen_every_pattern),
        cmocka_unit_test(narrow_returns_every_pattern),
        cmocka_unit_test(narrow_rounds_to_nearest_even),
        cmocka_unit_test(narrow_keeps_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
