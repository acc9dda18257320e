/* SPDX-License-Identifier: MIT */
/* Running a plan: the whole team walks the node list together and meets at a barrier behind every node. All memory is
 * taken in prepare. */
#include "cpu.h"
#include "base/mem.h"
#include "base/os.h"

#include <stdlib.h>
#include <string.h>

/* Sizes of everything in an exec, from the plan alone: exec_bytes and prepare must agree. */
struct sizes {
    size_t arena, act[5], own_act, own_panel, own, normed, rope, attend;
    int32_t n_rot;
};

static bool add_to(size_t *sum, size_t bytes)
{
    return pith_size_add(*sum, bytes, sum) && pith_size_align(*sum, PITH_ALIGN, sum);
}

static void at_least(size_t *size, size_t bytes)
{
    if (bytes > *size)
        *size = bytes;
}

static pith_status measure(const pith_cpu_backend *cpu, const pith_plan *plan, struct sizes *s)
{
    *s = (struct sizes){.arena = plan->arena_bytes};
    const pith_graph *graph = plan->graph;
    int64_t most = plan->n_tokens_max > plan->n_rows_max ? plan->n_tokens_max : plan->n_rows_max;
    size_t own_act = 0, strip = (size_t)most * PITH_CPU_STRIP * sizeof(float), heads = 0, width = 0;
    for (int32_t i = 0; i < graph->n_nodes; i++) {
        const pith_node *node = &graph->nodes[i];
        int64_t cols = graph->values[node->src].cols;
        if (node->op == PITH_OP_KV_APPEND)
            s->n_rot = node->u.append.rope.n_rot > s->n_rot ? node->u.append.rope.n_rot : s->n_rot;
        if (node->op == PITH_OP_ATTEND) {
            at_least(&heads, (size_t)node->u.attend.n_head);
            at_least(&width, (size_t)node->u.attend.layout->head_dim);
        }
        if (node->op != PITH_OP_MATMUL)
            continue;
        int64_t rows = graph->values[node->src].rows == PITH_ROWS_TOKENS ? plan->n_tokens_max : plan->n_rows_max;
        const pith_weight_desc *d = &graph->weights[node->u.matmul.weight];
        for (int32_t p = 0; p < d->n_parts; p++) {
            pith_cpu_matrix m;
            PITH_TRY(pith_cpu_matrix_init(&m, &cpu->kernels, pith_cpu_runs_as(cpu, d->parts[p].dtype), d->parts[p].rows, d->parts[p].cols));
            at_least(&s->act[m.act], pith_cpu_act_bytes(m.act, cols, rows));
            at_least(&own_act, pith_cpu_act_bytes(m.act, cols, 1));
            at_least(&s->own_panel, pith_cpu_matmul_scratch_bytes(&cpu->kernels, &m, rows));
        }
        if (node->u.matmul.norm >= 0) {
            at_least(&s->normed, (size_t)rows * (size_t)cols * sizeof(float));
            at_least(&strip, (size_t)cols * sizeof(float)); /* a single token's normed row lies in the strip */
        }
    }
    pith_size_align(own_act + PITH_PAD_BYTES, PITH_ALIGN, &own_act);
    s->own_act = own_act * 5;
    pith_size_align(s->own_panel + PITH_PAD_BYTES, PITH_ALIGN, &s->own_panel);
    bool ok = add_to(&s->own, s->own_act) && add_to(&s->own, s->own_panel) && add_to(&s->own, strip + PITH_PAD_BYTES);
    /* Members' areas must not share cache lines that the prefetcher pairs. */
    ok = ok && pith_size_align(s->own, 4096, &s->own);
    s->rope = (size_t)plan->n_tokens_max * (size_t)(s->n_rot / 2) * sizeof(float);
    s->attend = pith_cpu_attend_scratch_bytes(plan->n_tokens_max, (int32_t)heads, (int32_t)width, pith_pool_size(cpu->pool));
    return ok ? PITH_OK : pith_fail(PITH_ERROR_INVALID_ARGUMENT, "cpu: the scratch of %d tokens overflows", plan->n_tokens_max);
}

pith_status pith_cpu_exec_bytes(const pith_backend *b, const pith_plan *plan, size_t *out)
{
    const pith_cpu_backend *cpu = pith_cpu_of_const(b);
    struct sizes s;
    PITH_TRY(measure(cpu, plan, &s));
    size_t total = 0, own;
    bool ok = add_to(&total, s.arena) && add_to(&total, s.normed) && add_to(&total, 2 * s.rope) && add_to(&total, s.attend) &&
              pith_size_mul(s.own, (size_t)pith_pool_size(cpu->pool), &own) && add_to(&total, own);
    for (int k = 0; k < 5; k++)
        ok = ok && add_to(&total, s.act[k]);
    *out = total;
    return ok ? PITH_OK : pith_fail(PITH_ERROR_INVALID_ARGUMENT, "cpu: the scratch of %d tokens overflows", plan->n_tokens_max);
}

/* Zeroed scratch: *out stays NULL only when memory is out. */
static bool take(void **out, size_t bytes)
{
    *out = pith_aligned_alloc(bytes);
    if (*out && bytes < ((size_t)2 << 20))
        memset(*out, 0, bytes);
    return *out != NULL;
}

pith_status pith_cpu_prepare(pith_backend *b, const pith_exec_params *params, pith_exec **out)
{
    *out = NULL;
    pith_cpu_backend *cpu = pith_cpu_of(b);
    struct sizes s;
    PITH_TRY(measure(cpu, params->plan, &s));
    pith_exec *e = pith_calloc(1, sizeof *e);
    if (!e)
        return pith_fail(PITH_ERROR_NO_MEMORY, "cpu: no memory for the executor");
    *e = (pith_exec){.backend = cpu, .plan = params->plan, .weights = params->weights, .kv = params->kv, .n_layers = params->n_layers,
                     .own_bytes = s.own, .own_act_bytes = s.own_act, .own_panel_bytes = s.own_panel};
    e->node_ns = pith_calloc((size_t)params->plan->graph->n_nodes, sizeof *e->node_ns);
    bool ok = e->node_ns && take((void **)&e->arena, s.arena) && take((void **)&e->own, s.own * (size_t)pith_pool_size(cpu->pool)) &&
              take((void **)&e->normed, s.normed) && take((void **)&e->rope_cos, s.rope) && take((void **)&e->rope_sin, s.rope) &&
              take(&e->attend_scratch, s.attend);
    for (int k = 0; k < 5; k++)
        ok = ok && take((void **)&e->act[k], s.act[k]);
    if (!ok) {
        pith_cpu_exec_destroy(&e);
        size_t total = 0;
        (void)pith_cpu_exec_bytes(b, params->plan, &total);
        return pith_fail(PITH_ERROR_NO_MEMORY, "cpu: no memory for %zu bytes of scratch", total);
    }
    *out = e;
    return PITH_OK;
}

void pith_cpu_exec_destroy(pith_exec **e_ptr)
{
    pith_exec *e = *e_ptr;
    if (!e)
        return;
    pith_aligned_free(e->arena);
    pith_aligned_free(e->own);
    pith_aligned_free(e->normed);
    pith_aligned_free(e->rope_cos);
    pith_aligned_free(e->rope_sin);
    pith_aligned_free(e->attend_scratch);
    for (int k = 0; k < 5; k++)
        pith_aligned_free(e->act[k]);
    free(e->node_ns);
    free(e);
    *e_ptr = NULL;
}

static void run_member(void *user, int i, int n)
{
    pith_exec *e = user;
    const pith_graph *graph = e->plan->graph;
    bool tables = false;
    for (int32_t j = 0; j < graph->n_nodes; j++) {
        const pith_node *node = &graph->nodes[j];
        if (!pith_step_has(e->step, node))
            continue;
        uint64_t begin = i == 0 && e->timed ? pith_os_now_ns() : 0;
        if (node->op == PITH_OP_KV_APPEND && !tables) {
            /* One set of tables serves every layer of the step. */
            int64_t t0, t1;
            pith_part(e->step->n_tokens, 1, i, n, &t0, &t1);
            pith_cpu_rope_tables(e, &node->u.append.rope, e->step->pos0, t0, t1);
            pith_pool_barrier(e->backend->pool);
            tables = true;
        }
        pith_cpu_node_run(e, node, i, n);
        /* Two flags in turn: member 0 cannot write this one again before everyone has passed the next barrier. */
        if (i == 0)
            e->stop[j & 1] = e->step->cancel && atomic_load_explicit(e->step->cancel, memory_order_relaxed);
        pith_pool_barrier(e->backend->pool);
        if (i == 0 && e->timed)
            e->node_ns[j] = pith_os_now_ns() - begin;
        if (e->stop[j & 1])
            return;
    }
}

pith_status pith_cpu_run(pith_exec *e, const pith_step *step)
{
    e->step = step;
    e->stop[0] = e->stop[1] = false;
    pith_pool_run(e->backend->pool, run_member, e);
    e->step = NULL;
    return e->stop[0] || e->stop[1] ? pith_fail(PITH_ERROR_CANCELLED, "stopped on request") : PITH_OK;
}

pith_status pith_cpu_read(pith_exec *e, int32_t value, int32_t row0, int32_t n_rows, float *dst)
{
    size_t cols = (size_t)e->plan->graph->values[value].cols;
    memcpy(dst, pith_cpu_value(e, value) + (size_t)row0 * cols, (size_t)n_rows * cols * sizeof *dst);
    return PITH_OK;
}

bool pith_cpu_timings_set(pith_exec *e, bool on)
{
    e->timed = on;
    return true;
}

size_t pith_cpu_timings(pith_exec *e, pith_timing *out, size_t cap)
{
    size_t n = (size_t)e->plan->graph->n_nodes;
    for (size_t i = 0; i < n && i < cap; i++)
        out[i] = (pith_timing){.node = (int32_t)i, .ns = e->node_ns[i]};
    return n;
}
