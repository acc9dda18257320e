/* SPDX-License-Identifier: MIT */
/* Reading a vocabulary's texts, classes and special ids from a file that nobody vouches for. What breaks a rule that
 * encoding relies on is an error naming key and entry; what is merely odd (an id out of range, an empty text) is left
 * out, with one warning. */
#include "base/log.h"
#include "base/mem.h"
#include "text/utf8.h"
#include "text/vocab_impl.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KEY "tokenizer.ggml."
#define SPACE_MARK "\xE2\x96\x81" /* U+2581 */

/* Texts that end a generation wherever they are tokens of their own; they are made control tokens, because files that
 * list them as ordinary or user-defined would let any user's text end its message. */
static const char *const end_texts[] = {
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>", "<EOT>", "_<EOT>",
    SPACE_MARK "<EOT>", "<|end_of_text|>",
    "<\xEF\xBD\x9C" "end" SPACE_MARK "of" SPACE_MARK "sentence\xEF\xBD\x9C>",
    "<|return|>", "<|call|>", "<end_of_utterance>", "<eos>", "[EOT]", "[EOS]",
};
/* These end a generation too, but are left in their class: as plain text they are common. */
static const char *const end_texts_if_special[] = {"</s>", "<turn|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"};

static bool text_in(pith_str text, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(list[i]) == text.n && !memcmp(list[i], text.data, text.n))
            return true;
    return false;
}

static bool text_is(pith_str text, const char *expected)
{
    return text_in(text, &expected, 1);
}

int pith_byte_level_decode(const char *text, size_t n, size_t *bytes)
{
    const uint8_t *s = (const uint8_t *)text;
    unsigned c;
    if (pith_utf8_step(text, n, bytes) != PITH_UTF8_CHAR || *bytes > 2)
        return -1;
    c = *bytes == 1 ? s[0] : (s[0] & 0x1Fu) << 6 | (s[1] & 0x3Fu);
    if ((c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c <= 0xAC) || (c >= 0xAE && c <= 0xFF))
        return (int)c;
    if (c < 0x100 || c > 0x143)
        return -1;
    c -= 0x100; /* the 68 bytes that have no printable character of their own, in order */
    return (int)(c <= 0x20 ? c : c <= 0x42 ? 0x7F + (c - 0x21) : 0xAD);
}

/* Undoes byte-level spelling; false when the text is not spelled so. */
static bool byte_level_copy(char *out, size_t *n_out, pith_str text)
{
    size_t n = 0, step;
    for (size_t i = 0; i < text.n; i += step) {
        int byte = pith_byte_level_decode(text.data + i, text.n - i, &step);
        if (byte < 0)
            return false;
        out[n++] = (char)byte;
    }
    *n_out = n;
    return true;
}

static size_t space_mark_copy(char *out, pith_str text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.n - i >= 3 && !memcmp(text.data + i, SPACE_MARK, 3)) {
            out[n++] = ' ';
            i += 2;
        } else {
            out[n++] = text.data[i];
        }
    }
    return n;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "<0x0A>" -> 10, -1: not such a text. */
static int byte_value(pith_str text)
{
    if (text.n != 6 || memcmp(text.data, "<0x", 3) || text.data[5] != '>')
        return -1;
    int high = hex_digit(text.data[3]), low = hex_digit(text.data[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static pith_status array_check(const pith_gguf *gguf, const char *key, size_t n, pith_gguf_array *out)
{
    PITH_TRY(pith_gguf_get_array(gguf, key, out));
    if (out->type == PITH_GGUF_STRING || out->n != n)
        return pith_fail(PITH_ERROR_FORMAT, "%s: %zu entries%s, expected %zu numbers", key, out->n,
                         out->type == PITH_GGUF_STRING ? " of text" : "", n);
    return PITH_OK;
}

static pith_status classes_load(pith_vocab *vocab, const pith_gguf *gguf, const pith_gguf_array *texts)
{
    const char *key = KEY "token_type";
    pith_gguf_array types = {0};
    bool has = pith_gguf_has(gguf, key), gpt_oss[2] = {false, false};
    if (has)
        PITH_TRY(array_check(gguf, key, (size_t)vocab->n, &types));
    for (int32_t i = 0; i < vocab->n; i++) {
        pith_token *token = &vocab->tokens[i];
        int64_t class = has ? pith_gguf_array_int(&types, (size_t)i) : PITH_TOKEN_NORMAL;
        if (class < PITH_TOKEN_UNDEFINED || class > PITH_TOKEN_BYTE)
            return pith_fail(PITH_ERROR_FORMAT, "%s[%d]: %lld, expected 0 to 6", key, i, (long long)class);
        token->class = (uint8_t)class;
        pith_str text = texts->strings[i];
        if (text.n > 64 || !text.n || !strchr("<_[\xE2", text.data[0]))
            continue;
        if (text_in(text, end_texts, sizeof end_texts / sizeof *end_texts)) {
            token->class = PITH_TOKEN_CONTROL;
            token->end = true;
        } else if (class != PITH_TOKEN_NORMAL && class != PITH_TOKEN_UNDEFINED &&
                   text_in(text, end_texts_if_special, sizeof end_texts_if_special / sizeof *end_texts_if_special)) {
            token->end = true;
        }
        gpt_oss[0] |= text_is(text, "<|return|>");
        gpt_oss[1] |= text_is(text, "<|call|>");
    }
    for (int32_t i = 0; gpt_oss[0] && gpt_oss[1] && i < vocab->n; i++) /* there <|end|> ends a part, not the answer */
        if (text_is(texts->strings[i], "<|end|>"))
            vocab->tokens[i].end = false;
    return PITH_OK;
}

/* One token's text, in raw bytes. `encodable`: plain text may become this token. */
static pith_status text_load(pith_vocab *vocab, int32_t id, pith_str text, uint32_t *at, bool *encodable)
{
    pith_token *token = &vocab->tokens[id];
    char *out = vocab->text + *at;
    size_t n = text.n;
    bool plain = token->class == PITH_TOKEN_NORMAL || token->class == PITH_TOKEN_UNUSED || token->class == PITH_TOKEN_UNDEFINED;
    *encodable = plain || token->class == PITH_TOKEN_USER_DEFINED;
    if (vocab->kind == PITH_VOCAB_SPM) {
        if (token->class == PITH_TOKEN_BYTE) {
            int byte = byte_value(text);
            if (byte < 0)
                return pith_fail(PITH_ERROR_FORMAT, KEY "tokens[%d]: byte token \"%.*s\", expected <0x00> to <0xFF>", id,
                                 (int)pith_min_size(text.n, 32), text.data);
            if (vocab->byte_token[byte] < 0)
                vocab->byte_token[byte] = id;
        }
        /* A user-defined text with plain spaces could only be met here as U+2581, which is what spaces stand for. */
        if (token->class == PITH_TOKEN_USER_DEFINED && text.n && memchr(text.data, ' ', text.n))
            *encodable = false;
        if (plain)
            n = space_mark_copy(out, text);
        else if (text.n)
            memcpy(out, text.data, text.n);
    } else {
        *encodable = plain || token->class == PITH_TOKEN_BYTE;
        if (!*encodable || !byte_level_copy(out, &n, text)) {
            *encodable = false;
            if (text.n)
                memcpy(out, text.data, text.n);
        }
    }
    *encodable &= n > 0;
    token->at = *at;
    token->n = (uint32_t)n;
    *at += (uint32_t)n;
    return PITH_OK;
}

pith_status pith_vocab_load_tokens(pith_vocab *vocab, const pith_gguf *gguf)
{
    const char *key = KEY "tokens";
    pith_gguf_array texts = {0};
    size_t total = 1;
    uint32_t at = 0, empty = 0, twice = 0;
    int32_t first_twice = -1;
    PITH_TRY(pith_gguf_get_array(gguf, key, &texts));
    if (texts.type != PITH_GGUF_STRING || !texts.n || texts.n > INT32_MAX)
        return pith_fail(PITH_ERROR_FORMAT, "%s: %zu entries%s, expected at least one text", key, texts.n,
                         texts.type == PITH_GGUF_STRING ? "" : " that are not texts");
    for (size_t i = 0; i < texts.n; i++)
        if (!pith_size_add(total, texts.strings[i].n, &total) || total > UINT32_MAX)
            return pith_fail(PITH_ERROR_FORMAT, "%s: more than 4 GiB of text", key);
    if (vocab->size && texts.n > (size_t)vocab->size)
        return pith_fail(PITH_ERROR_FORMAT, "%s: %zu entries, expected at most the %d rows of the embedding", key, texts.n, vocab->size);
    vocab->n = (int32_t)texts.n;
    if (vocab->size < vocab->n)
        vocab->size = vocab->n;
    vocab->tokens = pith_calloc(texts.n, sizeof *vocab->tokens);
    vocab->text = pith_calloc(total, 1);
    if (!vocab->tokens || !vocab->text)
        return pith_fail(PITH_ERROR_NO_MEMORY, "%s: %zu entries", key, texts.n);
    PITH_TRY(classes_load(vocab, gguf, &texts));
    PITH_TRY(pith_words_init(&vocab->words, vocab->text, vocab->tokens, texts.n));
    PITH_TRY(pith_words_init(&vocab->names, vocab->text, vocab->tokens, texts.n));
    for (int32_t i = 0; i < vocab->n; i++) {
        bool encodable;
        PITH_TRY(text_load(vocab, i, texts.strings[i], &at, &encodable));
        empty += !vocab->tokens[i].n;
        if (vocab->tokens[i].n && !pith_words_add(encodable ? &vocab->words : &vocab->names, i))
            first_twice = twice++ ? first_twice : i;
    }
    if (empty)
        pith_log(PITH_LOG_WARNING, "%s: %u entries are empty and never match", key, empty);
    if (twice)
        pith_log(PITH_LOG_WARNING, "%s: %u entries repeat an earlier one, the first is [%d]; the earlier is used", key, twice, first_twice);
    return PITH_OK;
}

/* An optional token id; out of range: a warning, as if absent. */
static pith_status id_load(const pith_vocab *vocab, const pith_gguf *gguf, const char *name, int32_t fallback, int32_t *out)
{
    char key[64] = KEY;
    int64_t id;
    *out = fallback >= 0 && fallback < vocab->n ? fallback : -1;
    strcat(key, name);
    if (!pith_gguf_has(gguf, key))
        return PITH_OK;
    PITH_TRY(pith_gguf_get_int(gguf, key, INT64_MIN, INT64_MAX, &id));
    *out = id >= 0 && id < vocab->n ? (int32_t)id : -1;
    if (*out < 0 && id != -1 && id != UINT32_MAX) /* both are used for "none" */
        pith_log(PITH_LOG_WARNING, "%s: %lld is not a token (0 to %d), ignored", key, (long long)id, vocab->n - 1);
    return PITH_OK;
}

static pith_status bool_load(const pith_gguf *gguf, const char *key, bool fallback, bool *out)
{
    *out = fallback;
    return pith_gguf_has(gguf, key) ? pith_gguf_get_bool(gguf, key, out) : PITH_OK;
}

/* Phi-3's special tokens eat the white space behind them; files do not say so, only the model's name does. */
static pith_status rstrip_load(pith_vocab *vocab, const pith_gguf *gguf)
{
    static const char *const kept[] = {"<unk>", "<s>", "<|endoftext|>"};
    pith_str name = {0};
    bool phi3 = false;
    if (!pith_gguf_has(gguf, "general.name"))
        return PITH_OK;
    PITH_TRY(pith_gguf_get_string(gguf, "general.name", &name));
    for (size_t i = 0; i < name.n; i++)
        phi3 |= (name.n - i >= 5 && !strncasecmp(name.data + i, "phi-3", 5)) || (name.n - i >= 4 && !strncasecmp(name.data + i, "phi3", 4));
    for (int32_t i = 0; phi3 && i < vocab->n; i++) {
        pith_token *token = &vocab->tokens[i];
        bool special = token->class == PITH_TOKEN_CONTROL || token->class == PITH_TOKEN_USER_DEFINED || token->class == PITH_TOKEN_UNKNOWN;
        token->rstrip = special && !text_in((pith_str){vocab->text + token->at, token->n}, kept, 3);
    }
    return PITH_OK;
}

pith_status pith_vocab_load_ids(pith_vocab *vocab, const pith_gguf *gguf)
{
    static const char *const ends[] = {"eot_token_id", "eom_token_id", "fim_pad_token_id", "fim_rep_token_id", "fim_sep_token_id"};
    bool spm = vocab->kind == PITH_VOCAB_SPM;
    int32_t id;
    PITH_TRY(id_load(vocab, gguf, "bos_token_id", spm ? 1 : 11, &vocab->bos));
    PITH_TRY(id_load(vocab, gguf, "eos_token_id", spm ? 2 : 11, &vocab->eos));
    PITH_TRY(id_load(vocab, gguf, "unknown_token_id", spm ? 0 : -1, &vocab->unk));
    /* 11 is <|endoftext|> in the first files of this kind; elsewhere it is a comma. */
    if (!spm && !pith_gguf_has(gguf, KEY "bos_token_id") && vocab->bos >= 0 && vocab->tokens[11].class != PITH_TOKEN_CONTROL)
        vocab->bos = -1;
    if (!spm && !pith_gguf_has(gguf, KEY "eos_token_id") && vocab->eos >= 0 && vocab->tokens[11].class != PITH_TOKEN_CONTROL)
        vocab->eos = -1;
    int32_t marks[2] = {vocab->bos, vocab->eos};
    for (int i = 0; i < 2; i++) /* else a user's text could spell them */
        if (marks[i] >= 0 && vocab->tokens[marks[i]].class == PITH_TOKEN_USER_DEFINED)
            vocab->tokens[marks[i]].class = PITH_TOKEN_CONTROL;
    if (vocab->eos >= 0)
        vocab->tokens[vocab->eos].end = true;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        PITH_TRY(id_load(vocab, gguf, ends[i], -1, &id));
        if (id >= 0)
            vocab->tokens[id].end = true;
    }
    PITH_TRY(bool_load(gguf, KEY "add_bos_token", spm || pith_pre_get_flags(vocab->pre).add_bos, &vocab->add_bos));
    PITH_TRY(bool_load(gguf, KEY "add_eos_token", false, &vocab->add_eos));
    PITH_TRY(bool_load(gguf, KEY "add_space_prefix", spm, &vocab->add_space_prefix));
    return rstrip_load(vocab, gguf);
}
