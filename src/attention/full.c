/* SPDX-License-Identifier: MIT */
/* Full attention: every query sees every raw token up to itself. One segment, one row per token, no pooling. */
#include "attention/policy.h"

static pith_status full_check(const pith_attn_request *request)
{
    (void)request;
    return PITH_OK;
}

static void full_layer(const pith_attn_request *request, int32_t layer, pith_layer_attn *out)
{
    (void)layer;
    out->kv_class = 1; /* dense layers never slide */
    out->layout.n_fixed = 0;
    out->layout.raw_rows = request->context;
    out->n_segments = 1;
    out->segments[0] = (pith_segment){
        .source = PITH_SEGMENT_RAW,
        .lo = pith_bound_const(0),
        .hi = {.min = 0, .max = INT64_MAX, .shift = 0, .mul = 1, .group = 1},
        .list_value = -1,
    };
}

const pith_policy pith_policy_full = {"full", full_check, full_layer};
