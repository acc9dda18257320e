/* SPDX-License-Identifier: MIT */
/* Speed of attention on this machine: GFLOP/s of a prefill chunk (4 E per query, head and key seen), GB/s of the keys
 * and values that a decode step reads. Best of several runs; the last column sets prefill against the multiply-add rate
 * that the same vectors reach in registers. */
#include "attn_case.h"

#include "base/mem.h"
#include "base/os.h"
#include "base/rng.h"
#include "cpuid.h"

#include <stdlib.h>
#include <time.h>

/* Time that one thread computed, so that a busy machine does not count against us; with more threads the wall's. */
static uint64_t now_ns(int threads)
{
    struct timespec t;
    if (threads > 1)
        return pith_os_now_ns();
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#if defined(PITH_SIMD) && defined(__x86_64__)
/* Twelve independent multiply-adds on registers of zeros. */
#define FMA(v, r) "vfmadd231ps %%" v "0, %%" v "0, %%" v #r "\n\t"
#define FMA12(v) FMA(v, 1) FMA(v, 2) FMA(v, 3) FMA(v, 4) FMA(v, 5) FMA(v, 6) \
                 FMA(v, 7) FMA(v, 8) FMA(v, 9) FMA(v, 10) FMA(v, 11) FMA(v, 12)
#define USED "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12"

static void fma_run(uint32_t flags, int64_t steps)
{
    __asm__ volatile("vzeroall" ::: USED, "xmm13", "xmm14", "xmm15");
    for (int64_t n = 0; n < steps; n++) {
        if (flags & PITH_CPU_AVX512)
            __asm__ volatile(FMA12("zmm") ::: USED);
        else
            __asm__ volatile(FMA12("ymm") ::: USED);
    }
}

/* GFLOP/s of one thread. */
static double peak(uint32_t flags)
{
    double best = 0;
    if (!(flags & PITH_CPU_AVX2))
        return 0;
    for (int run = 0; run < 10; run++) {
        uint64_t t = now_ns(1);
        fma_run(flags, 1000000);
        double flops = 1e6 * 12 * 2 * (flags & PITH_CPU_AVX512 ? 16 : 8) / (double)(now_ns(1) - t);
        best = flops > best ? flops : best;
    }
    return best;
}
#else
static double peak(uint32_t flags) { return flags ? 0 : 0; }
#endif

struct bench {
    const pith_cpu_kernels *k;
    pith_pool *pool;
    pith_cpu_attend_args args;
};

static void bench_run(void *user, int i, int n)
{
    struct bench *b = user;
    pith_cpu_attend(b->k, &b->args, b->pool, i, n);
}

/* One call at position pos: CCA with g = 16, s = 1024, 4 sinks (group > 0) or full attention. Returns seconds, best. */
static double measure(const pith_cpu_kernels *k, pith_pool *pool, pith_dtype dtype, int32_t n_head, int32_t n_kv,
                      int32_t dim, int64_t n_tokens, int64_t pos, int32_t group, double *pairs, double *bytes)
{
    const int64_t far = (int64_t)1 << 40;
    int64_t visible = group ? (pos + n_tokens) / group + 1 : 0, base = group ? visible * group : 0;
    pith_kv_layout l = {.dtype = dtype, .n_kv = n_kv, .core_heads = group ? n_kv : 0, .head_dim = dim, .core_rows = visible};
    base = group ? (pos + 1 - 1024) / group * group : 0;
    l.n_fixed = group ? 4 : 0;
    l.raw_rows = l.n_fixed + pos + n_tokens - base;
    if (!pith_kv_layout_fill(&l))
        abort();
    uint8_t *kv = pith_aligned_alloc(l.bytes);
    pith_rng rng;
    pith_rng_init(&rng, 1);
    size_t row = (size_t)n_head * (size_t)dim;
    if (dtype == PITH_DTYPE_F32) {
        for (size_t i = 0; i < l.bytes / 4; i++)
            ((float *)(void *)kv)[i] = pith_rng_range(&rng, -1, 1);
    } else { /* random small halves: also good as scales and int8 */
        for (size_t i = 0; i < l.bytes / 2; i++)
            ((uint16_t *)(void *)kv)[i] = (uint16_t)(0x2000 + (pith_rng_u64(&rng) & 0x9bff));
    }
    float *q = pith_aligned_alloc(sizeof(float) * row * (size_t)n_tokens),
          *out = pith_aligned_alloc(sizeof(float) * row * (size_t)n_tokens);
    for (size_t i = 0; i < row * (size_t)n_tokens; i++)
        q[i] = pith_rng_normal(&rng);
    pith_bound to_i = {.min = 0, .max = far, .mul = 1, .group = 1}, sinks = to_i;
    sinks.max = 4;
    pith_segment seg[3] = {{.source = PITH_SEGMENT_RAW, .lo = pith_bound_const(0), .hi = group ? sinks : to_i}};
    seg[1] = (pith_segment){.source = PITH_SEGMENT_CORE, .lo = pith_bound_const(0), .bias = true};
    seg[1].hi = (pith_bound){.min = 0, .max = far, .shift = 1024, .mul = 1, .group = group};
    seg[2] = (pith_segment){.source = PITH_SEGMENT_RAW, .hi = to_i};
    seg[2].lo = (pith_bound){.min = 4, .max = far, .shift = 1024, .mul = group, .group = group};
    void *scratch = pith_aligned_alloc(pith_cpu_attend_scratch_bytes(n_tokens, n_head, dim, pith_pool_size(pool)));
    struct bench b = {.k = k, .pool = pool};
    b.args = (pith_cpu_attend_args){.q = q,
                                    .ldq = (int64_t)row,
                                    .out = out,
                                    .ldo = (int64_t)row,
                                    .n_tokens = n_tokens,
                                    .pos0 = pos,
                                    .n_head = n_head,
                                    .scale = 0.1f,
                                    .segments = seg,
                                    .n_segments = group ? 3 : 1,
                                    .layout = &l,
                                    .kv = kv,
                                    .raw_base = base,
                                    .scratch = scratch};
    *pairs = 0;
    double keys = 0;
    for (int64_t i = pos; i < pos + n_tokens; i++) {
        keys = 0;
        for (int32_t s = 0; s < b.args.n_segments; s++)
            keys += (double)(pith_bound_at(&seg[s].hi, i) - pith_bound_at(&seg[s].lo, i));
        *pairs += keys * n_head;
    }
    *bytes = keys * n_kv * 2 * (l.raw_k.row_bytes + (dtype == PITH_DTYPE_Q8_0 ? (double)dim / 16 : 0));
    double best = 1e9;
    for (int run = 0; run < 100; run++) {
        uint64_t t = now_ns(pith_pool_size(pool));
        pith_pool_run(pool, bench_run, &b);
        double s = (double)(now_ns(pith_pool_size(pool)) - t) * 1e-9;
        best = s < best ? s : best;
        if (run > 2 && s * run > 0.5)
            break;
    }
    pith_aligned_free(scratch), pith_aligned_free(q), pith_aligned_free(out), pith_aligned_free(kv);
    return best;
}

void attn_bench(int threads)
{
    static const struct { int32_t n_head, n_kv, dim; } shapes[] = {{32, 8, 128}, {9, 3, 64}, {32, 8, 64}, {32, 32, 128}};
    static const char *names[] = {"f32", "f16", "q8_0"};
    static const pith_dtype types[] = {PITH_DTYPE_F32, PITH_DTYPE_F16, PITH_DTYPE_Q8_0};
    uint32_t flags[3];
    int n = attn_tiers(flags);
    pith_pool *pool;
    if (pith_pool_create(threads, &pool) != PITH_OK)
        abort();
    for (int i = 1; i < n; i++) {
        pith_cpu_kernels k;
        pith_cpu_kernels_init(&k, flags[i]);
        double top = peak(flags[i]);
        char tier[64];
        pith_cpu_flags_describe(flags[i], tier, sizeof tier);
        printf("%s, %d threads, %.0f GFLOP/s a thread in registers\n", tier, threads, top);
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            for (int t = 1; t < 3; t++) {
                double pairs, bytes, sec;
                printf("  H %2d K %2d E %3d %-4s  prefill 512 GFLOP/s (%%):", shapes[s].n_head, shapes[s].n_kv,
                       shapes[s].dim, names[t]);
                for (int c = 0; c < 5; c++) {
                    int64_t pos = (int64_t[]){0, 2048, 0, 32768, 131072 - 512}[c];
                    sec = measure(&k, pool, types[t], shapes[s].n_head, shapes[s].n_kv, shapes[s].dim, 512,
                                  pos + (c > 1 && !pos ? 4096 : 0), c < 2 ? 0 : 16, &pairs, &bytes);
                    double rate = pairs * 4 * shapes[s].dim / sec * 1e-9;
                    printf(" %s%.0f (%.0f)",
                           c == 0   ? "full@0 "
                           : c == 1 ? "full@2K "
                           : c == 2 ? "cca@4K "
                           : c == 3 ? "cca@32K "
                                    : "cca@128K ",
                           rate, 100 * rate / top / threads);
                }
                sec = measure(&k, pool, types[t], shapes[s].n_head, shapes[s].n_kv, shapes[s].dim, 1, 131071, 16, &pairs,
                              &bytes);
                printf("  decode cca@128K %.1f GB/s %.0f us", bytes / sec * 1e-9, sec * 1e6);
                sec =
                    measure(&k, pool, types[t], shapes[s].n_head, shapes[s].n_kv, shapes[s].dim, 1, 4095, 0, &pairs, &bytes);
                printf("  full@4K %.1f GB/s\n", bytes / sec * 1e-9);
            }
        }
    }
    pith_pool_destroy(&pool);
}
