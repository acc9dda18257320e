/* SPDX-License-Identifier: MIT */
/* Names and sentences of every status, the detail that travels with a failure, per thread; the log callback. */
#include "base/log.h"
#include "base/status.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void every_status_has_name_and_sentence(void **state)
{
    (void)state;
#define X(name, code, sentence)                                              \
    assert_int_equal(PITH_##name, code);                                     \
    assert_string_equal(pith_status_name(PITH_##name), #name);               \
    assert_string_equal(pith_status_sentence(PITH_##name), sentence);
    PITH_STATUS_MAP(X)
#undef X
    assert_string_equal(pith_status_name((pith_status)99), "UNKNOWN");
    assert_string_equal(pith_status_sentence((pith_status)99), "unknown status");
}

static void detail_and_prefix(void **state)
{
    (void)state;
    pith_fail_clear();
    assert_string_equal(pith_last_error(), "");
    assert_int_equal(pith_fail(PITH_ERROR_FORMAT, "%s: expected %d, got %d", "dims", 4, 7), PITH_ERROR_FORMAT);
    assert_string_equal(pith_last_error(), "dims: expected 4, got 7");
    assert_int_equal(pith_fail_in(PITH_ERROR_IO, "tensor %d", 3), PITH_ERROR_IO);
    assert_string_equal(pith_last_error(), "tensor 3: dims: expected 4, got 7");
    pith_fail_clear();
    assert_string_equal(pith_last_error(), "");
}

static void long_details_are_cut(void **state)
{
    (void)state;
    char text[3000];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    pith_fail(PITH_ERROR_IO, "%s", text);
    assert_int_equal(strlen(pith_last_error()), 1023);
    pith_fail_in(PITH_ERROR_IO, "here");
    assert_int_equal(strlen(pith_last_error()), 1023);
    assert_memory_equal(pith_last_error(), "here: aaaa", 10);
    pith_fail(PITH_ERROR_IO, "old");
    pith_fail_in(PITH_ERROR_IO, "%s", text); /* a prefix that leaves no room */
    assert_true(strlen(pith_last_error()) <= 1023);
    for (int n = 1010; n <= 1024; n++) {
        pith_fail(PITH_ERROR_IO, "old");
        pith_fail_in(PITH_ERROR_IO, "%.*s", n, text);
        assert_true(strlen(pith_last_error()) <= 1023);
    }
}

static void *other_thread(void *user)
{
    strcpy(user, pith_last_error());
    pith_fail(PITH_ERROR_DEVICE, "theirs");
    return NULL;
}

static void details_are_per_thread(void **state)
{
    (void)state;
    char seen[64] = "not run";
    pith_fail(PITH_ERROR_IO, "ours");
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, other_thread, seen), 0);
    pthread_join(thread, NULL);
    assert_string_equal(seen, "");
    assert_string_equal(pith_last_error(), "ours");
}

static pith_status forward(pith_status status)
{
    PITH_TRY(status);
    return PITH_ERROR_NUMERIC;
}

static pith_status forward_goto(pith_status first)
{
    pith_status status;
    PITH_TRY_GOTO(first);
    return PITH_OK;
fail:
    return status == first ? status : PITH_ERROR_NUMERIC;
}

static void try_forwards(void **state)
{
    (void)state;
    assert_int_equal(forward(PITH_ERROR_IO), PITH_ERROR_IO);
    assert_int_equal(forward(PITH_OK), PITH_ERROR_NUMERIC);
    assert_int_equal(forward_goto(PITH_ERROR_IO), PITH_ERROR_IO);
    assert_int_equal(forward_goto(PITH_OK), PITH_OK);
}

struct lines {
    int n;
    pith_log_level level;
    char last[2000];
};

static void keep_line(pith_log_level level, const char *line, void *user)
{
    struct lines *lines = user;
    lines->n++;
    lines->level = level;
    snprintf(lines->last, sizeof lines->last, "%s", line);
}

static void log_reaches_the_callback(void **state)
{
    (void)state;
    struct lines lines = {0};
    pith_log_set(keep_line, &lines);
    pith_log(PITH_LOG_DEBUG, "%d of %s", 3, "four");
    assert_int_equal(lines.n, 1);
    assert_int_equal(lines.level, PITH_LOG_DEBUG);
    assert_string_equal(lines.last, "3 of four");
    pith_log(PITH_LOG_ERROR, "%01500d", 0); /* longer than a line: cut, not lost */
    assert_int_equal(lines.n, 2);
    assert_int_equal(lines.level, PITH_LOG_ERROR);
    assert_int_equal(strlen(lines.last), 1023);
    pith_log_set(NULL, NULL);
    pith_log(PITH_LOG_INFO, "below the default's level: not shown");
    assert_int_equal(lines.n, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_name_and_sentence),
        cmocka_unit_test(detail_and_prefix),
        cmocka_unit_test(long_details_are_cut),
        cmocka_unit_test(details_are_per_thread),
        cmocka_unit_test(try_forwards),
        cmocka_unit_test(log_reaches_the_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
