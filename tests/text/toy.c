/* SPDX-License-Identifier: MIT */
#include "text/toy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

static toy *toy_new(void)
{
    toy *t = must(calloc(1, sizeof *t));
    t->builder = pith_builder_create();
    return t;
}

int32_t toy_add(toy *t, const char *text, int type, double score)
{
    t->tokens = must(realloc(t->tokens, (t->n + 1) * sizeof *t->tokens));
    t->types = must(realloc(t->types, (t->n + 1) * sizeof *t->types));
    t->scores = must(realloc(t->scores, (t->n + 1) * sizeof *t->scores));
    t->tokens[t->n] = must(strdup(text));
    t->types[t->n] = type;
    t->scores[t->n] = score;
    return (int32_t)t->n++;
}

void toy_merge(toy *t, const char *merge)
{
    t->merges = must(realloc(t->merges, (t->n_merge + 1) * sizeof *t->merges));
    t->merges[t->n_merge++] = must(strdup(merge));
}

/* The byte-level spelling of a byte, built from the rule and not from the table under test. */
static void spell(unsigned byte, char out[3])
{
    unsigned c = byte, spare = 0x100;
    for (unsigned b = 0; b <= byte; b++) {
        bool own = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b != 0xAD);
        c = own ? b : spare++;
    }
    memset(out, 0, 3);
    if (c < 0x80) {
        out[0] = (char)c;
    } else {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
    }
}

static char *respell(const char *text)
{
    char *out = must(calloc(strlen(text) * 2 + 1, 1)), one[3];
    for (; *text; text++) {
        spell(*text == '_' ? ' ' : (unsigned char)*text, one);
        strcat(out, one);
    }
    return out;
}

int32_t toy_word(toy *t, const char *left, const char *right)
{
    char *a = respell(left), *b = respell(right), text[256];
    snprintf(text, sizeof text, "%s %s", a, b);
    toy_merge(t, text);
    snprintf(text, sizeof text, "%s%s", a, b);
    free(a);
    free(b);
    return toy_add(t, text, TOY_NORMAL, 0);
}

toy *toy_byte_level(const char *pre)
{
    toy *t = toy_new();
    pith_builder_string(t->builder, "tokenizer.ggml.model", "gpt2");
    if (pre)
        pith_builder_string(t->builder, "tokenizer.ggml.pre", pre);
    for (unsigned b = 0; b < 256; b++) {
        char text[3];
        spell(b, text);
        toy_add(t, text, TOY_NORMAL, 0);
    }
    return t;
}

toy *toy_spm(void)
{
    toy *t = toy_new();
    t->spm = true;
    pith_builder_string(t->builder, "tokenizer.ggml.model", "llama");
    toy_add(t, "<unk>", TOY_UNKNOWN, 0);
    toy_add(t, "<s>", TOY_CONTROL, 0);
    toy_add(t, "</s>", TOY_CONTROL, 0);
    for (int b = 0; b < 256; b++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", b);
        toy_add(t, text, TOY_BYTE, 0);
    }
    return t;
}

void toy_free(toy **t)
{
    for (size_t i = 0; i < (*t)->n; i++)
        free((*t)->tokens[i]);
    for (size_t i = 0; i < (*t)->n_merge; i++)
        free((*t)->merges[i]);
    free((*t)->tokens);
    free((*t)->merges);
    free((*t)->types);
    free((*t)->scores);
    pith_builder_destroy(&(*t)->builder);
    free(*t);
    *t = NULL;
}

void toy_build(toy *t)
{
    pith_builder *b = t->builder;
    if (t->built)
        return;
    t->built = true;
    pith_builder_strings(b, "tokenizer.ggml.tokens", (const char *const *)t->tokens, t->n);
    pith_builder_ints(b, "tokenizer.ggml.token_type", PITH_GGUF_I32, t->types, t->n);
    if (t->spm)
        pith_builder_floats(b, "tokenizer.ggml.scores", PITH_GGUF_F32, t->scores, t->n);
    else
        pith_builder_strings(b, "tokenizer.ggml.merges", (const char *const *)t->merges, t->n_merge);
}

pith_status toy_open(toy *t, int32_t n_vocab, pith_vocab **out)
{
    size_t size;
    pith_gguf *gguf = NULL;
    *out = NULL;
    toy_build(t);
    const uint8_t *bytes = pith_builder_finish(t->builder, &size);
    pith_status status = pith_gguf_open_memory(bytes, size, &gguf);
    if (status == PITH_OK)
        status = pith_vocab_create(gguf, n_vocab, out);
    pith_gguf_close(&gguf); /* the vocabulary keeps nothing of it */
    return status;
}
