/* SPDX-License-Identifier: MIT */
/* A graph is an append-only list of nodes over values; both are descriptions. No node computes, no value owns memory:
 * plan.h gives values their place, a backend (run/backend.h) reads the list. Row counts stay symbolic (T tokens, R rows
 * asked for), so one graph serves prefill and decode.
 *
 * Letters used everywhere: T tokens of a step, R rows wanted, D model width, H query heads, K KV heads, E head width,
 * F feed-forward width, V vocabulary, g group, s window, C cores. */
#ifndef PITH_GRAPH_GRAPH_H
#define PITH_GRAPH_GRAPH_H

#include "base/status.h"
#include "graph/dtype.h"
#include "graph/kv.h"
#include "graph/segment.h"

/* ---- weights: what a graph's nodes point at, by index ---- */

typedef enum pith_weight_kind {
    PITH_WEIGHT_NONE,   /* absent */
    PITH_WEIGHT_MATRIX, /* parts stacked along their rows; every part has the same cols */
    PITH_WEIGHT_VECTOR, /* f32 parts, concatenated */
    PITH_WEIGHT_LOOKUP, /* one part, read row by row */
} pith_weight_kind;

typedef struct pith_weight_part {
    const char *name;  /* borrowed */
    pith_dtype dtype;
    int64_t rows, cols; /* outputs, inputs (contiguous); a vector: 1 row */
    const void *data;  /* borrowed: the file's bytes */
} pith_weight_part;

#define PITH_WEIGHT_PARTS_MAX 3
typedef struct pith_weight_desc {
    pith_weight_kind kind;
    int32_t n_parts;
    pith_weight_part parts[PITH_WEIGHT_PARTS_MAX];
} pith_weight_desc;

/* ---- values ---- */

typedef enum pith_rows { PITH_ROWS_TOKENS, PITH_ROWS_WANTED } pith_rows;

typedef struct pith_value {
    const char *name;  /* static */
    pith_dtype dtype;  /* F32, or I32 for ids and lists */
    pith_rows rows;
    int32_t cols;
    int32_t storage;   /* the value whose memory this one is (in-place ops); itself when not aliased */
    bool input;        /* filled by the step, not by a node; takes no arena memory */
} pith_value;

/* ---- nodes ---- */

typedef enum pith_op {
#define X(NAME, name, params) PITH_OP_##NAME,
#include "graph/op.def"
#undef X
    PITH_OP_COUNT
} pith_op;

const char *pith_op_name(pith_op op);

typedef enum pith_stage { PITH_STAGE_TRUNK, PITH_STAGE_HEAD } pith_stage; /* head: logits of the rows asked for */

typedef enum pith_epilogue {
    PITH_EPILOGUE_STORE,  /* dst = y */
    PITH_EPILOGUE_ADD,    /* dst += y: the residual stream, in place */
    PITH_EPILOGUE_SWIGLU, /* weight parts gate, up: dst = silu(y_gate) * y_up, [T][F] */
} pith_epilogue;

typedef struct pith_rope {
    const double *freq;  /* [n_rot / 2] angle per position; borrowed, lives as long as the graph */
    float magnitude;     /* cos and sin are multiplied by it (YaRN), else 1 */
    int32_t n_rot;
    bool half;           /* pairs (i, i + n_rot/2); else (2i, 2i + 1) */
} pith_rope;

typedef struct pith_node {
    pith_op op;
    pith_stage stage;
    int32_t src, dst;    /* values */
    int32_t layer;       /* -1: none */
    /* Of the trunk, behind the last append: nothing but logits comes of it, so that it runs only for tokens whose logits
     * will be asked for (n_skip of run/backend.h). Every node of the trunk behind it is one too. */
    bool tail;
    union {
        struct { int32_t weight; } embed;
        struct {
            int32_t weight, bias; /* bias -1: none; one vector over all parts' rows */
            int32_t norm;         /* weight of an RMS norm applied to src first; -1: none */
            float norm_eps;
            pith_epilogue epilogue;
        } matmul;
        struct {
            int32_t n_head, q_norm, k_norm; /* norm weights [E] or -1 */
            float norm_eps, scale;
            pith_rope rope;
            const pith_kv_layout *layout; /* borrowed */
            int32_t kv_class;      /* index of the step's raw_base */
            int32_t group;         /* g, 0: no cores */
            int32_t n_sinks, position; /* pith_cca_position */
        } append;
        struct {
            int32_t n_head;
            float scale;
            const pith_kv_layout *layout;
            int32_t kv_class;
            int32_t n_segments;
            pith_segment segments[PITH_SEGMENTS_MAX];
        } attend;
        struct { int32_t unused; } rows;
    } u;
} pith_node;

typedef struct pith_graph {
    pith_node *nodes;
    int32_t n_nodes, cap_nodes;
    pith_value *values;
    int32_t n_values, cap_values;
    const pith_weight_desc *weights; /* borrowed */
    int32_t n_weights;
} pith_graph;

void pith_graph_init(pith_graph *graph, const pith_weight_desc *weights, int32_t n_weights);
void pith_graph_fini(pith_graph *graph);

/* Appends a value; returns its index or -1 (no memory). */
int32_t pith_graph_value(pith_graph *graph, const char *name, pith_dtype dtype, pith_rows rows, int32_t cols);
int32_t pith_graph_input(pith_graph *graph, const char *name, pith_dtype dtype, pith_rows rows, int32_t cols);
/* A new name for the memory of `value` after an in-place op. */
int32_t pith_graph_alias(pith_graph *graph, const char *name, int32_t value);

/* Appends a node after checking its shapes, types and indices (op_check.c). Errors: NO_MEMORY; INVALID_ARGUMENT with
 * op, layer, expected and got: a builder's mistake or a file that slipped through. */
pith_status pith_graph_add(pith_graph *graph, const pith_node *node);
pith_status pith_op_check(const pith_graph *graph, const pith_node *node);

/* Rows of a matrix over all parts; cols of its first. */
int64_t pith_weight_rows(const pith_weight_desc *weight);
int64_t pith_weight_cols(const pith_weight_desc *weight);

/* Writes a readable listing into text[size], one node a line; returns the length it would need. */
size_t pith_graph_dump(const pith_graph *graph, char *text, size_t size);

#endif
