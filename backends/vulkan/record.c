/* SPDX-License-Identifier: MIT */
/* Turning the nodes of a stage into command buffers, once per number of tokens, and keeping the recent ones. Long work
 * is cut into several submissions, so that no watchdog and no desktop waits for it. */
#include "vulkan.h"
#include "base/mem.h"
#include "base/os.h"

#include <stdlib.h>
#include <string.h>

#define CLOCKED_MAX 256 /* command buffers whose times are noted */

static void clock_mark(pith_vk_record *rec, uint32_t which)
{
    const pith_vk_device *d = &rec->e->backend->device;
    uint32_t query = 2 * (uint32_t)(rec->r->n_cmds - 1) + which;
    if (!rec->r->clocked || !rec->cmd || rec->r->n_cmds > CLOCKED_MAX)
        return;
    if (which == 0)
        d->fn.vkCmdResetQueryPool(rec->cmd->handle, rec->e->clock_queries, query, 2);
    pith_vk_cmd_timestamp(rec->cmd, rec->e->clock_queries, query);
}

static bool next_cmd(pith_vk_record *rec)
{
    pith_vk_recording *r = rec->r;
    pith_vk_backend *vk = rec->e->backend;
    clock_mark(rec, 1);
    if (rec->cmd)
        rec->status = rec->status != PITH_OK ? rec->status : pith_vk_cmd_end(rec->cmd);
    rec->cmd = NULL;
    rec->seconds = 0;
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
    if (r->place) {
        const pith_vk_sizes *s = &rec->e->sizes;
        pith_vk_cmd_chain(cmd, (uint32_t)(s->mark / 4));
        if (r->n_cmds == 1) {
            pith_vk_cmd_fill(cmd, &rec->e->arrivals, s->mark, 4, 0);
            pith_vk_cmd_fill(cmd, &rec->e->arrivals, s->places, s->arrivals - s->places, PITH_VK_LINK_NOTHING);
        }
    }
    memset(cmd->flop, 0, sizeof cmd->flop);
    clock_mark(rec, 0);
    return true;
}

static pith_vk_work work_of(const pith_vk_record *rec, pith_vk_work work)
{
    return rec->n <= PITH_VK_FEW_TOKENS ? PITH_VK_WORK_FEW : work;
}

void pith_vk_record_cost_of(pith_vk_record *rec, pith_vk_work work, double flop)
{
    const pith_vk_pace *pace = &rec->e->backend->pace;
    work = work_of(rec, work);
    double seconds = flop * pace->seconds_per_flop[work];
    if (rec->status == PITH_OK && rec->seconds > 0 && rec->seconds + seconds > pace->target)
        next_cmd(rec);
    rec->seconds += seconds;
    if (rec->cmd)
        rec->cmd->flop[work] += flop;
}

void pith_vk_record_cost(pith_vk_record *rec, double flop) { pith_vk_record_cost_of(rec, PITH_VK_WORK_MANY, flop); }

double pith_vk_record_share(const pith_vk_record *rec, pith_vk_work work, double flop)
{
    const pith_vk_pace *pace = &rec->e->backend->pace;
    return pace->target / (flop * pace->seconds_per_flop[work_of(rec, work)]);
}

uint64_t pith_vk_record_room(const pith_vk_record *rec, pith_vk_work work, double flop)
{
    double n = pith_vk_record_share(rec, work, flop);
    return n < 1 ? 1 : n > 1e9 ? 1000000000 : (uint64_t)n;
}

int64_t pith_vk_record_rows(const pith_vk_record *rec, int64_t most, double flop)
{
    int64_t rows = (int64_t)pith_vk_record_room(rec, PITH_VK_WORK_MANY, flop) / PITH_VK_TILE_MAX * PITH_VK_TILE_MAX;
    return rows >= most ? most : rows ? rows : most < PITH_VK_TILE_MAX ? most : PITH_VK_TILE_MAX;
}

/* Rows [first, end) of a value; the head may look at any row of the trunk's. */
static pith_vk_bind bind_rows(const pith_vk_record *rec, int32_t value, int32_t first, int32_t end, bool write)
{
    const pith_exec *e = rec->e;
    const pith_value *v = &e->plan->graph->values[value];
    uint64_t pitch = (uint64_t)v->cols * 4;
    if (v->rows == PITH_ROWS_TOKENS && rec->r->stage == PITH_STAGE_HEAD)
        end = e->plan->n_tokens_max;
    return (pith_vk_bind){&e->arena, (uint64_t)e->plan->offset[value] * e->sizes.arena_scale + (uint64_t)first * pitch,
                          (uint64_t)(end - first) * pitch, write};
}

pith_vk_bind pith_vk_bind_value(const pith_vk_record *rec, int32_t value, bool write)
{
    pith_vk_bind bind;
    return pith_vk_places_bind(rec, value, write, &bind) ? bind : pith_vk_bind_planned(rec, value, write);
}

pith_vk_bind pith_vk_bind_planned(const pith_vk_record *rec, int32_t value, bool write)
{
    return bind_rows(rec, value, rec->first, rec->first + rec->n, write);
}

pith_vk_bind pith_vk_bind_from_start(const pith_vk_record *rec, int32_t value, bool write)
{
    pith_vk_bind bind;
    return pith_vk_places_bind(rec, value, write, &bind) ? bind : bind_rows(rec, value, 0, rec->first + rec->n, write);
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

pith_vk_bind pith_vk_bind_counters(const pith_vk_record *rec)
{
    return (pith_vk_bind){&rec->e->arrivals, 0, rec->e->sizes.places, true};
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
    pith_vk_record rec = {.e = e, .r = r};
    r->n_cmds = 0;
    free(r->place);
    r->place = NULL;
    r->clocked = e->clock_queries && r->stage == PITH_STAGE_TRUNK && r->n > PITH_VK_FEW_TOKENS;
    memcpy(r->rate, e->backend->pace.seconds_per_flop, sizeof r->rate);
    r->timed = e->timed;
    if (!r->timed && r->stage == PITH_STAGE_TRUNK && r->n == 1 && (e->backend->device.caps & PITH_VK_CAP(CHAIN)))
        rec.status = pith_vk_places_init(&rec);
    next_cmd(&rec);
    if (r->timed && rec.cmd)
        pith_vk_timings_begin(&rec);
    for (int32_t i = 0; i < graph->n_nodes && rec.status == PITH_OK; i++) {
        rec.first = graph->nodes[i].tail ? r->skip : 0;
        rec.n = r->n - rec.first;
        if (graph->nodes[i].stage != r->stage || rec.n == 0)
            continue;
        if (r->timed)
            pith_vk_timings_mark(&rec, i, 0);
        bool step = r->n == 1 && pith_vk_step_fits(&e->backend->device, graph, i) && !(graph->nodes[i + 1].tail && r->skip);
        pith_vk_places_move(&rec, step ? i + 1 : i);
        if (!step)
            record_node(&rec, i);
        if (r->timed && rec.cmd)
            pith_vk_timings_mark(&rec, i, 1);
        if (!step)
            continue;
        i++; /* the attend, and all of the time is its */
        if (r->timed && rec.cmd)
            pith_vk_timings_mark(&rec, i, 0);
        pith_vk_op_step(&rec, i - 1);
        if (r->timed && rec.cmd)
            pith_vk_timings_mark(&rec, i, 1);
    }
    if (rec.cmd && rec.status == PITH_OK) {
        const uint64_t epoch = offsetof(struct pith_vk_state, epoch);
        if (r->stage == PITH_STAGE_HEAD && e->head_value >= 0) {
            pith_vk_bind b = pith_vk_bind_value(&rec, e->head_value, false);
            pith_vk_cmd_copy(rec.cmd, &e->result[1], 64, b.buffer, b.offset, b.bytes);
        }
        rec.first = 0;
        rec.n = r->n;
        pith_vk_places_end(&rec);
        pith_vk_cmd_barrier(rec.cmd); /* the epoch is the last thing to be written */
        if (r->place)
            pith_vk_cmd_copy(rec.cmd, &e->result[r->stage], 4, &e->arrivals, e->sizes.mark, 4);
        pith_vk_cmd_copy(rec.cmd, &e->result[r->stage], 0, &e->state[r->stage], epoch, 4);
        clock_mark(&rec, 1);
        rec.status = pith_vk_cmd_end(rec.cmd);
    }
    if (rec.status != PITH_OK)
        r->used = 0;
    return rec.status;
}

/* Are its pieces about as long as they should be, by what is known now? */
static bool cut_well(const pith_vk_pace *pace, const pith_vk_recording *r)
{
    double most = 0, total = 0;
    if (!pith_vk_pace_moved(pace, r->rate))
        return true;
    for (int32_t i = 0; i < r->n_cmds; i++) {
        double seconds = pith_vk_pace_seconds(pace, r->cmds[i].flop);
        most = seconds > most ? seconds : most;
        total += seconds;
    }
    return most <= 1.2 * pace->target && (r->n_cmds == 1 || total / r->n_cmds >= 0.4 * pace->target);
}

/* The recording for n tokens or rows; made in place of the least recently used one when there is none. Tail nodes may do
 * some tokens that they could skip, so that their rows begin where the device can bind. */
pith_status pith_vk_recording_get(pith_exec *e, pith_stage stage, int32_t n, int32_t skip, pith_vk_recording **out)
{
    pith_vk_recording *oldest = NULL;
    if (e->skip_unit == 0)
        skip = 0;
    else if (skip < n)
        skip -= skip % e->skip_unit;
    for (int i = 0; i < PITH_VK_RECORDINGS; i++) {
        pith_vk_recording *r = &e->recordings[i];
        if (r->used && r->stage == stage && r->n == n && r->skip == skip && r->timed == e->timed) {
            if (cut_well(&e->backend->pace, r)) {
                r->used = ++e->clock;
                *out = r;
                return PITH_OK;
            }
            oldest = r; /* again, in its place */
            break;
        }
        if (stage == PITH_STAGE_HEAD && r == e->shown) /* the trunk's values may still be asked for, where it put them */
            continue;
        oldest = !oldest || r->used < oldest->used ? r : oldest;
    }
    for (int32_t i = 0; i < oldest->n_cmds; i++)
        PITH_TRY(pith_vk_queue_wait(&e->backend->queue, oldest->cmds[i].value));
    oldest->stage = stage;
    oldest->n = n;
    oldest->skip = skip;
    oldest->used = ++e->clock;
    *out = oldest;
    return record(e, oldest);
}

pith_status pith_vk_clock_init(pith_exec *e)
{
    const pith_vk_device *d = &e->backend->device;
    const VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO, .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                        .queryCount = 2 * CLOCKED_MAX};
    if (!(d->caps & PITH_VK_CAP(TIMESTAMPS)))
        return PITH_OK;
    return pith_vk_check(d->fn.vkCreateQueryPool(d->handle, &info, NULL, &e->clock_queries), "making a query pool");
}

void pith_vk_clock_collect(pith_exec *e, int stage)
{
    const pith_vk_device *d = &e->backend->device;
    const pith_vk_recording *r = e->last[stage];
    pith_vk_pace *pace = &e->backend->pace;
    uint64_t now = pith_os_now_ns();
    e->last[stage] = NULL;
    if (!r)
        return;
    if (!r->clocked) { /* from the host's side, when nothing was in front: as long at most */
        double flop[PITH_VK_WORKS] = {0}, wall = (double)(now - e->begin_ns[stage]) * 1e-9;
        for (int32_t i = 0; i < r->n_cmds; i++)
            for (int w = 0; w < PITH_VK_WORKS; w++)
                flop[w] += r->cmds[i].flop[w];
        if (e->begin_ns[stage] && (r->n_cmds > 1 || wall > pace->target))
            pith_vk_pace_learn(pace, &d->physical, flop, wall);
        return;
    }
    uint64_t mask = d->physical.timestamp_bits >= 64 ? UINT64_MAX : ((uint64_t)1 << d->physical.timestamp_bits) - 1;
    for (int32_t i = 0; i < r->n_cmds && i < CLOCKED_MAX; i++) {
        uint64_t t[2];
        if (d->fn.vkGetQueryPoolResults(d->handle, e->clock_queries, 2 * (uint32_t)i, 2, sizeof t, t, sizeof t[0], VK_QUERY_RESULT_64_BIT) == VK_SUCCESS)
            pith_vk_pace_learn(pace, &d->physical, r->cmds[i].flop,
                               (double)((t[1] - t[0]) & mask) * (double)d->physical.properties.limits.timestampPeriod * 1e-9);
    }
}

/* Decode, chunks in the middle of a prompt and one at its end, full ones, from the first step on without recording or
 * compiling anything. */
pith_status pith_vk_recordings_warm(pith_exec *e)
{
    pith_vk_recording *r;
    int32_t n = e->plan->n_tokens_max;
    bool trunk = false, head = false;
    for (int32_t i = 0; i < e->plan->graph->n_nodes; i++) {
        trunk = trunk || e->plan->graph->nodes[i].stage == PITH_STAGE_TRUNK;
        head = head || e->plan->graph->nodes[i].stage == PITH_STAGE_HEAD;
    }
    if (trunk) {
        PITH_TRY(pith_vk_recording_get(e, PITH_STAGE_TRUNK, n, n, &r));
        PITH_TRY(pith_vk_recording_get(e, PITH_STAGE_TRUNK, n, n - 1, &r));
        PITH_TRY(pith_vk_recording_get(e, PITH_STAGE_TRUNK, 1, 0, &r));
    }
    if (head)
        PITH_TRY(pith_vk_recording_get(e, PITH_STAGE_HEAD, 1, 0, &r));
    return PITH_OK;
}

void pith_vk_recordings_fini(pith_exec *e)
{
    for (int i = 0; i < PITH_VK_RECORDINGS; i++) {
        pith_vk_recording *r = &e->recordings[i];
        for (int32_t c = 0; c < r->cap_cmds; c++)
            pith_vk_cmd_fini(&r->cmds[c]);
        free(r->cmds);
        free(r->place);
    }
    if (e->queries)
        e->backend->device.fn.vkDestroyQueryPool(e->backend->device.handle, e->queries, NULL);
    if (e->clock_queries)
        e->backend->device.fn.vkDestroyQueryPool(e->backend->device.handle, e->clock_queries, NULL);
}
