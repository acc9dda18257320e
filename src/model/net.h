/* SPDX-License-Identifier: MIT */
/* The transformer as a graph: which weights it has (one table, shared by all sessions of a model) and which nodes one
 * step runs. How attention is done comes in as data, one pith_layer_attn per layer, made by a policy. */
#ifndef PITH_MODEL_NET_H
#define PITH_MODEL_NET_H

#include "graph/graph.h"
#include "model/weights.h"

/* Slots of the weight table: NET_* once, then LAYER_* for each layer. */
enum {
    PITH_NET_EMBED, /* LOOKUP, or NONE when tied: then the output matrix is looked up */
    PITH_NET_OUTPUT_NORM,
    PITH_NET_OUTPUT,
    PITH_NET_SLOTS
};
enum {
    PITH_LAYER_ATTN_NORM,
    PITH_LAYER_QKV,         /* parts q, k, v */
    PITH_LAYER_QKV_BIAS,
    PITH_LAYER_Q_NORM,
    PITH_LAYER_K_NORM,
    PITH_LAYER_OUT,
    PITH_LAYER_OUT_BIAS,
    PITH_LAYER_FFN_NORM,
    PITH_LAYER_GATE_UP,     /* parts gate, up */
    PITH_LAYER_GATE_UP_BIAS,
    PITH_LAYER_DOWN,
    PITH_LAYER_DOWN_BIAS,
    PITH_LAYER_SLOTS
};

static inline int32_t pith_net_slot(int32_t layer, int32_t slot)
{
    return PITH_NET_SLOTS + layer * PITH_LAYER_SLOTS + slot;
}

/* Table of PITH_NET_SLOTS + n_layer * PITH_LAYER_SLOTS entries; names and data are borrowed from the file.
 * Returns owned (free) or NULL. */
pith_weight_desc *pith_net_weights(const pith_config *config, const pith_weights *weights, int32_t *n);

/* Attention of one layer, as the graph needs it. */
typedef struct pith_layer_attn {
    pith_kv_layout layout;
    int32_t kv_class;      /* index of the step's raw_base */
    int32_t group, n_sinks, position; /* pooling; group 0: none */
    int32_t n_segments;
    pith_segment segments[PITH_SEGMENTS_MAX];
} pith_layer_attn;

/* What the caller reads and writes of a built graph. */
typedef struct pith_net {
    pith_graph graph;
    int32_t logits;        /* value [R][V] */
    double *rope_freq;     /* [n_rot / 2], owned */
} pith_net;

/* `layers` [n_layer] and `table` are borrowed for the net's life. Errors: NO_MEMORY, INVALID_ARGUMENT. */
pith_status pith_net_build(const pith_config *config, const pith_weights *weights, const pith_weight_desc *table, int32_t n_table,
                           const pith_layer_attn *layers, pith_net *out);
void pith_net_fini(pith_net *net);

#endif
