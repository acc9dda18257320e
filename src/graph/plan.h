/* SPDX-License-Identifier: MIT */
/* Where every value of a graph lives: offsets into one arena, for at most so many tokens and rows. Two values share
 * bytes only when their lifetimes do not touch; a plan is made once, a step allocates nothing. */
#ifndef PITH_GRAPH_PLAN_H
#define PITH_GRAPH_PLAN_H

#include "graph/graph.h"

typedef struct pith_plan {
    const pith_graph *graph;    /* borrowed */
    int32_t n_tokens_max, n_rows_max; /* T and R at most */
    size_t *offset;             /* [n_values], bytes, multiple of PITH_ALIGN; SIZE_MAX for inputs; aliases equal */
    size_t arena_bytes;         /* PITH_PAD_BYTES behind every value included */
} pith_plan;

/* Lifetimes are node indices [first write, last read]; the head stage may run several times after one trunk, so what
 * it reads from the trunk lives to the end. Greedy by size, largest first, each at the lowest free offset.
 * Errors: NO_MEMORY, INVALID_ARGUMENT (sizes overflow). Release with pith_plan_fini. */
pith_status pith_plan_make(const pith_graph *graph, int32_t n_tokens_max, int32_t n_rows_max, pith_plan *out);
void pith_plan_fini(pith_plan *plan);

/* Bytes of a value at its largest. */
size_t pith_plan_value_bytes(const pith_plan *plan, int32_t value);

#endif
