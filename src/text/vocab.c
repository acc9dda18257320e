/* SPDX-License-Identifier: MIT */
/* A vocabulary's life and its small questions. Reading the file is in vocab_load.c, encoding in encode.c. */
#include "text/vocab.h"
#include "base/log.h"
#include "base/mem.h"
#include "text/vocab_impl.h"

#include <stdlib.h>
#include <string.h>

#define KEY "tokenizer.ggml."

static bool is(pith_str a, const char *b)
{
    return a.n == strlen(b) && !memcmp(a.data, b, a.n);
}

static pith_status pre_load(pith_vocab *vocab, const pith_gguf *gguf)
{
    pith_str name = {"default", 7};
    if (vocab->kind != PITH_VOCAB_BYTE_BPE)
        return PITH_OK;
    if (pith_gguf_has(gguf, KEY "pre"))
        PITH_TRY(pith_gguf_get_string(gguf, KEY "pre", &name));
    if (is(name, "default"))
        pith_log(PITH_LOG_WARNING, KEY "pre: %s: an old file; words may be split otherwise than in training",
                 pith_gguf_has(gguf, KEY "pre") ? "\"default\"" : "absent");
    return pith_pre_create(name, &vocab->pre);
}

static pith_status specials_load(pith_vocab *vocab)
{
    size_t n = 0;
    int32_t *ids = pith_calloc((size_t)vocab->n, sizeof *ids);
    if (!ids)
        return pith_fail(PITH_ERROR_NO_MEMORY, "vocabulary: %d tokens", vocab->n);
    for (int32_t i = 0; i < vocab->n; i++) {
        uint8_t class = vocab->tokens[i].class;
        if (vocab->tokens[i].n && (class == PITH_TOKEN_CONTROL || class == PITH_TOKEN_USER_DEFINED || class == PITH_TOKEN_UNKNOWN))
            ids[n++] = i;
    }
    pith_status status = pith_specials_create(vocab->text, vocab->tokens, ids, n, &vocab->specials);
    free(ids);
    return status;
}

pith_status pith_vocab_create(const pith_gguf *gguf, int32_t n_vocab, pith_vocab **out)
{
    pith_status status;
    pith_str model;
    pith_vocab_kind kind = PITH_VOCAB_BYTE_BPE;
    *out = NULL;
    if (!pith_gguf_has(gguf, KEY "model"))
        return pith_fail(PITH_ERROR_FORMAT, KEY "model: absent; the file has no vocabulary");
    PITH_TRY(pith_gguf_get_string(gguf, KEY "model", &model));
    if (is(model, "none") || is(model, "no_vocab"))
        return PITH_OK;
    if (is(model, "llama"))
        kind = PITH_VOCAB_SPM;
    else if (!is(model, "gpt2"))
        return pith_fail(PITH_ERROR_UNSUPPORTED, KEY "model: \"%.*s\", supported are llama and gpt2",
                         (int)pith_min_size(model.n, 64), model.data);
    pith_vocab *vocab = pith_calloc(1, sizeof *vocab);
    if (!vocab)
        return pith_fail(PITH_ERROR_NO_MEMORY, "vocabulary");
    vocab->kind = kind;
    vocab->size = n_vocab > 0 ? n_vocab : 0;
    for (int i = 0; i < 256; i++)
        vocab->byte_token[i] = -1;
    PITH_TRY_GOTO(pre_load(vocab, gguf));
    PITH_TRY_GOTO(pith_vocab_load_tokens(vocab, gguf));
    PITH_TRY_GOTO(pith_vocab_load_ids(vocab, gguf));
    PITH_TRY_GOTO(specials_load(vocab));
    PITH_TRY_GOTO(kind == PITH_VOCAB_SPM ? pith_spm_load(vocab, gguf) : pith_byte_bpe_load(vocab, gguf));
    *out = vocab;
    return PITH_OK;
fail:
    pith_vocab_destroy(&vocab);
    return status;
}

void pith_vocab_destroy(pith_vocab **vocab)
{
    pith_vocab *v = *vocab;
    if (!v)
        return;
    pith_merges_fini(&v->merges);
    pith_pre_destroy(&v->pre);
    pith_specials_destroy(&v->specials);
    pith_words_fini(&v->words);
    pith_words_fini(&v->names);
    free(v->order);
    free(v->joins);
    free(v->tokens);
    free(v->text);
    free(v);
    *vocab = NULL;
}

int32_t pith_vocab_size(const pith_vocab *vocab)
{
    return vocab->size;
}

/* Every byte in its place: what byte tokens point at. */
static const char *byte_text(int value)
{
#define B4(n) n, n + 1, n + 2, n + 3
#define B16(n) B4(n), B4(n + 4), B4(n + 8), B4(n + 12)
#define B64(n) B16(n), B16(n + 16), B16(n + 32), B16(n + 48)
    static const unsigned char bytes[256] = {B64(0), B64(64), B64(128), B64(192)};
    return (const char *)&bytes[value];
}

static int hex(char c)
{
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

pith_str pith_vocab_bytes(const pith_vocab *vocab, int32_t token, bool special)
{
    if (token < 0 || token >= vocab->n)
        return (pith_str){"", 0};
    const pith_token *t = &vocab->tokens[token];
    const char *text = vocab->text + t->at;
    if (!special && (t->class == PITH_TOKEN_CONTROL || t->class == PITH_TOKEN_UNKNOWN))
        return (pith_str){"", 0};
    if (vocab->kind == PITH_VOCAB_SPM && t->class == PITH_TOKEN_BYTE) /* "<0x0A>", checked when loading */
        return (pith_str){byte_text(hex(text[3]) * 16 + hex(text[4])), 1};
    return (pith_str){text, t->n};
}

int32_t pith_vocab_bos(const pith_vocab *vocab)
{
    return vocab->bos;
}

int32_t pith_vocab_eos(const pith_vocab *vocab)
{
    return vocab->eos;
}

bool pith_vocab_adds_bos(const pith_vocab *vocab)
{
    return vocab->add_bos && vocab->bos >= 0;
}

bool pith_vocab_is_end(const pith_vocab *vocab, int32_t token)
{
    return token >= 0 && token < vocab->n && vocab->tokens[token].end;
}

int32_t pith_vocab_find(const pith_vocab *vocab, const char *text)
{
    int32_t id = pith_words_find(&vocab->names, text, strlen(text));
    return id >= 0 ? id : pith_words_find(&vocab->words, text, strlen(text));
}

bool pith_vocab_strips_space(const pith_vocab *vocab)
{
    return vocab->kind == PITH_VOCAB_SPM && vocab->add_space_prefix;
}
