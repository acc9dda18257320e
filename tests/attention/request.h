/* SPDX-License-Identifier: MIT */
/* A made-up model and an attention request for it: what the policy tests start from. */
#ifndef PITH_TESTS_REQUEST_H
#define PITH_TESTS_REQUEST_H

#include "attention/policy.h"

/* n_layer 3, 4 query heads over 2 KV heads of 32 elements. */
static inline pith_config request_config(void)
{
    static const pith_arch arch = {.name = "llama"};
    return (pith_config){.arch = &arch, .n_layer = 3, .n_embd = 128, .n_head = 4, .n_head_kv = 2, .head_dim = 32, .n_rot = 32,
                         .n_ff = 64, .n_vocab = 100, .context_length = 1 << 20, .rms_eps = 1e-5f, .attn_scale = 0.17f};
}

static inline pith_attn_request request_cca(const pith_config *config, int32_t g, int32_t s, int32_t sinks, int64_t context, int64_t chunk)
{
    return (pith_attn_request){
        .config = config,
        .params = {.method = PITH_ATTN_CCA, .group = g, .window = s, .sinks = sinks, .bias = PITH_CCA_BIAS_ENTROPY},
        .kv_dtype = PITH_DTYPE_F16,
        .context = context,
        .chunk = chunk,
    };
}

#endif
