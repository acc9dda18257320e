/* SPDX-License-Identifier: MIT */
/* Vocabularies as nobody should write them: each is refused with the key and the entry named, or used with the odd part
 * left out; none crashes. */
#include "text/toy.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KEY "tokenizer.ggml."

static int warnings;
static char last_warning[512];

static void count_warnings(pith_log_level level, const char *line, void *user)
{
    (void)user;
    warnings += level == PITH_LOG_WARNING;
    strncpy(last_warning, line, sizeof last_warning - 1);
}

/* Opens, frees the toy; OK: the vocabulary is used once and freed. */
static pith_status try_open(toy *t, int32_t n_vocab)
{
    pith_vocab *vocab;
    pith_token_list list = {0};
    warnings = 0;
    pith_fail_clear();
    pith_status status = toy_open(t, n_vocab, &vocab);
    if (status == PITH_OK && vocab) {
        assert_int_equal(pith_vocab_encode(vocab, "some text <s> \xFF", 15, true, true, &list), PITH_OK);
        for (size_t i = 0; i < list.n; i++)
            assert_in_range(list.ids[i], 0, pith_vocab_size(vocab) - 1);
        for (int32_t i = -1; i <= pith_vocab_size(vocab); i++)
            assert_non_null(pith_vocab_bytes(vocab, i, true).data);
        free(list.ids);
    } else {
        assert_null(vocab);
    }
    pith_vocab_destroy(&vocab);
    toy_free(&t);
    return status;
}

static void refused(toy *t, int32_t n_vocab, pith_status expected, const char *in_message)
{
    pith_status status = try_open(t, n_vocab);
    if (status != expected || !strstr(pith_last_error(), in_message))
        fail_msg("expected \"%s\" (%d), got \"%s\" (%d)", in_message, expected, pith_last_error(), status);
}

static void accepted(toy *t, int32_t n_vocab, int expected_warnings)
{
    pith_status status = try_open(t, n_vocab);
    if (status != PITH_OK)
        fail_msg("%s", pith_last_error());
    if (warnings != expected_warnings)
        fail_msg("%d warnings, expected %d; the last: %s", warnings, expected_warnings, last_warning);
}

static toy *with_model(const char *model)
{
    toy *t = toy_byte_level("gpt-2");
    pith_builder_remove(t->builder, KEY "model");
    if (model)
        pith_builder_string(t->builder, KEY "model", model);
    return t;
}

static void models(void **state)
{
    (void)state;
    accepted(with_model("none"), 0, 0);
    accepted(with_model("no_vocab"), 0, 0);
    refused(with_model(NULL), 0, PITH_ERROR_FORMAT, KEY "model");
    refused(with_model("bert"), 0, PITH_ERROR_UNSUPPORTED, "bert");
    refused(with_model("t5"), 0, PITH_ERROR_UNSUPPORTED, "t5");
    refused(with_model("rwkv"), 0, PITH_ERROR_UNSUPPORTED, "rwkv");
    refused(with_model(""), 0, PITH_ERROR_UNSUPPORTED, KEY "model");
    refused(toy_byte_level("brand-new"), 0, PITH_ERROR_UNSUPPORTED, "brand-new");
    refused(toy_byte_level("gpt-2 phi-2"), 0, PITH_ERROR_UNSUPPORTED, "gpt-2 phi-2");
    refused(toy_byte_level(""), 0, PITH_ERROR_UNSUPPORTED, KEY "pre");
    accepted(toy_byte_level("default"), 0, 1);
    accepted(toy_byte_level(NULL), 0, 1);
    toy *t = toy_byte_level(NULL);
    pith_builder_u32(t->builder, KEY "pre", 5);
    refused(t, 0, PITH_ERROR_FORMAT, KEY "pre");
}

static void sizes(void **state)
{
    toy *t;
    (void)state;
    accepted(toy_byte_level("gpt-2"), 256, 0);
    accepted(toy_byte_level("gpt-2"), 1000, 0); /* padded embedding */
    refused(toy_byte_level("gpt-2"), 255, PITH_ERROR_FORMAT, "255 rows");
    t = toy_byte_level("gpt-2");
    toy_build(t);
    pith_builder_remove(t->builder, KEY "tokens");
    refused(t, 0, PITH_ERROR_NOT_FOUND, KEY "tokens");
    t = toy_byte_level("gpt-2");
    toy_build(t);
    pith_builder_remove(t->builder, KEY "tokens");
    pith_builder_strings(t->builder, KEY "tokens", NULL, 0);
    refused(t, 0, PITH_ERROR_FORMAT, KEY "tokens");
    t = toy_byte_level("gpt-2");
    toy_build(t);
    pith_builder_remove(t->builder, KEY "tokens");
    pith_builder_ints(t->builder, KEY "tokens", PITH_GGUF_I32, t->types, t->n);
    refused(t, 0, PITH_ERROR_FORMAT, KEY "tokens");
    t = toy_byte_level("gpt-2");
    toy_build(t);
    pith_builder_remove(t->builder, KEY "token_type");
    pith_builder_ints(t->builder, KEY "token_type", PITH_GGUF_I32, t->types, t->n - 1);
    refused(t, 0, PITH_ERROR_FORMAT, KEY "token_type");
    t = toy_byte_level("gpt-2");
    toy_build(t);
    pith_builder_remove(t->builder, KEY "token_type");
    accepted(t, 0, 0); /* all ordinary then */
    t = toy_byte_level("gpt-2");
    t->types[17] = 7;
    refused(t, 0, PITH_ERROR_FORMAT, "[17]");
    t = toy_byte_level("gpt-2");
    t->types[17] = -1;
    refused(t, 0, PITH_ERROR_FORMAT, "[17]");
}

static void special_ids(void **state)
{
    static const char *const keys[] = {"bos_token_id", "eos_token_id", "unknown_token_id", "eot_token_id", "fim_pad_token_id"};
    static const int64_t values[] = {256, 1 << 30, INT64_MAX, -2, INT64_MIN};
    (void)state;
    for (size_t k = 0; k < 5; k++) {
        char key[64] = KEY;
        strcat(key, keys[k]);
        for (size_t v = 0; v < 5; v++) {
            toy *t = toy_byte_level("gpt-2");
            pith_builder_int(t->builder, key, PITH_GGUF_I64, values[v]);
            pith_builder_int(t->builder, KEY "add_bos_token", PITH_GGUF_BOOL, 1);
            pith_builder_int(t->builder, KEY "add_eos_token", PITH_GGUF_BOOL, 1);
            accepted(t, 0, 1);
        }
        toy *t = toy_byte_level("gpt-2");
        pith_builder_int(t->builder, key, PITH_GGUF_I32, -1); /* "none", said without a warning */
        accepted(t, 0, 0);
        t = toy_byte_level("gpt-2");
        pith_builder_string(t->builder, key, "7");
        refused(t, 0, PITH_ERROR_FORMAT, key);
    }
}

static void texts(void **state)
{
    static const char *const bytes[] = {"<0x-1>", "<0xGG>", "<0x0>", "<0x100>", "<0x1", "", "<0X0A>", "<0x 1>"};
    toy *t;
    (void)state;
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
        t = toy_spm();
        toy_add(t, bytes[i], TOY_BYTE, 0);
        refused(t, 0, PITH_ERROR_FORMAT, "[259]");
    }
    t = toy_spm();
    toy_add(t, "", TOY_NORMAL, 0);
    toy_add(t, "", TOY_CONTROL, 0);
    toy_add(t, "", TOY_USER, 0);
    accepted(t, 0, 1);
    t = toy_byte_level("gpt-2");
    toy_add(t, "", TOY_NORMAL, 0);
    toy_add(t, "a b \n", TOY_NORMAL, 0); /* not byte-level spelling: never matched, shown as it is */
    toy_add(t, "\xFF\xC3", TOY_CONTROL, 0);
    accepted(t, 0, 1);
    t = toy_spm();
    char piece[5001];
    memset(piece, 'e', 5000);
    piece[5000] = '\0';
    toy_add(t, piece, TOY_NORMAL, 0);
    toy_add(t, piece, TOY_CONTROL, 0);
    accepted(t, 0, 0);
}

static void duplicates(void **state)
{
    pith_vocab *vocab;
    pith_token_list list = {0};
    (void)state;
    toy *t = toy_byte_level("gpt-2");
    toy_add(t, "a", TOY_NORMAL, 0);
    toy_add(t, "<c>", TOY_CONTROL, 0); /* 257 */
    toy_add(t, "<c>", TOY_CONTROL, 0);
    toy_add(t, "<c>", TOY_USER, 0);    /* 259: the lowest of its class */
    warnings = 0;
    assert_int_equal(toy_open(t, 0, &vocab), PITH_OK);
    assert_int_equal(warnings, 1);
    assert_int_equal(pith_vocab_encode(vocab, "a<c>", 4, false, true, &list), PITH_OK);
    assert_int_equal(pith_vocab_encode(vocab, "<c>", 3, false, false, &list), PITH_OK);
    assert_int_equal(list.n, 3);
    assert_true(list.ids[0] == 'a' && list.ids[1] == 257 && list.ids[2] == 259);
    free(list.ids);
    pith_vocab_destroy(&vocab);
    toy_free(&t);
}

static void merges(void **state)
{
    (void)state;
    toy *t = toy_byte_level("gpt-2");
    static const char *const odd[] = {"absent pair", "a", "a ", " b", "", " ", "  ", "a b c", "a\xFF b", "a b", "zz"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        toy_merge(t, odd[i]); /* "a b" is well-formed, but there is no "ab" */
    accepted(t, 0, 1);
    /* A cycle cannot be: merging makes texts longer. What comes nearest are merges given twice and in a ring. */
    t = toy_byte_level("gpt-2");
    toy_word(t, "a", "b");
    toy_word(t, "b", "a");
    toy_word(t, "ab", "a");
    toy_merge(t, "a ba");
    toy_merge(t, "a b");
    toy_merge(t, "a b");
    accepted(t, 0, 0);
    t = toy_byte_level("gpt-2");
    toy_build(t);
    pith_builder_remove(t->builder, KEY "merges");
    refused(t, 0, PITH_ERROR_NOT_FOUND, KEY "merges");
    t = toy_byte_level("gpt-2");
    toy_build(t);
    pith_builder_remove(t->builder, KEY "merges");
    pith_builder_ints(t->builder, KEY "merges", PITH_GGUF_I32, t->types, t->n);
    refused(t, 0, PITH_ERROR_FORMAT, KEY "merges");
}

static void scores(void **state)
{
    toy *t = toy_spm();
    (void)state;
    t->scores[5] = NAN;
    refused(t, 0, PITH_ERROR_FORMAT, "scores[5]");
    t = toy_spm();
    t->scores[5] = INFINITY;
    t->scores[6] = -INFINITY;
    t->scores[7] = -0.0;
    accepted(t, 0, 0);
    t = toy_spm();
    toy_build(t);
    pith_builder_remove(t->builder, KEY "scores");
    refused(t, 0, PITH_ERROR_NOT_FOUND, KEY "scores");
    t = toy_spm();
    toy_build(t);
    pith_builder_remove(t->builder, KEY "scores");
    pith_builder_floats(t->builder, KEY "scores", PITH_GGUF_F32, t->scores, t->n - 1);
    refused(t, 0, PITH_ERROR_FORMAT, KEY "scores");
    t = toy_spm();
    toy_build(t);
    pith_builder_remove(t->builder, KEY "scores");
    pith_builder_ints(t->builder, KEY "scores", PITH_GGUF_I32, t->types, t->n);
    accepted(t, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models), cmocka_unit_test(sizes), cmocka_unit_test(special_ids), cmocka_unit_test(texts),
        cmocka_unit_test(duplicates), cmocka_unit_test(merges), cmocka_unit_test(scores),
    };
    pith_log_set(count_warnings, NULL);
    return cmocka_run_group_tests_name("vocab_bad", tests, NULL, NULL);
}
