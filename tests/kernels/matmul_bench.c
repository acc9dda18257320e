/* SPDX-License-Identifier: MIT */
/* test_matmul --bench: one thread; for each type, tier and shape the 20th percentile of CPU time over
 * a number of runs (the machine may be shared). GOP/s count two operations per
 * weight and token; GB/s count the bytes of the packed weights. The bound beside a prompt rate is what the dot product
 * instructions alone would take at the clock that a chain of dependent additions shows; beside a decode rate it is the
 * rate at which this core reads a large array. */
#include "matmul_bench.h"

#include "matmul_case.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static volatile uint64_t sink;

static double clock_ghz(void) /* one dependent addition per cycle */
{
    double best = 1e9;
    for (int rep = 0; rep < 5; rep++) {
        double start = now();
        uint64_t x = sink, step = sink | 1;
        for (int i = 0; i < 10000000; i++) {
            x += step;
            __asm__ volatile("" : "+r"(x));
        }
        sink = x;
        best = now() - start < best ? now() - start : best;
    }
    return 0.01 / best;
}

static double read_gbs(void)
{
    size_t n = (size_t)32 << 20;
    uint64_t *p = pith_aligned_alloc(n * 8);
    if (!p)
        return 0.0;
    memset(p, 1, n * 8);
    double best = 1e9;
    for (int rep = 0; rep < 5; rep++) {
        double start = now();
        uint64_t a[8] = {0};
        for (size_t i = 0; i < n; i += 8)
            for (size_t j = 0; j < 8; j++)
                a[j] += p[i + j];
        for (int j = 0; j < 8; j++)
            sink += a[j];
        best = now() - start < best ? now() - start : best;
    }
    pith_aligned_free(p);
    return (double)n * 8e-9 / best;
}

typedef struct shape { const char *name; int64_t rows, cols, n; } shape;

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void bench_one(const char *tier, const pith_cpu_kernels *k, const mm_case *c, double budget)
{
    void *act = pith_aligned_alloc(pith_cpu_act_bytes(c->m.act, c->cols, c->n)), *scratch = pith_aligned_alloc(pith_cpu_matmul_scratch_bytes(k, &c->m, c->n));
    float *y = pith_aligned_alloc((size_t)(c->n * c->rows) * sizeof(float));
    if (!act || !scratch || !y)
        return;
    enum { MAX = 4096 };
    static double times[MAX], act_times[MAX];
    double begin = now();
    int n = 0;
    for (; n < 5 || (n < MAX && now() - begin < budget); n++) {
        double start = now();
        pith_cpu_act_pack(k, c->m.act, c->x, c->cols, c->cols, c->n, 0, c->n, act);
        double packed = now();
        pith_cpu_matmul(k, &c->m, act, c->n, 0, c->rows, NULL, false, y, c->rows, scratch);
        double end = now();
        act_times[n] = packed - start;
        times[n] = end - packed;
    }
    qsort(times, (size_t)n, sizeof *times, by_value);
    qsort(act_times, (size_t)n, sizeof *act_times, by_value);
    double best = times[n / 5], best_act = act_times[n / 5];
    double ops = 2.0 * (double)c->rows * (double)c->cols * (double)c->n;
    printf("%-7s %-7s %6lldx%-5lld n%-4lld %9.1f GOP/s %7.2f GB/s   act %6.2f Gelem/s\n", pith_dtype_get((uint32_t)c->type).name, tier,
           (long long)c->rows, (long long)c->cols, (long long)c->n, ops * 1e-9 / best, (double)c->m.bytes * 1e-9 / best,
           (double)(c->cols * c->n) * 1e-9 / best_act);
    fflush(stdout);
    pith_aligned_free(act);
    pith_aligned_free(scratch);
    pith_aligned_free(y);
}

static void bench_pack(pith_dtype type)
{
    mm_case c;
    mm_case_make(&c, 1, type, 1024, 2048, 1, PITH_GEN_NORMAL, false);
    pith_cpu_kernels k;
    mm_table(&k, 0);
    double best = 1e9;
    for (int rep = 0; rep < 5; rep++) {
        double start = now();
        pith_cpu_matrix_pack(&c.m, &k, c.file, 0, c.rows);
        best = now() - start < best ? now() - start : best;
    }
    printf("%-7s pack into %-8s %6.2f GB/s of file\n", pith_dtype_get((uint32_t)type).name, c.m.layout,
           (double)pith_dtype_row_bytes(type, 1024 * 2048) * 1e-9 / best);
    mm_case_free(&c);
}

int mm_bench(const char *only)
{
    static const shape shapes[] = {
        {"135M up", 1536, 576, 512}, {"135M down", 576, 1536, 512}, {"1B up", 8192, 2048, 256}, {"1B down", 2048, 8192, 256},
        {"1B q", 2048, 2048, 8},     {"1B q", 2048, 2048, 3},       {"1B q", 2048, 2048, 1},    {"1B head", 65536, 2048, 1}};
    const mm_tier *tiers;
    int n_tiers = mm_tiers(&tiers);
    double ghz = clock_ghz(), gbs = read_gbs();
    printf("clock about %.2f GHz: int8 dot bound (two per cycle) %.0f GOP/s at 64 bytes, %.0f at 32 bytes without VNNI; f32 %.0f / %.0f; read %.1f GB/s\n",
           ghz, ghz * 256, ghz * 128, ghz * 64, ghz * 32, gbs);
    for (int i = 0; i < mm_n_types; i++) {
        pith_dtype type = mm_types[i];
        const char *name = pith_dtype_get((uint32_t)type).name;
        bool is_type = only && strcmp(only, name) == 0, is_tier = false;
        for (int t = 0; t < n_tiers; t++)
            is_tier |= only && strcmp(only, tiers[t].name) == 0;
        if (only && !is_type && !is_tier)
            continue;
        bench_pack(type);
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            mm_case c;
            if (shapes[s].cols % pith_dtype_get((uint32_t)type).block_elems != 0)
                continue;
            mm_case_make(&c, 1, type, shapes[s].rows, shapes[s].cols, shapes[s].n, PITH_GEN_NORMAL, false);
            void *guarded = c.m.data, *data = pith_aligned_alloc(c.m.bytes);
            if (data) {
                memcpy(data, guarded, c.m.bytes);
                c.m.data = data;
                for (int t = 1; t < n_tiers; t++) {
                    pith_cpu_kernels k;
                    if (is_tier && strcmp(only, tiers[t].name) != 0)
                        continue;
                    mm_table(&k, tiers[t].flags);
                    bench_one(tiers[t].name, &k, &c, 0.15);
                }
                c.m.data = guarded;
                pith_aligned_free(data);
            }
            mm_case_free(&c);
        }
    }
    return 0;
}
