/* SPDX-License-Identifier: MIT */
/* An attention policy says, layer by layer, what the KV store keeps, which segments a query sees, and what happens when
 * a group of tokens is complete. It is data: the kernels are the same for every policy. A new method is one file with a
 * row in the table of policy.c. */
#ifndef PITH_ATTENTION_POLICY_H
#define PITH_ATTENTION_POLICY_H

#include "model/net.h"

/* What a policy is asked to serve. */
typedef struct pith_attn_request {
    const pith_config *config;
    pith_attn_params params;
    pith_dtype kv_dtype;
    int64_t context;   /* tokens at most */
    int64_t chunk;     /* tokens of a step at most */
} pith_attn_request;

typedef struct pith_policy {
    const char *name;
    /* Are the parameters sound? INVALID_ARGUMENT, naming the parameter. */
    pith_status (*check)(const pith_attn_request *request);
    /* Fills one layer: head counts, row capacities, segments, pooling (offsets are filled by the caller). */
    void (*layer)(const pith_attn_request *request, int32_t layer, pith_layer_attn *out);
} pith_policy;

extern const pith_policy pith_policy_full, pith_policy_cca;

const pith_policy *pith_policy_get(pith_attn_method method);

/* All layers [n_layer] for a request, sizes included. Returns owned (free). */
pith_status pith_policy_layers(const pith_attn_request *request, pith_layer_attn **out);

/* The lowest position whose raw row a query at position i or later can still see, fixed rows left out: everything
 * before it may leave the sliding rows. */
int64_t pith_layer_keep_from(const pith_layer_attn *layer, int64_t i);


#endif
