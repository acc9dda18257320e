/* SPDX-License-Identifier: MIT */
/* Turning the nodes of a stage into command buffers, once per number of tokens, and keeping the recent ones. Long work
 * is cut into several submissions, so that no watchdog and no desktop waits for it. */
#include "vulkan.h"
#include "base/mem.h"

#include <stdlib.h>

/* FLOP of one submission: about a quarter of a second on a small discrete card, a tenth on an integrated one. */
static double cost_max(const pith_vk_device *d)
{
    switch (d->physical.properties.deviceType) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return 1e12;
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return 2e9;
    default: return 4e10;
    }
}

static bool next_cmd(pith_vk_record *rec)
{
    pith_vk_recording *r = rec->r;
    pith_vk_backend *vk = rec->e->backend;
    if (rec->cmd)
        rec->status = rec->status != PITH_OK ? rec->status : pith_vk_cmd_end(rec->cmd);
    rec->cmd = NULL;
    rec->cost = 0;
    if (rec->status == PITH_OK && r->n_cmds == r->cap_cmds) {
        int32_t cap = r->cap_cmds ? 2 * r->cap_cmds : 4;
        pith_vk_cmd *bigger = realloc(r->cmds, (size_t)cap * sizeof *bigger);
        if (!bigger) {
            rec->status = pith_fail(PITH_ERROR_NO_MEMORY, "vulkan: no memory for command buffers");
            return false;
        }
        r->cmds = bigger;
        for (; r->cap_cmds < cap; r->cap_cmds++)
            r->cmds[r->cap_cmds] = (pith_vk_cmd){0};
    }
    if (rec->status != PITH_OK)
        return false;
    pith_vk_cmd *cmd = &r->cmds[r->n_cmds];
    if (!cmd->device)
        rec->status = pith_vk_cmd_init(cmd, &vk->device, &vk->pipelines);
    if (rec->status != PITH_OK)
        return false;
    r->n_cmds++;
    rec->cmd = cmd;
    pith_vk_cmd_begin(cmd);
    return true;
}

void pith_vk_record_cost(pith_vk_record *rec, double flop)
{
    if (rec->status == PITH_OK && rec->cost > 0 && rec->cost + flop > rec->cost_max)
        next_cmd(rec);
    rec->cost += flop;
}

int32_t pith_vk_rows_of(const pith_vk_record *rec, int32_t value)
{
    const pith_value *v = &rec->e->plan->graph->values[value];
    return v->rows == PITH_ROWS_TOKENS && rec->r->stage == PITH_STAGE_HEAD ? rec->e->plan->n_tokens_max : rec->n;
}

pith_vk_bind pith_vk_bind_value(const pith_vk_record *rec, int32_t value, bool write)
{
    const pith_exec *e = rec->e;
    uint64_t bytes = (uint64_t)pith_vk_rows_of(rec, value) * (uint64_t)e->plan->graph->values[value].cols * 4;
    return (pith_vk_bind){&e->arena, (uint64_t)e->plan->offset[value] * e->sizes.arena_scale, bytes, write};
}

pith_vk_bind pith_vk_bind_vector(const pith_vk_record *rec, int32_t weight)
{
    if (weight < 0)
        return (pith_vk_bind){0};
    const pith_weight_store *s = rec->e->weights;
    const pith_vk_weight *w = &s->weights[weight];
    return (pith_vk_bind){&s->arenas[w->arena], w->offset, (uint64_t)w->cols * 4, false};
}

pith_vk_bind pith_vk_bind_all(const pith_vk_buffer *buffer, bool write)
{
    return (pith_vk_bind){buffer, 0, buffer->bytes, write};
}

pith_vk_bind pith_vk_bind_slab(const pith_vk_record *rec, const pith_vk_slab *slab)
{
    return (pith_vk_bind){&rec->e->weights->arenas[slab->arena], slab->offset, slab->bytes, false};
}

pith_vk_bind pith_vk_bind_state(const pith_vk_record *rec)
{
    return pith_vk_bind_all(&rec->e->state[rec->r->stage], false);
}

static void record_node(pith_vk_record *rec, int32_t index)
{
    const pith_node *node = &rec->e->plan->graph->nodes[index];
    switch (node->op) {
    case PITH_OP_EMBED: pith_vk_op_embed(rec, node); break;
    case PITH_OP_MATMUL: pith_vk_op_matmul(rec, node); break;
    case PITH_OP_KV_APPEND: pith_vk_op_append(rec, node, index); break;
    case PITH_OP_ATTEND: pith_vk_op_attend(rec, node, index); break;
    case PITH_OP_ROWS: pith_vk_op_rows(rec, node); break;
    case PITH_OP_COUNT: break;
    }
}

static pith_status record(pith_exec *e, pith_vk_recording *r)
{
    const pith_graph *graph = e->plan->graph;
    pith_vk_record rec = {.e = e, .r = r, .n = r->n, .cost_max = cost_max(&e->backend->device)};
    r->n_cmds = 0;
    r->timed = e->timed;
    next_cmd(&rec);
    if (r->timed && rec.cmd)
        pith_vk_timings_begin(&rec);
    for (int32_t i = 0; i < graph->n_nodes && rec.status == PITH_OK; i++) {
        if (graph->nodes[i].stage != r->stage)
            continue;
        if (r->timed)
            pith_vk_timings_mark(&rec, i, 0);
        record_node(&rec, i);
        if (r->timed && rec.cmd)
            pith_vk_timings_mark(&rec, i, 1);
    }
    if (rec.cmd && rec.status == PITH_OK) {
        const uint64_t epoch = offsetof(struct pith_vk_state, epoch);
        if (r->stage == PITH_STAGE_HEAD && e->head_value >= 0) {
            pith_vk_bind b = pith_vk_bind_value(&rec, e->head_value, false);
            pith_vk_cmd_copy(rec.cmd, &e->result[1], 64, b.buffer, b.offset, b.bytes);
        }
        pith_vk_cmd_barrier(rec.cmd); /* the epoch is the last thing to be written */
        pith_vk_cmd_copy(rec.cmd, &e->result[r->stage], 0, &e->state[r->stage], epoch, 4);
        rec.status = pith_vk_cmd_end(rec.cmd);
    }
    if (rec.status != PITH_OK)
        r->used = 0;
    return rec.status;
}

/* The recording for n tokens or rows; made in place of the least recently used one when there is none. */
pith_status pith_vk_recording_get(pith_exec *e, pith_stage stage, int32_t n, pith_vk_recording **out)
{
    pith_vk_recording *oldest = NULL;
    for (int i = 0; i < PITH_VK_RECORDINGS; i++) {
        pith_vk_recording *r = &e->recordings[i];
        if (r->used && r->stage == stage && r->n == n && r->timed == e->timed) {
            r->used = ++e->clock;
            *out = r;
            return PITH_OK;
        }
        oldest = !oldest || r->used < oldest->used ? r : oldest;
    }
    for (int32_t i = 0; i < oldest->n_cmds; i++)
        PITH_TRY(pith_vk_queue_wait(&e->backend->queue, oldest->cmds[i].value));
    oldest->stage = stage;
    oldest->n = n;
    oldest->used = ++e->clock;
    *out = oldest;
    return record(e, oldest);
}

/* Decode and full chunks from the first step on without recording or compiling anything. */
pith_status pith_vk_recordings_warm(pith_exec *e)
{
    pith_vk_recording *r;
    bool trunk = false, head = false;
    for (int32_t i = 0; i < e->plan->graph->n_nodes; i++) {
        trunk = trunk || e->plan->graph->nodes[i].stage == PITH_STAGE_TRUNK;
        head = head || e->plan->graph->nodes[i].stage == PITH_STAGE_HEAD;
    }
    if (trunk) {
        PITH_TRY(pith_vk_recording_get(e, PITH_STAGE_TRUNK, e->plan->n_tokens_max, &r));
        PITH_TRY(pith_vk_recording_get(e, PITH_STAGE_TRUNK, 1, &r));
    }
    if (head)
        PITH_TRY(pith_vk_recording_get(e, PITH_STAGE_HEAD, 1, &r));
    return PITH_OK;
}

void pith_vk_recordings_fini(pith_exec *e)
{
    for (int i = 0; i < PITH_VK_RECORDINGS; i++) {
        pith_vk_recording *r = &e->recordings[i];
        for (int32_t c = 0; c < r->cap_cmds; c++)
            pith_vk_cmd_fini(&r->cmds[c]);
        free(r->cmds);
    }
    if (e->queries)
        e->backend->device.fn.vkDestroyQueryPool(e->backend->device.handle, e->queries, NULL);
}
