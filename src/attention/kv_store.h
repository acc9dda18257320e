/* SPDX-License-Identifier: MIT */
/* The KV store of a session: one buffer per layer, and which positions its sliding rows hold.
 *
 *     fixed | sliding rows, first one at position `base`                | free
 *     0 1 2 3 | base  base+1  ...  n-1                                  |
 *
 * When a step would run past the end, the rows that later queries still see move to the front; those before them leave
 * for the lower tier. Cores are never moved. */
#ifndef PITH_ATTENTION_KV_STORE_H
#define PITH_ATTENTION_KV_STORE_H

#include "attention/policy.h"
#include "run/backend.h"

/* Where rows go that leave the sliding window, in whole groups: nowhere (NULL: they are dropped), host memory, a file.
 * Recall, saved sessions and forks read them back group by group. */
typedef struct pith_kv_tier {
    /* Takes the rows of positions [position, position + n) of one layer: K then V, each [n_kv][n][row bytes], and for
     * q8_0 their scales behind each, in the store's own type. */
    pith_status (*take)(struct pith_kv_tier *tier, int32_t layer, int64_t position, int64_t n, const void *rows, size_t bytes);
    /* Gives them back in the same form. NOT_FOUND when the tier does not hold them. */
    pith_status (*give)(struct pith_kv_tier *tier, int32_t layer, int64_t position, int64_t n, void *rows, size_t bytes);
    /* Positions from `position` on were taken back by the session. */
    void (*rewind)(struct pith_kv_tier *tier, int64_t position);
} pith_kv_tier;

typedef struct pith_kv_store {
    pith_backend *backend;          /* borrowed */
    const pith_layer_attn *layers;  /* [n_layers], borrowed */
    int32_t n_layers;
    pith_buf **bufs;                /* [n_layers] */
    int64_t base[PITH_KV_CLASSES];  /* position of the first sliding row */
    pith_kv_tier *tier;             /* borrowed; NULL: drop */
    void *rows;                     /* staging for the tier, made when one is set */
    size_t rows_bytes;
} pith_kv_store;

/* Errors: NO_MEMORY. Release with fini (also after a failure). */
pith_status pith_kv_store_init(pith_kv_store *store, pith_backend *backend, const pith_layer_attn *layers, int32_t n_layers);
void pith_kv_store_fini(pith_kv_store *store);
void pith_kv_store_clear(pith_kv_store *store);
/* Rows leaving from now on go to `tier`. */
pith_status pith_kv_store_set_tier(pith_kv_store *store, pith_kv_tier *tier);

/* Makes room for n tokens at positions [position, position + n), n at most the policy's chunk. */
pith_status pith_kv_store_reserve(pith_kv_store *store, int64_t position, int64_t n);
/* Can the session go on at `position`: are all rows that a query there sees still in the sliding rows? */
bool pith_kv_store_covers(const pith_kv_store *store, int64_t position);

#endif
