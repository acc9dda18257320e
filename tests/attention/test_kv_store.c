/* SPDX-License-Identifier: MIT */
/* The sliding store, with real buffers of the trace backend: rows carry their position as a mark; however the text is
 * cut into steps, every row that a later query sees is where the kernels look for it, and what leaves goes to the lower
 * tier whole, in order, once. */
#include "attention/kv_store.h"
#include "base/rng.h"
#include "request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The mark of (plane, head, position), in every byte pair of the row. */
static uint16_t mark(int plane, int head, int64_t position)
{
    return (uint16_t)(position * 31 + plane * 7 + head * 3 + 1);
}

static void fill(uint8_t *row, size_t bytes, uint16_t value)
{
    for (size_t i = 0; i + 1 < bytes; i += 2)
        memcpy(row + i, &value, 2);
}

/* Writes (or, with `check`, compares) the marks of one position in all planes of a layer. */
static void visit(pith_kv_store *store, int32_t l, int64_t position, bool check)
{
    const pith_kv_layout *layout = &store->layers[l].layout;
    int64_t row = pith_kv_raw_row(layout, store->base[store->layers[l].kv_class], position);
    assert_in_range(row, 0, layout->raw_rows - 1);
    const pith_kv_plane *planes[] = {&layout->raw_k, &layout->raw_v};
    size_t scale_row = (size_t)layout->head_dim / 32 * 2;
    for (int p = 0; p < 2; p++) {
        for (int h = 0; h < layout->n_kv; h++) {
            uint8_t want[1024], got[1024];
            size_t at = planes[p]->offset + (size_t)h * planes[p]->head_bytes + (size_t)row * planes[p]->row_bytes;
            fill(want, planes[p]->row_bytes, mark(p, h, position));
            if (!check)
                assert_int_equal(store->backend->fns->buf_write(store->bufs[l], at, want, planes[p]->row_bytes), PITH_OK);
            assert_int_equal(store->backend->fns->buf_read(store->bufs[l], at, got, planes[p]->row_bytes), PITH_OK);
            assert_memory_equal(got, want, planes[p]->row_bytes);
            if (layout->dtype != PITH_DTYPE_Q8_0)
                continue;
            at = planes[p]->scale_offset + (size_t)h * planes[p]->scale_head_bytes + (size_t)row * scale_row;
            fill(want, scale_row, mark(p + 2, h, position));
            if (!check)
                assert_int_equal(store->backend->fns->buf_write(store->bufs[l], at, want, scale_row), PITH_OK);
            assert_int_equal(store->backend->fns->buf_read(store->bufs[l], at, got, scale_row), PITH_OK);
            assert_memory_equal(got, want, scale_row);
        }
    }
}

/* A tier that checks what it is given. */
struct tier {
    pith_kv_tier base;
    const pith_kv_layout *layout;
    int64_t next[3]; /* per layer: the position that must come next */
};

static pith_status tier_take(pith_kv_tier *base, int32_t layer, int64_t position, int64_t n, const void *rows, size_t bytes)
{
    struct tier *t = (struct tier *)base;
    assert_int_equal(position, t->next[layer]);
    t->next[layer] += n;
    const uint8_t *at = rows;
    size_t scale_row = (size_t)t->layout->head_dim / 32 * 2;
    for (int p = 0; p < 2; p++) {
        for (int h = 0; h < t->layout->n_kv; h++) {
            for (int64_t i = 0; i < n; i++, at += t->layout->raw_k.row_bytes) {
                uint16_t got, want = mark(p, h, position + i);
                memcpy(&got, at, 2);
                assert_int_equal(got, want);
            }
        }
        for (int h = 0; t->layout->dtype == PITH_DTYPE_Q8_0 && h < t->layout->n_kv; h++) {
            for (int64_t i = 0; i < n; i++, at += scale_row) {
                uint16_t got, want = mark(p + 2, h, position + i);
                memcpy(&got, at, 2);
                assert_int_equal(got, want);
            }
        }
    }
    assert_int_equal(at - (const uint8_t *)rows, bytes);
    return PITH_OK;
}

static void slide_once(pith_dtype dtype, int32_t g, int32_t s, int32_t sinks, int64_t chunk, int64_t context, uint64_t seed)
{
    pith_config config = request_config();
    const int32_t dense[] = {1};
    pith_attn_request request = request_cca(&config, g, s, sinks, context, chunk);
    request.kv_dtype = dtype;
    request.params.dense_layers = dense;
    request.params.n_dense_layers = 1;
    pith_layer_attn *layers;
    assert_int_equal(pith_policy_layers(&request, &layers), PITH_OK);
    pith_backend *backend;
    assert_int_equal(pith_trace_backend_create(&backend), PITH_OK);
    pith_kv_store store;
    assert_int_equal(pith_kv_store_init(&store, backend, layers, 3), PITH_OK);
    struct tier tier = {.base = {.take = tier_take}, .layout = &layers[0].layout, .next = {sinks, sinks, sinks}};
    assert_int_equal(pith_kv_store_set_tier(&store, &tier.base), PITH_OK);
    pith_rng rng;
    pith_rng_init(&rng, seed);
    for (int64_t n = 0; n < context;) {
        int64_t step = 1 + (int64_t)(pith_rng_u64(&rng) % (uint64_t)chunk);
        step = n + step > context ? context - n : step;
        assert_int_equal(pith_kv_store_reserve(&store, n, step), PITH_OK);
        for (int32_t l = 0; l < 3; l++) {
            /* What the step's queries see of the past is still there. */
            const pith_segment *raw = &layers[l].segments[layers[l].n_segments - 1];
            for (int64_t t = pith_bound_at(&raw->lo, n); t < n; t++)
                visit(&store, l, t, true);
            for (int64_t t = 0; t < sinks && t < n; t++)
                visit(&store, l, t, true);
            for (int64_t t = n; t < n + step; t++)
                visit(&store, l, t, false);
        }
        assert_true(pith_kv_store_covers(&store, n));
        n += step;
    }
    if (context > sinks + s + g + 2 * chunk) {
        assert_true(tier.next[0] > sinks);
        assert_int_equal(tier.next[0], store.base[0]);
        assert_false(pith_kv_store_covers(&store, sinks + g));
    }
    assert_int_equal(tier.next[1], sinks); /* the dense layer dropped nothing */
    pith_kv_store_clear(&store);
    assert_int_equal(store.base[0], sinks);
    pith_kv_store_fini(&store);
    pith_backend_destroy(&backend);
    free(layers);
}

/* The store's tests need no backend list. */
void pith_backend_destroy(pith_backend **backend)
{
    (*backend)->fns->destroy(*backend);
    *backend = NULL;
}

static void rows_slide_and_leave(void **state)
{
    (void)state;
    static const pith_dtype types[] = {PITH_DTYPE_F32, PITH_DTYPE_F16, PITH_DTYPE_Q8_0};
    for (int i = 0; i < 3; i++) {
        slide_once(types[i], 4, 8, 0, 5, 200, 1);
        slide_once(types[i], 4, 8, 3, 1, 120, 2);
        slide_once(types[i], 8, 16, 8, 16, 300, 3);
        slide_once(types[i], 1, 1, 0, 3, 60, 4);
        slide_once(types[i], 16, 32, 20, 64, 400, 5);
        slide_once(types[i], 16, 64, 4, 64, 50, 6); /* never slides */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_slide_and_leave)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
