/* SPDX-License-Identifier: MIT */
#include "graph/plan.h"
#include "base/mem.h"

#include <stdlib.h>

struct life {
    int32_t value;      /* storage value */
    int32_t first, last; /* node indices, inclusive */
    size_t bytes, offset;
};

size_t pith_plan_value_bytes(const pith_plan *plan, int32_t value)
{
    const pith_value *v = &plan->graph->values[value];
    size_t rows = (size_t)(v->rows == PITH_ROWS_TOKENS ? plan->n_tokens_max : plan->n_rows_max);
    size_t bytes;
    if (!pith_size_mul(rows, (size_t)v->cols, &bytes) || !pith_size_mul(bytes, 4, &bytes) ||
        !pith_size_add(bytes, PITH_PAD_BYTES, &bytes) || !pith_size_align(bytes, PITH_ALIGN, &bytes))
        return SIZE_MAX;
    return bytes;
}

static int by_size(const void *a, const void *b)
{
    const struct life *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->value - y->value;
}

static void touch(struct life *lives, const pith_graph *graph, int32_t value, int32_t node)
{
    struct life *l = &lives[graph->values[value].storage];
    if (l->first < 0)
        l->first = node;
    l->last = node;
}

/* The lowest offset at which `l` meets none of the placed ones that live at the same time. */
static size_t place(const struct life *placed, int32_t n, const struct life *l)
{
    size_t offset = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (int32_t i = 0; i < n; i++) {
            const struct life *p = &placed[i];
            bool together = p->first <= l->last && l->first <= p->last;
            bool overlap = p->offset < offset + l->bytes && offset < p->offset + p->bytes;
            if (together && overlap) {
                offset = p->offset + p->bytes;
                moved = true;
            }
        }
    }
    return offset;
}

pith_status pith_plan_make(const pith_graph *graph, int32_t n_tokens_max, int32_t n_rows_max, pith_plan *out)
{
    *out = (pith_plan){.graph = graph, .n_tokens_max = n_tokens_max, .n_rows_max = n_rows_max};
    struct life *lives = pith_calloc((size_t)graph->n_values, sizeof *lives);
    size_t *offset = pith_calloc((size_t)graph->n_values, sizeof *offset);
    if (!lives || !offset) {
        free(lives);
        free(offset);
        return pith_fail(PITH_ERROR_NO_MEMORY, "plan: no memory for %d values", graph->n_values);
    }
    for (int32_t i = 0; i < graph->n_values; i++)
        lives[i] = (struct life){.value = i, .first = -1, .last = -1};
    for (int32_t i = 0; i < graph->n_nodes; i++) {
        const pith_node *node = &graph->nodes[i];
        touch(lives, graph, node->src, i);
        touch(lives, graph, node->dst, i);
        if (node->op == PITH_OP_ATTEND)
            for (int32_t s = 0; s < node->u.attend.n_segments; s++)
                if (node->u.attend.segments[s].list != PITH_LIST_NONE)
                    touch(lives, graph, node->u.attend.segments[s].list_value, i);
    }
    /* The head may run again and again on one trunk: its sources from the trunk and its results stay. */
    for (int32_t i = 0; i < graph->n_nodes; i++) {
        if (graph->nodes[i].stage == PITH_STAGE_HEAD) {
            lives[graph->values[graph->nodes[i].src].storage].last = graph->n_nodes;
            lives[graph->values[graph->nodes[i].dst].storage].last = graph->n_nodes;
        }
    }
    int32_t n = 0;
    for (int32_t i = 0; i < graph->n_values; i++) {
        if (graph->values[i].input || graph->values[i].storage != i || lives[i].first < 0)
            continue;
        struct life l = lives[i];
        l.bytes = pith_plan_value_bytes(out, i);
        if (l.bytes == SIZE_MAX) {
            free(lives);
            free(offset);
            return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "plan: value %s is too large for %d tokens", graph->values[i].name, n_tokens_max);
        }
        lives[n++] = l;
    }
    qsort(lives, (size_t)n, sizeof *lives, by_size);
    for (int32_t i = 0; i < graph->n_values; i++)
        offset[i] = SIZE_MAX;
    size_t arena = 0;
    for (int32_t i = 0; i < n; i++) {
        lives[i].offset = place(lives, i, &lives[i]);
        offset[lives[i].value] = lives[i].offset;
        size_t end = lives[i].offset + lives[i].bytes;
        arena = end > arena ? end : arena;
    }
    for (int32_t i = 0; i < graph->n_values; i++)
        offset[i] = offset[graph->values[i].storage];
    free(lives);
    out->offset = offset;
    out->arena_bytes = arena;
    return PITH_OK;
}

void pith_plan_fini(pith_plan *plan)
{
    free(plan->offset);
    *plan = (pith_plan){0};
}
