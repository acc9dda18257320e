/* SPDX-License-Identifier: MIT */
#include "attention/policy.h"
#include "base/mem.h"

#include <stdlib.h>

const pith_policy *pith_policy_get(pith_attn_method method)
{
    switch (method) {
    case PITH_ATTN_FULL: return &pith_policy_full;
    case PITH_ATTN_CCA: return &pith_policy_cca;
    }
    return NULL;
}

pith_status pith_policy_layers(const pith_attn_request *request, pith_layer_attn **out)
{
    *out = NULL;
    const pith_config *c = request->config;
    const pith_policy *policy = pith_policy_get(request->params.method);
    if (!policy)
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "attention: unknown method %d", (int)request->params.method);
    if (request->kv_dtype == PITH_DTYPE_Q8_0 && c->head_dim % 32 != 0)
        return pith_fail(PITH_ERROR_UNSUPPORTED, "KV type q8_0: expected a head width in multiples of 32, got %d", c->head_dim);
    PITH_TRY(policy->check(request));
    pith_layer_attn *layers = pith_calloc((size_t)c->n_layer, sizeof *layers);
    if (!layers)
        return pith_fail(PITH_ERROR_NO_MEMORY, "attention: no memory for %d layers", c->n_layer);
    for (int32_t l = 0; l < c->n_layer; l++) {
        pith_layer_attn *layer = &layers[l];
        layer->layout.dtype = request->kv_dtype;
        layer->layout.n_kv = c->n_head_kv;
        layer->layout.head_dim = c->head_dim;
        policy->layer(request, l, layer);
        if (!pith_kv_layout_fill(&layer->layout)) {
            free(layers);
            return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "attention: the KV store of %lld tokens overflows", (long long)request->context);
        }
    }
    *out = layers;
    return PITH_OK;
}

int64_t pith_layer_keep_from(const pith_layer_attn *layer, int64_t i)
{
    int64_t keep = INT64_MAX;
    for (int32_t s = 0; s < layer->n_segments; s++) {
        const pith_segment *seg = &layer->segments[s];
        int64_t lo = pith_bound_at(&seg->lo, i);
        bool fixed = seg->hi.max <= layer->layout.n_fixed;
        if (seg->source == PITH_SEGMENT_RAW && !fixed && lo < keep)
            keep = lo;
    }
    if (layer->group > 0) { /* the open group's rows are pooled when its last token comes */
        int64_t open = i / layer->group * layer->group;
        keep = open < keep ? open : keep;
    }
    return keep < layer->layout.n_fixed ? layer->layout.n_fixed : keep;
}
