/* SPDX-License-Identifier: MIT */
/* An item with many rows: panels of queries in lanes, key tiles as floats (attn_kernels.h, first form).
 *
 *   rows 0..47 | 48..95        panel 0 | panel 1, the last one 16, 32 or 48 wide; rows past n_rows are zero queries
 *
 * Each key tile is turned into floats once and serves every panel; only ragged tiles (a bound of some row falls inside)
 * are masked. */
#include "attn_item.h"

#include <math.h>
#include <string.h>

static int panel_width(int32_t n_rows, int32_t r0)
{
    int32_t left = (n_rows - r0 + 15) / 16 * 16;
    return left < PITH_CPU_ATTN_PANEL ? left : PITH_CPU_ATTN_PANEL;
}

static const float *row_query(const pith_cpu_attn_item *item, int32_t r)
{
    const pith_cpu_attend_args *a = item->a;
    return a->q + (item->t0 + r / item->n_heads) * a->ldq + (int64_t)(item->h0 + r % item->n_heads) * a->layout->head_dim;
}

/* q[e][r] = query r, scaled into units of log2. */
static void queries_load(const pith_cpu_attn_item *item, const pith_cpu_attn_work *w)
{
    int32_t dim = item->a->layout->head_dim;
    float scale = item->a->scale * PITH_CPU_LOG2E;
    for (int32_t r0 = 0; r0 < item->n_rows; r0 += PITH_CPU_ATTN_PANEL) {
        int width = panel_width(item->n_rows, r0);
        float *q = w->q + (int64_t)r0 * dim;
        for (int32_t i = 0; i < width; i++) {
            const float *x = r0 + i < item->n_rows ? row_query(item, r0 + i) : NULL;
            for (int32_t e = 0; e < dim; e++)
                q[(int64_t)e * width + i] = x ? x[e] * scale : 0;
            w->m[r0 + i] = -INFINITY;
            w->l[r0 + i] = 0;
        }
        memset(w->o + (int64_t)r0 * dim, 0, sizeof(float) * (size_t)(width * dim));
    }
}

/* The tile as floats: in place when the store has floats, else converted into `buffer`, all rows as one long one. */
static const float *tile_load(const pith_cpu_attn_item *item, const pith_cpu_kv_rows *rows, int32_t n, float *buffer)
{
    int64_t dim = item->a->layout->head_dim;
    if (rows->dtype == PITH_DTYPE_F32)
        return (const float *)(const void *)rows->rows;
    pith_cpu_kv_read(item->k, rows, 0, n * dim, buffer);
    return buffer;
}

/* Asks for half of the rows that follow the tile, usually the next tile, while the processor multiplies: the conversion
 * then finds them near. A hint, so rows past the end do no harm. */
static void rows_prefetch(const pith_cpu_kv_rows *rows, int32_t n, int half)
{
    int64_t bytes = n * rows->row_bytes;
    for (int64_t i = bytes * half / 2; i < bytes * (half + 1) / 2; i += 64)
        __builtin_prefetch(rows->rows + bytes + i, 0, 2);
}

static void tile_attend(const pith_cpu_attn_item *item, const pith_cpu_attn_work *w, const pith_cpu_attn_keys *keys)
{
    const pith_cpu_kernels *k = item->k;
    int dim = item->a->layout->head_dim;
    bool whole = pith_cpu_attn_keys_whole(item, keys);
    const float *kf = tile_load(item, &keys->k, keys->n, w->keys);
    const float *vf = tile_load(item, &keys->v, keys->n, w->values);
    if (keys->bias) {
        k->f16_to_f32(w->bias, keys->bias, keys->n);
        k->scale_f32(w->bias, w->bias, PITH_CPU_LOG2E, keys->n);
    }
    if (!whole) {
        for (int32_t r = 0; r < item->n_rows; r++)
            pith_cpu_attn_row_bounds(item, keys, r / item->n_heads, &w->lo[r], &w->hi[r]);
        for (int32_t r = item->n_rows; r < PITH_CPU_ATTN_ROWS; r++)
            w->lo[r] = w->hi[r] = 0;
    }
    for (int32_t r0 = 0; r0 < item->n_rows; r0 += PITH_CPU_ATTN_PANEL) {
        int width = panel_width(item->n_rows, r0);
        float *q = w->q + (int64_t)r0 * dim, *o = w->o + (int64_t)r0 * dim;
        rows_prefetch(&keys->k, keys->n, r0 / PITH_CPU_ATTN_PANEL);
        k->attn_scores_f32(w->s, q, kf, dim, keys->bias ? w->bias : NULL, keys->n, dim, width);
        if (!whole)
            k->attn_mask_f32(w->s, w->lo + r0, w->hi + r0, keys->n, width);
        bool grew = k->attn_softmax_f32(w->s, w->m + r0, w->l + r0, w->factor, keys->n, width);
        rows_prefetch(&keys->v, keys->n, r0 / PITH_CPU_ATTN_PANEL);
        k->attn_values_f32(o, w->s, vf, dim, grew ? w->factor : NULL, keys->n, dim, width);
    }
}

static void result_store(const pith_cpu_attn_item *item, const pith_cpu_attn_work *w)
{
    const pith_cpu_attend_args *a = item->a;
    int32_t dim = a->layout->head_dim;
    for (int32_t r = 0; r < item->n_rows; r++) {
        int32_t r0 = r / PITH_CPU_ATTN_PANEL * PITH_CPU_ATTN_PANEL;
        int width = panel_width(item->n_rows, r0);
        const float *o = w->o + (int64_t)r0 * dim + (r - r0);
        int64_t t = item->t0 + r / item->n_heads, h = item->h0 + r % item->n_heads;
        float factor = w->l[r] != 0 ? 1.0f / w->l[r] : 0, *y = a->out + t * a->ldo + h * dim;
        if (item->part_o) {
            int64_t row = t * a->n_head + h;
            item->part_ml[2 * row] = w->m[r];
            item->part_ml[2 * row + 1] = w->l[r];
            factor = 1;
            y = item->part_o + row * dim;
        }
        for (int32_t e = 0; e < dim; e++)
            y[e] = o[(int64_t)e * width] * factor;
    }
}

void pith_cpu_attn_item_many(const pith_cpu_attn_item *item, const pith_cpu_attn_work *w)
{
    pith_cpu_attn_cursor cursor = {.key = -1};
    pith_cpu_attn_keys keys;
    queries_load(item, w);
    while (pith_cpu_attn_keys_next(item, &cursor, &keys))
        tile_attend(item, w, &keys);
    result_store(item, w);
}
