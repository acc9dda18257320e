/* SPDX-License-Identifier: MIT */
/* SentencePiece BPE. A whole text is one piece for this algorithm: any neighbours may merge, best score first. But a
 * merge across the border of two characters needs a token in which the two stand side by side, so the text is cut at
 * all other borders (mostly before spaces); the parts cannot influence each other, and short parts are fast. */
#include "base/mem.h"
#include "text/utf8.h"
#include "text/vocab_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KEY "tokenizer.ggml.scores"

/* Characters as numbers: their bytes. Bytes that are not UTF-8 are characters of one byte, here and in tokens. */
static uint32_t char_at(const char *text, size_t n, size_t *bytes)
{
    uint32_t c = 0;
    if (pith_utf8_step(text, n, bytes) != PITH_UTF8_CHAR)
        *bytes = 1;
    for (size_t i = 0; i < *bytes; i++)
        c = c << 8 | (uint8_t)text[i];
    return c;
}

static uint64_t join_bit(const pith_vocab *vocab, uint32_t left, uint32_t right)
{
    return pith_mix((uint64_t)left << 32 | right) & vocab->joins_mask;
}

static pith_status joins_load(pith_vocab *vocab)
{
    size_t borders = 0, bits = 1 << 16, bytes;
    for (int32_t i = 0; i < vocab->n; i++)
        borders += vocab->tokens[i].n;
    while (bits < borders * 8 && bits < (size_t)1 << 24)
        bits *= 2;
    vocab->joins_mask = bits - 1;
    vocab->joins = pith_calloc(bits / 64, sizeof *vocab->joins);
    if (!vocab->joins)
        return pith_fail(PITH_ERROR_NO_MEMORY, "vocabulary: %zu bits", bits);
    for (int32_t id = 0; id < vocab->n; id++) {
        const pith_token *token = &vocab->tokens[id];
        const char *text = vocab->text + token->at;
        uint32_t last = 0;
        for (size_t i = 0; i < token->n; i += bytes) {
            uint32_t c = char_at(text + i, token->n - i, &bytes);
            uint64_t bit = join_bit(vocab, last, c);
            if (i)
                vocab->joins[bit / 64] |= UINT64_C(1) << bit % 64;
            last = c;
        }
    }
    return PITH_OK;
}

/* The order of scores, highest first, as an unsigned number. */
static uint32_t score_order(float score)
{
    uint32_t bits;
    score += 0.0f; /* -0 is 0 */
    memcpy(&bits, &score, 4);
    return bits >> 31 ? bits : ~bits & UINT32_MAX >> 1;
}

pith_status pith_spm_load(pith_vocab *vocab, const pith_gguf *gguf)
{
    pith_gguf_array scores = {0};
    PITH_TRY(pith_gguf_get_array(gguf, KEY, &scores));
    if (scores.type == PITH_GGUF_STRING || scores.n != (size_t)vocab->n)
        return pith_fail(PITH_ERROR_FORMAT, KEY ": %zu entries%s, expected %d numbers", scores.n,
                         scores.type == PITH_GGUF_STRING ? " of text" : "", vocab->n);
    vocab->order = pith_calloc((size_t)vocab->n, sizeof *vocab->order);
    if (!vocab->order)
        return pith_fail(PITH_ERROR_NO_MEMORY, KEY ": %d entries", vocab->n);
    bool real = scores.type == PITH_GGUF_F32 || scores.type == PITH_GGUF_F64;
    for (int32_t i = 0; i < vocab->n; i++) {
        double score = real ? pith_gguf_array_float(&scores, (size_t)i) : (double)pith_gguf_array_int(&scores, (size_t)i);
        if (isnan(score))
            return pith_fail(PITH_ERROR_FORMAT, KEY "[%d]: not a number", i);
        vocab->order[i] = score_order((float)score);
    }
    return joins_load(vocab);
}

static int32_t pair_merge(const void *user, const pith_symbol *left, const pith_symbol *right, uint32_t *order)
{
    const struct pith_encoder *e = user;
    int32_t id = pith_words_find(&e->vocab->words, e->piece + left->at, left->n + right->n);
    if (id >= 0)
        *order = e->vocab->order[id];
    return id;
}

/* A symbol that is no token: its bytes; where those have no tokens either, one unknown token. */
static pith_status symbol_spell(struct pith_encoder *e, const pith_symbol *symbol)
{
    const pith_vocab *vocab = e->vocab;
    bool unknown = false;
    for (size_t i = 0; i < symbol->n; i++) {
        int32_t id = vocab->byte_token[(uint8_t)e->piece[symbol->at + i]];
        if (id >= 0)
            PITH_TRY(pith_token_list_push(e->out, id));
        else if (!unknown && vocab->unk >= 0)
            PITH_TRY(pith_token_list_push(e->out, vocab->unk));
        unknown |= id < 0;
    }
    return PITH_OK;
}

static pith_status part_finish(struct pith_encoder *e)
{
    PITH_TRY(pith_merge_run(&e->space, pair_merge, e));
    for (size_t i = 0; i < e->space.n; i++) {
        const pith_symbol *symbol = &e->space.symbols[i];
        if (symbol->id >= 0)
            PITH_TRY(pith_token_list_push(e->out, symbol->id));
        else
            PITH_TRY(symbol_spell(e, symbol));
    }
    return pith_merge_reserve(&e->space, 0);
}

/* The text with its space in front, and U+2581, which cannot be told from a space here, as one. */
static pith_status piece_make(struct pith_encoder *e, const char *text, size_t n, size_t *n_piece)
{
    size_t kept = 0;
    if (n + 1 > e->cap_buffer) {
        char *buffer = realloc(e->buffer, n + n / 2 + 64);
        if (!buffer)
            return pith_fail(PITH_ERROR_NO_MEMORY, "text: %zu bytes", n);
        e->buffer = buffer;
        e->cap_buffer = n + n / 2 + 64;
    }
    if (e->vocab->add_space_prefix)
        e->buffer[kept++] = ' ';
    for (size_t i = 0; i < n; i++) {
        bool mark = text[i] == '\xE2' && n - i >= 3 && text[i + 1] == '\x96' && text[i + 2] == '\x81';
        e->buffer[kept++] = mark ? ' ' : text[i];
        i += mark ? 2 : 0;
    }
    e->piece = e->buffer;
    *n_piece = kept;
    return PITH_OK;
}

pith_status pith_spm_encode(struct pith_encoder *e, const char *text, size_t n)
{
    const pith_vocab *vocab = e->vocab;
    size_t bytes;
    uint32_t last = 0;
    PITH_TRY(piece_make(e, text, n, &n));
    PITH_TRY(pith_merge_reserve(&e->space, 0));
    for (size_t i = 0; i < n; i += bytes) {
        uint32_t c = char_at(e->piece + i, n - i, &bytes);
        uint64_t bit = join_bit(vocab, last, c);
        if (e->space.n && !(vocab->joins[bit / 64] >> bit % 64 & 1))
            PITH_TRY(part_finish(e));
        PITH_TRY(pith_merge_reserve(&e->space, e->space.n + 1));
        e->space.symbols[e->space.n - 1] = (pith_symbol){
            .at = (uint32_t)i, .n = (uint32_t)bytes, .id = pith_words_find(&vocab->words, e->piece + i, bytes)};
        last = c;
    }
    return part_finish(e);
}
