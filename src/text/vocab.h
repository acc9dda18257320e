/* SPDX-License-Identifier: MIT */
/* A model's vocabulary: tokens as bytes, classes, special ids, and the encoder (SentencePiece-BPE by score or
 * byte-level BPE by merge rank). Immutable after creation, so any number of threads may encode at once. */
#ifndef PITH_TEXT_VOCAB_H
#define PITH_TEXT_VOCAB_H

#include "model/gguf.h"

typedef struct pith_vocab pith_vocab;

/* Reads tokenizer.ggml.*; n_vocab: rows of the embedding (tokens beyond the list get no text); pass 0 for a
 * vocabulary-only file. Strings are copied: the file may be closed. tokenizer.ggml.model "no_vocab"/"none" gives *out = NULL and OK.
 * Errors: FORMAT (naming key and entry), UNSUPPORTED (model or pre-tokenizer, by name). Returns owned. */
pith_status pith_vocab_create(const pith_gguf *gguf, int32_t n_vocab, pith_vocab **out);
void pith_vocab_destroy(pith_vocab **vocab);

int32_t pith_vocab_size(const pith_vocab *vocab);
/* Raw bytes of a token (may be part of a character); control tokens: empty unless `special`. */
pith_str pith_vocab_bytes(const pith_vocab *vocab, int32_t token, bool special);
int32_t pith_vocab_bos(const pith_vocab *vocab); /* -1: none */
int32_t pith_vocab_eos(const pith_vocab *vocab);
bool pith_vocab_adds_bos(const pith_vocab *vocab);
bool pith_vocab_is_end(const pith_vocab *vocab, int32_t token);
/* Exact text of a token, -1: none. Control and other special tokens by their text, ordinary ones by their raw bytes. */
int32_t pith_vocab_find(const pith_vocab *vocab, const char *text);
bool pith_vocab_strips_space(const pith_vocab *vocab); /* whole-text decoding drops one leading space (SPM) */

/* A growing token list: append-only, owned by the caller; release with free(ids). */
typedef struct pith_token_list { int32_t *ids; size_t n, cap; } pith_token_list;

/* Appends one token. Errors: NO_MEMORY. */
pith_status pith_token_list_push(pith_token_list *list, int32_t id);

/* Appends the tokens of text[n] (any bytes, at most 2 GiB). add_special: BOS/EOS per metadata, never a second BOS when the text
 * already starts with it. parse_special: control tokens spelled in the text are matched; off for text from users. */
pith_status pith_vocab_encode(const pith_vocab *vocab, const char *text, size_t n, bool add_special, bool parse_special,
                              pith_token_list *out);

/* One text made of parts that are trusted differently: a rendered conversation. Control tokens are recognised inside
 * trusted parts only and never across a border; otherwise the text is encoded as the one text that it is. No BOS or EOS
 * is added. The parts' sizes must add up to n. */
typedef struct pith_text_part { size_t n; bool trusted; } pith_text_part;
pith_status pith_vocab_encode_parts(const pith_vocab *vocab, const char *text, size_t n, const pith_text_part *parts,
                                    size_t n_parts, pith_token_list *out);

#endif
