/* SPDX-License-Identifier: MIT */
#include "matmul_case.h"

#include "blas.h"
#include "cpuid.h"
#include "harness/guard.h"
#include "matmul_layout.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const pith_dtype mm_types[] = {
    PITH_DTYPE_F32,  PITH_DTYPE_F16,  PITH_DTYPE_BF16,   PITH_DTYPE_Q4_0, PITH_DTYPE_Q4_1, PITH_DTYPE_Q5_0, PITH_DTYPE_Q5_1, PITH_DTYPE_Q8_0,
    PITH_DTYPE_IQ4_NL, PITH_DTYPE_Q2_K, PITH_DTYPE_Q3_K, PITH_DTYPE_Q4_K, PITH_DTYPE_Q5_K, PITH_DTYPE_Q6_K, PITH_DTYPE_IQ4_XS};
const int mm_n_types = sizeof mm_types / sizeof mm_types[0];

#define BLAS (1u << 31) /* not a flag of the table: asks for the products through BLAS */

int mm_tiers(const mm_tier **out)
{
    static mm_tier found[8];
    static const mm_tier all[] = {
        {"scalar", 0},
        {"avx2", PITH_CPU_AVX2},
        {"avx512", PITH_CPU_AVX2 | PITH_CPU_AVX512},
        {"vnni", PITH_CPU_AVX2 | PITH_CPU_AVX512 | PITH_CPU_VNNI},
        {"bf16", PITH_CPU_AVX2 | PITH_CPU_AVX512 | PITH_CPU_VNNI | PITH_CPU_BF16},
    };
    pith_cpu_kernels k;
    int n = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if ((all[i].flags & ~pith_cpu_flags()) == 0)
            found[n++] = all[i];
    if (pith_cpu_matmul_init_blas(&k))
        found[n++] = (mm_tier){"blas", BLAS};
    *out = found;
    return n;
}

void mm_table(pith_cpu_kernels *k, uint32_t flags)
{
    memset(k, 0, sizeof *k);
    k->flags = flags & ~BLAS;
    pith_cpu_matmul_init_c(k);
#define X(type, slot) k->slot = pith_cpu_##slot##_c; /* even where init prefers BLAS */
    PITH_CPU_MATMUL_TYPES(X)
#undef X
    if (flags & BLAS)
        pith_cpu_matmul_init_blas(k);
#if defined(PITH_SIMD) && defined(__x86_64__)
    if (flags & PITH_CPU_AVX2)
        pith_cpu_matmul_init_avx2(k);
    if (flags & PITH_CPU_AVX512)
        pith_cpu_matmul_init_avx512(k);
    if (flags & PITH_CPU_VNNI)
        pith_cpu_matmul_init_vnni(k);
    if (flags & PITH_CPU_BF16)
        pith_cpu_matmul_init_bf16(k);
#endif
}

void mm_case_make(mm_case *c, uint64_t seed, pith_dtype type, int64_t rows, int64_t cols, int64_t n, pith_gen_kind kind, bool extreme)
{
    pith_rng rng;
    pith_rng_init(&rng, seed);
    *c = (mm_case){.type = type, .rows = rows, .cols = cols, .n = n};
    size_t row_bytes = pith_dtype_row_bytes(type, (size_t)cols);
    c->file = pith_guard_alloc(row_bytes * (size_t)rows, 7);
    pith_gen_blocks(&rng, type, extreme ? 30.0 : 0.01, extreme, c->file, (size_t)(rows * cols));
    c->x = pith_guard_alloc((size_t)(n * cols) * sizeof(float), 4);
    pith_gen_f32(&rng, kind, c->x, (size_t)(n * cols));
    pith_cpu_kernels k;
    mm_table(&k, 0);
    if (pith_cpu_matrix_init(&c->m, &k, type, rows, cols) != PITH_OK)
        abort();
    c->m.data = pith_guard_alloc(c->m.bytes, 0);
    int64_t middle = rows / 2 / 16 * 16; /* two ranges, the later one first: as two threads might */
    pith_cpu_matrix_pack(&c->m, &k, c->file, middle, rows);
    pith_cpu_matrix_pack(&c->m, &k, c->file, 0, middle);
    if (!pith_guard_check(c->m.data, "packed matrix"))
        abort();
}

void mm_case_free(mm_case *c)
{
    pith_guard_free(c->file);
    pith_guard_free(c->x);
    pith_guard_free(c->m.data);
    memset(c, 0, sizeof *c);
}

bool mm_case_run(const mm_case *c, const pith_cpu_kernels *k, int64_t t0, int64_t t1, int64_t row0, int64_t row1, const float *bias,
                 bool accumulate, float *y, int64_t ldy)
{
    int64_t n = t1 - t0;
    void *act = pith_guard_alloc(pith_cpu_act_bytes(c->m.act, c->cols, n), 0);
    void *scratch = pith_guard_alloc(pith_cpu_matmul_scratch_bytes(k, &c->m, n), 0);
    pith_cpu_act_pack(k, c->m.act, c->x + t0 * c->cols, c->cols, c->cols, n, 0, n / 2, act);
    pith_cpu_act_pack(k, c->m.act, c->x + t0 * c->cols, c->cols, c->cols, n, n / 2, n, act);
    pith_cpu_matmul(k, &c->m, act, n, row0, row1, bias, accumulate, y + t0 * ldy, ldy, scratch);
    bool ok = pith_guard_check(act, "activations") && pith_guard_check(scratch, "scratch") && pith_guard_check(c->m.data, "matrix");
    pith_guard_free(act);
    pith_guard_free(scratch);
    return ok;
}

uint64_t mm_seed = 20261122;

const char *mm_type_name(pith_dtype type) { return pith_dtype_get((uint32_t)type).name; }

uint64_t mm_case_seed(const char *test, pith_dtype type, int64_t rows, int64_t cols, int64_t n, pith_gen_kind kind)
{
    char name[128];
    snprintf(name, sizeof name, "%s %s %lldx%lld n%lld %s", test, mm_type_name(type), (long long)rows, (long long)cols, (long long)n,
             pith_gen_name(kind));
    return pith_gen_seed(mm_seed, name);
}

/* Activations as the product sees them, and what each may differ from x: a[i], e[i] for one token. */
void mm_act_values(const mm_case *c, int64_t t, double *a, double *e, double *sum_error)
{
    pith_cpu_kernels k;
    mm_table(&k, 0);
    const float *x = c->x + t * c->cols;
    uint8_t *row = pith_guard_alloc(pith_cpu_act_bytes(c->m.act, c->cols, 1), 0);
    pith_cpu_act_pack(&k, c->m.act, x, c->cols, c->cols, 1, 0, 1, row);
    *sum_error = 0.0;
    for (int64_t i = 0; i < c->cols; i++) {
        if (c->m.act == PITH_ACT_Q8_32) {
            const pith_act_q8_32 *b = (const pith_act_q8_32 *)row + i / 32;
            a[i] = (double)b->d * b->q[i % 32];
            e[i] = 0.51 * (double)b->d + 128.0 * ((double)b->d * 0x1p-11 + 0x1p-25);
            if (!isfinite(b->s)) /* a half that overflowed: nothing is promised */
                *sum_error = INFINITY;
        } else if (c->m.act == PITH_ACT_Q8_256) {
            const pith_act_q8_256 *b = (const pith_act_q8_256 *)row + i / 256;
            a[i] = (double)b->d * b->q[i % 256];
            e[i] = 0.51 * fabs((double)b->d) + 1e-35;
        } else {
            double u = c->m.act == PITH_ACT_F32 ? 0.0 : c->m.act == PITH_ACT_F16 ? 0x1p-11 : 0x1p-9;
            a[i] = (double)((const float *)(void *)row)[i];
            e[i] = u * fabs((double)x[i]) + (c->m.act == PITH_ACT_F16 ? 0x1p-25 : 0.0);
            if (!isfinite(a[i]))
                e[i] = INFINITY;
        }
    }
    pith_guard_free(row);
}

float *mm_weights(const mm_case *c)
{
    float *w = pith_guard_alloc((size_t)(c->rows * c->cols) * sizeof(float), 0);
    pith_dequantize(c->type, c->file, w, (size_t)(c->rows * c->cols));
    return w;
}
