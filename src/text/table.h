/* SPDX-License-Identifier: MIT */
/* The vocabulary's two hash tables, both built once and then only read: texts to token ids, and pairs of token ids to
 * merges. Open addressing, at most half full, first entry wins. */
#ifndef PITH_TEXT_TABLE_H
#define PITH_TEXT_TABLE_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a token's text lies; the table compares against it, so `text` and `tokens` must outlive the table. */
typedef struct pith_token {
    uint32_t at, n; /* bytes [at, at + n) of the vocabulary's text */
    uint8_t class;  /* enum pith_token_class */
    bool end;       /* ends a generation */
    bool rstrip;    /* white space behind it in the text belongs to it */
} pith_token;

typedef struct pith_word_slot { uint32_t hash; int32_t id; } pith_word_slot; /* id -1: free */
typedef struct pith_words {
    pith_word_slot *slots;
    size_t mask;
    const char *text;
    const pith_token *tokens;
    size_t longest; /* bytes of the longest text in the table */
} pith_words;

/* Room for n texts. Errors: NO_MEMORY. */
pith_status pith_words_init(pith_words *words, const char *text, const pith_token *tokens, size_t n);
void pith_words_fini(pith_words *words);
/* False: the text is there already, with another id. */
bool pith_words_add(pith_words *words, int32_t id);
int32_t pith_words_find(const pith_words *words, const char *text, size_t n); /* -1: none */

typedef struct pith_merge_slot { uint64_t pair; uint32_t rank; int32_t id; } pith_merge_slot;
typedef struct pith_merges {
    pith_merge_slot *slots; /* pair UINT64_MAX: free */
    size_t mask;
} pith_merges;

pith_status pith_merges_init(pith_merges *merges, size_t n);
void pith_merges_fini(pith_merges *merges);
bool pith_merges_add(pith_merges *merges, int32_t left, int32_t right, uint32_t rank, int32_t id); /* false: known already */

static inline uint64_t pith_mix(uint64_t x)
{
    x ^= x >> 32;
    x *= UINT64_C(0xD6E8FEB86659FD93);
    x ^= x >> 32;
    x *= UINT64_C(0xD6E8FEB86659FD93);
    return x ^ x >> 32;
}

/* NULL: the two do not merge. Ids may be -1. */
static inline const pith_merge_slot *pith_merges_find(const pith_merges *merges, int32_t left, int32_t right)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    for (size_t i = (size_t)pith_mix(pair) & merges->mask;; i = (i + 1) & merges->mask) {
        const pith_merge_slot *slot = &merges->slots[i];
        if (slot->pair == UINT64_MAX)
            return NULL;
        if (slot->pair == pair)
            return slot;
    }
}

#endif
