/* SPDX-License-Identifier: MIT */
/* Job start and barriers are sequence numbers that members spin on; after SPINS tries a member sleeps (job start: on a
 * condition variable; barrier: sched_yield, since the others are working). */
#include "base/thread.h"
#include "base/mem.h"
#include "base/status.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* About 50 us on current cores: longer than the gap between two steps of a decode loop. */
#define SPINS 20000
/* A barrier waits for work in progress; yield early enough that an oversubscribed machine still moves. */
#define BARRIER_SPINS 4000

struct member {
    pith_pool *pool;
    int i;
    pthread_t thread;
};

struct pith_pool {
    _Alignas(64) atomic_uint job_seq;     /* counts jobs begun */
    _Alignas(64) atomic_int running;      /* members still inside the job, member 0 left out */
    _Alignas(64) atomic_int arrived;      /* at the current barrier */
    _Alignas(64) atomic_uint barrier_seq; /* counts barriers passed */
    _Alignas(64) pith_job_fn fn;
    void *user;
    int n;
    int started; /* threads that exist, for cleaning up */
    atomic_bool stop;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    atomic_int sleeping;
    struct member *members;
};

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

static unsigned wait_for_job(pith_pool *pool, unsigned seen)
{
    for (int spin = 0; spin < SPINS; spin++) {
        unsigned seq = atomic_load_explicit(&pool->job_seq, memory_order_acquire);
        if (seq != seen)
            return seq;
        cpu_relax();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleeping, 1);
    unsigned seq;
    while ((seq = atomic_load(&pool->job_seq)) == seen)
        pthread_cond_wait(&pool->wake, &pool->mutex);
    atomic_fetch_sub(&pool->sleeping, 1);
    pthread_mutex_unlock(&pool->mutex);
    return seq;
}

static void *member_main(void *arg)
{
    struct member *m = arg;
    pith_pool *pool = m->pool;
    unsigned seen = 0;
    for (;;) {
        seen = wait_for_job(pool, seen);
        if (atomic_load_explicit(&pool->stop, memory_order_acquire))
            return NULL;
        pool->fn(pool->user, m->i, pool->n);
        atomic_fetch_sub_explicit(&pool->running, 1, memory_order_release);
    }
}

static void job_begin(pith_pool *pool)
{
    /* The store is sequentially consistent with `sleeping`: either we see the sleeper, or it sees the new job. */
    atomic_fetch_add(&pool->job_seq, 1);
    if (atomic_load(&pool->sleeping) > 0) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
    }
}

pith_status pith_pool_create(int n, pith_pool **out)
{
    *out = NULL;
    if (n < 1 || n > 1024)
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "threads: expected 1 to 1024, got %d", n);
    pith_pool *pool = pith_aligned_alloc(sizeof *pool);
    if (!pool)
        return pith_fail(PITH_ERROR_NO_MEMORY, "threads: no memory for the pool");
    memset(pool, 0, sizeof *pool);
    pool->n = n;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->members = pith_calloc((size_t)n, sizeof *pool->members);
    if (!pool->members) {
        pith_pool_destroy(&pool);
        return pith_fail(PITH_ERROR_NO_MEMORY, "threads: no memory for %d members", n);
    }
    for (int i = 1; i < n; i++) {
        pool->members[i] = (struct member){.pool = pool, .i = i};
        if (pthread_create(&pool->members[i].thread, NULL, member_main, &pool->members[i]) != 0) {
            pith_pool_destroy(&pool);
            return pith_fail(PITH_ERROR_DEVICE, "threads: cannot start thread %d of %d", i, n);
        }
        pool->started = i;
    }
    *out = pool;
    return PITH_OK;
}

void pith_pool_destroy(pith_pool **pool_ptr)
{
    pith_pool *pool = *pool_ptr;
    if (!pool)
        return;
    *pool_ptr = NULL;
    atomic_store_explicit(&pool->stop, true, memory_order_release);
    job_begin(pool);
    for (int i = 1; i <= pool->started; i++)
        pthread_join(pool->members[i].thread, NULL);
    pthread_mutex_destroy(&pool->mutex);
    pthread_cond_destroy(&pool->wake);
    free(pool->members);
    pith_aligned_free(pool);
}

int pith_pool_size(const pith_pool *pool)
{
    return pool->n;
}

void pith_pool_run(pith_pool *pool, pith_job_fn fn, void *user)
{
    if (pool->n == 1) {
        fn(user, 0, 1);
        return;
    }
    pool->fn = fn;
    pool->user = user;
    atomic_store_explicit(&pool->running, pool->n - 1, memory_order_relaxed);
    job_begin(pool);
    fn(user, 0, pool->n);
    for (int spin = 0; atomic_load_explicit(&pool->running, memory_order_acquire) > 0; spin++) {
        if (spin < BARRIER_SPINS)
            cpu_relax();
        else
            sched_yield();
    }
}

void pith_pool_barrier(pith_pool *pool)
{
    if (pool->n == 1)
        return;
    unsigned seq = atomic_load_explicit(&pool->barrier_seq, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&pool->arrived, 1, memory_order_acq_rel) == pool->n - 1) {
        atomic_store_explicit(&pool->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&pool->barrier_seq, seq + 1, memory_order_release);
        return;
    }
    for (int spin = 0; atomic_load_explicit(&pool->barrier_seq, memory_order_acquire) == seq; spin++) {
        if (spin < BARRIER_SPINS)
            cpu_relax();
        else
            sched_yield();
    }
}
