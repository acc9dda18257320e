/* SPDX-License-Identifier: MIT */
/* Time of each node on the device: two timestamps around its dispatches, with barriers between nodes as the hazards
 * ask for them; a node that overlaps its neighbour shares its time. */
#include "vulkan.h"

/* Nodes [*first, *end) of a stage. */
static void stage_nodes(const pith_exec *e, pith_stage stage, int32_t *first, int32_t *end)
{
    const pith_graph *graph = e->plan->graph;
    *first = *end = 0;
    while (*first < graph->n_nodes && graph->nodes[*first].stage != stage)
        ++*first;
    for (int32_t i = *first; i < graph->n_nodes; i++)
        if (graph->nodes[i].stage == stage)
            *end = i + 1;
}

/* Of this stage alone: the other one's may not have been read yet. */
void pith_vk_timings_begin(pith_vk_record *rec)
{
    const pith_exec *e = rec->e;
    int32_t first, end;
    stage_nodes(e, rec->r->stage, &first, &end);
    if (e->queries && first < end)
        e->backend->device.fn.vkCmdResetQueryPool(rec->cmd->handle, e->queries, 2 * (uint32_t)first, 2 * (uint32_t)(end - first));
}

void pith_vk_timings_mark(pith_vk_record *rec, int32_t node, int which)
{
    if (rec->e->queries && rec->cmd) {
        if (which)
            pith_vk_cmd_barrier(rec->cmd);
        pith_vk_cmd_timestamp(rec->cmd, rec->e->queries, 2 * (uint32_t)node + (uint32_t)which);
    }
}

/* Has a timed recording of this stage ever been submitted? Until then its queries hold nothing that may be read. */
static bool measured(const pith_exec *e, pith_stage stage)
{
    for (int i = 0; i < PITH_VK_RECORDINGS; i++) {
        const pith_vk_recording *r = &e->recordings[i];
        if (r->used && r->timed && r->stage == stage && r->n_cmds > 0 && r->cmds[0].value > 0)
            return true;
    }
    return false;
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
        if (!measured(e, e->plan->graph->nodes[i].stage))
            continue;
        VkResult r = d->fn.vkGetQueryPoolResults(d->handle, e->queries, 2 * (uint32_t)i, 2, sizeof t, t, sizeof t[0],
                                                 VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WITH_AVAILABILITY_BIT);
        if (r >= 0 && t[0][1] && t[1][1])
            e->node_ns[i] = (uint64_t)((double)((t[1][0] - t[0][0]) & mask) * period);
    }
}

bool pith_vk_timings_set(pith_exec *e, bool on)
{
    const pith_vk_device *d = &e->backend->device;
    if (on && !e->queries && (d->caps & PITH_VK_CAP(TIMESTAMPS))) {
        const VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO, .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                            .queryCount = 2 * (uint32_t)e->plan->graph->n_nodes};
        if (d->fn.vkCreateQueryPool(d->handle, &info, NULL, &e->queries) != VK_SUCCESS)
            e->queries = VK_NULL_HANDLE;
    }
    e->timed = on && e->queries;
    return !on || e->timed;
}

size_t pith_vk_timings(pith_exec *e, pith_timing *out, size_t cap)
{
    size_t n = (size_t)e->plan->graph->n_nodes;
    float none;
    if (!e->queries || pith_vk_read(e, e->plan->graph->nodes[0].dst, 0, 0, &none) != PITH_OK) /* waits */
        return 0;
    for (size_t i = 0; i < n && i < cap; i++)
        out[i] = (pith_timing){.node = (int32_t)i, .ns = e->node_ns[i]};
    return n;
}
