/* SPDX-License-Identifier: MIT */
/* Shape and type rules of every op, checked once when a node is appended, so that backends never check again. */
#include "graph/graph.h"

static pith_status bad(const pith_node *node, const char *what, long long expected, long long got)
{
    return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "graph: %s of layer %d: %s: expected %lld, got %lld", pith_op_name(node->op),
                     node->layer, what, expected, got);
}

#define EXPECT(what, expected, got)                                             \
    do {                                                                        \
        long long e_ = (long long)(expected), g_ = (long long)(got);            \
        if (e_ != g_)                                                           \
            return bad(node, what, e_, g_);                                     \
    } while (0)

/* The weight's description; *status says whether the index and the kind are right. */
static const pith_weight_desc *weight_of(const pith_graph *graph, const pith_node *node, int32_t index, pith_weight_kind kind,
                                         pith_status *status)
{
    if (index < 0 || index >= graph->n_weights) {
        *status = bad(node, "weight index below", graph->n_weights, index);
        return NULL;
    }
    const pith_weight_desc *w = &graph->weights[index];
    bool lookup_in_matrix = kind == PITH_WEIGHT_LOOKUP && w->kind == PITH_WEIGHT_MATRIX && w->n_parts == 1;
    if (w->kind != kind && !lookup_in_matrix) {
        *status = bad(node, "weight kind", kind, w->kind);
        return NULL;
    }
    *status = PITH_OK;
    return w;
}

static pith_status check_vector(const pith_graph *graph, const pith_node *node, const char *what, int32_t index, int64_t cols)
{
    if (index < 0)
        return PITH_OK;
    pith_status status;
    const pith_weight_desc *w = weight_of(graph, node, index, PITH_WEIGHT_VECTOR, &status);
    if (!w)
        return status;
    EXPECT(what, cols, pith_weight_cols(w));
    return PITH_OK;
}

static pith_status check_matmul(const pith_graph *graph, const pith_node *node, const pith_value *src, const pith_value *dst)
{
    pith_status status;
    const pith_weight_desc *w = weight_of(graph, node, node->u.matmul.weight, PITH_WEIGHT_MATRIX, &status);
    if (!w)
        return status;
    for (int32_t i = 0; i < w->n_parts; i++)
        EXPECT("columns of the weight", src->cols, w->parts[i].cols);
    if (node->u.matmul.epilogue == PITH_EPILOGUE_SWIGLU) {
        EXPECT("parts of a gated weight", 2, w->n_parts);
        EXPECT("rows of up", w->parts[0].rows, w->parts[1].rows);
        EXPECT("columns of the result", w->parts[0].rows, dst->cols);
    } else {
        EXPECT("columns of the result", pith_weight_rows(w), dst->cols);
    }
    EXPECT("kind of rows", src->rows, dst->rows);
    PITH_TRY(check_vector(graph, node, "length of the norm", node->u.matmul.norm, src->cols));
    return check_vector(graph, node, "length of the bias", node->u.matmul.bias, pith_weight_rows(w));
}

static pith_status check_segment(const pith_graph *graph, const pith_node *node, const pith_segment *s)
{
    const pith_kv_layout *layout = node->u.attend.layout;
    if (s->lo.group < 1 || s->hi.group < 1)
        return bad(node, "group of a bound at least", 1, s->lo.group < s->hi.group ? s->lo.group : s->hi.group);
    if (s->source == PITH_SEGMENT_CORE && layout->core_heads == 0)
        return bad(node, "core heads of the store at least", 1, 0);
    if (s->list != PITH_LIST_NONE) {
        if (s->list_value < 0 || s->list_value >= graph->n_values)
            return bad(node, "list value below", graph->n_values, s->list_value);
        EXPECT("type of a list", PITH_DTYPE_I32, graph->values[s->list_value].dtype);
        EXPECT("columns of a list", (long long)layout->n_kv * s->list_max, graph->values[s->list_value].cols);
    }
    return PITH_OK;
}

/* What belongs to the tail works token by token, and nothing that every token needs stands behind it. */
static pith_status check_tail(const pith_graph *graph, const pith_node *node)
{
    bool behind = graph->n_nodes > 0 && graph->nodes[graph->n_nodes - 1].tail;
    if (node->stage == PITH_STAGE_TRUNK && behind)
        EXPECT("behind a node of the tail: tail", 1, node->tail);
    if (!node->tail)
        return PITH_OK;
    EXPECT("stage of a tail", PITH_STAGE_TRUNK, node->stage);
    if (node->op != PITH_OP_ATTEND)
        EXPECT("op of a tail", PITH_OP_MATMUL, node->op);
    return PITH_OK;
}

pith_status pith_op_check(const pith_graph *graph, const pith_node *node)
{
    if (node->src < 0 || node->src >= graph->n_values)
        return bad(node, "source value below", graph->n_values, node->src);
    if (node->dst < 0 || node->dst >= graph->n_values)
        return bad(node, "result value below", graph->n_values, node->dst);
    const pith_value *src = &graph->values[node->src], *dst = &graph->values[node->dst];
    EXPECT("type of the result", PITH_DTYPE_F32, dst->dtype);
    PITH_TRY(check_tail(graph, node));
    pith_status status;
    switch (node->op) {
    case PITH_OP_EMBED: {
        const pith_weight_desc *w = weight_of(graph, node, node->u.embed.weight, PITH_WEIGHT_LOOKUP, &status);
        if (!w)
            return status;
        EXPECT("type of the ids", PITH_DTYPE_I32, src->dtype);
        EXPECT("columns of the result", w->parts[0].cols, dst->cols);
        return PITH_OK;
    }
    case PITH_OP_MATMUL:
        return check_matmul(graph, node, src, dst);
    case PITH_OP_KV_APPEND: {
        const pith_kv_layout *l = node->u.append.layout;
        EXPECT("columns of qkv", (long long)(node->u.append.n_head + 2 * l->n_kv) * l->head_dim, src->cols);
        EXPECT("storage of the result", src->storage, dst->storage);
        PITH_TRY(check_vector(graph, node, "length of q_norm", node->u.append.q_norm, l->head_dim));
        return check_vector(graph, node, "length of k_norm", node->u.append.k_norm, l->head_dim);
    }
    case PITH_OP_ATTEND: {
        const pith_kv_layout *l = node->u.attend.layout;
        EXPECT("columns of qkv", (long long)(node->u.attend.n_head + 2 * l->n_kv) * l->head_dim, src->cols);
        EXPECT("columns of the result", (long long)node->u.attend.n_head * l->head_dim, dst->cols);
        EXPECT("query heads in whole KV groups: remainder", 0, node->u.attend.n_head % l->n_kv);
        if (node->u.attend.n_segments < 1 || node->u.attend.n_segments > PITH_SEGMENTS_MAX)
            return bad(node, "segments at most", PITH_SEGMENTS_MAX, node->u.attend.n_segments);
        for (int32_t i = 0; i < node->u.attend.n_segments; i++)
            PITH_TRY(check_segment(graph, node, &node->u.attend.segments[i]));
        return PITH_OK;
    }
    case PITH_OP_ROWS:
        EXPECT("columns of the result", src->cols, dst->cols);
        EXPECT("kind of rows of the result", PITH_ROWS_WANTED, dst->rows);
        return PITH_OK;
    case PITH_OP_COUNT:
        break;
    }
    return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "graph: unknown op %d", (int)node->op);
}
