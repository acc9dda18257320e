/* SPDX-License-Identifier: MIT */
/* What the files of the vocabulary share: its struct and the steps of reading and encoding. Texts are kept as the raw
 * bytes that a token stands for: byte-level spelling is undone and U+2581 is a space, at load time, so that both
 * encoders work on the text as it is. */
#ifndef PITH_TEXT_VOCAB_IMPL_H
#define PITH_TEXT_VOCAB_IMPL_H

#include "text/merge.h"
#include "text/pretokenize.h"
#include "text/special.h"
#include "text/table.h"
#include "text/vocab.h"

enum pith_token_class { /* values of tokenizer.ggml.token_type */
    PITH_TOKEN_UNDEFINED, PITH_TOKEN_NORMAL, PITH_TOKEN_UNKNOWN, PITH_TOKEN_CONTROL, PITH_TOKEN_USER_DEFINED,
    PITH_TOKEN_UNUSED, PITH_TOKEN_BYTE
};

typedef enum pith_vocab_kind { PITH_VOCAB_SPM, PITH_VOCAB_BYTE_BPE } pith_vocab_kind;

struct pith_vocab {
    pith_vocab_kind kind;
    int32_t size;         /* tokens of the model: the list, or more rows */
    int32_t n;            /* tokens in the list */
    char *text;           /* all texts */
    pith_token *tokens;   /* [n] */
    pith_words words;     /* tokens that encoding may produce from plain text */
    pith_words names;     /* the others: control, unknown, user-defined, byte */
    pith_specials *specials;
    int32_t bos, eos, unk; /* -1: none */
    bool add_bos, add_eos, add_space_prefix;
    int32_t byte_token[256]; /* token of a single byte, -1: none */
    /* SentencePiece */
    uint32_t *order;      /* [n] place of a token's score, smaller merges first */
    uint64_t *joins;      /* bit set over hashed pairs of characters that stand side by side in some token */
    uint64_t joins_mask;  /* bits - 1 */
    /* byte level */
    pith_merges merges;
    pith_pre *pre;
    bool ignore_merges;
};

/* vocab_load.c: texts and classes, then special ids (which need the pre-tokenizer's defaults). */
pith_status pith_vocab_load_tokens(pith_vocab *vocab, const pith_gguf *gguf);
pith_status pith_vocab_load_ids(pith_vocab *vocab, const pith_gguf *gguf);

/* bpe_spm.c, bpe_byte.c: what each kind needs beyond that, and encoding one text without special tokens. */
struct pith_encoder {
    const pith_vocab *vocab;
    pith_token_list *out;
    pith_merge_space space;
    pith_pre_run pre; /* byte level */
    const char *piece;
    char *buffer;     /* SentencePiece: the text with its space in front */
    size_t cap_buffer;
    uint64_t work;    /* at the end: pairs looked up and calls of the matcher */
};

pith_status pith_spm_load(pith_vocab *vocab, const pith_gguf *gguf);
pith_status pith_spm_encode(struct pith_encoder *e, const char *text, size_t n);
pith_status pith_byte_bpe_load(pith_vocab *vocab, const pith_gguf *gguf);
pith_status pith_byte_bpe_encode(struct pith_encoder *e, const char *text, size_t n);

/* The byte that a character of byte-level spelling stands for, -1: none. *bytes: its length in text[n]. */
int pith_byte_level_decode(const char *text, size_t n, size_t *bytes);

/* Work done by encoding text[n], in pairs looked up and pieces split off: for tests that bound it. */
pith_status pith_vocab_encode_work(const pith_vocab *vocab, const char *text, size_t n, uint64_t *work);

#endif
