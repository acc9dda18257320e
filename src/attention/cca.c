/* SPDX-License-Identifier: MIT */
/* Core Context Aware attention (Chen et al., ICML 2025), the rule of the authors' code: with n = i + 1 and
 * J(n) = max(0, floor((n - s) / g)), query i sees
 *
 *     raw 0 .. min(n_sinks, n)-1   |   cores of 0 .. J*g-1, sinks left out   |   raw max(n_sinks, J*g) .. i
 *
 * so every past token exactly once. Cores are made eagerly, when a group's last token is appended, and become visible
 * s tokens later; a group made of sinks only has no core. docs/MODEL.md has the equations. */
#include "attention/policy.h"

static pith_status cca_check(const pith_attn_request *request)
{
    const pith_attn_params *p = &request->params;
    if (p->group < 1)
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "cca: group: expected at least 1, got %d", p->group);
    if (p->window < p->group || p->window % p->group != 0)
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "cca: window: expected a multiple of the group %d, at least one group, got %d",
                         p->group, p->window);
    if (p->sinks < 0 || p->sinks > p->window)
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "cca: sinks: expected 0 to the window %d, got %d", p->window, p->sinks);
    for (size_t i = 0; i < p->n_dense_layers; i++)
        if (p->dense_layers[i] < 0 || p->dense_layers[i] >= request->config->n_layer)
            return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "cca: dense layers: expected 0 to %d, got %d", request->config->n_layer - 1,
                             p->dense_layers[i]);
    return PITH_OK;
}

static bool is_dense(const pith_attn_params *p, int32_t layer)
{
    for (size_t i = 0; i < p->n_dense_layers; i++)
        if (p->dense_layers[i] == layer)
            return true;
    return false;
}

static void cca_layer(const pith_attn_request *request, int32_t layer, pith_layer_attn *out)
{
    const pith_attn_params *p = &request->params;
    if (is_dense(p, layer)) {
        pith_policy_full.layer(request, layer, out);
        return;
    }
    int64_t g = p->group, s = p->window, context = request->context;
    out->kv_class = 0;
    out->group = p->group;
    out->n_sinks = p->sinks;
    out->position = p->position;
    out->layout.core_heads = p->heads == PITH_CCA_HEADS_QUERY ? request->config->n_head : request->config->n_head_kv;
    out->layout.core_rows = context / g;
    /* A query sees at most s + g - 1 sliding rows; the rows of a chunk lie behind those of its first query. */
    int64_t rows = p->sinks + s + g - 1 + request->chunk;
    out->layout.n_fixed = p->sinks;
    out->layout.raw_rows = rows < context ? rows : context;
    if (out->layout.raw_rows < out->layout.n_fixed)
        out->layout.raw_rows = out->layout.n_fixed;

    const pith_bound upto = {.min = 0, .max = INT64_MAX, .shift = 0, .mul = 1, .group = 1};
    int32_t n = 0;
    if (p->sinks > 0) {
        pith_bound first = upto;
        first.max = p->sinks;
        out->segments[n++] = (pith_segment){.source = PITH_SEGMENT_RAW, .lo = pith_bound_const(0), .hi = first, .list_value = -1};
    }
    out->segments[n++] = (pith_segment){
        .source = PITH_SEGMENT_CORE,
        .lo = pith_bound_const(p->sinks / g),
        .hi = {.min = 0, .max = INT64_MAX, .shift = s, .mul = 1, .group = p->group},
        .bias = p->bias == PITH_CCA_BIAS_ENTROPY,
        .list_value = -1,
    };
    out->segments[n++] = (pith_segment){
        .source = PITH_SEGMENT_RAW,
        .lo = {.min = p->sinks, .max = INT64_MAX, .shift = s, .mul = p->group, .group = p->group},
        .hi = upto,
        .list_value = -1,
    };
    out->n_segments = n;
}

const pith_policy pith_policy_cca = {"cca", cca_check, cca_layer};
