/* SPDX-License-Identifier: MIT */
#include "run/profile.h"
#include "base/mem.h"
#include "run/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pith_profile {
    const pith_backend *backend;
    pith_exec *exec;
    const pith_graph *graph;
    int32_t *kind_of;       /* [n_nodes] */
    pith_op_profile *kinds; /* [n_kinds] */
    size_t n_kinds;
    pith_timing *times;     /* [n_nodes] */
};

/* ---- what a node has to do ------------------------------------------------------------------------------------------ */

static double weight_bytes(const pith_weight_desc *w)
{
    double bytes = 0;
    for (int32_t p = 0; p < w->n_parts; p++)
        bytes += (double)pith_dtype_row_bytes(w->parts[p].dtype, (size_t)w->parts[p].cols) * (double)w->parts[p].rows;
    return bytes;
}

/* One row of keys and one of values, of every head. */
static double row_bytes(const pith_kv_layout *l, bool core)
{
    const pith_kv_plane *k = core ? &l->core_k : &l->raw_k, *v = core ? &l->core_v : &l->raw_v;
    double scales = l->dtype == PITH_DTYPE_Q8_0 ? 2.0 * l->head_dim / 32 * 2 : 0; /* an f16 per 32 elements of each */
    return (double)(core ? l->core_heads : l->n_kv) * ((double)k->row_bytes + (double)v->row_bytes + scales);
}

/* Keys are counted per query for the products, and once for memory: bounds grow with the position. */
static pith_node_cost attend_cost(const pith_node *node, const pith_step *step)
{
    const pith_kv_layout *l = node->u.attend.layout;
    const int32_t t0 = pith_step_first(step, node);
    pith_node_cost cost = {0};
    for (int32_t i = 0; i < node->u.attend.n_segments; i++) {
        const pith_segment *s = &node->u.attend.segments[i];
        int64_t first = pith_bound_at(&s->lo, step->pos0 + t0), end = pith_bound_at(&s->hi, step->pos0 + step->n_tokens - 1);
        cost.bytes += end > first ? (double)(end - first) * row_bytes(l, s->source == PITH_SEGMENT_CORE) : 0;
        for (int32_t t = t0; t < step->n_tokens; t++) {
            int64_t keys = pith_bound_at(&s->hi, step->pos0 + t) - pith_bound_at(&s->lo, step->pos0 + t);
            cost.flop += keys > 0 ? 4.0 * (double)keys * node->u.attend.n_head * l->head_dim : 0;
        }
    }
    cost.bytes += 8.0 * (step->n_tokens - t0) * node->u.attend.n_head * l->head_dim; /* queries and results */
    return cost;
}

pith_node_cost pith_node_cost_of(const pith_graph *graph, const pith_node *node, const pith_step *step)
{
    double rows = node->stage == PITH_STAGE_HEAD ? step->n_rows : step->n_tokens - pith_step_first(step, node);
    double in = 4 * rows * graph->values[node->src].cols, out = 4 * rows * graph->values[node->dst].cols;
    switch (node->op) {
    case PITH_OP_MATMUL: {
        const pith_weight_desc *w = &graph->weights[node->u.matmul.weight];
        double again = node->u.matmul.epilogue == PITH_EPILOGUE_ADD ? out : 0;
        return (pith_node_cost){weight_bytes(w) + in + out + again, 2 * rows * (double)pith_weight_rows(w) * (double)pith_weight_cols(w)};
    }
    case PITH_OP_ATTEND: return attend_cost(node, step);
    case PITH_OP_KV_APPEND: return (pith_node_cost){in + out + rows * row_bytes(node->u.append.layout, false), 0};
    case PITH_OP_EMBED: {
        const pith_weight_part *table = &graph->weights[node->u.embed.weight].parts[0];
        return (pith_node_cost){rows * (double)pith_dtype_row_bytes(table->dtype, (size_t)table->cols) + out, 0};
    }
    case PITH_OP_ROWS: return (pith_node_cost){in + out, 0};
    case PITH_OP_COUNT: break;
    }
    return (pith_node_cost){0};
}

/* ---- sums ----------------------------------------------------------------------------------------------------------- */

static int32_t kind_find(pith_profile *p, const pith_node *node)
{
    char name[sizeof p->kinds->name];
    const char *src = p->graph->values[node->src].name, *dst = p->graph->values[node->dst].name;
    if (node->src == node->dst)
        snprintf(name, sizeof name, "%s %s", pith_op_name(node->op), dst);
    else
        snprintf(name, sizeof name, "%s %s -> %s", pith_op_name(node->op), src, dst);
    size_t i = 0;
    while (i < p->n_kinds && strcmp(p->kinds[i].name, name) != 0)
        i++;
    if (i == p->n_kinds)
        memcpy(p->kinds[p->n_kinds++].name, name, sizeof name);
    return (int32_t)i;
}

pith_status pith_profile_create(const pith_backend *backend, pith_exec *exec, const pith_plan *plan, pith_profile **out)
{
    *out = NULL;
    if (!backend->fns->timings_set || !backend->fns->timings_set(exec, true))
        return pith_fail(PITH_ERROR_UNSUPPORTED, "profile: %s measures no times", backend->describe);
    size_t n = (size_t)plan->graph->n_nodes;
    pith_profile *p = pith_calloc(1, sizeof *p);
    if (p)
        *p = (pith_profile){.backend = backend, .exec = exec, .graph = plan->graph, .kind_of = pith_calloc(n, sizeof *p->kind_of),
                            .kinds = pith_calloc(n, sizeof *p->kinds), .times = pith_calloc(n, sizeof *p->times)};
    if (!p || !p->kind_of || !p->kinds || !p->times) {
        pith_profile_destroy(&p);
        return pith_fail(PITH_ERROR_NO_MEMORY, "profile: no memory for %zu nodes", n);
    }
    for (size_t i = 0; i < n; i++)
        p->kind_of[i] = kind_find(p, &p->graph->nodes[i]);
    *out = p;
    return PITH_OK;
}

void pith_profile_destroy(pith_profile **profile)
{
    pith_profile *p = *profile;
    if (!p)
        return;
    (void)p->backend->fns->timings_set(p->exec, false);
    free(p->kind_of);
    free(p->kinds);
    free(p->times);
    free(p);
    *profile = NULL;
}

void pith_profile_add(pith_profile *p, const pith_step *step)
{
    size_t n = p->backend->fns->timings(p->exec, p->times, (size_t)p->graph->n_nodes);
    for (size_t i = 0; i < n; i++) {
        const pith_node *node = &p->graph->nodes[p->times[i].node];
        if (!pith_step_has(step, node))
            continue;
        pith_op_profile *kind = &p->kinds[p->kind_of[p->times[i].node]];
        pith_node_cost cost = pith_node_cost_of(p->graph, node, step);
        kind->calls++;
        kind->seconds += (double)p->times[i].ns * 1e-9;
        kind->bytes += cost.bytes;
        kind->flop += cost.flop;
    }
}

pith_status pith_session_profile(pith_session *s, bool on)
{
    pith_profile_destroy(&s->profile);
    return on ? pith_profile_create(s->backend, s->exec, &s->shape.plan, &s->profile) : PITH_OK;
}

size_t pith_session_profile_get(const pith_session *s, pith_op_profile *out, size_t cap)
{
    size_t n = s->profile ? s->profile->n_kinds : 0;
    for (size_t i = 0; i < n && i < cap; i++)
        out[i] = s->profile->kinds[i];
    return n;
}
