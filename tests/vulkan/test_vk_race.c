/* SPDX-License-Identifier: MIT */
/* The race of candidates on devices that are made up: clocks that rise, other work in between, time that runs out. */
#include "race.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/**/
#include <cmocka.h>

struct device {
    double seconds[4];     /* that a candidate takes at full clock */
    double now;            /* seconds worked so far */
    double rises;          /* until then it has a fifth of its clock, then climbs for as long again */
    int busy;              /* each so many-eth time something else takes half of the device; 0 never */
    int calls[4], total;
    double longest;         /* of submissions that hold several, at full clock */
    int out_of_time, fails; /* from this call on; 0 never */
};

static pith_status device_time(void *user, int which, int repeat, double *seconds)
{
    struct device *d = user;
    assert_in_range(which, 0, 3);
    assert_true(repeat >= 1);
    d->calls[which]++;
    d->total++;
    if (d->fails && d->total >= d->fails)
        return PITH_ERROR_DEVICE;
    double share = d->rises <= 0 || d->now > 2 * d->rises ? 1 : d->now < d->rises ? 0.2 : 0.2 + 0.8 * (d->now - d->rises) / d->rises;
    if (d->busy && d->total % d->busy == 0)
        share *= 0.5;
    if (repeat > 1 && repeat * d->seconds[which] > d->longest)
        d->longest = repeat * d->seconds[which];
    *seconds = d->out_of_time && d->total >= d->out_of_time ? -1 : repeat * d->seconds[which] / share;
    d->now += *seconds > 0 ? *seconds : 0;
    return PITH_OK;
}

static void assert_near(double got, double expected) { assert_true(got > 0.999 * expected && got < 1.001 * expected); }

/* As an idle card does it: whoever is timed last looks best, if nobody waits. */
static void test_rising(void **state)
{
    (void)state;
    const double rises[] = {0, 0.001, 0.01, 0.05, 0.12, 0.25};
    for (int i = 0; i < 6; i++)
        for (int slow = 0; slow < 2; slow++) { /* products of microseconds, and of a tenth of a second */
            double unit = slow ? 0.03 : 2e-5;
            struct device d = {.seconds = {1.00 * unit, 1.02 * unit, 1.3 * unit, 1.1 * unit}, .rises = rises[i]};
            int best;
            double seconds;
            assert_int_equal(pith_vk_race_warm(device_time, &d, 0), PITH_OK);
            assert_true(d.now < 1.7 && d.longest < 2.1e-3);
            d.longest = 0;
            assert_int_equal(pith_vk_race_run(device_time, &d, 4, 4, &best, &seconds), PITH_OK);
            assert_int_equal(best, 0);
            assert_near(seconds, unit);
            assert_true(d.longest < 6.1e-4);
        }
    struct device cold = {.seconds = {1.0e-3, 1.3e-3, 2e-3, 1.1e-3}, .rises = 0.003}; /* the check can fail: nobody waited */
    int best;
    double seconds;
    assert_int_equal(pith_vk_race_run(device_time, &cold, 4, 1, &best, &seconds), PITH_OK);
    assert_int_not_equal(best, 0);
}

static void test_busy(void **state)
{
    (void)state;
    for (int busy = 2; busy < 8; busy++) {
        struct device d = {.seconds = {1.3e-4, 1.02e-4, 1e-4, 1.1e-4}, .busy = busy};
        int best;
        double seconds;
        assert_int_equal(pith_vk_race_run(device_time, &d, 4, 4, &best, &seconds), PITH_OK);
        assert_int_equal(best, 2);
        assert_near(seconds, 1e-4);
    }
}

static void test_hopeless(void **state)
{
    (void)state;
    struct device d = {.seconds = {1e-4, 1.7e-4, 1.5e-4, 1e-2}};
    int best;
    double seconds;
    assert_int_equal(pith_vk_race_run(device_time, &d, 4, 4, &best, &seconds), PITH_OK);
    assert_int_equal(best, 0);
    const int calls[] = {4, 2, 4, 2};
    assert_memory_equal(d.calls, calls, sizeof calls);
    d = (struct device){.seconds = {0, 0, 0, 0}}; /* a clock that stands still ends, too */
    assert_int_equal(pith_vk_race_warm(device_time, &d, 0), PITH_OK);
    assert_in_range(d.total, 1, 4000);
    assert_int_equal(pith_vk_race_run(device_time, &d, 4, 4, &best, &seconds), PITH_OK);
    assert_int_equal(best, 0);
}

static void test_ends(void **state)
{
    (void)state;
    const struct device made = {.seconds = {1.2e-4, 1.1e-4, 1e-4, 1.3e-4}};
    int best;
    double seconds;
    for (int at = 1; at < 20; at++) {
        struct device d = made;
        d.out_of_time = at;
        assert_int_equal(pith_vk_race_run(device_time, &d, 4, 4, &best, &seconds), PITH_OK);
        assert_int_equal(best, at <= 4 ? -1 : 2); /* nobody wins a round that not all were in */
        assert_int_equal(d.total, at < 16 ? at : 16);
        d = made;
        d.fails = at;
        assert_int_equal(pith_vk_race_run(device_time, &d, 4, 4, &best, &seconds), at <= 16 ? PITH_ERROR_DEVICE : PITH_OK);
    }
    struct device d = {.seconds = {1e-3}, .out_of_time = 3};
    assert_int_equal(pith_vk_race_warm(device_time, &d, 0), PITH_OK);
    assert_int_equal(d.total, 3);
    assert_int_equal(pith_vk_race_run(device_time, &d, 0, 4, &best, &seconds), PITH_OK);
    assert_int_equal(best, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rising), cmocka_unit_test(test_busy), cmocka_unit_test(test_hopeless),
                                       cmocka_unit_test(test_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
