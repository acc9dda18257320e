/* SPDX-License-Identifier: MIT */
#include "harness/compare.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

void pith_compare_init(pith_compare *c)
{
    memset(c, 0, sizeof *c);
    c->ratio = -1.0;
}

void pith_compare_add(pith_compare *c, size_t index, double got, double want, double bound)
{
    double error = fabs(got - want), ratio;
    if ((isnan(got) && isnan(want)) || got == want) /* the second: infinities */
        ratio = 0.0;
    else if (!(error <= DBL_MAX))
        ratio = INFINITY;
    else
        ratio = bound > 0.0 ? error / bound : INFINITY;
    c->n++;
    c->broken += !(ratio <= 1.0);
    if (ratio > c->ratio) {
        c->ratio = ratio;
        c->worst = index;
        c->got = got;
        c->want = want;
        c->bound = bound;
    }
}

bool pith_compare_ok(const pith_compare *c, const char *what)
{
    if (c->broken)
        fprintf(stderr, "%s: %zu of %zu beyond their bound; worst at %zu: got %.9g, expected %.9g, error %.3g = %.3g bounds\n", what,
                c->broken, c->n, c->worst, c->got, c->want, fabs(c->got - c->want), c->ratio);
    return c->broken == 0;
}

double pith_bound_f32(size_t n, double magnitude) { return 4.0 * sqrt((double)n) * 0x1p-24 * magnitude + 1e-37; }
