/* SPDX-License-Identifier: MIT */
/* Vocabularies as they should be: encoding rules, special tokens, metadata, round trips, many threads. */
#include "base/rng.h"
#include "base/thread.h"
#include "text/toy.h"
#include "text/vocab_impl.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void quiet(pith_log_level level, const char *line, void *user)
{
    (void)level, (void)line, (void)user; /* texts given twice, on purpose */
}

static pith_vocab *open_toy(toy *t)
{
    pith_vocab *vocab;
    if (toy_open(t, 0, &vocab) != PITH_OK)
        fail_msg("%s", pith_last_error());
    toy_free(&t);
    return vocab;
}

/* Ids as text: "3 4 5". */
static const char *ids_of(const pith_vocab *vocab, const char *text, size_t n, bool add_special, bool parse_special)
{
    static char out[4096];
    pith_token_list list = {0};
    size_t at = 0;
    assert_int_equal(pith_vocab_encode(vocab, text, n, add_special, parse_special, &list), PITH_OK);
    out[0] = '\0';
    for (size_t i = 0; i < list.n; i++)
        at += (size_t)snprintf(out + at, sizeof out - at, i ? " %d" : "%d", list.ids[i]);
    free(list.ids);
    return out;
}

#define IDS(vocab, text, parse) ids_of(vocab, text, strlen(text), false, parse)

static void byte_level_merges(void **state)
{
    (void)state;
    toy *t = toy_byte_level("gpt-2");
    int32_t th = toy_word(t, "t", "h"), the = toy_word(t, "th", "e"), he = toy_word(t, "h", "e"), sp = toy_word(t, "_", "the");
    toy_word(t, "a", "a");                                      /* 260 */
    toy_word(t, "aa", "aa");                                    /* 261 */
    pith_vocab *vocab = open_toy(t);
    char expected[64];
    assert_int_equal(pith_vocab_size(vocab), 262);
    snprintf(expected, sizeof expected, "%d %d", the, sp);
    assert_string_equal(IDS(vocab, "the the", false), expected); /* "th" has the lower rank, so "he" does not win */
    snprintf(expected, sizeof expected, "%d %d", th, he);
    assert_string_equal(IDS(vocab, "thhe", false), expected);
    assert_string_equal(IDS(vocab, "aaaaaaa", false), "261 260 97");
    assert_string_equal(IDS(vocab, "", false), "");
    assert_string_equal(ids_of(vocab, "a\0a", 3, false, false), "97 0 97"); /* not one piece: NUL is no letter */
    assert_string_equal(ids_of(vocab, "\xFF\x80", 2, false, false), "255 128");
    assert_int_equal(pith_vocab_find(vocab, " the"), sp);
    assert_int_equal(pith_vocab_find(vocab, "absent"), -1);
    assert_int_equal(pith_vocab_bytes(vocab, sp, false).n, 4);
    assert_memory_equal(pith_vocab_bytes(vocab, sp, false).data, " the", 4);
    assert_int_equal(pith_vocab_bos(vocab), -1); /* 11 is a byte here, not an end of text */
    assert_false(pith_vocab_strips_space(vocab));
    pith_vocab_destroy(&vocab);
    pith_vocab_destroy(&vocab);
}

static void ignore_merges(void **state)
{
    (void)state;
    for (int ignore = 0; ignore < 2; ignore++) {
        toy *t = toy_byte_level(ignore ? "llama-bpe" : "qwen2");
        toy_add(t, "abc", TOY_NORMAL, 0); /* 256, no merge makes it */
        pith_vocab *vocab = open_toy(t);
        assert_string_equal(IDS(vocab, "abc", false), ignore ? "256" : "97 98 99");
        pith_vocab_destroy(&vocab);
    }
}

/* Control tokens only where the text is trusted, user-defined ones everywhere, the longest from the left. */
static void special_tokens(void **state)
{
    (void)state;
    toy *t = toy_byte_level("gpt-2");
    toy_add(t, "<|end|>", TOY_CONTROL, 0);  /* 256 */
    toy_add(t, "<u>", TOY_USER, 0);         /* 257 */
    toy_add(t, "<u><u>", TOY_USER, 0);      /* 258 */
    toy_add(t, "<unk>", TOY_UNKNOWN, 0);    /* 259 */
    toy_add(t, "<pad>", TOY_UNUSED, 0);     /* 260: never special */
    toy_add(t, "u><", TOY_USER, 0);         /* 261: overlaps, begins later */
    toy_add(t, "<|im_end|>", TOY_USER, 0);  /* 262: ends an answer, so it is a control token whatever the file says */
    pith_vocab *vocab = open_toy(t);
    assert_string_equal(IDS(vocab, "<|end|>", true), "256");
    assert_int_equal(strncmp(IDS(vocab, "<|end|>", false), "60 ", 3), 0);
    assert_string_equal(IDS(vocab, "a<u>b", false), "97 257 98");
    assert_string_equal(IDS(vocab, "<u><u><u>", false), "258 257");
    assert_string_equal(IDS(vocab, "<u><a", false), "257 60 97");
    assert_string_equal(IDS(vocab, "<unk>", true), "259");
    assert_string_equal(IDS(vocab, "<unk>", false), "60 117 110 107 62");
    assert_string_equal(IDS(vocab, "<pad>", true), "60 112 97 100 62");
    assert_string_equal(IDS(vocab, "<|im_end|>", true), "262");
    assert_int_equal(strncmp(IDS(vocab, "<|im_end|>", false), "60 ", 3), 0);
    assert_true(pith_vocab_is_end(vocab, 262) && pith_vocab_is_end(vocab, 256) && !pith_vocab_is_end(vocab, 257));
    assert_false(pith_vocab_is_end(vocab, -1) || pith_vocab_is_end(vocab, 1 << 30));
    assert_int_equal(pith_vocab_bytes(vocab, 256, false).n, 0);
    assert_int_equal(pith_vocab_bytes(vocab, 256, true).n, 7);
    assert_int_equal(pith_vocab_bytes(vocab, 257, false).n, 3);
    assert_int_equal(pith_vocab_bytes(vocab, 5000, true).n, 0);
    assert_int_equal(pith_vocab_find(vocab, "<|end|>"), 256);
    pith_vocab_destroy(&vocab);
}

static void parts(void **state)
{
    (void)state;
    toy *t = toy_byte_level("llama-bpe");
    toy_add(t, "<x>", TOY_CONTROL, 0); /* 256 */
    toy_word(t, "a", "b");             /* 257 */
    pith_vocab *vocab = open_toy(t);
    pith_token_list list = {0};
    /* trusted "<x>a", content "b<x>", then "<" from one side and "x>" from the other: no token across a border */
    const pith_text_part cut[] = {{4, true}, {4, false}, {1, true}, {2, false}, {0, true}, {3, true}};
    const int32_t expected[] = {256, 257, 60, 120, 62, 60, 120, 62, 256};
    assert_int_equal(pith_vocab_encode_parts(vocab, "<x>ab<x><x><x>", 14, cut, 6, &list), PITH_OK);
    assert_int_equal(list.n, 9);
    assert_memory_equal(list.ids, expected, sizeof expected);
    free(list.ids);
    pith_vocab_destroy(&vocab);
}

static void begin_and_end(void **state)
{
    (void)state;
    toy *t = toy_byte_level("gpt-2");
    toy_add(t, "<s>", TOY_CONTROL, 0); /* 256 */
    toy_add(t, "<e>", TOY_USER, 0);    /* 257: as end of text it becomes a control token */
    pith_builder_u32(t->builder, "tokenizer.ggml.bos_token_id", 256);
    pith_builder_u32(t->builder, "tokenizer.ggml.eos_token_id", 257);
    pith_builder_int(t->builder, "tokenizer.ggml.add_bos_token", PITH_GGUF_BOOL, 1);
    pith_builder_int(t->builder, "tokenizer.ggml.add_eos_token", PITH_GGUF_BOOL, 1);
    pith_vocab *vocab = open_toy(t);
    assert_true(pith_vocab_adds_bos(vocab));
    assert_int_equal(pith_vocab_bos(vocab), 256);
    assert_int_equal(pith_vocab_eos(vocab), 257);
    assert_true(pith_vocab_is_end(vocab, 257));
    assert_string_equal(ids_of(vocab, "a", 1, true, false), "256 97 257");
    assert_string_equal(ids_of(vocab, "", 0, true, false), "256 257");
    assert_string_equal(ids_of(vocab, "<s>a", 4, true, true), "256 97 257");         /* never two */
    assert_string_equal(ids_of(vocab, "<s><s>a", 7, true, true), "256 256 97 257"); /* but what was written stays */
    assert_string_equal(ids_of(vocab, "<e>", 3, false, false), "60 101 62");
    pith_vocab_destroy(&vocab);
}

static void sentencepiece(void **state)
{
    (void)state;
    toy *t = toy_spm();
    int32_t space = toy_add(t, "\xE2\x96\x81", TOY_NORMAL, -10), a = toy_add(t, "a", TOY_NORMAL, -11), b = toy_add(t, "b", TOY_NORMAL, -12);
    int32_t ab = toy_add(t, "ab", TOY_NORMAL, -2), ba = toy_add(t, "ba", TOY_NORMAL, -1), sab = toy_add(t, "\xE2\x96\x81" "ab", TOY_NORMAL, -3);
    int32_t xy = toy_add(t, "xy", TOY_NORMAL, -4); /* of two characters that are no tokens themselves */
    pith_vocab *vocab = open_toy(t);
    char expected[64];
    snprintf(expected, sizeof expected, "%d", sab);
    assert_string_equal(IDS(vocab, "ab", false), expected);
    snprintf(expected, sizeof expected, "%d %d %d", space, a, ba); /* "ba" has the better score and goes first */
    assert_string_equal(IDS(vocab, "aba", false), expected);
    snprintf(expected, sizeof expected, "%d %d %d", sab, sab, b);
    assert_string_equal(IDS(vocab, "ab abb", false), expected);
    assert_string_equal(IDS(vocab, "ab\xE2\x96\x81" "abb", false), expected); /* U+2581 is a space */
    assert_string_equal(IDS(vocab, "", false), "");
    assert_string_equal(ids_of(vocab, "", 0, true, false), "1");
    snprintf(expected, sizeof expected, "%d %d", space, 3 + 0x7A); /* bytes where there is no token */
    assert_string_equal(IDS(vocab, "z", false), expected);
    snprintf(expected, sizeof expected, "%d %d %d %d", space, 3 + 0xC3, 3 + 0xA9, 3 + 0xFF);
    assert_string_equal(IDS(vocab, "\xC3\xA9\xFF", false), expected);
    snprintf(expected, sizeof expected, "%d %d", space, xy);
    assert_string_equal(IDS(vocab, "xy", false), expected);
    snprintf(expected, sizeof expected, "%d 1 %d", sab, sab); /* a space in front of every text, not only the first */
    assert_string_equal(IDS(vocab, "ab<s>ab", true), expected);
    (void)ab;
    assert_true(pith_vocab_strips_space(vocab));
    assert_true(pith_vocab_adds_bos(vocab) && pith_vocab_bos(vocab) == 1 && pith_vocab_eos(vocab) == 2);
    assert_true(pith_vocab_is_end(vocab, 2));
    assert_int_equal(pith_vocab_bytes(vocab, 3 + 0xAB, false).n, 1);
    assert_int_equal((uint8_t)pith_vocab_bytes(vocab, 3 + 0xAB, false).data[0], 0xAB);
    assert_memory_equal(pith_vocab_bytes(vocab, sab, false).data, " ab", 3);
    pith_vocab_destroy(&vocab);
}

static void sentencepiece_without_prefix(void **state)
{
    (void)state;
    toy *t = toy_spm();
    int32_t a = toy_add(t, "a", TOY_NORMAL, -1), two = toy_add(t, "  ", TOY_USER, -1000);
    pith_builder_int(t->builder, "tokenizer.ggml.add_space_prefix", PITH_GGUF_BOOL, 0);
    pith_vocab *vocab = open_toy(t);
    char expected[64];
    snprintf(expected, sizeof expected, "%d %d %d", a, two, a);
    assert_string_equal(IDS(vocab, "a  a", false), expected);
    assert_false(pith_vocab_strips_space(vocab));
    pith_vocab_destroy(&vocab);
}

/* Cutting where no token can reach across changes nothing: the same with every border allowed. */
static void sentencepiece_cuts(void **state)
{
    pith_rng rng;
    (void)state;
    pith_rng_init(&rng, 9);
    for (int round = 0; round < 100; round++) {
        static const char *const letters[] = {"a", "b", "c", "\xE2\x96\x81", "\xC3\xA9"};
        toy *t = toy_spm();
        for (int i = 0; i < 30; i++) {
            char piece[64] = "";
            for (int k = 1 + (int)(pith_rng_u64(&rng) % 4); k > 0; k--)
                strcat(piece, letters[pith_rng_u64(&rng) % 5]);
            toy_add(t, piece, TOY_NORMAL, (double)(pith_rng_u64(&rng) % 8));
        }
        char text[300];
        pith_token_list cut = {0}, whole = {0};
        pith_vocab *vocab = open_toy(t);
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = "abc \xC3\xA9"[pith_rng_u64(&rng) % 6];
        assert_int_equal(pith_vocab_encode(vocab, text, sizeof text, false, false, &cut), PITH_OK);
        memset(vocab->joins, 0xFF, (size_t)(vocab->joins_mask + 1) / 8);
        assert_int_equal(pith_vocab_encode(vocab, text, sizeof text, false, false, &whole), PITH_OK);
        assert_int_equal(cut.n, whole.n);
        assert_memory_equal(cut.ids, whole.ids, cut.n * sizeof *cut.ids);
        free(cut.ids);
        free(whole.ids);
        pith_vocab_destroy(&vocab);
    }
}

/* Without byte tokens: one unknown token for a character, not one for each byte. */
static void sentencepiece_unknown(void **state)
{
    (void)state;
    toy *t = toy_spm();
    for (int i = 3; i < 259; i++)
        t->types[i] = TOY_UNUSED;
    pith_builder_int(t->builder, "tokenizer.ggml.add_space_prefix", PITH_GGUF_BOOL, 0);
    pith_vocab *vocab = open_toy(t);
    assert_string_equal(IDS(vocab, "\xE2\x82\xAC" "5", false), "0 0");
    pith_vocab_destroy(&vocab);
}

static void phi3_strips(void **state)
{
    (void)state;
    for (int phi = 0; phi < 2; phi++) {
        toy *t = toy_byte_level("gpt-2");
        toy_add(t, "<|user|>", TOY_CONTROL, 0); /* 256 */
        toy_add(t, "<s>", TOY_CONTROL, 0);      /* 257: keeps what follows */
        pith_builder_string(t->builder, "general.name", phi ? "my Phi-3 mini" : "other");
        pith_vocab *vocab = open_toy(t);
        assert_string_equal(IDS(vocab, "<|user|> \n a<s> a", true), phi ? "256 97 257 32 97" : "256 32 10 32 97 257 32 97");
        pith_vocab_destroy(&vocab);
    }
}

/* decode(encode(x)) == x for any bytes, and for text in which spaces, letters and specials alternate. */
static void round_trip(void **state)
{
    static const char *const pres[] = {"gpt-2", "smollm", "llama-bpe", "qwen2", "tekken", "gpt-4o", "deepseek-llm", "deepseek-coder",
                                       "deepseek-v3", "falcon", "default", "bloom", "qwen35"};
    pith_rng rng;
    (void)state;
    pith_rng_init(&rng, 3);
    for (size_t p = 0; p < sizeof pres / sizeof *pres; p++) {
        toy *t = toy_byte_level(pres[p]);
        toy_word(t, "a", "b");
        toy_word(t, "_", "_");
        toy_word(t, "_", "ab");
        toy_word(t, "\xC3", "\xA9");
        toy_add(t, "<user>", TOY_USER, 0);
        pith_vocab *vocab = open_toy(t);
        for (int round = 0; round < 60; round++) {
            static const char some[] = "ab  \n\r\t'sT9<user>.\xC3\xA9\xE2\x82\xAC\xE4\xB8\xAD\xCC\x81";
            char text[700], back[700];
            size_t n = (size_t)(pith_rng_u64(&rng) % sizeof text), at = 0;
            bool any = round % 2;
            for (size_t i = 0; i < n; i++)
                text[i] = any ? (char)pith_rng_u64(&rng) : some[pith_rng_u64(&rng) % (sizeof some - 1)];
            pith_token_list list = {0};
            assert_int_equal(pith_vocab_encode(vocab, text, n, false, false, &list), PITH_OK);
            for (size_t i = 0; i < list.n; i++) {
                pith_str bytes = pith_vocab_bytes(vocab, list.ids[i], false);
                assert_true(at + bytes.n <= n);
                memcpy(back + at, bytes.data, bytes.n);
                at += bytes.n;
            }
            assert_int_equal(at, n);
            assert_memory_equal(back, text, n);
            free(list.ids);
        }
        pith_vocab_destroy(&vocab);
    }
}

/* Appends: what was in the list stays. */
static void appends(void **state)
{
    (void)state;
    pith_vocab *vocab = open_toy(toy_byte_level("gpt-2"));
    pith_token_list list = {0};
    assert_int_equal(pith_vocab_encode(vocab, "a", 1, true, false, &list), PITH_OK);
    assert_int_equal(pith_vocab_encode(vocab, "b", 1, true, false, &list), PITH_OK);
    assert_int_equal(list.n, 2);
    assert_true(list.ids[0] == 'a' && list.ids[1] == 'b');
    free(list.ids);
    pith_vocab_destroy(&vocab);
}

struct job { const pith_vocab *vocab; const char *text; size_t n; pith_token_list lists[4]; };

static void encode_job(void *user, int i, int n)
{
    struct job *job = user;
    (void)n;
    for (int round = 0; round < 4; round++) {
        job->lists[i].n = 0;
        if (pith_vocab_encode(job->vocab, job->text, job->n, true, true, &job->lists[i]) != PITH_OK)
            job->lists[i].n = 0;
    }
}

static void threads(void **state)
{
    static char text[20000];
    pith_rng rng;
    pith_pool *pool;
    (void)state;
    pith_rng_init(&rng, 5);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "ab  \n<s>9\xC3\xA9"[pith_rng_u64(&rng) % 11];
    assert_int_equal(pith_pool_create(4, &pool), PITH_OK);
    for (int spm = 0; spm < 2; spm++) {
        toy *t = spm ? toy_spm() : toy_byte_level("qwen2");
        if (spm)
            toy_add(t, "ab", TOY_NORMAL, -1);
        else
            toy_word(t, "a", "b");
        pith_vocab *vocab = open_toy(t);
        struct job job = {.vocab = vocab, .text = text, .n = sizeof text};
        pith_pool_run(pool, encode_job, &job);
        assert_true(job.lists[0].n > 1000);
        for (int i = 1; i < 4; i++) {
            assert_int_equal(job.lists[i].n, job.lists[0].n);
            assert_memory_equal(job.lists[i].ids, job.lists[0].ids, job.lists[0].n * sizeof(int32_t));
        }
        for (int i = 0; i < 4; i++)
            free(job.lists[i].ids);
        pith_vocab_destroy(&vocab);
    }
    pith_pool_destroy(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(byte_level_merges), cmocka_unit_test(ignore_merges), cmocka_unit_test(special_tokens),
        cmocka_unit_test(parts), cmocka_unit_test(begin_and_end), cmocka_unit_test(sentencepiece),
        cmocka_unit_test(sentencepiece_without_prefix), cmocka_unit_test(sentencepiece_cuts),
        cmocka_unit_test(sentencepiece_unknown), cmocka_unit_test(phi3_strips),
        cmocka_unit_test(round_trip), cmocka_unit_test(appends), cmocka_unit_test(threads),
    };
    pith_log_set(quiet, NULL);
    return cmocka_run_group_tests_name("vocab", tests, NULL, NULL);
}
