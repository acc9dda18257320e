/* SPDX-License-Identifier: MIT */
/* Attention over random segment lists against their definition: every key of [lo(i), hi(i)) that the list leaves, one
 * softmax over all segments. Rows that no query sees are NaN. Also: lists of blocks, the seam of fixed and sliding rows,
 * queries with no key, and results that do not depend on the number of threads. */
#include "attn_case.h"
#include "base/half.h"
#include "base/mem.h"
#include "harness/compare.h"
#include "harness/gen.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { POSITIONS = 3000, CORES = 400 };
static const double u = 0x1p-24;

struct scene {
    pith_kv_layout l;
    uint8_t *kv;
    int64_t raw_base;
    int64_t n_tokens, pos0;
    int32_t n_head;
    float scale, *q, *out;
    pith_segment seg[PITH_SEGMENTS_MAX];
    int32_t n_segments;
    int32_t *lists[PITH_SEGMENTS_MAX];
};

static int64_t pick(pith_rng *rng, int64_t n) { return (int64_t)(pith_rng_u64(rng) % (uint64_t)n); }

/* Is `key` one of segment s for token t and KV head kv? */
static bool sees(const struct scene *w, int32_t s, int64_t t, int32_t kv, int64_t key)
{
    const pith_segment *seg = &w->seg[s];
    if (key < pith_bound_at(&seg->lo, w->pos0 + t) || key >= pith_bound_at(&seg->hi, w->pos0 + t))
        return false;
    bool listed = false;
    for (int32_t i = 0; seg->list != PITH_LIST_NONE && i < seg->list_max; i++) {
        int32_t b = w->lists[s][(t * w->l.n_kv + kv) * seg->list_max + i];
        listed |= b >= 0 && key / seg->list_block == b;
    }
    return seg->list == PITH_LIST_NONE || listed == (seg->list == PITH_LIST_ONLY);
}

static float *row_at(const struct scene *w, const pith_kv_plane *p, int32_t head, int64_t row)
{
    return (float *)(void *)(w->kv + p->offset + (uint64_t)head * p->head_bytes + (uint64_t)row * p->row_bytes);
}

static int64_t row_of(const struct scene *w, bool raw, int64_t key)
{
    return raw ? pith_kv_raw_row(&w->l, w->raw_base, key) : key;
}

/* Fills the rows that some query sees; all others stay NaN. */
static void rows_fill(struct scene *w, pith_rng *rng)
{
    memset(w->kv, 0xff, w->l.bytes);
    for (int32_t s = 0; s < w->n_segments; s++) {
        bool raw = w->seg[s].source == PITH_SEGMENT_RAW;
        int32_t heads = raw ? w->l.n_kv : w->l.core_heads;
        for (int64_t key = 0; key < (raw ? POSITIONS : CORES); key++) {
            for (int32_t h = 0; h < heads; h++) {
                bool seen = false;
                int32_t kv = raw || heads == w->l.n_kv ? h : h / (w->n_head / w->l.n_kv);
                for (int64_t t = 0; t < w->n_tokens && !seen; t++)
                    seen = sees(w, s, t, kv, key);
                float *k = row_at(w, raw ? &w->l.raw_k : &w->l.core_k, h, row_of(w, raw, key));
                float *v = row_at(w, raw ? &w->l.raw_v : &w->l.core_v, h, row_of(w, raw, key));
                if (!seen || !isnan(k[0]))
                    continue;
                pith_gen_f32(rng, PITH_GEN_NORMAL, k, (size_t)w->l.head_dim);
                pith_gen_f32(rng, PITH_GEN_NORMAL, v, (size_t)w->l.head_dim);
                if (!raw)
                    ((uint16_t *)(void *)(w->kv + w->l.bias_offset + (uint64_t)h * w->l.bias_head_bytes))[key] =
                        pith_f32_to_f16(pith_rng_range(rng, 0, 3));
            }
        }
    }
}

static bool scene_check(const struct scene *w, const char *what)
{
    pith_compare cmp;
    pith_compare_init(&cmp);
    int32_t dim = w->l.head_dim, share = w->n_head / w->l.n_kv;
    const float **values = malloc(sizeof *values * (POSITIONS + CORES) * PITH_SEGMENTS_MAX);
    double *z = malloc(sizeof *z * (POSITIONS + CORES) * PITH_SEGMENTS_MAX);
    for (int64_t t = 0; t < w->n_tokens; t++) {
        for (int32_t h = 0; h < w->n_head; h++) {
            const float *q = w->q + (t * w->n_head + h) * dim;
            double max = -INFINITY, l = 0, error = 0;
            int64_t n = 0;
            for (int32_t s = 0; s < w->n_segments; s++) {
                bool raw = w->seg[s].source == PITH_SEGMENT_RAW;
                int32_t head = raw || w->l.core_heads == w->l.n_kv ? h / share : h;
                for (int64_t key = 0; key < (raw ? POSITIONS : CORES); key++) {
                    if (!sees(w, s, t, h / share, key))
                        continue;
                    const float *k = row_at(w, raw ? &w->l.raw_k : &w->l.core_k, head, row_of(w, raw, key));
                    values[n] = row_at(w, raw ? &w->l.raw_v : &w->l.core_v, head, row_of(w, raw, key));
                    double sum = 0, size = 0, bias = 0;
                    for (int32_t e = 0; e < dim; e++) {
                        sum += (double)q[e] * k[e];
                        size += fabs((double)q[e] * k[e]);
                    }
                    if (!raw && w->seg[s].bias)
                        bias =
                            pith_f16_to_f32(((const uint16_t *)(const void *)(w->kv + w->l.bias_offset +
                                                                              (uint64_t)head * w->l.bias_head_bytes))[key]);
                    z[n] = sum * w->scale + bias;
                    error = fmax(error, (4 * sqrt(dim) + 8) * u * (size * w->scale + bias) + 4 * u * fabs(z[n]));
                    max = fmax(max, z[n++]);
                }
            }
            for (int64_t i = 0; i < n; i++)
                l += exp(z[i] - max);
            for (int32_t e = 0; e < dim; e++) {
                double o = 0, size = 0;
                for (int64_t i = 0; i < n; i++) {
                    o += exp(z[i] - max) / l * values[i][e];
                    size += exp(z[i] - max) / l * fabs((double)values[i][e]);
                }
                size_t at = (size_t)((t * w->n_head + h) * dim + e);
                pith_compare_add(&cmp, at, w->out[at], o,
                                 n ? (expm1(2 * error) + (16 + 4 * sqrt((double)n)) * u) * size : 0);
            }
        }
    }
    free(values), free(z);
    return pith_compare_ok(&cmp, what);
}

struct job { const pith_cpu_kernels *k; pith_pool *pool; pith_cpu_attend_args a; };

static void job_run(void *user, int i, int n)
{
    struct job *j = user;
    pith_cpu_attend(j->k, &j->a, j->pool, i, n);
}

static void scene_run(struct scene *w, uint32_t flags, int threads)
{
    pith_cpu_kernels k;
    pith_cpu_kernels_init(&k, flags);
    struct job j = {.k = &k};
    int64_t row = (int64_t)w->n_head * w->l.head_dim;
    if (pith_pool_create(threads, &j.pool) != PITH_OK)
        abort();
    j.a = (pith_cpu_attend_args){.q = w->q, .ldq = row, .out = w->out, .ldo = row, .n_tokens = w->n_tokens, .pos0 = w->pos0,
                                 .n_head = w->n_head, .scale = w->scale, .segments = w->seg, .n_segments = w->n_segments,
                                 .layout = &w->l, .kv = w->kv, .raw_base = w->raw_base};
    for (int s = 0; s < PITH_SEGMENTS_MAX; s++)
        j.a.lists[s] = w->lists[s];
    size_t bytes = pith_cpu_attend_scratch_bytes(w->n_tokens, w->n_head, w->l.head_dim, threads);
    j.a.scratch = pith_aligned_alloc(bytes);
    memset(j.a.scratch, 0xff, bytes);
    memset(w->out, 0xff, (size_t)(w->n_tokens * row) * sizeof *w->out);
    pith_pool_run(j.pool, job_run, &j);
    pith_aligned_free(j.a.scratch);
    pith_pool_destroy(&j.pool);
}

/* Ascending random blocks of [0, limit), padded with -1. */
static void list_fill(struct scene *w, int32_t s, pith_rng *rng, int64_t limit)
{
    pith_segment *seg = &w->seg[s];
    int64_t n = w->n_tokens * w->l.n_kv;
    w->lists[s] = malloc(sizeof(int32_t) * (size_t)(n * seg->list_max));
    for (int64_t i = 0; i < n; i++) {
        int32_t *list = w->lists[s] + i * seg->list_max, used = 0, want = (int32_t)pick(rng, seg->list_max + 1);
        for (int64_t b = 0; b <= limit / seg->list_block && used < want; b++) {
            if (pick(rng, limit / seg->list_block + 1) < 2 * want)
                list[used++] = (int32_t)b;
        }
        while (used < seg->list_max)
            list[used++] = -1;
    }
}

/* A random policy: fixed rows, cores, a sliding window, with and without lists. */
static void scene_make(struct scene *w, pith_rng *rng, bool lists)
{
    const int64_t far = (int64_t)1 << 40;
    static const int32_t shares[] = {1, 2, 3, 4, 7, 8, 12}, tokens[] = {1, 2, 3, 5, 17, 40};
    *w = (struct scene){.n_segments = 1 + (int32_t)pick(rng, 3)};
    int32_t share = shares[pick(rng, 7)], g = (int32_t)(1 + pick(rng, 16));
    w->l = (pith_kv_layout){.dtype = PITH_DTYPE_F32,
                            .n_kv = 1 + (int32_t)pick(rng, 2),
                            .head_dim = 8 * (1 + (int32_t)pick(rng, 5)),
                            .n_fixed = pick(rng, 30),
                            .core_rows = CORES};
    w->n_head = share * w->l.n_kv;
    w->l.core_heads = pick(rng, 2) ? w->l.n_kv : w->n_head;
    w->n_tokens = tokens[pick(rng, 6)];
    w->pos0 = pick(rng, pick(rng, 2) ? 40 : POSITIONS - 40);
    bool whole = pick(rng, 2);
    int64_t window = g * (1 + pick(rng, 40)), oldest = w->pos0 + 1 - window - g;
    w->raw_base = whole || oldest < w->l.n_fixed ? w->l.n_fixed : oldest;
    w->l.raw_rows = POSITIONS;
    if (!pith_kv_layout_fill(&w->l))
        abort();
    pith_bound to_i = {.min = 0, .max = far, .mul = 1, .group = 1}, fixed = to_i;
    fixed.max = w->l.n_fixed;
    w->seg[0] = (pith_segment){.source = PITH_SEGMENT_RAW, .hi = to_i};
    w->seg[0].lo = (pith_bound){
        .min = whole ? 0 : w->l.n_fixed, .max = far, .shift = window, .mul = pick(rng, 2) && whole ? 0 : g, .group = g};
    if (w->seg[0].lo.mul == 0)
        w->seg[0].lo = pith_bound_const(0);
    w->seg[1] = (pith_segment){.source = PITH_SEGMENT_CORE, .bias = pick(rng, 2), .lo = pith_bound_const(pick(rng, 4))};
    w->seg[1].hi = (pith_bound){.min = 0, .max = CORES, .shift = window, .mul = 1, .group = g};
    w->seg[2] = (pith_segment){.source = PITH_SEGMENT_RAW, .lo = pith_bound_const(pick(rng, 3)), .hi = fixed};
    for (int32_t s = 0; s < w->n_segments && lists; s++) {
        w->seg[s].list = (pith_segment_list)pick(rng, 3);
        w->seg[s].list_block = (int32_t)(1 + pick(rng, 70));
        w->seg[s].list_max = (int32_t)(1 + pick(rng, 12));
        if (w->seg[s].list != PITH_LIST_NONE)
            list_fill(w, s, rng, w->seg[s].source == PITH_SEGMENT_RAW ? w->pos0 + w->n_tokens : CORES);
    }
    size_t n = (size_t)(w->n_tokens * w->n_head * w->l.head_dim);
    w->kv = pith_aligned_alloc(w->l.bytes);
    w->q = malloc(n * sizeof *w->q), w->out = malloc(n * sizeof *w->out);
    w->scale = 1 / sqrtf((float)w->l.head_dim);
    pith_gen_f32(rng, PITH_GEN_NORMAL, w->q, n);
    rows_fill(w, rng);
}

static void scene_free(struct scene *w)
{
    pith_aligned_free(w->kv), free(w->q), free(w->out);
    for (int s = 0; s < PITH_SEGMENTS_MAX; s++)
        free(w->lists[s]);
}

static void scenes(bool lists, int count)
{
    uint32_t flags[3];
    int n = attn_tiers(flags);
    for (int i = 0; i < count; i++) {
        pith_rng rng;
        pith_rng_init(&rng, (uint64_t)i + (lists ? 1000 : 0));
        struct scene w;
        scene_make(&w, &rng, lists);
        size_t bytes = sizeof(float) * (size_t)(w.n_tokens * w.n_head * w.l.head_dim);
        float *first = malloc(bytes);
        char name[128];
        snprintf(name, sizeof name, "scene %d lists %d tier %d T %d H %d K %d E %d", i, lists, i % n, (int)w.n_tokens,
                 w.n_head, w.l.n_kv, w.l.head_dim);
        scene_run(&w, flags[i % n], 1);
        bool ok = scene_check(&w, name);
        memcpy(first, w.out, bytes);
        for (int threads = 2; threads < 4 && i % 4 == 0; threads++) {
            scene_run(&w, flags[i % n], threads);
            if (memcmp(first, w.out, bytes) != 0) {
                fprintf(stderr, "%s: %d threads give other bits\n", name, threads);
                ok = false;
            }
        }
        free(first);
        scene_free(&w);
        assert_true(ok);
    }
}

static void test_segments(void **state) { (void)state; scenes(false, 150); }
static void test_lists(void **state) { (void)state; scenes(true, 150); }

/* No key at all: zeros, for one query (parts), a few and many. */
static void test_nothing(void **state)
{
    (void)state;
    uint32_t flags[3];
    int n = attn_tiers(flags);
    for (int i = 0; i < 3 * n; i++) {
        pith_rng rng;
        pith_rng_init(&rng, 7);
        struct scene w;
        scene_make(&w, &rng, false);
        w.n_segments = i % 2;
        w.seg[0].hi = pith_bound_const(0);
        w.n_tokens = i / n == 0 ? 1 : w.n_tokens;
        scene_run(&w, flags[i % n], 1);
        for (int64_t e = 0; e < w.n_tokens * w.n_head * w.l.head_dim; e++)
            assert_true(w.out[e] == 0);
        scene_free(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_segments), cmocka_unit_test(test_lists),
                                       cmocka_unit_test(test_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
