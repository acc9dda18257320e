/* SPDX-License-Identifier: MIT */
/* A fixed team of threads. The caller is member 0; the others wait between jobs, spinning for a short while and then
 * asleep. Inside a job the members meet at barriers. One job at a time: a pool belongs to one backend, which is used
 * by one thread at a time. */
#ifndef PITH_BASE_THREAD_H
#define PITH_BASE_THREAD_H

#include <pith/pith.h>

#include <stdint.h>

typedef struct pith_pool pith_pool;

/* What each member runs: i in [0, n). */
typedef void (*pith_job_fn)(void *user, int i, int n);

/* Starts n - 1 threads (n in [1, 1024]). Returns an owned pool. Errors: INVALID_ARGUMENT, NO_MEMORY, DEVICE (no thread). */
pith_status pith_pool_create(int n, pith_pool **out);
void pith_pool_destroy(pith_pool **pool);
int pith_pool_size(const pith_pool *pool);

/* Every member runs fn(user, i, n) once; returns when all have. */
void pith_pool_run(pith_pool *pool, pith_job_fn fn, void *user);

/* Inside a job, called by every member: none goes on before all have come. Writes before it are seen after it. */
void pith_pool_barrier(pith_pool *pool);

/* The i-th of n nearly equal parts of [0, count), in whole multiples of `unit` but for the last. */
static inline void pith_part(int64_t count, int64_t unit, int i, int n, int64_t *begin, int64_t *end)
{
    int64_t units = (count + unit - 1) / unit;
    int64_t b = units * i / n * unit, e = units * (i + 1) / n * unit;
    *begin = b < count ? b : count;
    *end = e < count ? e : count;
}

#endif
