/* SPDX-License-Identifier: MIT */
/* Runs a case as the engine would: chunk by chunk, the policy's segments, rows that slide. */
#include "attn_case.h"

#include "base/half.h"
#include "base/mem.h"
#include "cpuid.h"
#include "harness/gen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int attn_tiers(uint32_t flags[3])
{
    uint32_t have = pith_cpu_flags();
    int n = 0;
    flags[n++] = PITH_CPU_SCALAR;
    if (have & PITH_CPU_AVX2)
        flags[n++] = PITH_CPU_AVX2;
    if (have & PITH_CPU_AVX512)
        flags[n++] = PITH_CPU_AVX2 | PITH_CPU_AVX512;
    return n;
}

void attn_case_name(const attn_case *c, char *text, size_t size)
{
    snprintf(text, size,
             "T %d chunk %d H %d K %d E %d type %d g %d s %d sinks %d perq %d bias %d pos %d values %d threads %d flags %u",
             (int)c->n_tokens, (int)c->chunk, c->n_head, c->n_kv, c->dim, (int)c->dtype, c->group, c->window, c->sinks,
             c->per_query, c->bias, (int)c->position, (int)c->values, c->threads, c->flags);
}

int64_t attn_visible_cores(const attn_case *c, int64_t i)
{
    int64_t n = i + 1;
    return c->group > 0 && n >= c->window ? (n - c->window) / c->group : 0;
}

static void *zeroed(size_t n, size_t size)
{
    void *p = calloc(n + 1, size);
    if (!p)
        abort();
    return p;
}

static void values_fill(const attn_case *c, attn_result *r)
{
    int64_t qd = (int64_t)c->n_head * c->dim, kd = (int64_t)c->n_kv * c->dim, ld = qd + 2 * kd;
    pith_rng rng;
    pith_rng_init(&rng, c->seed);
    pith_gen_f32(&rng, PITH_GEN_NORMAL, r->qkv, (size_t)(c->n_tokens * ld));
    for (int64_t t = 0; t < c->n_tokens; t++) {
        float *q = r->qkv + t * ld, *k = q + qd;
        for (int64_t e = 0; e < kd && c->values == ATTN_EQUAL; e++)
            k[e] = 0;
        for (int64_t e = 0; e < kd && c->values == ATTN_DOMINANT && t % 37 == 5; e++)
            k[e] *= 40;
        for (int64_t e = 0; e < qd && c->values == ATTN_HUGE; e++)
            q[e] *= 3e4f;
    }
    for (int i = 0; i < r->n_rot / 2; i++)
        r->freq[i] = pow(10000, -2.0 * i / r->n_rot);
    float magnitude = c->magnitude > 0 ? c->magnitude : 1;
    for (int64_t t = 0; t < c->n_tokens; t++) {
        for (int i = 0; i < r->n_rot / 2; i++) {
            r->cos[t * (r->n_rot / 2) + i] = (float)(cos((double)t * r->freq[i]) * magnitude);
            r->sin[t * (r->n_rot / 2) + i] = (float)(sin((double)t * r->freq[i]) * magnitude);
        }
    }
    for (int e = 0; e < c->dim; e++) {
        r->norm[0][e] = pith_rng_range(&rng, 0.5f, 1.5f);
        r->norm[1][e] = pith_rng_range(&rng, 0.5f, 1.5f);
    }
}

static void row_read(const pith_kv_layout *l, const pith_kv_plane *p, const uint8_t *kv, int32_t head, int64_t row, float *y)
{
    const uint8_t *x = kv + p->offset + (uint64_t)head * p->head_bytes + (uint64_t)row * p->row_bytes;
    for (int32_t e = 0; e < l->head_dim; e++) {
        uint16_t half;
        if (l->dtype == PITH_DTYPE_F32) {
            memcpy(&y[e], x + 4 * e, 4);
        } else if (l->dtype == PITH_DTYPE_F16) {
            memcpy(&half, x + 2 * e, 2);
            y[e] = pith_f16_to_f32(half);
        } else {
            const uint8_t *s = kv + p->scale_offset + (uint64_t)head * p->scale_head_bytes;
            memcpy(&half, s + 2 * (row * (l->head_dim / 32) + e / 32), 2);
            y[e] = (float)(int8_t)x[e] * pith_f16_to_f32(half);
        }
    }
}

/* Moves sliding rows [from, from + n) of a plane to the front and poisons what they leave. */
static void plane_slide(const pith_kv_layout *l, const pith_kv_plane *p, uint8_t *kv, int64_t from, int64_t n)
{
    for (int32_t h = 0; h < l->n_kv; h++) {
        uint8_t *x = kv + p->offset + (uint64_t)h * p->head_bytes + (uint64_t)l->n_fixed * p->row_bytes;
        memmove(x, x + from * p->row_bytes, (size_t)(n * p->row_bytes));
        memset(x + n * p->row_bytes, 0xff, (size_t)((l->raw_rows - l->n_fixed - n) * p->row_bytes));
        if (l->dtype == PITH_DTYPE_Q8_0) {
            int64_t bytes = l->head_dim / 32 * 2;
            x = kv + p->scale_offset + (uint64_t)h * p->scale_head_bytes + (uint64_t)(l->n_fixed * bytes);
            memmove(x, x + from * bytes, (size_t)(n * bytes));
            memset(x + n * bytes, 0xff, (size_t)((l->raw_rows - l->n_fixed - n) * bytes));
        }
    }
}

void attn_slide(const pith_kv_layout *l, uint8_t *kv, int64_t from, int64_t n)
{
    plane_slide(l, &l->raw_k, kv, from, n);
    plane_slide(l, &l->raw_v, kv, from, n);
}

struct job { const pith_cpu_kernels *k; pith_cpu_append_args append; pith_cpu_attend_args attend; pith_pool *pool; };

static void chunk_run(void *user, int i, int n)
{
    struct job *job = user;
    int64_t b, e;
    pith_part(job->append.n_tokens, 1, i, n, &b, &e);
    pith_cpu_append_rows(job->k, &job->append, b, e);
    pith_pool_barrier(job->pool);
    pith_part(pith_cpu_append_core_items(&job->append), 1, i, n, &b, &e);
    pith_cpu_append_cores(job->k, &job->append, b, e);
    pith_pool_barrier(job->pool);
    pith_cpu_attend(job->k, &job->attend, job->pool, i, n);
}

int32_t attn_segments_make(const attn_case *c, pith_segment *seg)
{
    const int64_t far = (int64_t)1 << 40;
    pith_bound to_i = {.min = 0, .max = far, .mul = 1, .group = 1};
    if (c->group == 0) {
        seg[0] = (pith_segment){.source = PITH_SEGMENT_RAW, .lo = pith_bound_const(0), .hi = to_i};
        return 1;
    }
    pith_bound sinks = to_i;
    sinks.max = c->sinks;
    seg[0] = (pith_segment){.source = PITH_SEGMENT_RAW, .lo = pith_bound_const(0), .hi = sinks};
    seg[1] = (pith_segment){.source = PITH_SEGMENT_CORE, .lo = pith_bound_const(c->sinks / c->group), .bias = c->bias};
    seg[1].hi = (pith_bound){.min = 0, .max = far, .shift = c->window, .mul = 1, .group = c->group};
    seg[2] = (pith_segment){.source = PITH_SEGMENT_RAW, .hi = to_i};
    seg[2].lo = (pith_bound){.min = c->sinks, .max = far, .shift = c->window, .mul = c->group, .group = c->group};
    return 3;
}

void attn_rows_read(const attn_case *c, attn_result *r, const pith_kv_layout *l, const uint8_t *kv, int64_t base, const float *qkv, int64_t pos,
                    int64_t n)
{
    int64_t ld = (int64_t)(c->n_head + 2 * c->n_kv) * c->dim;
    for (int64_t p = pos; p < pos + n; p++) {
        int64_t row = pith_kv_raw_row(l, base, p);
        memcpy(r->q + p * c->n_head * c->dim, qkv + (p - pos) * ld, sizeof(float) * (size_t)(c->n_head * c->dim));
        for (int32_t h = 0; h < c->n_kv; h++) {
            row_read(l, &l->raw_k, kv, h, row, r->k + (p * c->n_kv + h) * c->dim);
            row_read(l, &l->raw_v, kv, h, row, r->v + (p * c->n_kv + h) * c->dim);
        }
    }
}

void attn_cores_read(const attn_case *c, attn_result *r, const pith_kv_layout *l, const uint8_t *kv)
{
    for (int64_t j = 0; j < r->n_cores; j++) {
        for (int32_t h = 0; h < r->core_heads; h++) {
            row_read(l, &l->core_k, kv, h, j, r->core_k + (j * r->core_heads + h) * c->dim);
            row_read(l, &l->core_v, kv, h, j, r->core_v + (j * r->core_heads + h) * c->dim);
            uint16_t b;
            memcpy(&b, kv + l->bias_offset + (uint64_t)h * l->bias_head_bytes + 2 * (uint64_t)j, 2);
            r->bias[j * r->core_heads + h] = pith_f16_to_f32(b);
        }
    }
}

attn_result *attn_result_make(const attn_case *c)
{
    attn_result *r = zeroed(1, sizeof *r);
    size_t n = (size_t)c->n_tokens, qd = (size_t)(c->n_head * c->dim), kd = (size_t)(c->n_kv * c->dim), ld = qd + 2 * kd;
    r->n_rot = c->n_rot ? c->n_rot : c->dim;
    r->core_heads = c->group == 0 ? 0 : c->per_query ? c->n_head : c->n_kv;
    r->n_cores = c->group ? c->n_tokens / c->group : 0;
    r->scale = 1 / sqrtf((float)c->dim);
    r->qkv = zeroed(n * ld, 4);
    r->q = zeroed(n * qd, 4), r->out = zeroed(n * qd, 4);
    r->k = zeroed(n * kd, 4), r->v = zeroed(n * kd, 4);
    size_t core_rows = (size_t)(r->n_cores * r->core_heads);
    r->core_k = zeroed(core_rows * (size_t)c->dim, 4), r->core_v = zeroed(core_rows * (size_t)c->dim, 4);
    r->bias = zeroed(core_rows, 4);
    r->cos = zeroed(n * (size_t)r->n_rot, 4), r->sin = zeroed(n * (size_t)r->n_rot, 4);
    values_fill(c, r);
    return r;
}

pith_kv_layout attn_layout_make(const attn_case *c, const attn_result *r)
{
    int64_t chunk = c->chunk ? c->chunk : c->n_tokens;
    pith_kv_layout l = {.dtype = c->dtype, .n_kv = c->n_kv, .core_heads = r->core_heads, .head_dim = c->dim};
    l.n_fixed = c->group ? c->sinks : 0;
    l.raw_rows = c->group ? c->sinks + c->window + c->group + chunk + (int64_t)(c->seed % 7) : c->n_tokens;
    l.core_rows = r->n_cores;
    if (!pith_kv_layout_fill(&l))
        abort();
    return l;
}

attn_result *attn_case_run(const attn_case *c)
{
    attn_result *r = attn_result_make(c);
    size_t qd = (size_t)(c->n_head * c->dim), ld = qd + 2 * (size_t)(c->n_kv * c->dim);
    int64_t chunk = c->chunk ? c->chunk : c->n_tokens;
    const pith_kv_layout l = attn_layout_make(c, r);
    uint8_t *kv = pith_aligned_alloc(l.bytes);
    memset(kv, 0xff, l.bytes);

    int threads = c->threads ? c->threads : 1;
    pith_cpu_kernels k;
    pith_cpu_kernels_init(&k, c->flags);
    struct job job = {.k = &k};
    if (pith_pool_create(threads, &job.pool) != PITH_OK)
        abort();
    size_t scratch_bytes = pith_cpu_attend_scratch_bytes(chunk, c->n_head, c->dim, threads);
    void *scratch = pith_aligned_alloc(scratch_bytes);
    memset(scratch, 0xff, scratch_bytes);
    float *qkv = zeroed((size_t)chunk * ld, 4);
    pith_segment segments[PITH_SEGMENTS_MAX];
    int32_t n_segments = attn_segments_make(c, segments);
    int64_t base = l.n_fixed;
    for (int64_t pos = 0; pos < c->n_tokens; pos += chunk) {
        int64_t count = c->n_tokens - pos < chunk ? c->n_tokens - pos : chunk;
        int64_t keep = attn_visible_cores(c, pos) * c->group;
        if (pos + count - base > l.raw_rows - l.n_fixed && keep > base) {
            attn_slide(&l, kv, keep - base, pos - keep);
            base = keep;
        }
        memcpy(qkv, r->qkv + (size_t)pos * ld, sizeof(float) * (size_t)count * ld);
        job.append = (pith_cpu_append_args){.qkv = qkv,
                                            .ld = (int64_t)ld,
                                            .n_tokens = count,
                                            .pos0 = pos,
                                            .n_head = c->n_head,
                                            .q_norm = c->qk_norm ? r->norm[0] : NULL,
                                            .k_norm = c->qk_norm ? r->norm[1] : NULL,
                                            .norm_eps = 1e-6f,
                                            .rope_cos = r->cos + pos * (r->n_rot / 2),
                                            .rope_sin = r->sin + pos * (r->n_rot / 2),
                                            .rope_freq = r->freq,
                                            .rope_magnitude = c->magnitude > 0 ? c->magnitude : 1,
                                            .n_rot = r->n_rot,
                                            .rope_half = c->rope_half,
                                            .layout = &l,
                                            .kv = kv,
                                            .raw_base = base,
                                            .group = c->group,
                                            .n_sinks = c->sinks,
                                            .position = c->position,
                                            .scale = r->scale};
        job.attend = (pith_cpu_attend_args){
            .q = qkv, .ldq = (int64_t)ld, .out = r->out + (size_t)pos * qd, .ldo = (int64_t)qd, .n_tokens = count,
            .pos0 = pos, .n_head = c->n_head, .scale = r->scale, .segments = segments, .n_segments = n_segments,
            .layout = &l, .kv = kv, .raw_base = base, .scratch = scratch};
        pith_pool_run(job.pool, chunk_run, &job);
        attn_rows_read(c, r, &l, kv, base, qkv, pos, count);
    }
    attn_cores_read(c, r, &l, kv);
    pith_pool_destroy(&job.pool);
    pith_aligned_free(scratch);
    pith_aligned_free(kv);
    free(qkv);
    return r;
}

void attn_result_free(attn_result *r)
{
    void *parts[] = {r->qkv, r->q, r->out, r->k, r->v, r->core_k, r->core_v, r->bias, r->cos, r->sin, r};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        free(parts[i]);
}
