/* SPDX-License-Identifier: MIT */
/* The stream against its own definition: whatever the cuts, the same text. */
#include "base/rng.h"
#include "text/stream.h"
#include "text/utf8.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BAD "\xEF\xBF\xBD"

/* Pushes text[n] cut into pieces of `cut` bytes (0: at random) and gives all that was shown. */
static bool run(const char *const *stop, size_t n_stop, const char *text, size_t n, size_t cut, pith_rng *rng, char *out)
{
    pith_stream *stream;
    const char *shown;
    size_t n_shown, total = 0;
    bool stopped = false;
    assert_int_equal(pith_stream_create(stop, n_stop, &stream), PITH_OK);
    for (size_t i = 0; i < n && !stopped;) {
        size_t step = cut ? cut : (size_t)(pith_rng_u64(rng) % 5);
        step = step > n - i ? n - i : step;
        assert_int_equal(pith_stream_push(stream, text + i, step, &shown, &n_shown, &stopped), PITH_OK);
        assert_int_equal(strlen(shown) <= n_shown, 1);
        assert_int_equal(shown[n_shown], 0);
        assert_int_equal(pith_utf8_valid_prefix(shown, n_shown), n_shown);
        memcpy(out + total, shown, n_shown);
        total += n_shown;
        i += step;
    }
    if (stopped) { /* finished: nothing more comes */
        bool again;
        assert_int_equal(pith_stream_push(stream, "more", 4, &shown, &n_shown, &again), PITH_OK);
        assert_true(again && n_shown == 0);
    }
    assert_int_equal(pith_stream_flush(stream, &shown, &n_shown), PITH_OK);
    assert_int_equal(pith_utf8_valid_prefix(shown, n_shown), n_shown);
    memcpy(out + total, shown, n_shown);
    out[total + n_shown] = '\0';
    pith_stream_destroy(&stream);
    assert_null(stream);
    return stopped;
}

static void check(const char *stop, const char *text, size_t n, const char *expected, bool stops)
{
    char out[4096];
    pith_rng rng;
    pith_rng_init(&rng, 7);
    for (size_t cut = 0; cut <= n + 1; cut++) {
        assert_int_equal(run(&stop, stop != NULL, text, n, cut, &rng, out), stops);
        assert_string_equal(out, expected);
    }
}

static void characters(void **state)
{
    (void)state;
    check(NULL, "plain", 5, "plain", false);
    check(NULL, "", 0, "", false);
    check(NULL, "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z", 11, "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z", false);
    /* One replacement per maximal invalid part (Unicode 15, section 3.9, tables 3-8 to 3-11). */
    check(NULL, "\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", 9, BAD BAD BAD BAD BAD BAD BAD BAD "A", false);
    check(NULL, "\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", 9, BAD BAD BAD BAD BAD BAD BAD BAD "A", false);
    check(NULL, "\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", 9, BAD BAD BAD BAD BAD "A" BAD BAD "B", false);
    check(NULL, "\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", 9, BAD BAD BAD BAD "A", false);
    check(NULL, "x\xF0\x9F\x98", 4, "x" BAD, false); /* unfinished at the end */
    check(NULL, "x\xE2\x82", 3, "x" BAD, false);
}

static void held_bytes(void **state)
{
    pith_stream *stream;
    const char *text;
    size_t n;
    bool stopped;
    (void)state;
    assert_int_equal(pith_stream_create(NULL, 0, &stream), PITH_OK);
    assert_int_equal(pith_stream_push(stream, "a\xF0\x9F\x98", 4, &text, &n, &stopped), PITH_OK);
    assert_string_equal(text, "a"); /* at most three bytes wait */
    assert_int_equal(pith_stream_push(stream, "\x80", 1, &text, &n, &stopped), PITH_OK);
    assert_string_equal(text, "\xF0\x9F\x98\x80");
    assert_int_equal(pith_stream_push(stream, "\0b", 2, &text, &n, &stopped), PITH_OK);
    assert_int_equal(n, 2);
    assert_memory_equal(text, "\0b", 3);
    assert_int_equal(pith_stream_push(stream, "\xC3", 1, &text, &n, &stopped), PITH_OK);
    pith_stream_reset(stream);
    assert_int_equal(pith_stream_push(stream, "c", 1, &text, &n, &stopped), PITH_OK);
    assert_string_equal(text, "c");
    pith_stream_destroy(&stream);
    pith_stream_destroy(&stream);
}

static void stops(void **state)
{
    (void)state;
    check("END", "one END two", 11, "one ", true);
    check("END", "one EN", 6, "one EN", false);
    check("END", "EEND", 4, "E", true);
    check("aab", "aaab", 4, "a", true);
    check("abab", "abaabab", 7, "aba", true);
    check("\n\n", "x\n\n", 3, "x", true);
    check("\xC3\xA9", "\xC3\xA8\xC3\xA9", 4, "\xC3\xA8", true);
    check("\xE2\x82\xAC" "5", "\xE2\x82\xAC" "6\xE2\x82\xAC" "5", 8, "\xE2\x82\xAC" "6", true);
    check(BAD, "a\xFF" "b", 3, "a", true); /* the text that is shown is what is searched */
    check("x", "x", 1, "", true);
}

static void stop_held_back(void **state)
{
    pith_stream *stream;
    const char *const stop[] = {"stop!", "</s>"};
    const char *text;
    size_t n;
    bool stopped;
    (void)state;
    assert_int_equal(pith_stream_create(stop, 2, &stream), PITH_OK);
    assert_int_equal(pith_stream_push(stream, "do st", 5, &text, &n, &stopped), PITH_OK);
    assert_string_equal(text, "do ");
    assert_int_equal(pith_stream_push(stream, "op", 2, &text, &n, &stopped), PITH_OK);
    assert_string_equal(text, "");
    assert_int_equal(pith_stream_push(stream, "?<", 2, &text, &n, &stopped), PITH_OK);
    assert_string_equal(text, "stop?");
    assert_int_equal(pith_stream_push(stream, "/s> tail", 8, &text, &n, &stopped), PITH_OK);
    assert_true(stopped);
    assert_string_equal(text, "");
    pith_stream_destroy(&stream);
}

/* The first stop string to be completed wins; of two completed by one byte, the longer. */
static void several(void **state)
{
    const char *const early[] = {"bcde", "cd"}, *const same[] = {"cd", "bcd"};
    char out[64];
    (void)state;
    for (size_t cut = 1; cut < 8; cut++) {
        assert_true(run(early, 2, "abcdef", 6, cut, NULL, out));
        assert_string_equal(out, "ab");
        assert_true(run(same, 2, "abcdef", 6, cut, NULL, out));
        assert_string_equal(out, "a");
    }
}

static void cuts_do_not_matter(void **state)
{
    static const char letters[] = {'a', 'b', '\xC3', '\xA9', '\xE2', '\x82', '\xAC', '\xFF'};
    const char *const stop[] = {"abba", "b\xC3\xA9", "\xE2\x82\xAC\xE2\x82\xAC"};
    pith_rng rng;
    (void)state;
    pith_rng_init(&rng, 11);
    for (int round = 0; round < 2000; round++) {
        char text[64], one[256], other[256];
        size_t n = (size_t)(pith_rng_u64(&rng) % sizeof text);
        for (size_t i = 0; i < n; i++)
            text[i] = letters[pith_rng_u64(&rng) % sizeof letters];
        bool a = run(stop, 3, text, n, n + 1, &rng, one), b = run(stop, 3, text, n, 0, &rng, other);
        assert_int_equal(a, b);
        assert_string_equal(one, other);
    }
}

static void refused(void **state)
{
    pith_stream *stream;
    const char *const empty[] = {"a", ""}, *const broken[] = {"\xC3"}, *const null[] = {NULL};
    (void)state;
    assert_int_equal(pith_stream_create(empty, 2, &stream), PITH_ERROR_INVALID_ARGUMENT);
    assert_null(stream);
    assert_non_null(strstr(pith_last_error(), "stop string 1"));
    assert_int_equal(pith_stream_create(broken, 1, &stream), PITH_ERROR_INVALID_ARGUMENT);
    assert_int_equal(pith_stream_create(null, 1, &stream), PITH_ERROR_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters), cmocka_unit_test(held_bytes), cmocka_unit_test(stops), cmocka_unit_test(stop_held_back),
        cmocka_unit_test(several), cmocka_unit_test(cuts_do_not_matter), cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
