/* SPDX-License-Identifier: MIT */
/* Any text of n bytes takes work linear in n, up to the heap's logarithm: counted in pairs looked up and calls of the
 * matcher, for every pre-tokenizer and for SentencePiece, on the inputs that have broken tokenizers before. Times (of the
 * processor, not of the wall) are printed; only a time that nothing but a quadratic step explains is an error.
 * usage: test_speed [BYTES [FILE.gguf...]]      files: real vocabularies besides the made ones */
#include "base/rng.h"
#include "text/toy.h"
#include "text/vocab_impl.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WORK_PER_BYTE 8  /* two look-ups per symbol, two per merge, two passes that find a match at every byte */
#define SECONDS_MAX 5.0  /* for one input of some hundred thousand bytes, with sanitizers */

static size_t n_text = (size_t)1 << 18;
static char *text;
static pith_rng rng;

/* Repeated unit, or with NULL a function of the index. */
static const char *const units[] = {
    "a", "A", " ", "\n", "\r\n", "\t", "7", "!", "'", "'s", "a ", "Aa", "abcdefghijklmnopqrstuvwxyz", "<", "<|", "<|im_end|>", "\xFF",
    "\xE2\x96", "\xE2\x96\x81", "\xF0\x9F\x98\x80", "\xF0\x9F\x91\xA8\xE2\x80\x8D", "\xCC\x81", "\xC2\xA0", "\xE3\x80\x80", "\xE4\xB8\xAD",
};
enum { RANDOM_BYTES = sizeof units / sizeof *units, RANDOM_LETTERS, SPACES_DIGIT, SPACES_LETTER, SPACES_LINE_SPACES, LINES_OF_SPACES, NULS, N_INPUT };

static const char *input_fill(int which)
{
    static const char *const names[] = {"random bytes", "random letters", "spaces, digit", "spaces, letter", "spaces, line, spaces",
                                        "lines of spaces", "NUL"};
    if (which < RANDOM_BYTES) {
        size_t unit = strlen(units[which]);
        for (size_t i = 0; i < n_text; i++)
            text[i] = units[which][i % unit];
        return units[which];
    }
    memset(text, which == NULS ? 0 : ' ', n_text);
    for (size_t i = 0; i < n_text; i++) {
        if (which == RANDOM_BYTES)
            text[i] = (char)pith_rng_u64(&rng);
        else if (which == RANDOM_LETTERS)
            text[i] = (char)('a' + pith_rng_u64(&rng) % 26);
        else if (which == LINES_OF_SPACES && i % 1000 == 0)
            text[i] = '\n';
    }
    if (which == SPACES_DIGIT || which == SPACES_LETTER)
        text[n_text - 1] = which == SPACES_DIGIT ? '5' : 'x';
    if (which == SPACES_LINE_SPACES)
        text[n_text / 2] = '\n';
    return names[which - RANDOM_BYTES];
}

static void measure(const char *name, const pith_vocab *vocab)
{
    double worst = 0, total = 0;
    char worst_input[32] = "";
    for (int which = 0; which < N_INPUT; which++) {
        const char *input = input_fill(which);
        uint64_t work;
        clock_t start = clock();
        assert_int_equal(pith_vocab_encode_work(vocab, text, n_text, &work), PITH_OK);
        double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        if (work > (uint64_t)n_text * WORK_PER_BYTE + 1000)
            fail_msg("%s, \"%s\": %llu steps for %zu bytes", name, input, (unsigned long long)work, n_text);
        if (seconds > SECONDS_MAX)
            fail_msg("%s, \"%s\": %.1f s for %zu bytes", name, input, seconds, n_text);
        total += seconds;
        if (seconds > worst) {
            worst = seconds;
            snprintf(worst_input, sizeof worst_input, "%s", input);
        }
    }
    for (char *c = worst_input; *c; c++)
        *c = *c < ' ' || *c > '~' ? '?' : *c;
    print_message("%-24.32s %zu bytes: mean %.0f ms, worst %.0f ms (%s)\n", name, n_text, total * 1e3 / N_INPUT, worst * 1e3, worst_input);
}

static void runs_add(toy *t, const char *unit)
{
    char one[64];
    snprintf(one, sizeof one, "%s", unit);
    for (int k = 0; k < 4; k++) {
        toy_word(t, one, one);
        size_t n = strlen(one);
        memmove(one + n, one, n + 1);
    }
}

static void pre_tokenizers(void **state)
{
    (void)state;
    for (size_t entry = 0; pith_pre_name_at(entry); entry++) {
        char name[64] = {0};
        pith_vocab *vocab;
        strncpy(name, pith_pre_name_at(entry), strcspn(pith_pre_name_at(entry), " "));
        toy *t = toy_byte_level(name);
        runs_add(t, "a");
        runs_add(t, "_");
        runs_add(t, "\n");
        runs_add(t, "'");
        toy_word(t, "t", "h");
        toy_word(t, "th", "e");
        toy_word(t, "_", "a");
        assert_int_equal(toy_open(t, 0, &vocab), PITH_OK);
        measure(name, vocab);
        pith_pre_interpret(vocab->pre);
        strcat(name, " (no JIT)");
        measure(name, vocab);
        pith_vocab_destroy(&vocab);
        toy_free(&t);
    }
}

static void sentencepiece(void **state)
{
    pith_vocab *vocab;
    (void)state;
    toy *t = toy_spm();
    for (int i = 0; i < 26; i++)
        toy_add(t, (char[]){(char)('a' + i), 0}, TOY_NORMAL, -100);
    for (int n = 2; n <= 16; n *= 2) {
        char run[64] = "", spaces[64] = "";
        for (int i = 0; i < n; i++) {
            strcat(run, "a");
            strcat(spaces, "\xE2\x96\x81");
        }
        toy_add(t, run, TOY_NORMAL, -n);
        toy_add(t, spaces, TOY_NORMAL, -n);
    }
    for (int i = 1; i < 26 * 26; i++) /* every pair of letters may stand together: one part from end to end */
        toy_add(t, (char[]){(char)('a' + i / 26), (char)('a' + i % 26), 0}, TOY_NORMAL, -200 - i);
    assert_int_equal(toy_open(t, 0, &vocab), PITH_OK);
    measure("sentencepiece", vocab);
    pith_vocab_destroy(&vocab);
    toy_free(&t);
}

/* Thousands of special tokens, many of them prefixes of others and of the inputs. */
static void many_specials(void **state)
{
    pith_vocab *vocab;
    (void)state;
    toy *t = toy_byte_level("gpt-2");
    for (int i = 0; i < 4000; i++) {
        char special[64];
        snprintf(special, sizeof special, "<|reserved_%d|>", i);
        toy_add(t, special, i % 2 ? TOY_CONTROL : TOY_USER, 0);
    }
    char run[3001];
    memset(run, 'a', 3000);
    strcpy(run + 2999, "b"); /* a long run that nearly matches everywhere */
    toy_add(t, run, TOY_USER, 0);
    toy_add(t, "aa", TOY_USER, 0);
    assert_int_equal(toy_open(t, 0, &vocab), PITH_OK);
    measure("4002 specials", vocab);
    pith_vocab_destroy(&vocab);
    toy_free(&t);
}

static char **files;

static void real_vocabularies(void **state)
{
    (void)state;
    for (char **file = files; *file; file++) {
        pith_gguf *gguf = NULL;
        pith_vocab *vocab = NULL;
        if (pith_gguf_open(*file, &gguf) != PITH_OK || pith_vocab_create(gguf, 0, &vocab) != PITH_OK)
            fail_msg("%s: %s", *file, pith_last_error());
        pith_gguf_close(&gguf);
        const char *name = strrchr(*file, '/');
        measure(name ? name + 1 : *file, vocab);
        pith_vocab_destroy(&vocab);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pre_tokenizers), cmocka_unit_test(sentencepiece), cmocka_unit_test(many_specials),
        cmocka_unit_test(real_vocabularies),
    };
    if (argc > 1)
        n_text = strtoul(argv[1], NULL, 10);
    files = argc > 2 ? argv + 2 : argv + argc;
    text = n_text ? malloc(n_text) : NULL;
    if (!text)
        return 2;
    pith_rng_init(&rng, 41);
    int failed = cmocka_run_group_tests_name("speed", tests, NULL, NULL);
    free(text);
    return failed;
}
