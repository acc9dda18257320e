/* SPDX-License-Identifier: MIT */
/* Cores: what stands for a whole group once it has left the window. docs/MODEL.md:
 *
 *     eq. 2   alpha_t = softmax over the group's members of scale <q_e, k_t>     e = last token of the group
 *     eq. 3   core key = sum alpha_t k_t,  core value = sum alpha_t v_t
 *     eq. 4   bias = H(alpha) = -sum alpha_t log alpha_t
 *
 *     group j:   jg ......... jg+g-1 = e        members: those at or behind n_sinks; none: no core
 *
 * q_e is rotated; with one core per KV head it is the mean of the KV head's query heads, so the logit is the mean logit.
 * k_t and v_t are what the store holds, after rounding. Logits are computed twice instead of being kept: no limit on g. */
#include "attn.h"
#include "attn_store.h"

#include <math.h>

/* Groups j0 <= j < j1 end inside the chunk and have members. */
static void groups_of_chunk(const pith_cpu_append_args *a, int64_t *j0, int64_t *j1)
{
    *j0 = *j1 = 0;
    if (a->group < 1 || a->layout->core_heads < 1)
        return;
    *j0 = a->pos0 / a->group;
    *j1 = (a->pos0 + a->n_tokens) / a->group;
    int64_t first = a->n_sinks / a->group; /* groups before it are sinks only */
    *j0 = *j0 > first ? *j0 : first;
    *j1 = *j1 > *j0 ? *j1 : *j0;
}

int64_t pith_cpu_append_core_items(const pith_cpu_append_args *a)
{
    int64_t j0, j1;
    groups_of_chunk(a, &j0, &j1);
    return (j1 - j0) * a->layout->core_heads;
}

/* One member of a group. Consecutive positions are consecutive rows but for the step from fixed to sliding rows. */
static pith_cpu_kv_rows member(const pith_cpu_append_args *a, const pith_kv_plane *plane, int32_t kv, int64_t position)
{
    return pith_cpu_kv_rows_at(a->layout, plane, a->kv, kv, pith_kv_raw_row(a->layout, a->raw_base, position));
}

struct weights { float max; double sum; };

static float logit(const pith_cpu_kernels *k, const pith_cpu_append_args *a, const float *q, int32_t kv, int64_t position)
{
    float row[PITH_CPU_HEAD_DIM_MAX];
    pith_cpu_kv_rows r = member(a, &a->layout->raw_k, kv, position);
    pith_cpu_kv_read(k, &r, 0, a->layout->head_dim, row);
    return k->dot_f32(q, row, a->layout->head_dim) * a->scale;
}

/* Turns x by `angle` times each pair's frequency. */
static void turn(const pith_cpu_append_args *a, double *x, const double *c, const double *s)
{
    int32_t pairs = a->n_rot / 2, step = a->rope_half ? 1 : 2, other = a->rope_half ? pairs : 1;
    for (int32_t i = 0; i < pairs; i++) {
        double u = x[i * step], v = x[i * step + other];
        x[i * step] = u * c[i] - v * s[i];
        x[i * step + other] = u * s[i] + v * c[i];
    }
}

static void angles(const pith_cpu_append_args *a, double distance, double *c, double *s)
{
    for (int32_t i = 0; i < a->n_rot / 2; i++) {
        c[i] = cos(distance * a->rope_freq[i]);
        s[i] = sin(distance * a->rope_freq[i]);
    }
}

/* Core key at a position p of its own: sum_t alpha_t R(p - t) k_t, since un-rotating by t and rotating by p is one turn
 * (the magnitude cancels). Horner: turn the sum by one position before each member is added, at last by p - e. */
static void key_at_position(const pith_cpu_kernels *k, const pith_cpu_append_args *a, const float *q, int32_t kv, int64_t t0,
                            int64_t e, struct weights w, float *out)
{
    double x[PITH_CPU_HEAD_DIM_MAX], c[PITH_CPU_HEAD_DIM_MAX / 2], s[PITH_CPU_HEAD_DIM_MAX / 2], centroid = 0;
    float row[PITH_CPU_HEAD_DIM_MAX];
    int32_t dim = a->layout->head_dim;
    for (int32_t i = 0; i < dim; i++)
        x[i] = 0;
    angles(a, 1, c, s);
    for (int64_t t = t0; t <= e; t++) {
        double alpha = exp((double)logit(k, a, q, kv, t) - w.max) / w.sum;
        pith_cpu_kv_rows r = member(a, &a->layout->raw_k, kv, t);
        pith_cpu_kv_read(k, &r, 0, dim, row);
        turn(a, x, c, s);
        for (int32_t i = 0; i < dim; i++)
            x[i] += alpha * row[i];
        centroid += alpha * (double)(t - e);
    }
    double p = a->position == PITH_CCA_POSITION_CENTROID ? centroid
               : a->position == PITH_CCA_POSITION_MIDDLE ? -0.5 * (a->group - 1) : 0; /* relative to e */
    angles(a, p, c, s);
    turn(a, x, c, s);
    for (int32_t i = 0; i < dim; i++)
        out[i] = (float)x[i];
}

static void core_make(const pith_cpu_kernels *k, const pith_cpu_append_args *a, int64_t j, int32_t head)
{
    const pith_kv_layout *l = a->layout;
    int32_t dim = l->head_dim, share = a->n_head / l->n_kv;
    bool per_query = l->core_heads != l->n_kv;
    int32_t kv = per_query ? head / share : head;
    int64_t e = j * a->group + a->group - 1, t0 = j * a->group > a->n_sinks ? j * a->group : a->n_sinks;
    const float *qe = a->qkv + (e - a->pos0) * a->ld;
    float q[PITH_CPU_HEAD_DIM_MAX], row[PITH_CPU_HEAD_DIM_MAX], key[PITH_CPU_HEAD_DIM_MAX], value[PITH_CPU_HEAD_DIM_MAX];

    if (per_query || share == 1) {
        k->scale_f32(q, qe + (int64_t)head * dim, 1, dim);
    } else {
        k->scale_f32(q, qe + (int64_t)kv * share * dim, 1, dim);
        for (int32_t h = 1; h < share; h++)
            k->add_f32(q, q, qe + ((int64_t)kv * share + h) * dim, dim);
        k->scale_f32(q, q, 1.0f / (float)share, dim);
    }
    struct weights w = {-INFINITY, 0};
    for (int64_t t = t0; t <= e; t++) {
        float z = logit(k, a, q, kv, t);
        if (z > w.max) {
            w.sum *= exp((double)w.max - z);
            w.max = z;
        }
        w.sum += exp((double)z - w.max);
    }
    double mean = 0; /* of logit - max; H = log sum - mean */
    for (int32_t i = 0; i < dim; i++)
        key[i] = value[i] = 0;
    for (int64_t t = t0; t <= e; t++) {
        double z = (double)logit(k, a, q, kv, t) - w.max, alpha = exp(z) / w.sum;
        mean += alpha > 0 ? alpha * z : 0;
        pith_cpu_kv_rows r = member(a, &l->raw_v, kv, t);
        pith_cpu_kv_read(k, &r, 0, dim, row);
        k->axpy_f32(value, row, (float)alpha, dim);
        if (a->position == PITH_CCA_POSITION_POOLED) {
            r = member(a, &l->raw_k, kv, t);
            pith_cpu_kv_read(k, &r, 0, dim, row);
            k->axpy_f32(key, row, (float)alpha, dim);
        }
    }
    if (a->position != PITH_CCA_POSITION_POOLED)
        key_at_position(k, a, q, kv, t0, e, w, key);
    pith_cpu_kv_write(k, l, &l->core_k, a->kv, head, j, key);
    pith_cpu_kv_write(k, l, &l->core_v, a->kv, head, j, value);
    uint16_t *bias = (uint16_t *)(void *)(a->kv + l->bias_offset + (uint64_t)head * l->bias_head_bytes);
    float entropy = (float)(log(w.sum) - mean);
    entropy = entropy > 0 ? entropy : 0;
    k->f32_to_f16(bias + j, &entropy, 1);
}

void pith_cpu_append_cores(const pith_cpu_kernels *k, const pith_cpu_append_args *a, int64_t i0, int64_t i1)
{
    int64_t j0, j1;
    groups_of_chunk(a, &j0, &j1);
    for (int64_t i = i0; i < i1; i++)
        core_make(k, a, j0 + i / a->layout->core_heads, (int32_t)(i % a->layout->core_heads));
}
