/* SPDX-License-Identifier: MIT */
/* Seeded, portable random numbers (xoshiro256**, seeded by splitmix64; Blackman and Vigna): the same seed gives the
 * same stream on every machine. Not for secrets. */
#ifndef PITH_BASE_RNG_H
#define PITH_BASE_RNG_H

#include <stdint.h>

typedef struct pith_rng { uint64_t s[4]; } pith_rng;

void pith_rng_init(pith_rng *rng, uint64_t seed);
uint64_t pith_rng_u64(pith_rng *rng);
double pith_rng_unit(pith_rng *rng);                   /* [0, 1), 53 bits */
float pith_rng_range(pith_rng *rng, float lo, float hi); /* uniform in [lo, hi) */
float pith_rng_normal(pith_rng *rng);                  /* mean 0, deviation 1 */

#endif
