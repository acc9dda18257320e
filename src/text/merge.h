/* SPDX-License-Identifier: MIT */
/* The merge loop of both kinds of BPE: among all neighbouring symbols the pair that comes first in the vocabulary's
 * order is merged (ties: the leftmost), until none can be. Short pieces are scanned, long ones use a heap, so a piece
 * of n symbols costs O(n log n) however it is made. */
#ifndef PITH_TEXT_MERGE_H
#define PITH_TEXT_MERGE_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct pith_symbol {
    uint32_t at, n;     /* bytes of the piece */
    int32_t id;         /* token, -1: none has this text */
    int32_t prev, next; /* indices, -1: none; the loop's own */
    uint32_t order;     /* of merging with the next symbol; smaller goes first; the loop's own */
    int32_t merged;     /* token that the merge gives, -1: no merge; the loop's own */
} pith_symbol;

/* Whether left and right merge: the new token and the merge's order, or -1. */
typedef int32_t (*pith_merge_fn)(const void *user, const pith_symbol *left, const pith_symbol *right, uint32_t *order);

/* Symbols and heap; zero-initialised, kept between pieces to save allocations. */
typedef struct pith_merge_space {
    pith_symbol *symbols;
    size_t n, cap;
    uint64_t *heap; /* order << 32 | index of the left symbol */
    size_t n_heap, cap_heap;
    uint64_t work;  /* pairs looked up so far: what the tests bound */
} pith_merge_space;

/* Room for n symbols; sets space->n. Errors: NO_MEMORY, INVALID_ARGUMENT (n above INT32_MAX). */
pith_status pith_merge_reserve(pith_merge_space *space, size_t n);
void pith_merge_fini(pith_merge_space *space);

/* Merges symbols[0..n) (at, n, id filled in) in place; afterwards they are again symbols[0..space->n), in order. */
pith_status pith_merge_run(pith_merge_space *space, pith_merge_fn fn, const void *user);

#endif
