/* SPDX-License-Identifier: MIT */
#include "graph/graph.h"
#include "base/mem.h"

#include <stdlib.h>

const char *pith_op_name(pith_op op)
{
    static const char *const names[] = {
#define X(NAME, name, params) name,
#include "graph/op.def"
#undef X
    };
    return (unsigned)op < PITH_OP_COUNT ? names[op] : "?";
}

void pith_graph_init(pith_graph *graph, const pith_weight_desc *weights, int32_t n_weights)
{
    *graph = (pith_graph){.weights = weights, .n_weights = n_weights};
}

void pith_graph_fini(pith_graph *graph)
{
    free(graph->nodes);
    free(graph->values);
    *graph = (pith_graph){0};
}

/* Doubles an array when it is full; false without memory, the array then stays. */
static bool grow(void **array, int32_t *cap, int32_t n, size_t size)
{
    if (n < *cap)
        return true;
    int32_t wanted = *cap ? *cap * 2 : 64;
    size_t bytes;
    void *bigger;
    if (!pith_size_mul((size_t)wanted, size, &bytes) || !(bigger = realloc(*array, bytes)))
        return false;
    *array = bigger;
    *cap = wanted;
    return true;
}

static int32_t value_add(pith_graph *graph, pith_value value)
{
    if (!grow((void **)&graph->values, &graph->cap_values, graph->n_values, sizeof *graph->values))
        return -1;
    if (value.storage < 0)
        value.storage = graph->n_values;
    graph->values[graph->n_values] = value;
    return graph->n_values++;
}

int32_t pith_graph_value(pith_graph *graph, const char *name, pith_dtype dtype, pith_rows rows, int32_t cols)
{
    return value_add(graph, (pith_value){.name = name, .dtype = dtype, .rows = rows, .cols = cols, .storage = -1});
}

int32_t pith_graph_input(pith_graph *graph, const char *name, pith_dtype dtype, pith_rows rows, int32_t cols)
{
    return value_add(graph, (pith_value){.name = name, .dtype = dtype, .rows = rows, .cols = cols, .storage = -1, .input = true});
}

int32_t pith_graph_alias(pith_graph *graph, const char *name, int32_t value)
{
    if (value < 0 || value >= graph->n_values)
        return -1;
    pith_value v = graph->values[value];
    v.name = name;
    v.storage = graph->values[value].storage;
    return value_add(graph, v);
}

pith_status pith_graph_add(pith_graph *graph, const pith_node *node)
{
    PITH_TRY(pith_op_check(graph, node));
    if (!grow((void **)&graph->nodes, &graph->cap_nodes, graph->n_nodes, sizeof *graph->nodes))
        return pith_fail(PITH_ERROR_NO_MEMORY, "graph: no memory for node %d", graph->n_nodes);
    graph->nodes[graph->n_nodes++] = *node;
    return PITH_OK;
}

int64_t pith_weight_rows(const pith_weight_desc *weight)
{
    int64_t rows = 0;
    for (int32_t i = 0; i < weight->n_parts; i++)
        rows += weight->parts[i].rows;
    return rows;
}

int64_t pith_weight_cols(const pith_weight_desc *weight)
{
    if (weight->kind != PITH_WEIGHT_VECTOR)
        return weight->n_parts ? weight->parts[0].cols : 0;
    int64_t cols = 0;
    for (int32_t i = 0; i < weight->n_parts; i++)
        cols += weight->parts[i].cols;
    return cols;
}
