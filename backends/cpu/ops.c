/* SPDX-License-Identifier: MIT */
/* What one member of the team does for each op. Work is split over rows of weights or over tokens, never over a sum, so
 * results do not depend on the number of threads. */
#include "cpu.h"

#include <math.h>
#include <string.h>

static int64_t rows_of(const pith_exec *e, int32_t value)
{
    return e->plan->graph->values[value].rows == PITH_ROWS_TOKENS ? e->step->n_tokens : e->step->n_rows;
}

static int32_t cols_of(const pith_exec *e, int32_t value)
{
    return e->plan->graph->values[value].cols;
}

/* A value's row of the first token that the node runs for. */
static float *value_of(const pith_exec *e, const pith_node *node, int32_t value)
{
    return pith_cpu_value(e, value) + (int64_t)pith_step_first(e->step, node) * cols_of(e, value);
}

static const float *vector_of(const pith_exec *e, int32_t weight)
{
    return weight < 0 ? NULL : e->weights->weights[weight].vector;
}

void pith_cpu_rope_tables(pith_exec *e, const pith_rope *rope, int64_t pos0, int64_t t0, int64_t t1)
{
    int64_t half = rope->n_rot / 2;
    for (int64_t t = t0; t < t1; t++) {
        for (int64_t j = 0; j < half; j++) {
            double angle = (double)(pos0 + t) * rope->freq[j];
            e->rope_cos[t * half + j] = (float)(cos(angle) * rope->magnitude);
            e->rope_sin[t * half + j] = (float)(sin(angle) * rope->magnitude);
        }
    }
}

static void run_embed(pith_exec *e, const pith_node *node, int i, int n)
{
    const pith_cpu_weight *w = &e->weights->weights[node->u.embed.weight];
    int64_t cols = cols_of(e, node->dst), t0, t1;
    pith_part(e->step->n_tokens, 1, i, n, &t0, &t1);
    for (int64_t t = t0; t < t1; t++) {
        float *dst = pith_cpu_value(e, node->dst) + t * cols;
        int64_t id = e->step->tokens[t];
        if (w->kind == PITH_WEIGHT_LOOKUP) {
            size_t row_bytes = pith_dtype_row_bytes(w->table_dtype, (size_t)cols);
            pith_dequantize(w->table_dtype, w->table + (size_t)id * row_bytes, dst, (size_t)cols);
        } else {
            pith_cpu_matrix_row(&w->parts[0], id, dst);
        }
    }
}

/* Activations of tokens [t0, t1) into act[kind] for every kind that the weight's parts want; `normed` holds the rows
 * after their norm, of which only the member's own are touched. */
static void pack_acts(pith_exec *e, const pith_node *node, int64_t n_tokens, int64_t t0, int64_t t1, float *normed, uint8_t *const *act)
{
    const pith_cpu_kernels *k = &e->backend->kernels;
    const pith_cpu_weight *w = &e->weights->weights[node->u.matmul.weight];
    int64_t cols = cols_of(e, node->src);
    const float *x = value_of(e, node, node->src);
    const float *norm = vector_of(e, node->u.matmul.norm);
    if (norm) {
        for (int64_t t = t0; t < t1; t++)
            k->rms_norm_f32(normed + t * cols, x + t * cols, norm, cols, node->u.matmul.norm_eps);
        x = normed;
    }
    for (int32_t p = 0; p < w->n_parts; p++) {
        pith_cpu_act kind = w->parts[p].act;
        bool done = false;
        for (int32_t q = 0; q < p; q++)
            done = done || w->parts[q].act == kind;
        if (!done)
            pith_cpu_act_pack(k, kind, x, cols, cols, n_tokens, t0, t1, act[kind]);
    }
}

/* Rows [r0, r1) counted over all parts of the weight, into y's columns. */
static void matmul_rows(pith_exec *e, const pith_node *node, uint8_t *const *act, int64_t n_tokens, int64_t r0, int64_t r1, void *panel)
{
    const pith_cpu_weight *w = &e->weights->weights[node->u.matmul.weight];
    const float *bias = vector_of(e, node->u.matmul.bias);
    bool add = node->u.matmul.epilogue == PITH_EPILOGUE_ADD;
    int64_t ldy = cols_of(e, node->dst), first = 0;
    for (int32_t p = 0; p < w->n_parts; p++) {
        const pith_cpu_matrix *m = &w->parts[p];
        int64_t b = r0 > first ? r0 - first : 0, end = r1 - first < m->rows ? r1 - first : m->rows;
        if (b < end) {
            float *y = value_of(e, node, node->dst) + first;
            if (add && bias) { /* dst += bias, then the product on top */
                for (int64_t t = 0; t < n_tokens; t++)
                    for (int64_t r = b; r < end; r++)
                        y[t * ldy + r] += bias[first + r];
            }
            pith_cpu_matmul(&e->backend->kernels, m, act[m->act], n_tokens, b, end, bias && !add ? bias + first : NULL, add, y, ldy, panel);
        }
        first += m->rows;
    }
}

/* Strips of gate and up: gate goes straight to its place, up to a strip of the member's own, then both meet. */
static void swiglu_rows(pith_exec *e, const pith_node *node, uint8_t *const *act, int64_t n_tokens, int64_t r0, int64_t r1, void *panel,
                        float *strip)
{
    const pith_cpu_kernels *k = &e->backend->kernels;
    const pith_cpu_weight *w = &e->weights->weights[node->u.matmul.weight];
    const float *bias = vector_of(e, node->u.matmul.bias);
    const pith_cpu_matrix *gate = &w->parts[0], *up = &w->parts[1];
    int64_t ldy = cols_of(e, node->dst);
    float *y = value_of(e, node, node->dst);
    for (int64_t r = r0; r < r1; r += PITH_CPU_STRIP) {
        int64_t end = r + PITH_CPU_STRIP < r1 ? r + PITH_CPU_STRIP : r1;
        pith_cpu_matmul(k, gate, act[gate->act], n_tokens, r, end, bias, false, y, ldy, panel);
        pith_cpu_matmul(k, up, act[up->act], n_tokens, r, end, bias ? bias + gate->rows : NULL, false, strip - r, PITH_CPU_STRIP, panel);
        for (int64_t t = 0; t < n_tokens; t++)
            k->silu_mul_f32(y + t * ldy + r, y + t * ldy + r, strip + t * PITH_CPU_STRIP, end - r);
    }
}

static void run_matmul(pith_exec *e, const pith_node *node, int i, int n)
{
    const pith_cpu_weight *w = &e->weights->weights[node->u.matmul.weight];
    int64_t n_tokens = rows_of(e, node->src) - pith_step_first(e->step, node);
    uint8_t *own = e->own + (size_t)i * e->own_bytes;
    void *panel = own + e->own_act_bytes;
    float *strip = (float *)(void *)(own + e->own_act_bytes + e->own_panel_bytes);
    uint8_t *own_act[5];
    uint8_t *const *act = e->act;
    if (n_tokens == 1) {
        /* One token is quantised by every member for itself: cheaper than waiting for each other. */
        size_t part = e->own_act_bytes / 5;
        for (int k = 0; k < 5; k++)
            own_act[k] = own + part * (size_t)k;
        act = own_act;
        pack_acts(e, node, 1, 0, 1, strip, own_act);
    } else {
        int64_t t0, t1;
        pith_part(n_tokens, 4, i, n, &t0, &t1);
        pack_acts(e, node, n_tokens, t0, t1, e->normed, e->act);
        pith_pool_barrier(e->backend->pool);
    }
    bool gated = node->u.matmul.epilogue == PITH_EPILOGUE_SWIGLU;
    int64_t r0, r1;
    pith_part(gated ? w->parts[0].rows : w->rows, PITH_CPU_ROW_UNIT, i, n, &r0, &r1);
    if (!gated && w->n_parts > 1) {
        /* Borders between parts need not be multiples of the unit: only split inside a part at its own multiples. */
        int64_t first = 0;
        for (int32_t p = 0; p < w->n_parts; p++) {
            int64_t rows = w->parts[p].rows;
            if (r0 > first && r0 < first + rows)
                r0 = first + (r0 - first) / PITH_CPU_ROW_UNIT * PITH_CPU_ROW_UNIT;
            if (r1 > first && r1 < first + rows)
                r1 = first + (r1 - first) / PITH_CPU_ROW_UNIT * PITH_CPU_ROW_UNIT;
            first += rows;
        }
    }
    if (r0 >= r1)
        return;
    if (gated)
        swiglu_rows(e, node, act, n_tokens, r0, r1, panel, strip);
    else
        matmul_rows(e, node, act, n_tokens, r0, r1, panel);
}

static void run_append(pith_exec *e, const pith_node *node, int i, int n)
{
    const pith_cpu_kernels *k = &e->backend->kernels;
    int64_t n_tokens = e->step->n_tokens;
    pith_cpu_append_args a = {
        .qkv = pith_cpu_value(e, node->src),
        .ld = cols_of(e, node->src),
        .n_tokens = n_tokens,
        .pos0 = e->step->pos0,
        .n_head = node->u.append.n_head,
        .q_norm = vector_of(e, node->u.append.q_norm),
        .k_norm = vector_of(e, node->u.append.k_norm),
        .norm_eps = node->u.append.norm_eps,
        .rope_cos = e->rope_cos,
        .rope_sin = e->rope_sin,
        .rope_freq = node->u.append.rope.freq,
        .rope_magnitude = node->u.append.rope.magnitude,
        .n_rot = node->u.append.rope.n_rot,
        .rope_half = node->u.append.rope.half,
        .layout = node->u.append.layout,
        .kv = e->kv[node->layer]->data,
        .raw_base = e->step->raw_base[node->u.append.kv_class],
        .group = node->u.append.group,
        .n_sinks = node->u.append.n_sinks,
        .position = (pith_cca_position)node->u.append.position,
        .scale = node->u.append.scale,
    };
    int64_t t0, t1;
    pith_part(n_tokens, 1, i, n, &t0, &t1);
    pith_cpu_append_rows(k, &a, t0, t1);
    int64_t items = pith_cpu_append_core_items(&a);
    if (items == 0)
        return;
    pith_pool_barrier(e->backend->pool);
    pith_part(items, 1, i, n, &t0, &t1);
    pith_cpu_append_cores(k, &a, t0, t1);
}

static void run_attend(pith_exec *e, const pith_node *node, int i, int n)
{
    int32_t first = pith_step_first(e->step, node);
    pith_cpu_attend_args a = {
        .q = value_of(e, node, node->src),
        .ldq = cols_of(e, node->src),
        .out = value_of(e, node, node->dst),
        .ldo = cols_of(e, node->dst),
        .n_tokens = e->step->n_tokens - first,
        .pos0 = e->step->pos0 + first,
        .n_head = node->u.attend.n_head,
        .scale = node->u.attend.scale,
        .segments = node->u.attend.segments,
        .n_segments = node->u.attend.n_segments,
        .layout = node->u.attend.layout,
        .kv = e->kv[node->layer]->data,
        .raw_base = e->step->raw_base[node->u.attend.kv_class],
        .scratch = e->attend_scratch,
    };
    for (int32_t s = 0; s < a.n_segments; s++)
        if (a.segments[s].list != PITH_LIST_NONE)
            a.lists[s] = (const int32_t *)(const void *)value_of(e, node, a.segments[s].list_value);
    pith_cpu_attend(&e->backend->kernels, &a, e->backend->pool, i, n);
}

static void run_rows(pith_exec *e, const pith_node *node, int i, int n)
{
    int64_t cols = cols_of(e, node->src), r0, r1;
    pith_part(e->step->n_rows, 1, i, n, &r0, &r1);
    for (int64_t r = r0; r < r1; r++)
        memcpy(pith_cpu_value(e, node->dst) + r * cols, pith_cpu_value(e, node->src) + e->step->rows[r] * cols, (size_t)cols * sizeof(float));
}

void pith_cpu_node_run(pith_exec *e, const pith_node *node, int i, int n)
{
    switch (node->op) {
    case PITH_OP_EMBED: run_embed(e, node, i, n); break;
    case PITH_OP_MATMUL: run_matmul(e, node, i, n); break;
    case PITH_OP_KV_APPEND: run_append(e, node, i, n); break;
    case PITH_OP_ATTEND: run_attend(e, node, i, n); break;
    case PITH_OP_ROWS: run_rows(e, node, i, n); break;
    case PITH_OP_COUNT: break;
    }
}
