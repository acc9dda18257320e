/* SPDX-License-Identifier: MIT */
/* The merge loop. Heap entries are never deleted or updated: an entry is stale when its left symbol is gone or now
 * merges in another order, and is then dropped. An entry that merely looks fresh names a pair that exists now and has
 * this order, so acting on it is right as well. */
#include "text/merge.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SCAN_MAX 40 /* symbols: up to here scanning the orders is cheaper than a heap */
#define DEAD UINT32_MAX

pith_status pith_merge_reserve(pith_merge_space *space, size_t n)
{
    size_t cap = n + n / 2 + 64, bytes;
    if (n > INT32_MAX)
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "text piece: %zu symbols, at most %d", n, INT32_MAX);
    if (n > space->cap) {
        pith_symbol *symbols = pith_size_mul(cap, sizeof *symbols, &bytes) ? realloc(space->symbols, bytes) : NULL;
        if (!symbols)
            return pith_fail(PITH_ERROR_NO_MEMORY, "text piece: %zu symbols", n);
        space->symbols = symbols;
        space->cap = cap;
    }
    space->n = n;
    return PITH_OK;
}

void pith_merge_fini(pith_merge_space *space)
{
    free(space->symbols);
    free(space->heap);
    *space = (pith_merge_space){0};
}

static void pair_update(pith_merge_space *space, pith_merge_fn fn, const void *user, pith_symbol *left, const pith_symbol *right)
{
    space->work++;
    left->order = DEAD;
    left->merged = fn(user, left, right, &left->order);
}

/* Short pieces: the symbols stay packed, the first pair in order is found by looking at all. */
static void scan(pith_merge_space *space, pith_merge_fn fn, const void *user)
{
    pith_symbol *s = space->symbols;
    size_t n = space->n;
    for (size_t i = 0; i + 1 < n; i++)
        pair_update(space, fn, user, &s[i], &s[i + 1]);
    s[n - 1].merged = -1;
    for (;;) {
        size_t best = n;
        for (size_t i = 0; i + 1 < n; i++)
            if (s[i].merged >= 0 && (best == n || s[i].order < s[best].order))
                best = i;
        if (best == n)
            break;
        s[best].n += s[best + 1].n;
        s[best].id = s[best].merged;
        n--;
        memmove(&s[best + 1], &s[best + 2], (n - best - 1) * sizeof *s);
        s[best].merged = -1;
        if (best + 1 < n)
            pair_update(space, fn, user, &s[best], &s[best + 1]);
        if (best > 0)
            pair_update(space, fn, user, &s[best - 1], &s[best]);
    }
    space->n = n;
}

static void heap_sink(uint64_t *heap, size_t n, size_t i)
{
    uint64_t key = heap[i];
    for (;;) {
        size_t first = 4 * i + 1, least = first;
        if (first >= n)
            break;
        size_t end = first + 4 < n ? first + 4 : n;
        for (size_t c = first + 1; c < end; c++)
            if (heap[c] < heap[least])
                least = c;
        if (heap[least] >= key)
            break;
        heap[i] = heap[least];
        i = least;
    }
    heap[i] = key;
}

static void heap_push(pith_merge_space *space, uint32_t order, int32_t left)
{
    uint64_t *heap = space->heap, key = (uint64_t)order << 32 | (uint32_t)left;
    size_t i = space->n_heap++;
    for (; i > 0 && key < heap[(i - 1) / 4]; i = (i - 1) / 4)
        heap[i] = heap[(i - 1) / 4];
    heap[i] = key;
}

/* Every merge removes a symbol and pushes at most two pairs, and pops at least one: n entries more than at the start
 * are enough. */
static pith_status heap_reserve(pith_merge_space *space)
{
    size_t cap = space->n * 2 + 2, bytes;
    if (cap <= space->cap_heap)
        return PITH_OK;
    uint64_t *heap = pith_size_mul(cap, sizeof *heap, &bytes) ? realloc(space->heap, bytes) : NULL;
    if (!heap)
        return pith_fail(PITH_ERROR_NO_MEMORY, "text piece: heap of %zu pairs", cap);
    space->heap = heap;
    space->cap_heap = cap;
    return PITH_OK;
}

static void merge_at(pith_merge_space *space, pith_merge_fn fn, const void *user, int32_t i)
{
    pith_symbol *s = space->symbols, *left = &s[i], *right = &s[left->next];
    left->n += right->n;
    left->id = left->merged;
    left->next = right->next;
    left->merged = right->merged = -1;
    left->order = right->order = DEAD;
    right->n = 0; /* gone */
    if (left->next >= 0) {
        s[left->next].prev = i;
        pair_update(space, fn, user, left, &s[left->next]);
        if (left->merged >= 0)
            heap_push(space, left->order, i);
    }
    if (left->prev >= 0) {
        pair_update(space, fn, user, &s[left->prev], left);
        if (s[left->prev].merged >= 0)
            heap_push(space, s[left->prev].order, left->prev);
    }
}

static pith_status with_heap(pith_merge_space *space, pith_merge_fn fn, const void *user)
{
    pith_symbol *s = space->symbols;
    size_t n = space->n, kept = 0;
    PITH_TRY(heap_reserve(space));
    space->n_heap = 0;
    for (size_t i = 0; i < n; i++) {
        s[i].prev = (int32_t)i - 1;
        s[i].next = i + 1 < n ? (int32_t)i + 1 : -1;
        s[i].merged = -1;
        s[i].order = DEAD;
        if (i + 1 < n)
            pair_update(space, fn, user, &s[i], &s[i + 1]);
        if (s[i].merged >= 0)
            space->heap[space->n_heap++] = (uint64_t)s[i].order << 32 | i;
    }
    for (size_t i = space->n_heap / 4 + 1; i-- > 0;)
        if (i < space->n_heap)
            heap_sink(space->heap, space->n_heap, i);
    while (space->n_heap) {
        uint64_t key = space->heap[0];
        space->heap[0] = space->heap[--space->n_heap];
        if (space->n_heap)
            heap_sink(space->heap, space->n_heap, 0);
        int32_t left = (int32_t)(key & UINT32_MAX);
        if (s[left].merged >= 0 && s[left].order == key >> 32)
            merge_at(space, fn, user, left);
    }
    for (int32_t i = 0; i >= 0; i = s[i].next)
        s[kept++] = s[i];
    space->n = kept;
    return PITH_OK;
}

pith_status pith_merge_run(pith_merge_space *space, pith_merge_fn fn, const void *user)
{
    if (space->n < 2)
        return PITH_OK;
    if (space->n > SCAN_MAX)
        return with_heap(space, fn, user);
    scan(space, fn, user);
    return PITH_OK;
}
