/* SPDX-License-Identifier: MIT */
/* The pool: every member runs once a job, also with far more members than processors, also after sleeping; barriers
 * order plain writes (ThreadSanitizer watches them); parts of a range are a partition. */
#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static const int team_sizes[] = {1, 2, 3, 4, 7, 24};
enum { N_SIZES = sizeof team_sizes / sizeof *team_sizes, MEMBERS_MAX = 64 };

struct count_job {
    int calls[MEMBERS_MAX]; /* written by member i alone: the pool must order them before run() returns */
    int n_seen[MEMBERS_MAX];
};

static void count_member(void *user, int i, int n)
{
    struct count_job *job = user;
    job->calls[i]++;
    job->n_seen[i] = n;
}

static void every_member_runs_once(void **state)
{
    (void)state;
    for (int s = 0; s < N_SIZES; s++) {
        int n = team_sizes[s], rounds = n > 8 ? 30 : 200;
        pith_pool *pool;
        assert_int_equal(pith_pool_create(n, &pool), PITH_OK);
        assert_int_equal(pith_pool_size(pool), n);
        struct count_job job = {0};
        for (int r = 0; r < rounds; r++)
            pith_pool_run(pool, count_member, &job);
        for (int i = 0; i < MEMBERS_MAX; i++) {
            assert_int_equal(job.calls[i], i < n ? rounds : 0);
            assert_int_equal(job.n_seen[i], i < n ? n : 0);
        }
        pith_pool_destroy(&pool);
        assert_null(pool);
    }
}

/* Between two jobs the members fall asleep; the next job must wake them. */
static void sleepers_wake(void **state)
{
    (void)state;
    pith_pool *pool;
    assert_int_equal(pith_pool_create(6, &pool), PITH_OK);
    struct count_job job = {0};
    for (int r = 0; r < 20; r++) {
        struct timespec nap = {.tv_nsec = r % 4 * 2000000};
        nanosleep(&nap, NULL);
        pith_pool_run(pool, count_member, &job);
    }
    for (int i = 0; i < 6; i++)
        assert_int_equal(job.calls[i], 20);
    pith_pool_destroy(&pool);
}

/* Members sum their neighbours' plain cells round after round: one missed barrier and the sums are wrong. */
struct ring_job {
    pith_pool *pool;
    int rounds;
    uint64_t cell[2][MEMBERS_MAX];
};

static void ring_member(void *user, int i, int n)
{
    struct ring_job *job = user;
    for (int r = 0; r < job->rounds; r++) {
        const uint64_t *from = job->cell[r & 1];
        job->cell[~r & 1][i] = from[i] * 3 + from[(i + 1) % n] + from[(i + n - 1) % n];
        pith_pool_barrier(job->pool);
    }
}

static void barriers_order_writes(void **state)
{
    (void)state;
    for (int s = 0; s < N_SIZES; s++) {
        int n = team_sizes[s];
        struct ring_job job = {.rounds = n > 8 ? 30 : 1000};
        uint64_t expected[2][MEMBERS_MAX] = {{0}};
        for (int i = 0; i < n; i++)
            job.cell[0][i] = expected[0][i] = (uint64_t)i * i + 1;
        for (int r = 0; r < job.rounds; r++)
            for (int i = 0; i < n; i++)
                expected[~r & 1][i] = expected[r & 1][i] * 3 + expected[r & 1][(i + 1) % n] + expected[r & 1][(i + n - 1) % n];
        assert_int_equal(pith_pool_create(n, &job.pool), PITH_OK);
        pith_pool_run(job.pool, ring_member, &job);
        assert_memory_equal(job.cell[job.rounds & 1], expected[job.rounds & 1], (size_t)n * sizeof(uint64_t));
        pith_pool_destroy(&job.pool);
    }
}

/* Pools side by side, as the backends of several sessions are, with more threads than the machine has processors. */
struct owner {
    pthread_t thread;
    pith_pool *pool;
    struct count_job job;
};

static void *owner_main(void *user)
{
    struct owner *owner = user;
    for (int r = 0; r < 200; r++)
        pith_pool_run(owner->pool, count_member, &owner->job);
    return NULL;
}

static void pools_side_by_side(void **state)
{
    (void)state;
    static struct owner owners[3];
    for (int k = 0; k < 3; k++) {
        assert_int_equal(pith_pool_create(3 + k, &owners[k].pool), PITH_OK);
        assert_int_equal(pthread_create(&owners[k].thread, NULL, owner_main, &owners[k]), 0);
    }
    for (int k = 0; k < 3; k++) {
        pthread_join(owners[k].thread, NULL);
        for (int i = 0; i < 3 + k; i++)
            assert_int_equal(owners[k].job.calls[i], 200);
        pith_pool_destroy(&owners[k].pool);
    }
}

static void create_and_destroy_at_once(void **state)
{
    (void)state;
    for (int r = 0; r < 50; r++) {
        pith_pool *pool;
        assert_int_equal(pith_pool_create(1 + r % 9, &pool), PITH_OK);
        pith_pool_destroy(&pool);
    }
    pith_pool *none = NULL;
    pith_pool_destroy(&none);
}

static void sizes_are_checked(void **state)
{
    (void)state;
    static const int bad[] = {0, -1, 1025, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pith_pool *pool = (pith_pool *)(void *)&pool;
        assert_int_equal(pith_pool_create(bad[i], &pool), PITH_ERROR_INVALID_ARGUMENT);
        assert_null(pool);
        assert_non_null(strstr(pith_last_error(), "1 to 1024"));
    }
}

static void parts_are_a_partition(void **state)
{
    (void)state;
    pith_rng rng;
    pith_rng_init(&rng, 5);
    for (int r = 0; r < 5000; r++) {
        int64_t count = (int64_t)(pith_rng_u64(&rng) % (r % 2 ? 200 : 100000)), unit = 1 + (int64_t)(pith_rng_u64(&rng) % 20);
        int n = 1 + (int)(pith_rng_u64(&rng) % 33);
        int64_t next = 0, units = (count + unit - 1) / unit;
        for (int i = 0; i < n; i++) {
            int64_t begin, end;
            pith_part(count, unit, i, n, &begin, &end);
            assert_true(begin == next && end >= begin);
            assert_true(begin == end || begin % unit == 0);
            assert_true(end == count || end % unit == 0);
            int64_t mine = (end - begin + unit - 1) / unit;
            assert_true(mine == units / n || mine == units / n + 1); /* nearly equal */
            next = end;
        }
        assert_true(next == count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_member_runs_once),
        cmocka_unit_test(sleepers_wake),
        cmocka_unit_test(barriers_order_writes),
        cmocka_unit_test(pools_side_by_side),
        cmocka_unit_test(create_and_destroy_at_once),
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(parts_are_a_partition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
