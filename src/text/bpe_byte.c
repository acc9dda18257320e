/* SPDX-License-Identifier: MIT */
/* Byte-level BPE: pieces of the pre-tokenizer, merged by rank. Merges are kept as pairs of token ids, so that a step
 * of the loop is one table look-up of fixed cost. */
#include "base/log.h"
#include "base/mem.h"
#include "text/vocab_impl.h"

#include <stdlib.h>
#include <string.h>

#define KEY "tokenizer.ggml.merges"

/* "left right" in byte-level spelling -> both as raw bytes, one behind the other; the space that parts them is the
 * first one behind the first character. False: not of this form. */
static bool merge_read(pith_str merge, char *out, size_t *n_left, size_t *n)
{
    size_t i = 0, kept = 0, step;
    *n_left = 0;
    while (i < merge.n) {
        if (merge.data[i] == ' ' && i > 0 && !*n_left) {
            *n_left = kept;
            i++;
            continue;
        }
        int byte = pith_byte_level_decode(merge.data + i, merge.n - i, &step);
        if (byte < 0)
            return false;
        out[kept++] = (char)byte;
        i += step;
    }
    *n = kept;
    return *n_left > 0 && *n_left < kept;
}

static pith_status merges_load(pith_vocab *vocab, const pith_gguf_array *merges, char *buffer)
{
    uint32_t absent = 0;
    size_t first_absent = 0, n_left, n;
    PITH_TRY(pith_merges_init(&vocab->merges, merges->n));
    for (size_t i = 0; i < merges->n; i++) {
        int32_t left = -1, right = -1, merged = -1;
        if (merge_read(merges->strings[i], buffer, &n_left, &n)) {
            left = pith_words_find(&vocab->words, buffer, n_left);
            right = pith_words_find(&vocab->words, buffer + n_left, n - n_left);
            merged = pith_words_find(&vocab->words, buffer, n);
        }
        if (left >= 0 && right >= 0 && merged >= 0)
            pith_merges_add(&vocab->merges, left, right, (uint32_t)i, merged); /* given twice: the first counts */
        else
            first_absent = absent++ ? first_absent : i;
    }
    if (absent)
        pith_log(PITH_LOG_WARNING, KEY ": %u entries name texts that are not tokens and are ignored, the first is [%zu]: \"%.*s\"",
                 absent, first_absent, (int)pith_min_size(merges->strings[first_absent].n, 64), merges->strings[first_absent].data);
    return PITH_OK;
}

pith_status pith_byte_bpe_load(pith_vocab *vocab, const pith_gguf *gguf)
{
    pith_gguf_array merges = {0};
    size_t longest = 1;
    int missing = 0;
    PITH_TRY(pith_gguf_get_array(gguf, KEY, &merges));
    if (merges.type != PITH_GGUF_STRING || merges.n > UINT32_MAX - 1)
        return pith_fail(PITH_ERROR_FORMAT, KEY ": %zu entries%s, expected texts", merges.n,
                         merges.type == PITH_GGUF_STRING ? "" : " that are not texts");
    for (size_t i = 0; i < merges.n; i++)
        if (merges.strings[i].n > longest)
            longest = merges.strings[i].n;
    for (int i = 0; i < 256; i++) {
        char byte = (char)i;
        vocab->byte_token[i] = pith_words_find(&vocab->words, &byte, 1);
        bool in_utf8 = i != 0xC0 && i != 0xC1 && i < 0xF5; /* many vocabularies leave the other 13 out */
        missing += in_utf8 && vocab->byte_token[i] < 0;
    }
    if (missing)
        pith_log(PITH_LOG_INFO, "tokenizer.ggml.tokens: %d of the 243 bytes of UTF-8 have no token; encoding drops them", missing);
    vocab->ignore_merges = pith_pre_get_flags(vocab->pre).ignore_merges;
    char *buffer = pith_calloc(longest, 1);
    if (!buffer)
        return pith_fail(PITH_ERROR_NO_MEMORY, KEY ": %zu bytes", longest);
    pith_status status = merges_load(vocab, &merges, buffer);
    free(buffer);
    return status;
}

static int32_t pair_merge(const void *user, const pith_symbol *left, const pith_symbol *right, uint32_t *order)
{
    const struct pith_encoder *e = user;
    const pith_merge_slot *merge = pith_merges_find(&e->vocab->merges, left->id, right->id);
    if (!merge)
        return -1;
    *order = merge->rank;
    return merge->id;
}

static pith_status piece_encode(void *user, const char *piece, size_t n)
{
    struct pith_encoder *e = user;
    const pith_vocab *vocab = e->vocab;
    if (n == 1 || vocab->ignore_merges) {
        int32_t id = n == 1 ? vocab->byte_token[(uint8_t)*piece] : pith_words_find(&vocab->words, piece, n);
        if (id >= 0)
            return pith_token_list_push(e->out, id);
    }
    PITH_TRY(pith_merge_reserve(&e->space, n));
    e->piece = piece;
    for (size_t i = 0; i < n; i++)
        e->space.symbols[i] = (pith_symbol){.at = (uint32_t)i, .n = 1, .id = vocab->byte_token[(uint8_t)piece[i]]};
    PITH_TRY(pith_merge_run(&e->space, pair_merge, e));
    for (size_t i = 0; i < e->space.n; i++)
        if (e->space.symbols[i].id >= 0) /* else a byte without a token */
            PITH_TRY(pith_token_list_push(e->out, e->space.symbols[i].id));
    return PITH_OK;
}

pith_status pith_byte_bpe_encode(struct pith_encoder *e, const char *text, size_t n)
{
    return pith_pre_split(e->vocab->pre, &e->pre, text, n, piece_encode, e);
}
