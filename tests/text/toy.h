/* SPDX-License-Identifier: MIT */
/* Small vocabularies made in memory, to be opened like any file's. Running out of memory aborts. */
#ifndef PITH_TESTS_TOY_H
#define PITH_TESTS_TOY_H

#include "harness/gguf_builder.h"
#include "text/vocab.h"

enum { TOY_NORMAL = 1, TOY_UNKNOWN, TOY_CONTROL, TOY_USER, TOY_UNUSED, TOY_BYTE };

typedef struct toy {
    pith_builder *builder; /* further keys may be added before toy_open */
    char **tokens;
    char **merges;
    int64_t *types;
    double *scores;
    size_t n, n_merge;
    bool spm, built;
} toy;

/* Byte level: ids 0 to 255 are the bytes. pre NULL: no such key. */
toy *toy_byte_level(const char *pre);
/* SentencePiece: <unk>, <s>, </s>, then the bytes <0x00> to <0xFF> as ids 3 to 258. */
toy *toy_spm(void);
void toy_free(toy **t);

int32_t toy_add(toy *t, const char *text, int type, double score); /* text as the file spells it; returns the id */
void toy_merge(toy *t, const char *merge);                         /* "left right" */
/* A merge and its token, given in ASCII where a space is written as '_'. */
int32_t toy_word(toy *t, const char *left, const char *right);

/* Writes the lists to the builder, once; after it they can be removed there and replaced by broken ones. */
void toy_build(toy *t);
/* Builds and opens. *out is NULL on failure. */
pith_status toy_open(toy *t, int32_t n_vocab, pith_vocab **out);

#endif
