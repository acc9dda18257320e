/* SPDX-License-Identifier: MIT */
/* Time of each node on the device: two timestamps around its dispatches, with barriers between nodes as the hazards
 * ask for them; a node that overlaps its neighbour shares its time. */
#include "vulkan.h"

void pith_vk_timings_begin(pith_vk_record *rec)
{
    const pith_exec *e = rec->e;
    if (e->queries)
        e->backend->device.fn.vkCmdResetQueryPool(rec->cmd->handle, e->queries, 0, 2 * (uint32_t)e->plan->graph->n_nodes);
}

void pith_vk_timings_mark(pith_vk_record *rec, int32_t node, int which)
{
    if (rec->e->queries && rec->cmd) {
        if (which)
            pith_vk_cmd_barrier(rec->cmd);
        pith_vk_cmd_timestamp(rec->cmd, rec->e->queries, 2 * (uint32_t)node + (uint32_t)which);
    }
}

/* Reads what the last runs left; nodes of a stage that did not run keep their time. */
void pith_vk_timings_collect(pith_exec *e)
{
    const pith_vk_device *d = &e->backend->device;
    if (!e->queries)
        return;
    uint64_t mask = d->physical.timestamp_bits >= 64 ? UINT64_MAX : ((uint64_t)1 << d->physical.timestamp_bits) - 1;
    double period = (double)d->physical.properties.limits.timestampPeriod;
    for (int32_t i = 0; i < e->plan->graph->n_nodes; i++) {
        uint64_t t[2][2]; /* value, availability */
        VkResult r = d->fn.vkGetQueryPoolResults(d->handle, e->queries, 2 * (uint32_t)i, 2, sizeof t, t, sizeof t[0],
                                                 VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WITH_AVAILABILITY_BIT);
        if (r >= 0 && t[0][1] && t[1][1])
            e->node_ns[i] = (uint64_t)((double)((t[1][0] - t[0][0]) & mask) * period);
    }
}

size_t pith_vk_timings(pith_exec *e, pith_timing *out, size_t cap)
{
    const pith_vk_device *d = &e->backend->device;
    size_t n = (size_t)e->plan->graph->n_nodes;
    if (!(d->caps & PITH_VK_CAP(TIMESTAMPS)))
        return 0;
    if (!e->timed) { /* from the first question on */
        const VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO, .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                            .queryCount = 2 * (uint32_t)n};
        e->timed = d->fn.vkCreateQueryPool(d->handle, &info, NULL, &e->queries) == VK_SUCCESS;
    }
    for (size_t i = 0; i < n && i < cap; i++)
        out[i] = (pith_timing){.node = (int32_t)i, .ns = e->node_ns[i]};
    return n;
}
