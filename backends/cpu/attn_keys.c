/* SPDX-License-Identifier: MIT */
/* The keys of an item, tile by tile: segments in their order, cut at the part's ends, at blocks of a list, and every
 * PITH_CPU_ATTN_KEYS keys. Rows of a stretch are consecutive: a raw segment crosses from fixed to sliding rows only while
 * nothing was dropped between them.
 *
 *   ONLY   blocks 2 5:      lo ..[2]......[5].. hi      the bracketed keys
 *   EXCEPT blocks 2 5:      lo ..   ......   .. hi      the others */
#include "attn_item.h"

int64_t pith_cpu_attn_item_bounds(pith_cpu_attn_item *item)
{
    const pith_cpu_attend_args *a = item->a;
    int64_t first = a->pos0 + item->t0, last = first + item->n_tokens - 1, total = 0;
    for (int32_t s = 0; s < a->n_segments; s++) {
        const pith_segment *seg = &a->segments[s];
        int64_t lo0 = pith_bound_at(&seg->lo, first), lo1 = pith_bound_at(&seg->lo, last);
        int64_t hi0 = pith_bound_at(&seg->hi, first), hi1 = pith_bound_at(&seg->hi, last);
        int64_t lo = lo0 < lo1 ? lo0 : lo1, hi = hi0 > hi1 ? hi0 : hi1;
        item->even[s] = lo0 == lo1 && hi0 == hi1;
        item->lo[s] = lo;
        item->hi[s] = hi > lo ? hi : lo;
        total += item->hi[s] - lo;
    }
    return total;
}

/* Narrows [*key, *end) to its first stretch that the list leaves; false: nothing left. `c->list` only moves forward. */
static bool list_stretch(const pith_cpu_attn_item *item, pith_cpu_attn_cursor *c, int64_t *key, int64_t *end)
{
    const pith_cpu_attend_args *a = item->a;
    const pith_segment *seg = &a->segments[c->segment];
    if (seg->list == PITH_LIST_NONE)
        return *key < *end;
    const int32_t *list = a->lists[c->segment] + (item->t0 * a->layout->n_kv + item->kv) * seg->list_max;
    for (; c->list < seg->list_max && list[c->list] >= 0; c->list++) {
        int64_t b0 = (int64_t)list[c->list] * seg->list_block, b1 = b0 + seg->list_block;
        if (b1 <= *key)
            continue;
        if (seg->list == PITH_LIST_ONLY) {
            *key = *key > b0 ? *key : b0;
            *end = *end < b1 ? *end : b1;
            return *key < *end;
        }
        if (b0 > *key) {
            *end = *end < b0 ? *end : b0;
            break;
        }
        *key = b1;
    }
    if (seg->list == PITH_LIST_ONLY)
        return false;
    return *key < *end;
}

bool pith_cpu_attn_keys_next(const pith_cpu_attn_item *item, pith_cpu_attn_cursor *c, pith_cpu_attn_keys *out)
{
    const pith_cpu_attend_args *a = item->a;
    const pith_kv_layout *l = a->layout;
    for (; c->segment < a->n_segments; c->segment++, c->key = -1, c->list = 0) {
        int32_t s = c->segment;
        int64_t lo = item->lo[s], hi = item->hi[s];
        int64_t key = c->key < 0 ? lo + (item->begin > c->base ? item->begin - c->base : 0) : c->key;
        int64_t end = hi - lo < item->end - c->base ? hi : lo + item->end - c->base;
        if (!list_stretch(item, c, &key, &end)) {
            c->base += hi - lo;
            continue;
        }
        const pith_segment *seg = &a->segments[s];
        bool raw = seg->source == PITH_SEGMENT_RAW;
        end = end - key > PITH_CPU_ATTN_KEYS ? key + PITH_CPU_ATTN_KEYS : end;
        int32_t head = raw || l->core_heads == l->n_kv ? item->kv : item->h0;
        int64_t row = raw ? pith_kv_raw_row(l, a->raw_base, key) : key;
        *out = (pith_cpu_attn_keys){.segment = s, .first = key, .n = (int32_t)(end - key)};
        out->k = pith_cpu_kv_rows_at(l, raw ? &l->raw_k : &l->core_k, a->kv, head, row);
        out->v = pith_cpu_kv_rows_at(l, raw ? &l->raw_v : &l->core_v, a->kv, head, row);
        if (seg->bias && !raw)
            out->bias = (const uint16_t *)(const void *)(a->kv + l->bias_offset + (uint64_t)head * l->bias_head_bytes) + key;
        c->key = end;
        return true;
    }
    return false;
}

void pith_cpu_attn_row_bounds(const pith_cpu_attn_item *item, const pith_cpu_attn_keys *keys, int32_t token, int32_t *lo,
                              int32_t *hi)
{
    const pith_segment *seg = &item->a->segments[keys->segment];
    int64_t i = item->a->pos0 + item->t0 + token;
    int64_t b = pith_bound_at(&seg->lo, i) - keys->first, e = pith_bound_at(&seg->hi, i) - keys->first;
    *lo = (int32_t)(b < 0 ? 0 : b > keys->n ? keys->n : b);
    *hi = (int32_t)(e < 0 ? 0 : e > keys->n ? keys->n : e);
}

bool pith_cpu_attn_keys_whole(const pith_cpu_attn_item *item, const pith_cpu_attn_keys *keys)
{
    int32_t lo0, hi0, lo1, hi1;
    if (item->even[keys->segment])
        return true;
    pith_cpu_attn_row_bounds(item, keys, 0, &lo0, &hi0); /* bounds are monotone: the ends decide */
    pith_cpu_attn_row_bounds(item, keys, item->n_tokens - 1, &lo1, &hi1);
    return lo0 == 0 && lo1 == 0 && hi0 == keys->n && hi1 == keys->n;
}
