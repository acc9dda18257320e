/* SPDX-License-Identifier: MIT */
#include "attention/kv_store.h"
#include "base/mem.h"

#include <stdlib.h>

static int64_t class_fixed(const pith_kv_store *store, int32_t kv_class)
{
    for (int32_t l = 0; l < store->n_layers; l++)
        if (store->layers[l].kv_class == kv_class)
            return store->layers[l].layout.n_fixed;
    return 0;
}

void pith_kv_store_clear(pith_kv_store *store)
{
    for (int32_t c = 0; c < PITH_KV_CLASSES; c++)
        store->base[c] = class_fixed(store, c);
    if (store->tier && store->tier->rewind)
        store->tier->rewind(store->tier, 0);
}

pith_status pith_kv_store_init(pith_kv_store *store, pith_backend *backend, const pith_layer_attn *layers, int32_t n_layers)
{
    *store = (pith_kv_store){.backend = backend, .layers = layers, .n_layers = n_layers};
    store->bufs = pith_calloc((size_t)n_layers, sizeof *store->bufs);
    if (!store->bufs)
        return pith_fail(PITH_ERROR_NO_MEMORY, "kv: no memory for %d layers", n_layers);
    for (int32_t l = 0; l < n_layers; l++) {
        pith_status status = backend->fns->buf_create(backend, layers[l].layout.bytes, &store->bufs[l]);
        if (status != PITH_OK)
            return pith_fail_in(status, "kv: layer %d", l);
    }
    pith_kv_store_clear(store);
    return PITH_OK;
}

void pith_kv_store_fini(pith_kv_store *store)
{
    for (int32_t l = 0; store->bufs && l < store->n_layers; l++)
        if (store->bufs[l])
            store->backend->fns->buf_destroy(&store->bufs[l]);
    free(store->bufs);
    free(store->rows);
    *store = (pith_kv_store){0};
}

/* What one plane moves or copies: `f` is called for every head's run of n rows from row `from`, elements then scales. */
typedef pith_status (*run_fn)(void *user, uint64_t offset, size_t bytes);

static pith_status plane_runs(const pith_kv_layout *layout, const pith_kv_plane *plane, int64_t from, int64_t n, run_fn f, void *user)
{
    uint64_t scale_row = (uint64_t)layout->head_dim / 32 * 2;
    for (int32_t h = 0; h < layout->n_kv; h++) {
        uint64_t head = plane->offset + (uint64_t)h * plane->head_bytes;
        PITH_TRY(f(user, head + (uint64_t)from * plane->row_bytes, (size_t)n * plane->row_bytes));
    }
    for (int32_t h = 0; layout->dtype == PITH_DTYPE_Q8_0 && h < layout->n_kv; h++) {
        uint64_t head = plane->scale_offset + (uint64_t)h * plane->scale_head_bytes;
        PITH_TRY(f(user, head + (uint64_t)from * scale_row, (size_t)(n * (int64_t)scale_row)));
    }
    return PITH_OK;
}

struct reader {
    const pith_kv_store *store;
    int32_t layer;
    char *out;
    size_t n;
};

static pith_status read_run(void *user, uint64_t offset, size_t bytes)
{
    struct reader *r = user;
    pith_status status = r->store->backend->fns->buf_read(r->store->bufs[r->layer], offset, r->out + r->n, bytes);
    r->n += bytes;
    return status;
}

/* Hands positions [from, to) of a layer to the tier. */
static pith_status evict(pith_kv_store *store, int32_t layer, int64_t base, int64_t from, int64_t to)
{
    const pith_kv_layout *layout = &store->layers[layer].layout;
    struct reader r = {.store = store, .layer = layer, .out = store->rows};
    int64_t row = pith_kv_raw_row(layout, base, from);
    PITH_TRY(plane_runs(layout, &layout->raw_k, row, to - from, read_run, &r));
    PITH_TRY(plane_runs(layout, &layout->raw_v, row, to - from, read_run, &r));
    return store->tier->take(store->tier, layer, from, to - from, store->rows, r.n);
}

pith_status pith_kv_store_set_tier(pith_kv_store *store, pith_kv_tier *tier)
{
    size_t most = 0;
    for (int32_t l = 0; l < store->n_layers; l++)
        if (store->layers[l].kv_class == 0)
            most = store->layers[l].layout.raw_bytes > most ? (size_t)store->layers[l].layout.raw_bytes : most;
    void *rows = tier ? malloc(most ? most : 1) : NULL;
    if (tier && !rows)
        return pith_fail(PITH_ERROR_NO_MEMORY, "kv: no memory to hand rows to the lower tier");
    free(store->rows);
    store->rows = rows;
    store->rows_bytes = tier ? most : 0;
    store->tier = tier;
    return PITH_OK;
}

struct mover {
    pith_kv_store *store;
    int32_t layer;
    int64_t rows_down; /* by how many rows the run moves to the front */
    uint32_t row_bytes;
    uint64_t scale_from; /* offsets from here on belong to scales */
    uint64_t scale_row;
};

static pith_status move_run(void *user, uint64_t offset, size_t bytes)
{
    struct mover *m = user;
    uint64_t row = m->scale_row && offset >= m->scale_from ? m->scale_row : m->row_bytes;
    uint64_t to = offset - (uint64_t)m->rows_down * row;
    return m->store->backend->fns->buf_move(m->store->bufs[m->layer], to, offset, bytes);
}

static pith_status slide_plane(pith_kv_store *store, int32_t layer, const pith_kv_plane *plane, int64_t from, int64_t n, int64_t down)
{
    const pith_kv_layout *layout = &store->layers[layer].layout;
    bool scales = layout->dtype == PITH_DTYPE_Q8_0;
    struct mover m = {.store = store, .layer = layer, .rows_down = down, .row_bytes = plane->row_bytes,
                      .scale_from = plane->scale_offset, .scale_row = scales ? (uint64_t)layout->head_dim / 32 * 2 : 0};
    return plane_runs(layout, plane, from, n, move_run, &m);
}

pith_status pith_kv_store_reserve(pith_kv_store *store, int64_t position, int64_t n)
{
    for (int32_t c = 0; c < PITH_KV_CLASSES; c++) {
        int64_t base = store->base[c], new_base = base;
        for (int32_t l = 0; l < store->n_layers; l++) {
            const pith_layer_attn *layer = &store->layers[l];
            if (layer->kv_class != c || position + n <= layer->layout.n_fixed ||
                pith_kv_raw_row(&layer->layout, base, position + n - 1) < layer->layout.raw_rows)
                continue;
            int64_t keep = pith_layer_keep_from(layer, position);
            keep = keep > position ? position : keep;
            int64_t kept = position > keep ? position - keep : 0;
            if (keep > base) {
                if (store->tier)
                    PITH_TRY(evict(store, l, base, base, keep));
                int64_t from = pith_kv_raw_row(&layer->layout, base, keep);
                PITH_TRY(slide_plane(store, l, &layer->layout.raw_k, from, kept, keep - base));
                PITH_TRY(slide_plane(store, l, &layer->layout.raw_v, from, kept, keep - base));
                new_base = keep;
            }
            if (pith_kv_raw_row(&layer->layout, new_base, position + n - 1) >= layer->layout.raw_rows)
                return pith_fail(PITH_ERROR_CONTEXT_LENGTH, "kv: layer %d: position %lld does not fit into %lld raw rows", l,
                                 (long long)(position + n - 1), (long long)layer->layout.raw_rows);
        }
        store->base[c] = new_base;
    }
    return PITH_OK;
}

bool pith_kv_store_covers(const pith_kv_store *store, int64_t position)
{
    for (int32_t l = 0; l < store->n_layers; l++)
        if (pith_layer_keep_from(&store->layers[l], position) < store->base[store->layers[l].kv_class])
            return false;
    return true;
}
