/* SPDX-License-Identifier: MIT */
/* From text to tokens: special tokens part the text first (longest match, from the left), what lies between goes to the
 * model's own encoder. On failure the list is as long as before. */
#include "base/mem.h"
#include "text/vocab_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

pith_status pith_token_list_push(pith_token_list *list, int32_t id)
{
    if (list->n == list->cap) {
        size_t cap = list->cap < 32 ? 64 : list->cap, bytes;
        bool fits = list->cap < 32 || pith_size_add(cap, list->cap / 2, &cap);
        int32_t *ids = fits && pith_size_mul(cap, sizeof *ids, &bytes) ? realloc(list->ids, bytes) : NULL;
        if (!ids)
            return pith_fail(PITH_ERROR_NO_MEMORY, "list of %zu tokens", list->n + 1);
        list->ids = ids;
        list->cap = cap;
    }
    list->ids[list->n++] = id;
    return PITH_OK;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static pith_status raw_encode(struct pith_encoder *e, const char *text, size_t n)
{
    if (!n)
        return PITH_OK;
    return e->vocab->kind == PITH_VOCAB_SPM ? pith_spm_encode(e, text, n) : pith_byte_bpe_encode(e, text, n);
}

static pith_status matches_encode(struct pith_encoder *e, const char *text, size_t n, const pith_special_matches *matches)
{
    size_t done = 0;
    for (size_t i = matches->n; i-- > 0;) { /* they lie from the last to the first */
        pith_special_match match = matches->items[i];
        const pith_token *token = &e->vocab->tokens[match.id];
        if (match.at < done)
            continue;
        PITH_TRY(raw_encode(e, text + done, match.at - done));
        PITH_TRY(pith_token_list_push(e->out, match.id));
        done = match.at + token->n;
        while (token->rstrip && done < n && is_space(text[done]))
            done++;
    }
    return raw_encode(e, text + done, n - done);
}

static pith_status parts_encode(struct pith_encoder *e, const char *text, size_t n, const pith_text_part *parts, size_t n_parts)
{
    pith_special_matches matches = {0};
    pith_status status = PITH_OK;
    size_t begin = n, start = e->out->n;
    if (n > INT32_MAX)
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "text: %zu bytes, at most 2 GiB", n);
    if (e->vocab->kind == PITH_VOCAB_BYTE_BPE)
        PITH_TRY(pith_pre_run_init(&e->pre));
    for (size_t i = n_parts; i-- > 0 && status == PITH_OK;) {
        assert(parts[i].n <= begin);
        begin -= parts[i].n;
        status = pith_specials_scan(e->vocab->specials, text + begin, parts[i].n, begin, parts[i].trusted, &matches);
    }
    assert(status != PITH_OK || begin == 0);
    if (status == PITH_OK)
        status = matches_encode(e, text, n, &matches);
    if (status != PITH_OK)
        e->out->n = start;
    free(matches.items);
    e->work = e->space.work + e->pre.pieces;
    pith_merge_fini(&e->space);
    if (e->vocab->kind == PITH_VOCAB_BYTE_BPE)
        pith_pre_run_fini(&e->pre);
    free(e->buffer);
    return status;
}

pith_status pith_vocab_encode_parts(const pith_vocab *vocab, const char *text, size_t n, const pith_text_part *parts,
                                    size_t n_parts, pith_token_list *out)
{
    struct pith_encoder e = {.vocab = vocab, .out = out};
    return parts_encode(&e, n ? text : "", n, parts, n_parts);
}

pith_status pith_vocab_encode(const pith_vocab *vocab, const char *text, size_t n, bool add_special, bool parse_special,
                              pith_token_list *out)
{
    pith_text_part part = {.n = n, .trusted = parse_special};
    size_t start = out->n;
    pith_status status = PITH_OK;
    bool bos = add_special && pith_vocab_adds_bos(vocab);
    if (bos)
        PITH_TRY(pith_token_list_push(out, vocab->bos));
    PITH_TRY_GOTO(pith_vocab_encode_parts(vocab, text, n, &part, 1, out));
    if (bos && out->n > start + 1 && out->ids[start + 1] == vocab->bos) { /* the text had its own */
        out->n--;
        memmove(out->ids + start, out->ids + start + 1, (out->n - start) * sizeof *out->ids);
    }
    if (add_special && vocab->add_eos && vocab->eos >= 0)
        PITH_TRY_GOTO(pith_token_list_push(out, vocab->eos));
    return PITH_OK;
fail:
    out->n = start;
    return status;
}

pith_status pith_vocab_encode_work(const pith_vocab *vocab, const char *text, size_t n, uint64_t *work)
{
    pith_token_list out = {0};
    pith_text_part part = {.n = n};
    struct pith_encoder e = {.vocab = vocab, .out = &out};
    pith_status status = parts_encode(&e, n ? text : "", n, &part, 1);
    *work = e.work;
    free(out.ids);
    return status;
}
