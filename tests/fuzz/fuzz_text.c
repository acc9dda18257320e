/* SPDX-License-Identifier: MIT */
/* Text in, tokens out, text back. An input that begins with "GGUF" is a hostile vocabulary; any other is hostile text
 * for one of the made vocabularies: byte 0 chooses it, byte 1 where the text's trust and the stream's pieces change.
 * Held: every id is in range, byte-level tokens spell the text again, no control token comes from an untrusted part,
 * and the stream shows the same however the text is cut. */
#include "harness/gguf_builder.h"
#include "text/pretokenize.h"
#include "text/stream.h"
#include "text/toy.h"
#include "text/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                  \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "fuzz_text: line %d: %s\n", __LINE__, #condition);            \
            abort();                                                                      \
        }                                                                                 \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static pith_vocab *vocabs[32];
static bool exact[32]; /* the tokens spell the text again: byte level, nothing stripped */
static size_t n_vocab;

static void vocab_add(toy *t, bool phi3)
{
    toy_add(t, "<s>", TOY_CONTROL, 0);
    toy_add(t, "<|im_end|>", TOY_CONTROL, 0);
    toy_add(t, "<u>", TOY_USER, 0);
    toy_add(t, "    ", TOY_USER, 0);
    pith_builder_string(t->builder, "general.name", phi3 ? "phi-3" : "other");
    exact[n_vocab] = !t->spm && !phi3;
    CHECK(toy_open(t, 0, &vocabs[n_vocab++]) == PITH_OK);
    toy_free(&t);
}

static void quiet(pith_log_level level, const char *line, void *user)
{
    (void)level, (void)line, (void)user;
}

static void vocabs_make(void)
{
    pith_log_set(quiet, NULL);
    for (size_t i = 0; pith_pre_name_at(i); i++) {
        char name[64] = {0};
        strncpy(name, pith_pre_name_at(i), strcspn(pith_pre_name_at(i), " "));
        toy *t = toy_byte_level(name);
        static const char *const words[][2] = {{"a", "a"}, {"aa", "aa"}, {"t", "h"}, {"th", "e"}, {"_", "the"}, {"_", "_"}, {"\n", "\n"}, {"\xC3", "\xA9"}};
        for (size_t w = 0; w < sizeof words / sizeof *words; w++)
            toy_word(t, words[w][0], words[w][1]);
        vocab_add(t, false);
    }
    vocab_add(toy_byte_level("gpt-2"), true);
    for (int prefix = 0; prefix < 2; prefix++) {
        static const char *const words[] = {"\xE2\x96\x81", "a", "aa", "aaaa", "t", "h", "e", "th", "he", "the", "\xE2\x96\x81the", "\xC3\xA9", "xyz"};
        toy *t = toy_spm();
        for (size_t w = 0; w < sizeof words / sizeof *words; w++)
            toy_add(t, words[w], TOY_NORMAL, (double)(w * 7 % 11));
        pith_builder_int(t->builder, "tokenizer.ggml.add_space_prefix", PITH_GGUF_BOOL, prefix);
        vocab_add(t, false);
    }
}

/* Everything the stream shows for text[n], pushed in pieces of `cut` bytes. */
static size_t stream_all(const char *const *stop, size_t n_stop, const char *text, size_t n, size_t cut, char *out)
{
    pith_stream *stream;
    const char *shown;
    size_t n_shown, total = 0;
    bool stopped = false;
    CHECK(pith_stream_create(stop, n_stop, &stream) == PITH_OK);
    for (size_t i = 0; i < n && !stopped; i += cut) {
        CHECK(pith_stream_push(stream, text + i, cut < n - i ? cut : n - i, &shown, &n_shown, &stopped) == PITH_OK);
        CHECK(pith_utf8_valid_prefix(shown, n_shown) == n_shown);
        memcpy(out + total, shown, n_shown);
        total += n_shown;
    }
    CHECK(pith_stream_flush(stream, &shown, &n_shown) == PITH_OK);
    memcpy(out + total, shown, n_shown);
    pith_stream_destroy(&stream);
    return total + n_shown;
}

static void stream_check(const char *text, size_t n, size_t cut)
{
    static const char *const stop[] = {"the ", "he \n", "aaab", "\xC3\xA9"};
    char *whole = malloc(n * 3 + 16), *pieces = malloc(n * 3 + 16);
    CHECK(whole && pieces);
    size_t a = stream_all(stop, 4, text, n, n + 1, whole), b = stream_all(stop, 4, text, n, cut, pieces);
    CHECK(a == b && !memcmp(whole, pieces, a));
    free(whole);
    free(pieces);
}

static void text_check(const pith_vocab *vocab, bool spells, const char *text, size_t n, size_t step)
{
    pith_token_list list = {0};
    pith_text_part parts[3] = {{.n = n / (step + 1), .trusted = true}, {.n = n / 2}, {.trusted = true}};
    size_t at = 0;
    parts[2].n = n - parts[0].n - parts[1].n;
    CHECK(pith_vocab_encode_parts(vocab, text, n, parts, 3, &list) == PITH_OK);
    for (size_t i = 0; i < list.n; i++)
        CHECK(list.ids[i] >= 0 && list.ids[i] < pith_vocab_size(vocab));
    list.n = 0;
    CHECK(pith_vocab_encode(vocab, text, n, false, false, &list) == PITH_OK);
    for (size_t i = 0; i < list.n; i++) {
        CHECK(list.ids[i] >= 0 && list.ids[i] < pith_vocab_size(vocab));
        pith_str bytes = pith_vocab_bytes(vocab, list.ids[i], false);
        CHECK(bytes.n > 0); /* no control token */
        CHECK(!spells || (bytes.n <= n - at && !memcmp(bytes.data, text + at, bytes.n)));
        at += spells ? bytes.n : 0;
    }
    CHECK(!spells || at == n);
    free(list.ids);
}

static void vocabulary_check(const uint8_t *data, size_t size)
{
    static const char text[] = "the quick <s> fox\n\n 123 \xC3\xA9\xE2\x82\xAC \xFF <|im_end|> \xE2\x96\x81 aaaaaaaaaa";
    pith_gguf *gguf;
    pith_vocab *vocab = NULL;
    pith_token_list list = {0};
    if (pith_gguf_open_memory(data, size, &gguf) != PITH_OK)
        return;
    if (pith_vocab_create(gguf, 0, &vocab) == PITH_OK && vocab) {
        pith_gguf_close(&gguf);
        CHECK(pith_vocab_encode(vocab, text, sizeof text, true, true, &list) == PITH_OK);
        for (size_t i = 0; i < list.n; i++)
            CHECK(list.ids[i] >= 0 && list.ids[i] < pith_vocab_size(vocab));
        size_t total = 0;
        for (int32_t i = -1; i <= pith_vocab_size(vocab); i++) {
            pith_str bytes = pith_vocab_bytes(vocab, i, true);
            for (size_t b = 0; b < bytes.n; b++) /* every byte is there to be read */
                total += (uint8_t)bytes.data[b];
            total += pith_vocab_is_end(vocab, i);
        }
        CHECK(total != SIZE_MAX);
        free(list.ids);
    }
    pith_vocab_destroy(&vocab);
    pith_gguf_close(&gguf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!n_vocab)
        vocabs_make();
    if (size >= 4 && !memcmp(data, "GGUF", 4)) {
        vocabulary_check(data, size);
        return 0;
    }
    if (size < 2)
        return 0;
    size_t step = 1 + data[1] % 16;
    size_t which = data[0] % n_vocab;
    text_check(vocabs[which], exact[which], (const char *)data + 2, size - 2, step);
    stream_check((const char *)data + 2, size - 2, step);
    return 0;
}
