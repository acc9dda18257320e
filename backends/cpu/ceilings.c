/* SPDX-License-Identifier: MIT */
/* What this machine does at best with this team of threads: reading memory, and the backend's own product at a shape
 * that suits it, of whichever weight type is fastest. Bounds for a profile, measured in the same run. */
#include "cpu.h"
#include "base/mem.h"
#include "base/os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_BYTES ((size_t)256 << 20)
#define WINDOWS 4       /* timed one by one: short enough to be left alone, and gone from every cache when its turn comes again */
#define READ_AHEAD 6144 /* bytes: what the decode kernels do */
#define ROUNDS 12       /* best of: others may be using the machine */
#define ROWS 2048
#define COLS 2048
#define TOKENS 512
#define FEW 16          /* a slow kernel is measured on so many */
#define BUDGET_NS 250000000u /* per weight type */

/* ---- memory --------------------------------------------------------------------------------------------------------- */

struct reading {
    const uint8_t *data;
    size_t bytes, from; /* reads [from, from + bytes) */
    volatile uint64_t sum; /* so that no compiler leaves the loads out */
};

static void read_part(void *user, int i, int n)
{
    struct reading *r = user;
    int64_t begin, end;
    pith_part((int64_t)r->bytes, 256, i, n, &begin, &end);
    uint64_t sum[4] = {0};
    for (const uint8_t *p = r->data + r->from + begin; p < r->data + r->from + end; p += 64) {
        uint64_t line[8];
        __builtin_prefetch(p + READ_AHEAD, 0, 3);
        memcpy(line, p, sizeof line);
        for (int k = 0; k < 8; k++)
            sum[k & 3] ^= line[k];
    }
    if ((sum[0] ^ sum[1] ^ sum[2] ^ sum[3]) == 1)
        r->sum = 1;
}

static void touch_part(void *user, int i, int n)
{
    const struct reading *r = user;
    int64_t begin, end;
    pith_part((int64_t)r->bytes, 4096, i, n, &begin, &end);
    memset((uint8_t *)(uintptr_t)r->data + begin, 1, (size_t)(end - begin));
}

static bool measure_memory(pith_cpu_backend *cpu, pith_ceilings *out)
{
    struct reading r = {.bytes = READ_BYTES};
    while (!(r.data = pith_aligned_alloc(r.bytes)) && r.bytes > READ_BYTES / 16)
        r.bytes /= 2;
    if (!r.data)
        return false;
    pith_pool_run(cpu->pool, touch_part, &r);
    const size_t all = r.bytes;
    uint64_t best = UINT64_MAX;
    r.bytes /= WINDOWS;
    for (int k = 0; k < ROUNDS * WINDOWS; k++) {
        r.from = (size_t)(k % WINDOWS) * r.bytes;
        uint64_t begin = pith_os_now_ns();
        pith_pool_run(cpu->pool, read_part, &r);
        uint64_t ns = pith_os_now_ns() - begin;
        best = ns < best ? ns : best;
    }
    pith_aligned_free((void *)(uintptr_t)r.data);
    out->memory_bytes_per_second = (double)r.bytes / ((double)best * 1e-9);
    snprintf(out->memory_how, sizeof out->memory_how, "reading %zu MiB", all >> 20);
    return true;
}

/* ---- products ------------------------------------------------------------------------------------------------------- */

struct product {
    const pith_cpu_backend *cpu;
    pith_cpu_matrix m;
    int64_t tokens;
    float *x, *y;
    uint8_t *act, *scratch;
    size_t scratch_bytes; /* of one member */
};

static void multiply_part(void *user, int i, int n)
{
    const struct product *p = user;
    int64_t r0, r1;
    pith_part(ROWS, 2 * PITH_CPU_ROW_UNIT, i, n, &r0, &r1);
    if (r0 < r1)
        pith_cpu_matmul(&p->cpu->kernels, &p->m, p->act, p->tokens, r0, r1, NULL, false, p->y, ROWS, p->scratch + (size_t)i * p->scratch_bytes);
}

/* Nanoseconds of one product with `tokens` tokens. */
static uint64_t multiply(struct product *p, int64_t tokens)
{
    p->tokens = tokens;
    pith_cpu_act_pack(&p->cpu->kernels, p->m.act, p->x, COLS, COLS, tokens, 0, tokens, p->act);
    uint64_t begin = pith_os_now_ns();
    pith_pool_run(p->cpu->pool, multiply_part, p);
    return pith_os_now_ns() - begin;
}

/* FLOP per second with weights of a type; 0: no memory, or a type that does not run here. */
static double product_rate(const pith_cpu_backend *cpu, pith_dtype type)
{
    struct product p = {.cpu = cpu};
    if (pith_cpu_matrix_init(&p.m, &cpu->kernels, type, ROWS, COLS) != PITH_OK)
        return 0;
    size_t src_bytes = pith_dtype_row_bytes(type, COLS) * ROWS;
    p.scratch_bytes = (pith_cpu_matmul_scratch_bytes(&cpu->kernels, &p.m, TOKENS) + PITH_PAD_BYTES + 4095) / 4096 * 4096;
    uint8_t *src = malloc(src_bytes);
    p.m.data = pith_aligned_alloc(p.m.bytes);
    p.x = pith_aligned_alloc((size_t)TOKENS * COLS * sizeof *p.x);
    p.y = pith_aligned_alloc((size_t)TOKENS * ROWS * sizeof *p.y);
    p.act = pith_aligned_alloc(pith_cpu_act_bytes(p.m.act, COLS, TOKENS));
    p.scratch = pith_aligned_alloc(p.scratch_bytes * (size_t)pith_pool_size(cpu->pool));
    double rate = 0;
    if (src && p.m.data && p.x && p.y && p.act && p.scratch) {
        memset(src, 0x2e, src_bytes); /* small numbers in every type */
        memset(p.scratch, 0, p.scratch_bytes * (size_t)pith_pool_size(cpu->pool));
        memset(p.y, 0, (size_t)TOKENS * ROWS * sizeof *p.y);
        for (size_t i = 0; i < (size_t)TOKENS * COLS; i++)
            p.x[i] = (float)(i % 7) - 3;
        pith_cpu_matrix_pack(&p.m, &cpu->kernels, src, 0, ROWS);
        /* Short products are more often left alone, long ones may be faster; a slow kernel gets neither. */
        static const int64_t counts[] = {FEW, TOKENS / 4, TOKENS};
        for (uint64_t i = 0, spent = 0; i < 3 * ROUNDS && spent < BUDGET_NS; i++) {
            int64_t tokens = counts[i % 3];
            uint64_t ns = multiply(&p, tokens);
            double now = 2.0 * ROWS * COLS * (double)tokens / ((double)ns * 1e-9);
            rate = now > rate ? now : rate;
            spent += ns;
            if (i == 0 && ns > BUDGET_NS / 64) /* 512 tokens take 32 times as long */
                break;
        }
    }
    free(src);
    pith_aligned_free(p.m.data);
    pith_aligned_free(p.x);
    pith_aligned_free(p.y);
    pith_aligned_free(p.act);
    pith_aligned_free(p.scratch);
    return rate;
}

pith_status pith_cpu_ceilings(pith_backend *b, pith_ceilings *out)
{
    static const pith_dtype types[] = {PITH_DTYPE_Q4_0, PITH_DTYPE_Q8_0, PITH_DTYPE_BF16, PITH_DTYPE_F16, PITH_DTYPE_F32};
    pith_cpu_backend *cpu = pith_cpu_of(b);
    *out = (pith_ceilings){0};
    bool ok = measure_memory(cpu, out);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        double rate = product_rate(cpu, types[i]);
        if (rate <= out->flop_per_second)
            continue;
        out->flop_per_second = rate;
        snprintf(out->flop_how, sizeof out->flop_how, "%s weights, %d x %d, up to %d tokens", pith_dtype_get((uint32_t)types[i]).name, ROWS, COLS,
                 TOKENS);
    }
    if (ok && out->flop_per_second > 0)
        return PITH_OK;
    *out = (pith_ceilings){0};
    return pith_fail(PITH_ERROR_NO_MEMORY, "cpu: no memory to measure what it does at best");
}
