/* SPDX-License-Identifier: MIT */
/* What a query sees: a short list of segments, one softmax over all. Bounds are formulas of the query's position, so a
 * list made once per layer serves every query tile on every backend, and no mask exists anywhere. */
#ifndef PITH_GRAPH_SEGMENT_H
#define PITH_GRAPH_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

/* value(i) = clamp(mul * floor((i + 1 - shift) / group), min, max) for the query at position i.
 *   constant c:            mul 0, min = max = c
 *   everything up to i:    mul 1, group 1, shift 0                  -> i + 1
 *   CCA's visible cores:   mul 1, group g, shift s, min 0           -> J(i + 1)
 *   CCA's oldest raw row:  mul g, group g, shift s, min n_sinks     -> max(n_sinks, J * g) */
typedef struct pith_bound {
    int64_t min, max, shift;
    int32_t mul, group;
} pith_bound;

static inline int64_t pith_bound_at(const pith_bound *b, int64_t i)
{
    int64_t x = i + 1 - b->shift;
    int64_t q = x >= 0 ? x / b->group : -((b->group - 1 - x) / b->group); /* floor */
    int64_t v = b->mul * q;
    return v < b->min ? b->min : v > b->max ? b->max : v;
}

static inline pith_bound pith_bound_const(int64_t c)
{
    return (pith_bound){.min = c, .max = c, .shift = 0, .mul = 0, .group = 1};
}

typedef enum pith_segment_source {
    PITH_SEGMENT_RAW,  /* keys are raw rows; bounds are positions */
    PITH_SEGMENT_CORE, /* keys are cores; bounds are core indices */
} pith_segment_source;

/* A per-query, per-KV-head list of blocks of keys (recall, MoBA, NSA, MInference): the segment is narrowed to the listed
 * blocks, or loses them. Block b of size z covers keys b*z .. b*z+z-1 of the source. */
typedef enum pith_segment_list { PITH_LIST_NONE, PITH_LIST_ONLY, PITH_LIST_EXCEPT } pith_segment_list;

typedef struct pith_segment {
    pith_segment_source source;
    pith_bound lo, hi;      /* keys lo(i) .. hi(i)-1 */
    bool bias;              /* add the core's entropy bias to its logit */
    pith_segment_list list;
    int32_t list_block;     /* z */
    int32_t list_value;     /* graph value: int32 [T][n_kv][list_max], ascending, padded with -1 */
    int32_t list_max;
} pith_segment;

#define PITH_SEGMENTS_MAX 4

#endif
