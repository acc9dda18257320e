/* SPDX-License-Identifier: MIT */
#include "graph/graph.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct writer { char *text; size_t size, n; };

static void put(struct writer *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct writer *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(w->n < w->size ? w->text + w->n : NULL, w->n < w->size ? w->size - w->n : 0, format, args);
    va_end(args);
    w->n += n > 0 ? (size_t)n : 0;
}

static void put_bound(struct writer *w, const pith_bound *b)
{
    if (b->mul == 0 || b->min == b->max)
        put(w, "%" PRId64, b->min);
    else if (b->group == 1 && b->shift == 0)
        put(w, "min(i+1, %" PRId64 ")", b->max);
    else
        put(w, "max(%" PRId64 ", %d*floor((i+1-%" PRId64 ")/%d))", b->min, b->mul, b->shift, b->group);
}

size_t pith_graph_dump(const pith_graph *graph, char *text, size_t size)
{
    struct writer w = {text, size, 0};
    if (size)
        text[0] = '\0';
    for (int32_t i = 0; i < graph->n_nodes; i++) {
        const pith_node *node = &graph->nodes[i];
        const pith_value *src = &graph->values[node->src], *dst = &graph->values[node->dst];
        put(&w, "%3d %-9s %s[%s,%d] -> %s[%s,%d]", i, pith_op_name(node->op), src->name, src->rows == PITH_ROWS_TOKENS ? "T" : "R",
            src->cols, dst->name, dst->rows == PITH_ROWS_TOKENS ? "T" : "R", dst->cols);
        if (node->layer >= 0)
            put(&w, " layer %d", node->layer);
        if (node->tail)
            put(&w, " tail");
        if (node->op == PITH_OP_MATMUL) {
            static const char *const epilogues[] = {"", " add", " swiglu"};
            const pith_weight_desc *weight = &graph->weights[node->u.matmul.weight];
            put(&w, "%s%s%s", node->u.matmul.norm >= 0 ? " norm" : "", node->u.matmul.bias >= 0 ? " bias" : "",
                epilogues[node->u.matmul.epilogue]);
            for (int32_t p = 0; p < weight->n_parts; p++)
                put(&w, " %s:%s", weight->parts[p].name, pith_dtype_get((uint32_t)weight->parts[p].dtype).name);
        } else if (node->op == PITH_OP_ATTEND) {
            for (int32_t s = 0; s < node->u.attend.n_segments; s++) {
                const pith_segment *seg = &node->u.attend.segments[s];
                put(&w, " %s[", seg->source == PITH_SEGMENT_RAW ? "raw" : "core");
                put_bound(&w, &seg->lo);
                put(&w, " .. ");
                put_bound(&w, &seg->hi);
                put(&w, ")%s", seg->bias ? "+bias" : "");
            }
        }
        put(&w, "\n");
    }
    return w.n;
}
