/* SPDX-License-Identifier: MIT */
/* Element-wise comparison against per-element bounds from rounding theory: |got - want| <= bound for each, where a length-n
 * dot product in f32 has bound = 4 sqrt(n) 2^-24 sum|a_k b_k| + a floor. An average over all elements (NMSE) would hide
 * a forgotten tail; this does not. A NaN fails unless both sides are NaN. */
#ifndef PITH_HARNESS_COMPARE_H
#define PITH_HARNESS_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pith_compare {
    size_t n, broken;        /* elements seen, elements beyond their bound */
    size_t worst;            /* index of the element that came nearest to, or went furthest over, its bound */
    double ratio;            /* its error in units of its bound */
    double got, want, bound; /* of that element */
} pith_compare;

void pith_compare_init(pith_compare *c);
void pith_compare_add(pith_compare *c, size_t index, double got, double want, double bound);
/* True when nothing is broken; otherwise prints `what`, the worst element and the counts to stderr. */
bool pith_compare_ok(const pith_compare *c, const char *what);

/* 4 sqrt(n) 2^-24 magnitude + floor: f32 accumulation of n terms, magnitude = sum of their absolute values. */
double pith_bound_f32(size_t n, double magnitude);

#endif
