/* SPDX-License-Identifier: MIT */
/* An item with few rows (decode): queries row by row, K and V read from the store in their own type, once for all rows
 * (attn_kernels.h, second form).
 *
 *   q [rows][dim]   x   K tile (in the store)   ->   s [rows][keys]   ->   o [rows][dim] += p V tile */
#include "attn_item.h"

#include <math.h>
#include <string.h>

static void rows_softmax(const pith_cpu_attn_item *item, const pith_cpu_attn_work *w, const pith_cpu_attn_keys *keys)
{
    const pith_cpu_kernels *k = item->k;
    int32_t dim = item->a->layout->head_dim;
    bool whole = pith_cpu_attn_keys_whole(item, keys);
    if (keys->bias) {
        k->f16_to_f32(w->bias, keys->bias, keys->n);
        k->scale_f32(w->bias, w->bias, PITH_CPU_LOG2E, keys->n);
    }
    for (int32_t r = 0; r < item->n_rows; r++) {
        float *s = w->s + (int64_t)r * PITH_CPU_ATTN_KEYS;
        if (keys->bias)
            k->add_f32(s, s, w->bias, keys->n);
        if (!whole) {
            int32_t lo, hi;
            pith_cpu_attn_row_bounds(item, keys, r / item->n_heads, &lo, &hi);
            for (int32_t i = 0; i < keys->n; i++) {
                if (i < lo || i >= hi)
                    s[i] = -INFINITY;
            }
        }
        float top = k->max_f32(s, keys->n);
        if (top > w->m[r]) {
            float factor = exp2f(w->m[r] - top);
            w->m[r] = top;
            w->l[r] *= factor;
            k->scale_f32(w->o + (int64_t)r * dim, w->o + (int64_t)r * dim, factor, dim);
        }
        w->l[r] += k->exp2_sum_f32(s, s, w->m[r] == -INFINITY ? 0 : w->m[r], keys->n);
    }
}

void pith_cpu_attn_item_few(const pith_cpu_attn_item *item, const pith_cpu_attn_work *w)
{
    const pith_cpu_kernels *k = item->k;
    const pith_cpu_attend_args *a = item->a;
    int32_t dim = a->layout->head_dim;
    for (int32_t r = 0; r < item->n_rows; r++) {
        const float *q = a->q + (item->t0 + r / item->n_heads) * a->ldq + (int64_t)(item->h0 + r % item->n_heads) * dim;
        k->scale_f32(w->q + (int64_t)r * dim, q, a->scale * PITH_CPU_LOG2E, dim);
        w->m[r] = -INFINITY;
        w->l[r] = 0;
    }
    memset(w->o, 0, sizeof(float) * (size_t)(item->n_rows * dim));

    pith_cpu_attn_cursor cursor = {.key = -1};
    pith_cpu_attn_keys keys;
    while (pith_cpu_attn_keys_next(item, &cursor, &keys)) {
        k->attn_dot_rows(w->s, PITH_CPU_ATTN_KEYS, w->q, dim, item->n_rows, &keys.k, keys.n, dim);
        rows_softmax(item, w, &keys);
        k->attn_mix_rows(w->o, dim, w->s, PITH_CPU_ATTN_KEYS, item->n_rows, &keys.v, keys.n, dim);
    }
    for (int32_t r = 0; r < item->n_rows; r++) {
        int64_t t = item->t0 + r / item->n_heads, h = item->h0 + r % item->n_heads, row = t * a->n_head + h;
        const float *o = w->o + (int64_t)r * dim;
        if (item->part_o) {
            item->part_ml[2 * row] = w->m[r];
            item->part_ml[2 * row + 1] = w->l[r];
            memcpy(item->part_o + row * dim, o, sizeof(float) * (size_t)dim);
        } else {
            k->scale_f32(a->out + t * a->ldo + h * dim, o, w->l[r] != 0 ? 1.0f / w->l[r] : 0, dim);
        }
    }
}
