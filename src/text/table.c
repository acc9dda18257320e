/* SPDX-License-Identifier: MIT */
/* Building and reading the text table; building the merge table (its reading is inline, it is the hottest loop). */
#include "text/table.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* A power of two above 2 n: at least one slot stays free, so a search ends. */
static bool slot_count(size_t n, size_t *out)
{
    size_t count = 16;
    while (count / 2 <= n) {
        if (!pith_size_mul(count, 2, &count))
            return false;
    }
    *out = count;
    return true;
}

static uint32_t text_hash(const char *text, size_t n)
{
    uint64_t h = n * UINT64_C(0x9E3779B97F4A7C15), part;
    for (; n >= 8; text += 8, n -= 8) {
        memcpy(&part, text, 8);
        h = pith_mix(h ^ part);
    }
    part = 0;
    for (size_t i = 0; i < n; i++)
        part = part << 8 | (uint8_t)text[i];
    return (uint32_t)pith_mix(h ^ part);
}

pith_status pith_words_init(pith_words *words, const char *text, const pith_token *tokens, size_t n)
{
    size_t count;
    *words = (pith_words){.text = text, .tokens = tokens};
    if (slot_count(n, &count))
        words->slots = pith_calloc(count, sizeof *words->slots);
    if (!words->slots)
        return pith_fail(PITH_ERROR_NO_MEMORY, "table of %zu token texts", n);
    for (size_t i = 0; i < count; i++)
        words->slots[i].id = -1;
    words->mask = count - 1;
    return PITH_OK;
}

void pith_words_fini(pith_words *words)
{
    free(words->slots);
    *words = (pith_words){0};
}

static pith_word_slot *word_slot(const pith_words *words, const char *text, size_t n, uint32_t hash)
{
    for (size_t i = hash & words->mask;; i = (i + 1) & words->mask) {
        pith_word_slot *slot = &words->slots[i];
        if (slot->id < 0)
            return slot;
        const pith_token *token = &words->tokens[slot->id];
        if (slot->hash == hash && token->n == n && !memcmp(words->text + token->at, text, n))
            return slot;
    }
}

bool pith_words_add(pith_words *words, int32_t id)
{
    const pith_token *token = &words->tokens[id];
    uint32_t hash = text_hash(words->text + token->at, token->n);
    pith_word_slot *slot = word_slot(words, words->text + token->at, token->n, hash);
    if (slot->id >= 0)
        return false;
    *slot = (pith_word_slot){.hash = hash, .id = id};
    if (token->n > words->longest)
        words->longest = token->n;
    return true;
}

int32_t pith_words_find(const pith_words *words, const char *text, size_t n)
{
    return n > words->longest ? -1 : word_slot(words, text, n, text_hash(text, n))->id;
}

pith_status pith_merges_init(pith_merges *merges, size_t n)
{
    size_t count;
    *merges = (pith_merges){0};
    if (slot_count(n, &count))
        merges->slots = pith_calloc(count, sizeof *merges->slots);
    if (!merges->slots)
        return pith_fail(PITH_ERROR_NO_MEMORY, "table of %zu merges", n);
    for (size_t i = 0; i < count; i++)
        merges->slots[i].pair = UINT64_MAX;
    merges->mask = count - 1;
    return PITH_OK;
}

void pith_merges_fini(pith_merges *merges)
{
    free(merges->slots);
    *merges = (pith_merges){0};
}

bool pith_merges_add(pith_merges *merges, int32_t left, int32_t right, uint32_t rank, int32_t id)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t i = (size_t)pith_mix(pair) & merges->mask;
    for (; merges->slots[i].pair != UINT64_MAX; i = (i + 1) & merges->mask)
        if (merges->slots[i].pair == pair)
            return false;
    merges->slots[i] = (pith_merge_slot){.pair = pair, .rank = rank, .id = id};
    return true;
}
