/* SPDX-License-Identifier: MIT */
/* Attention of one layer: cuts the chunk into items (attn_item.h), lets the threads take them, joins parts.
 *
 *   item index:  [KV head and head block][query tile, latest tokens first][part of the keys]
 *   scratch:     [counter, one cache line][work of thread 0]...[work of thread n-1][m, l of parts][rows of parts]
 *
 * Late tiles have the most keys and go first, so the short ones fill the end; one KV head at a time keeps its keys in
 * the shared cache. Few items are cut into parts of their keys, at most PARTS, in a way that does not ask how many
 * threads there are; parts are joined in their order, so results have the same bits for any number of threads. */
#include "attn_item.h"

#include "base/mem.h"

#include <math.h>
#include <stdatomic.h>

#define PARTS 32          /* most parts of one item's keys */
#define PART_ROWS 4       /* tokens for which all parts fit in the scratch; more tokens: fewer parts */
#define PART_KEYS 256     /* fewest keys in a part */
#define ITEMS_WANTED 64   /* parts are made until there are so many items */

static size_t align(size_t n) { return (n + PITH_ALIGN - 1) & ~(size_t)(PITH_ALIGN - 1); }

/* Bytes of one thread's work; fills the pointers when base is not NULL. */
static size_t work_place(pith_cpu_attn_work *w, uint8_t *base, size_t dim)
{
    size_t rows = PITH_CPU_ATTN_ROWS, keys = PITH_CPU_ATTN_KEYS, used = 0;
    struct { float **p; size_t n; } parts[] = {{&w->q, rows * dim},      {&w->o, rows * dim},   {&w->s, rows * keys},
                                               {&w->keys, keys * dim},   {&w->values, keys * dim}, {&w->m, rows},
                                               {&w->l, rows},            {&w->factor, rows},    {&w->bias, keys}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (base)
            *parts[i].p = (float *)(void *)(base + used);
        used += align(parts[i].n * sizeof(float) + PITH_PAD_BYTES);
    }
    if (base) {
        w->lo = (int32_t *)(void *)(base + used);
        w->hi = w->lo + rows;
    }
    return used + align(2 * rows * sizeof(int32_t));
}

static size_t parts_bytes(int64_t n_tokens, int32_t n_head, int32_t dim)
{
    size_t tokens = (size_t)(n_tokens < PART_ROWS ? n_tokens : PART_ROWS);
    return PARTS * tokens * (size_t)n_head * ((size_t)dim + 2) * sizeof(float) + PITH_ALIGN;
}

size_t pith_cpu_attend_scratch_bytes(int64_t n_tokens_max, int32_t n_head, int32_t head_dim, int32_t n_threads)
{
    pith_cpu_attn_work w;
    return PITH_ALIGN + (size_t)n_threads * work_place(&w, NULL, (size_t)head_dim) +
           parts_bytes(n_tokens_max, n_head, head_dim) + PITH_PAD_BYTES;
}

struct grid {
    int32_t heads_block;  /* query heads of an item */
    int32_t head_blocks;  /* per KV head */
    int32_t tile_tokens;
    int64_t tiles;
    int32_t parts;
    int64_t items;
};

/* The largest key axis of any token tile is the last one's, all bounds being monotone; it decides the parts. */
static struct grid grid_make(const pith_cpu_kernels *k, const pith_cpu_attend_args *a)
{
    struct grid g = {0};
    int32_t share = a->n_head / a->layout->n_kv;
    bool lists = false, own_cores = false;
    for (int32_t s = 0; s < a->n_segments; s++) {
        lists |= a->segments[s].list != PITH_LIST_NONE;
        own_cores |= a->segments[s].source == PITH_SEGMENT_CORE && a->layout->core_heads != a->layout->n_kv;
    }
    g.heads_block = own_cores ? 1 : share < PITH_CPU_ATTN_ROWS ? share : PITH_CPU_ATTN_ROWS;
    g.head_blocks = (share + g.heads_block - 1) / g.heads_block;
    g.tile_tokens = lists ? 1 : PITH_CPU_ATTN_ROWS / g.heads_block;
    if (g.tile_tokens > a->n_tokens)
        g.tile_tokens = (int32_t)a->n_tokens;
    g.tiles = (a->n_tokens + g.tile_tokens - 1) / g.tile_tokens;
    int64_t items = g.tiles * g.head_blocks * a->layout->n_kv;

    pith_cpu_attn_item last = {.k = k, .a = a, .t0 = (g.tiles - 1) * g.tile_tokens};
    last.n_tokens = (int32_t)(a->n_tokens - last.t0);
    int64_t keys = pith_cpu_attn_item_bounds(&last);
    int64_t fit = a->n_tokens <= PART_ROWS ? PARTS : PARTS * PART_ROWS / a->n_tokens;
    int64_t parts = (ITEMS_WANTED + items - 1) / items;
    parts = parts < keys / PART_KEYS ? parts : keys / PART_KEYS;
    parts = parts < fit ? parts : fit;
    g.parts = parts > 1 ? (int32_t)parts : 1;
    g.items = items * g.parts;
    return g;
}

static void item_run(const pith_cpu_kernels *k, const pith_cpu_attend_args *a, const struct grid *g, int64_t index,
                     const pith_cpu_attn_work *w, float *part_ml, float *part_o)
{
    pith_cpu_attn_item item = {.k = k, .a = a};
    int64_t part = index % g->parts, tile = index / g->parts % g->tiles, block = index / g->parts / g->tiles;
    int32_t share = a->n_head / a->layout->n_kv;
    item.kv = (int32_t)(block / g->head_blocks);
    int32_t first = (int32_t)(block % g->head_blocks) * g->heads_block;
    item.h0 = item.kv * share + first;
    item.n_heads = share - first < g->heads_block ? share - first : g->heads_block;
    item.t0 = (g->tiles - 1 - tile) * g->tile_tokens;
    item.n_tokens = a->n_tokens - item.t0 < g->tile_tokens ? (int32_t)(a->n_tokens - item.t0) : g->tile_tokens;
    item.n_rows = item.n_heads * item.n_tokens;
    int64_t keys = pith_cpu_attn_item_bounds(&item);
    item.end = keys;
    if (g->parts > 1) {
        int64_t size = (keys + g->parts - 1) / g->parts;
        size = (size + PITH_CPU_ATTN_KEYS - 1) / PITH_CPU_ATTN_KEYS * PITH_CPU_ATTN_KEYS;
        item.begin = part * size < keys ? part * size : keys;
        item.end = item.begin + size < keys ? item.begin + size : keys;
        item.part_ml = part_ml + part * a->n_tokens * a->n_head * 2;
        item.part_o = part_o + part * a->n_tokens * a->n_head * a->layout->head_dim;
    }
    if (item.n_rows <= PITH_CPU_ATTN_FEW)
        pith_cpu_attn_item_few(&item, w);
    else
        pith_cpu_attn_item_many(&item, w);
}

/* out = sum_p 2^(m_p - m) o_p / sum_p 2^(m_p - m) l_p, parts in their order; zeros when no part has a key. */
static void parts_join(const pith_cpu_kernels *k, const pith_cpu_attend_args *a, int32_t parts, int64_t row,
                       const float *part_ml, const float *part_o)
{
    int64_t rows = a->n_tokens * a->n_head, dim = a->layout->head_dim;
    float *y = a->out + row / a->n_head * a->ldo + row % a->n_head * dim, m = -INFINITY, l = 0;
    for (int32_t p = 0; p < parts; p++) {
        float mp = part_ml[2 * (p * rows + row)];
        m = mp > m ? mp : m;
    }
    for (int64_t e = 0; e < dim; e++)
        y[e] = 0;
    for (int32_t p = 0; p < parts; p++) {
        const float *ml = part_ml + 2 * (p * rows + row);
        if (ml[0] == -INFINITY && ml[1] == 0)
            continue;
        float weight = exp2f(ml[0] - m);
        l += weight * ml[1];
        k->axpy_f32(y, part_o + (p * rows + row) * dim, weight, dim);
    }
    k->scale_f32(y, y, l != 0 ? 1.0f / l : 0, dim);
}

void pith_cpu_attend(const pith_cpu_kernels *k, const pith_cpu_attend_args *a, pith_pool *pool, int i, int n)
{
    size_t dim = (size_t)a->layout->head_dim;
    pith_cpu_attn_work w;
    size_t work_bytes = work_place(&w, NULL, dim);
    uint8_t *scratch = a->scratch;
    work_place(&w, scratch + PITH_ALIGN + (size_t)i * work_bytes, dim);
    _Atomic int64_t *next = (_Atomic int64_t *)(void *)scratch;
    if (a->n_tokens < 1)
        return;
    struct grid g = grid_make(k, a);
    int64_t rows = a->n_tokens * a->n_head;
    float *part_ml = (float *)(void *)(scratch + PITH_ALIGN + (size_t)n * work_bytes);
    float *part_o = (float *)(void *)((uint8_t *)part_ml + align((size_t)(g.parts * rows * 2) * sizeof(float)));

    if (i == 0)
        atomic_store_explicit(next, 0, memory_order_relaxed);
    pith_pool_barrier(pool);
    int64_t index;
    while ((index = atomic_fetch_add_explicit(next, 1, memory_order_relaxed)) < g.items)
        item_run(k, a, &g, index, &w, part_ml, part_o);
    if (g.parts > 1) {
        pith_pool_barrier(pool);
        int64_t r0, r1;
        pith_part(rows, 1, i, n, &r0, &r1);
        for (int64_t r = r0; r < r1; r++)
            parts_join(k, a, g.parts, r, part_ml, part_o);
    }
}
