/* SPDX-License-Identifier: MIT */
/* How each pre-tokenizer splits, by hand-worked examples, and what holds for all: nothing is lost, nothing is empty,
 * and bytes that are not UTF-8 stand alone. */
#include "base/rng.h"
#include "text/pretokenize.h"
#include "text/utf8.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

struct sink { char text[8192]; size_t n; const char *next; };

static pith_status take(void *user, const char *piece, size_t n)
{
    struct sink *sink = user;
    size_t bytes;
    assert_true(n > 0);
    assert_ptr_equal(piece, sink->next); /* in order, without gaps */
    sink->next += n;
    assert_true(n == 1 || pith_utf8_valid_prefix(piece, n) == n);
    for (size_t i = 0; i < n; i += bytes)
        if (pith_utf8_step(piece + i, n - i, &bytes) != PITH_UTF8_CHAR)
            assert_int_equal(n, 1);
    if (sink->n)
        sink->text[sink->n++] = '|';
    memcpy(sink->text + sink->n, piece, n);
    sink->n += n;
    return PITH_OK;
}

static void split(const char *name, const char *text, size_t n, bool jit, struct sink *sink)
{
    pith_pre *pre;
    pith_pre_run run;
    *sink = (struct sink){.next = text};
    assert_int_equal(pith_pre_create((pith_str){name, strlen(name)}, &pre), PITH_OK);
    if (!jit)
        pith_pre_interpret(pre);
    assert_int_equal(pith_pre_run_init(&run), PITH_OK);
    assert_int_equal(pith_pre_split(pre, &run, text, n, take, sink), PITH_OK);
    assert_ptr_equal(sink->next, text + n);
    pith_pre_run_fini(&run);
    pith_pre_destroy(&pre);
    pith_pre_destroy(&pre);
}

#define ZHONG "\xE4\xB8\xAD\xE6\x96\x87"
#define ACUTE "\xCC\x81" /* a combining mark */

static void examples(void **state)
{
    static const char *const cases[][3] = {
        {"gpt-2", "Hello  world's 123!\n\n x", "Hello| | world|'s| 123|!|\n\n| x"},
        {"gpt-2", "a\tb  ", "a|\t|b|  "},
        {"gpt-2", "I'M we're", "I|'|M| we|'re"},
        {"smollm", "a 123 b", "a| |1|2|3| b"},
        {"starcoder", "x1\n\n", "x|1|\n\n"},
        {"llama-bpe", "Hello world12345\n\n  x I'M", "Hello| world|123|45|\n\n| | x| I|'M"},
        {"llama-bpe", "a...\n\nb", "a|...\n\n|b"},
        {"llama-bpe", " \n \n x  ", " \n \n| x|  "},
        {"glm4", "1234", "123|4"},
        {"dbrx", "1234", "123|4"},
        {"qwen2", "ab12 e" ACUTE "a", "ab|1|2| e|" ACUTE "a"},
        {"qwen35", "ab12 e" ACUTE "a", "ab|1|2| e" ACUTE "a"},
        {"tekken", "HelloWorld 12 ABCdef DEF", "Hello|World| |1|2| ABCdef| DEF"},
        {"tekken", "a/\n/b", "a|/\n/|b"},
        {"gpt-4o", "I'M 1234 don't", "I'M| |123|4| don't"},
        {"deepseek-llm", "a\n\nb 12 x   5   ", "a|\n|\n|b| |12| x|   |5|   "},
        {"deepseek-llm", "Hi, " ZHONG, "Hi|,| |" ZHONG},
        {"deepseek-coder", "if (a1)\n", "if| (|a|1|)|\n"},
        {"deepseek-v3", "Hello 1234 " ZHONG "abc .x.y", "Hello| |123|4| |" ZHONG "|abc| .|x|.y"},
        {"falcon", "a+b 1234", "a|+|b| |123|4"},
        {"default", "a+b 1234", "a|+|b| |123|4"},
        {"bloom", "Hello, world!", "Hello|,| world|!"},
        {"gpt-2", "a\xFF\xFE" "b\xE4\xB8", "a|\xFF|\xFE|b|\xE4|\xB8"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct sink sink;
        split(cases[i][0], cases[i][1], strlen(cases[i][1]), true, &sink);
        assert_string_equal(sink.text, cases[i][2]);
    }
}

/* Random text of awkward characters through every pre-tokenizer: take() checks the rules, and generated code and
 * interpreter agree. */
static void nothing_lost(void **state)
{
    static const char *const bits[] = {"a", "B", " ", "  ", "\n", "\r", "\t", "'", "'s", "1", "234", ".", "+", "`", "$", "\xC2\xA0",
                                       "\xE3\x80\x80", ACUTE, ZHONG, "\xF0\x9F\x98\x80", "\xFF", "\xE4", "\xC5\xBF", "", "/", "(", "|"};
    pith_rng rng;
    (void)state;
    pith_rng_init(&rng, 31);
    for (size_t entry = 0; pith_pre_name_at(entry); entry++) {
        char name[64] = {0};
        strncpy(name, pith_pre_name_at(entry), strcspn(pith_pre_name_at(entry), " "));
        for (int round = 0; round < 40; round++) {
            char text[600];
            size_t n = 0, pieces = (size_t)(pith_rng_u64(&rng) % 100);
            struct sink sink, other;
            for (size_t i = 0; i < pieces; i++) {
                const char *bit = bits[pith_rng_u64(&rng) % COUNT(bits)];
                memcpy(text + n, bit, strlen(bit) + (bit[0] == '\0')); /* the empty one stands for a NUL */
                n += strlen(bit) + (bit[0] == '\0');
            }
            split(name, text, n, true, &sink);
            split(name, text, n, false, &other);
            assert_int_equal(sink.n, other.n);
            assert_memory_equal(sink.text, other.text, sink.n);
        }
    }
}

static pith_status refuse(void *user, const char *piece, size_t n)
{
    (void)user, (void)piece, (void)n;
    return pith_fail(PITH_ERROR_CANCELLED, "enough");
}

static void failures(void **state)
{
    pith_pre *pre;
    pith_pre_run run;
    (void)state;
    assert_int_equal(pith_pre_create((pith_str){"gemma9", 6}, &pre), PITH_ERROR_UNSUPPORTED);
    assert_null(pre);
    assert_non_null(strstr(pith_last_error(), "gemma9"));
    assert_int_equal(pith_pre_create((pith_str){"gpt", 3}, &pre), PITH_ERROR_UNSUPPORTED);
    assert_int_equal(pith_pre_create((pith_str){"", 0}, &pre), PITH_ERROR_UNSUPPORTED);
    assert_int_equal(pith_pre_create((pith_str){"falcon", 6}, &pre), PITH_OK);
    assert_int_equal(pith_pre_run_init(&run), PITH_OK);
    assert_int_equal(pith_pre_split(pre, &run, "a b", 3, refuse, NULL), PITH_ERROR_CANCELLED);
    pith_pre_run_fini(&run);
    pith_pre_destroy(&pre);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(examples), cmocka_unit_test(nothing_lost), cmocka_unit_test(failures)};
    return cmocka_run_group_tests_name("pretokenize", tests, NULL, NULL);
}
