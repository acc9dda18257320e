/* SPDX-License-Identifier: MIT */
/* One work item of attention: some query heads of one KV head, a few consecutive tokens, one part of their keys.
 *
 *   virtual key axis of an item:   [segment 0: lo..hi)[segment 1: lo..hi)...     lo: least, hi: greatest of its tokens
 *   part p of n:                   keys p * size .. (p + 1) * size - 1 of that axis, size a multiple of the key tile
 *   rows of an item:               row r = query head h0 + r % n_heads of token t0 + r / n_heads
 *
 * Items and parts depend on the shape of the problem only, never on the number of threads. */
#ifndef PITH_CPU_ATTN_ITEM_H
#define PITH_CPU_ATTN_ITEM_H

#include "attn.h"
#include "attn_store.h"

#define PITH_CPU_ATTN_ROWS 96 /* most rows of an item: two full panels */
#define PITH_CPU_ATTN_FEW 24  /* items of at most so many rows take the few-queries form: the faster one up to here */

/* Scratch of one thread. Panel p of q and o begins at p * PANEL * dim. */
typedef struct pith_cpu_attn_work {
    float *q, *o;              /* [panels][dim][width], or [rows][dim] for few rows */
    float *s;                  /* [keys][width], or [rows][keys] */
    float *keys, *values;      /* [keys][dim] */
    float *m, *l, *factor;     /* [rows] */
    float *bias;               /* [keys] */
    int32_t *lo, *hi;          /* [rows] */
} pith_cpu_attn_work;

typedef struct pith_cpu_attn_item {
    const pith_cpu_kernels *k;
    const pith_cpu_attend_args *a;
    int32_t kv, h0, n_heads;   /* KV head; query heads h0 .. h0 + n_heads - 1 */
    int64_t t0;                /* first token of the chunk */
    int32_t n_tokens, n_rows;
    int64_t lo[PITH_SEGMENTS_MAX], hi[PITH_SEGMENTS_MAX]; /* union over the tokens; lo == hi when empty */
    bool even[PITH_SEGMENTS_MAX]; /* every token has these very bounds */
    int64_t begin, end;        /* on the virtual key axis */
    /* Where the result goes: finished rows (part NULL), or m, l and unnormalised rows of this part. */
    float *part_ml;            /* [T * H][2] */
    float *part_o;             /* [T * H][E] */
} pith_cpu_attn_item;

/* At most PITH_CPU_ATTN_KEYS keys that lie in consecutive rows of the store. */
typedef struct pith_cpu_attn_keys {
    int32_t segment;
    int64_t first;             /* position or core index of the first key */
    int32_t n;
    pith_cpu_kv_rows k, v;
    const uint16_t *bias;      /* f16 [n] or NULL */
} pith_cpu_attn_keys;

typedef struct pith_cpu_attn_cursor {
    int32_t segment;
    int64_t base;              /* virtual index of the segment's first key */
    int64_t key;               /* next key of the segment; -1: at its start */
    int32_t list;              /* next entry of its list */
} pith_cpu_attn_cursor;

/* Sets lo, hi and even for the item's tokens; returns the length of the virtual axis. */
int64_t pith_cpu_attn_item_bounds(pith_cpu_attn_item *item);
/* Next key tile of the item; begin with a zeroed cursor with key -1. False at the end. */
bool pith_cpu_attn_keys_next(const pith_cpu_attn_item *item, pith_cpu_attn_cursor *c, pith_cpu_attn_keys *out);
/* First and last key + 1 of a row within a tile, clamped to [0, n]; lo >= hi: none. */
void pith_cpu_attn_row_bounds(const pith_cpu_attn_item *item, const pith_cpu_attn_keys *keys, int32_t token, int32_t *lo,
                              int32_t *hi);
/* Whether every row sees every key of the tile. */
bool pith_cpu_attn_keys_whole(const pith_cpu_attn_item *item, const pith_cpu_attn_keys *keys);

/* The item's softmax over its keys, by either form; they fill the result. */
void pith_cpu_attn_item_many(const pith_cpu_attn_item *item, const pith_cpu_attn_work *w);
void pith_cpu_attn_item_few(const pith_cpu_attn_item *item, const pith_cpu_attn_work *w);

/* log2(e): logits are kept in units of log2. */
#define PITH_CPU_LOG2E 1.44269504088896340736f

#endif
