/* SPDX-License-Identifier: MIT */
/* A graph made ready on the device: what the self-test's checks run. */
#ifndef PITH_VK_RIG_H
#define PITH_VK_RIG_H

#include "selftest.h"

#define PITH_VK_RIG_TOKENS 128 /* of a run at most */
#define PITH_VK_RIG_LAYERS 10 /* at most */

typedef struct pith_vk_rig {
    pith_vk_backend *vk;
    pith_graph graph;
    pith_plan plan;
    pith_weight_store *store;
    pith_buf *kv[PITH_VK_RIG_LAYERS];
    pith_exec *exec;
} pith_vk_rig;

/* Of r->vk and r->graph, whose layers have keys of one layout each (NULL: none). Released with fini, also after a failure. */
pith_status pith_vk_rig_take(pith_vk_rig *r, const pith_weight_desc *weights, int32_t n_weights, int32_t tokens, int32_t layers,
                             const pith_kv_layout *layout);
void pith_vk_rig_fini(pith_vk_rig *r);
/* Tokens [first, first + n), whose ids are their positions; the sliding rows begin at position raw_base. */
pith_status pith_vk_rig_run(pith_vk_rig *r, int32_t first, int32_t n, int64_t raw_base);

/* probes_attn.c */
pith_status pith_vk_probe_attention(pith_vk_backend *vk, bool *good);
pith_status pith_vk_probe_cores(pith_vk_backend *vk, bool *good);
/* probes_chain.c */
pith_status pith_vk_probe_chain(pith_vk_backend *vk, bool *good);

#endif
