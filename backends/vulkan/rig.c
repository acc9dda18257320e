/* SPDX-License-Identifier: MIT */
#include "rig.h"

pith_status pith_vk_rig_take(pith_vk_rig *r, const pith_weight_desc *weights, int32_t n_weights, int32_t tokens, int32_t layers,
                             const pith_kv_layout *layout)
{
    pith_backend *b = &r->vk->base;
    PITH_TRY(pith_plan_make(&r->graph, tokens, 1, &r->plan));
    PITH_TRY(pith_vk_weights_create(b, weights, n_weights, NULL, NULL, NULL, &r->store));
    for (int32_t i = 0; i < layers; i++)
        PITH_TRY(b->fns->buf_create(b, (size_t)layout->bytes, &r->kv[i]));
    return pith_vk_prepare(b, &(pith_exec_params){.plan = &r->plan, .weights = r->store, .kv = r->kv, .n_layers = layers}, &r->exec);
}

void pith_vk_rig_fini(pith_vk_rig *r)
{
    if (r->exec)
        pith_vk_exec_destroy(&r->exec);
    for (int i = 0; i < PITH_VK_RIG_LAYERS; i++)
        if (r->kv[i])
            r->vk->base.fns->buf_destroy(&r->kv[i]);
    pith_vk_weights_destroy(&r->store);
    pith_plan_fini(&r->plan);
    pith_graph_fini(&r->graph);
}

pith_status pith_vk_rig_run(pith_vk_rig *r, int32_t first, int32_t n, int64_t raw_base)
{
    int32_t ids[PITH_VK_RIG_TOKENS];
    for (int32_t i = 0; i < n; i++)
        ids[i] = first + i;
    return pith_vk_run(r->exec, &(pith_step){.stage = PITH_STAGE_TRUNK, .n_tokens = n, .tokens = ids, .pos0 = first, .raw_base = {raw_base}});
}
