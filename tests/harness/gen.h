/* SPDX-License-Identifier: MIT */
/* Seeded test values. Each kind hunts one fault; the same seed gives the same values on every machine. */
#ifndef PITH_HARNESS_GEN_H
#define PITH_HARNESS_GEN_H

#include "base/rng.h"
#include "graph/dtype.h"

#include <stdbool.h>

/* X(NAME, what it hunts) */
#define PITH_GEN_MAP(X)                                                                    \
    X(NORMAL, "mean 0, deviation 1: the ordinary case")                                    \
    X(UNIFORM, "uniform in [-1, 1)")                                                       \
    X(ZERO, "all zero, of both signs: division by a zero scale")                           \
    X(ONE_HOT, "zero but for one element per 64: a misplaced index")                       \
    X(EXTREME, "every element +-1 exactly: saturating integer sums")                       \
    X(LARGE, "deviation 1e4, a few 1e7: overflow of half-precision scales")                \
    X(TINY, "deviation 1e-6: half-precision scales that are subnormal or vanish")          \
    X(DENORMAL, "around 1e-39: subnormal floats, infinite reciprocals")                    \
    X(CANCEL, "pairs of +v, -v (1 + 1e-6): sums that nearly vanish")                       \
    X(OUTLIER, "normal with one 100 times larger per 50: coarse quantisation")

typedef enum pith_gen_kind {
#define X(name, what) PITH_GEN_##name,
    PITH_GEN_MAP(X)
#undef X
    PITH_GEN_END
} pith_gen_kind;

const char *pith_gen_name(pith_gen_kind kind);
void pith_gen_f32(pith_rng *rng, pith_gen_kind kind, float *dst, size_t n);

/* A seed from a global one and a name, so that one failure replays alone. */
uint64_t pith_gen_seed(uint64_t seed, const char *name);

/* n elements (whole blocks) of a usable type as file bytes: random codes and sub-scales, half-precision scales of either
 * sign around `scale`. With `extreme`, all codes and sub-scales have the largest magnitude that their bits can hold. */
void pith_gen_blocks(pith_rng *rng, pith_dtype type, double scale, bool extreme, void *dst, size_t n);

#endif
