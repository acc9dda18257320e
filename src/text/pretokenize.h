/* SPDX-License-Identifier: MIT */
/* Splitting text into pieces before byte-level BPE: the regular expressions that tokenizer.ggml.pre names, one pass
 * after the other, each cutting the pieces of the pass before into matches and the gaps between them. Every piece is
 * a subject of its own: a lookahead ends where the piece ends. Nothing is dropped. */
#ifndef PITH_TEXT_PRETOKENIZE_H
#define PITH_TEXT_PRETOKENIZE_H

#include "model/gguf.h"

typedef struct pith_pre pith_pre;

typedef struct pith_pre_flags {
    bool ignore_merges; /* a piece that is a token is that token, whatever the merges say */
    bool add_bos;       /* default of tokenizer.ggml.add_bos_token */
} pith_pre_flags;

/* By the name in the file. Errors: UNSUPPORTED (with the name), NO_MEMORY. Returns owned; immutable, thread-safe. */
pith_status pith_pre_create(pith_str name, pith_pre **out);
void pith_pre_destroy(pith_pre **pre);
pith_pre_flags pith_pre_get_flags(const pith_pre *pre);
/* From now on by PCRE2's interpreter, as on systems that allow no generated machine code. For tests. */
void pith_pre_interpret(pith_pre *pre);
const char *pith_pre_name_at(size_t i); /* names that are known, NULL after the last */

/* One thread's scratch. */
typedef struct pith_pre_run {
    void *data, *context, *stack; /* PCRE2's match data, match context and JIT stack */
    uint64_t pieces;              /* calls of the matcher so far */
} pith_pre_run;

pith_status pith_pre_run_init(pith_pre_run *run);
void pith_pre_run_fini(pith_pre_run *run);

typedef pith_status (*pith_pre_fn)(void *user, const char *piece, size_t n);

/* Calls fn with the pieces of text[n], in order, none empty. Bytes that are not UTF-8 come as pieces of one byte. */
pith_status pith_pre_split(const pith_pre *pre, pith_pre_run *run, const char *text, size_t n, pith_pre_fn fn, void *user);

#endif
