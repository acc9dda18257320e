/* SPDX-License-Identifier: MIT */
/* Preparing a plan and running it. Memory is taken in prepare; a run writes the small state buffer and submits command
 * buffers that were recorded for this number of tokens (record.c). The last command of every submission copies an epoch
 * number to memory that the host reads: a wait that returned does not prove that the work ran, the number does. */
#include "selftest.h"
#include "base/mem.h"
#include "base/os.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX(a, b) ((a) > (b) ? (a) : (b))

static uint64_t align_up(uint64_t n, uint64_t a) { return (n + a - 1) / a * a; }

/* Offset of the rotation of pos0 in a state buffer: behind the struct, the ids and the rows. */
static uint64_t base_offset(const pith_vk_backend *vk, const pith_plan *plan)
{
    uint64_t words = PITH_VK_STATE_WORDS + (uint64_t)plan->n_tokens_max + (uint64_t)plan->n_rows_max;
    return align_up(words * 4, vk->device.align);
}

static uint64_t tables_pitch(const pith_vk_backend *vk) { return align_up(sizeof(struct pith_vk_attn), vk->device.align); }

static pith_status measure(const pith_vk_backend *vk, const pith_plan *plan, pith_vk_sizes *s)
{
    const pith_graph *graph = plan->graph;
    *s = (pith_vk_sizes){.arena_scale = MAX(vk->device.align / PITH_ALIGN, 1)};
    uint64_t tables = 0;
    const pith_rope *rope = NULL;
    for (int32_t i = 0; i < graph->n_nodes; i++) {
        const pith_node *node = &graph->nodes[i];
        uint64_t bytes = (uint64_t)pith_plan_value_bytes(plan, node->dst);
        if (bytes > vk->device.range_max)
            return pith_fail(PITH_ERROR_UNSUPPORTED, "vulkan: %s binds %llu bytes at most, value %s of %d tokens has %llu: choose a smaller chunk",
                             vk->device.physical.properties.deviceName, (unsigned long long)vk->device.range_max,
                             graph->values[node->dst].name, plan->n_tokens_max, (unsigned long long)bytes);
        if (node->op == PITH_OP_MATMUL)
            pith_vk_op_matmul_sizes(vk, plan, node, s);
        if (node->op == PITH_OP_ATTEND)
            pith_vk_op_attend_sizes(vk, plan, node, s);
        if (node->op == PITH_OP_ATTEND || node->op == PITH_OP_KV_APPEND) {
            const pith_kv_layout *l = node->op == PITH_OP_ATTEND ? node->u.attend.layout : node->u.append.layout;
            PITH_TRY(pith_vk_kv_check(&vk->device, l));
            tables++;
        }
        if (node->op == PITH_OP_KV_APPEND) {
            const pith_rope *r = &node->u.append.rope;
            if (rope && (rope->freq != r->freq || rope->n_rot != r->n_rot || rope->magnitude != r->magnitude))
                return pith_fail(PITH_ERROR_UNSUPPORTED, "vulkan: layers with different rotations");
            rope = r;
            s->n_pairs = r->n_rot / 2;
        }
        if (node->stage == PITH_STAGE_HEAD && graph->values[node->dst].cols > s->head_cols)
            s->head_cols = graph->values[node->dst].cols;
    }
    s->arena = (uint64_t)plan->arena_bytes * s->arena_scale;
    s->mark = align_up(s->arrivals, 128); /* in a cache line of its own */
    s->places = align_up(s->mark + 128, vk->device.align);
    s->arrivals = s->places + (vk->device.caps & PITH_VK_CAP(CHAIN) ? pith_vk_places_bytes(&vk->device, graph) : 0);
    uint64_t pairs = (uint64_t)MAX(s->n_pairs, 1);
    s->state = base_offset(vk, plan) + pairs * 8;
    s->turns = (uint64_t)plan->n_tokens_max * pairs * 8;
    s->tables = tables * tables_pitch(vk) + align_up(pairs * 4, vk->device.align);
    s->result = 64 + (uint64_t)plan->n_rows_max * (uint64_t)s->head_cols * 4;
    return PITH_OK;
}

/* Everything that prepare() makes, one list for it and for plans. */
static void pieces_of(const pith_vk_sizes *s, pith_vk_piece *out)
{
    const pith_vk_piece list[PITH_VK_EXEC_BUFFERS] = {
        {s->arena, PITH_VK_DEVICE}, {s->unpacked, PITH_VK_DEVICE}, {s->act, PITH_VK_DEVICE},    {s->parts, PITH_VK_DEVICE},
        {s->arrivals, PITH_VK_DEVICE}, {s->tables, PITH_VK_DEVICE}, {s->turns, PITH_VK_DEVICE}, {s->state, PITH_VK_STATE},
        {s->state, PITH_VK_STATE},  {64, PITH_VK_READBACK},      {s->result, PITH_VK_READBACK}};
    memcpy(out, list, sizeof list);
}

static void buffers_of(pith_exec *e, pith_vk_buffer **out)
{
    pith_vk_buffer *const list[PITH_VK_EXEC_BUFFERS] = {&e->arena, &e->unpacked, &e->act, &e->parts, &e->arrivals, &e->tables, &e->turns,
                                                        &e->state[0], &e->state[1], &e->result[0], &e->result[1]};
    memcpy(out, list, sizeof list);
}

pith_status pith_vk_exec_pieces(const pith_vk_backend *vk, const pith_plan *plan, pith_vk_piece *pieces)
{
    pith_vk_sizes s;
    PITH_TRY(measure(vk, plan, &s));
    pieces_of(&s, pieces);
    return PITH_OK;
}

pith_status pith_vk_exec_bytes(const pith_backend *b, const pith_plan *plan, size_t *out)
{
    pith_vk_piece pieces[PITH_VK_EXEC_BUFFERS];
    *out = 0;
    PITH_TRY(pith_vk_exec_pieces(pith_vk_of_const(b), plan, pieces));
    for (int i = 0; i < PITH_VK_EXEC_BUFFERS; i++)
        *out += (size_t)pieces[i].bytes;
    return PITH_OK;
}

/* cos and sin of `position` times each frequency, times `magnitude`. */
static void turn_fill(const pith_rope *rope, int64_t position, double magnitude, float *out)
{
    for (int32_t j = 0; rope && j < rope->n_rot / 2; j++) {
        double angle = (double)position * rope->freq[j];
        out[2 * j] = (float)(cos(angle) * magnitude);
        out[2 * j + 1] = (float)(sin(angle) * magnitude);
    }
}

/* Structs of attention nodes, frequencies, rotations by t: all that never changes. */
static pith_status tables_write(pith_exec *e)
{
    pith_vk_backend *vk = e->backend;
    const pith_graph *graph = e->plan->graph;
    size_t bytes = (size_t)MAX(e->sizes.tables, e->sizes.turns);
    uint8_t *host = pith_calloc(bytes ? bytes : 1, 1);
    if (!host)
        return pith_fail(PITH_ERROR_NO_MEMORY, "vulkan: no memory for %zu bytes of tables", bytes);
    int32_t n = 0;
    for (int32_t i = 0; i < graph->n_nodes; i++) {
        const pith_node *node = &graph->nodes[i];
        bool attention = node->op == PITH_OP_ATTEND || node->op == PITH_OP_KV_APPEND;
        e->table_of[i] = attention ? n : -1;
        if (attention)
            pith_vk_attn_fill(&vk->device, node, (struct pith_vk_attn *)(void *)(host + (size_t)n * e->tables_pitch));
        if (i > 0 && pith_vk_step_fits(&vk->device, graph, i - 1))
            pith_vk_attn_fill_append(&graph->nodes[i - 1], (struct pith_vk_attn *)(void *)(host + (size_t)n * e->tables_pitch));
        n += attention;
        if (node->op == PITH_OP_KV_APPEND)
            e->rope = &node->u.append.rope;
    }
    e->freq_offset = (uint64_t)n * e->tables_pitch;
    for (int32_t j = 0; e->rope && j < e->rope->n_rot / 2; j++)
        ((float *)(void *)(host + e->freq_offset))[j] = (float)e->rope->freq[j];
    pith_status status = pith_vk_transfer_write(&vk->transfer, &e->tables, 0, host, e->sizes.tables);
    memset(host, 0, bytes);
    for (int32_t t = 0; e->rope && t < e->plan->n_tokens_max; t++)
        turn_fill(e->rope, t, 1, (float *)(void *)host + (size_t)t * (size_t)e->rope->n_rot);
    if (status == PITH_OK)
        status = pith_vk_transfer_write(&vk->transfer, &e->turns, 0, host, e->sizes.turns);
    free(host);
    return status;
}

/* Attention binds its values from their first row on, whatever it skips. */
static int32_t skip_unit(const pith_vk_backend *vk, const pith_graph *graph)
{
    uint64_t unit = 0;
    for (int32_t i = 0; i < graph->n_nodes; i++) {
        const pith_node *node = &graph->nodes[i];
        if (!node->tail)
            continue;
        unit = MAX(unit, 1);
        uint64_t src = (uint64_t)graph->values[node->src].cols * 4, dst = (uint64_t)graph->values[node->dst].cols * 4;
        while (node->op != PITH_OP_ATTEND && (unit * src % vk->device.align || unit * dst % vk->device.align))
            unit *= 2; /* alignments are powers of two */
    }
    return (int32_t)unit;
}

pith_status pith_vk_prepare(pith_backend *b, const pith_exec_params *params, pith_exec **out)
{
    *out = NULL;
    pith_vk_backend *vk = pith_vk_of(b);
    const pith_graph *graph = params->plan->graph;
    pith_status status;
    pith_exec *e = pith_calloc(1, sizeof *e);
    if (!e)
        return pith_fail(PITH_ERROR_NO_MEMORY, "vulkan: no memory for the executor");
    *e = (pith_exec){.backend = vk, .plan = params->plan, .weights = params->weights, .kv = params->kv, .n_layers = params->n_layers,
                     .head_value = -1};
    pith_vk_sizes *s = &e->sizes;
    PITH_TRY_GOTO(measure(vk, params->plan, s));
    e->tables_pitch = tables_pitch(vk);
    e->base_offset = base_offset(vk, params->plan);
    e->skip_unit = skip_unit(vk, graph);
    e->table_of = pith_calloc((size_t)graph->n_nodes, sizeof *e->table_of);
    e->node_ns = pith_calloc((size_t)graph->n_nodes, sizeof *e->node_ns);
    if (!e->table_of || !e->node_ns) {
        status = pith_fail(PITH_ERROR_NO_MEMORY, "vulkan: no memory for %d nodes", graph->n_nodes);
        goto fail;
    }
    for (int32_t i = 0; i < graph->n_nodes; i++)
        if (graph->nodes[i].stage == PITH_STAGE_HEAD)
            e->head_value = graph->nodes[i].dst;
    pith_vk_piece pieces[PITH_VK_EXEC_BUFFERS];
    pith_vk_buffer *buffers[PITH_VK_EXEC_BUFFERS];
    pieces_of(s, pieces);
    buffers_of(e, buffers);
    for (int i = 0; i < PITH_VK_EXEC_BUFFERS; i++)
        PITH_TRY_GOTO(pith_vk_buffer_create(&vk->device, pieces[i].bytes, pieces[i].usage, buffers[i]));
    for (int i = 0; i < 2; i++) {
        memset(e->state[i].mapped, 0, s->state);
        memset(e->result[i].mapped, 0, 64);
    }
    PITH_TRY_GOTO(pith_vk_transfer_fill(&vk->transfer, &e->arena, 0, e->arena.bytes, 0));
    PITH_TRY_GOTO(pith_vk_transfer_fill(&vk->transfer, &e->act, 0, e->act.bytes, 0));
    PITH_TRY_GOTO(pith_vk_transfer_fill(&vk->transfer, &e->arrivals, 0, e->arrivals.bytes, 0));
    PITH_TRY_GOTO(tables_write(e));
    PITH_TRY_GOTO(pith_vk_clock_init(e));
    PITH_TRY_GOTO(pith_vk_recordings_warm(e));
    *out = e;
    return PITH_OK;
fail:
    pith_vk_exec_destroy(&e);
    return status;
}

void pith_vk_exec_destroy(pith_exec **e_ptr)
{
    pith_exec *e = *e_ptr;
    if (!e)
        return;
    pith_vk_backend *vk = e->backend;
    (void)pith_vk_transfer_flush(&vk->transfer);
    (void)pith_vk_queue_wait(&vk->queue, vk->queue.submitted);
    pith_vk_recordings_fini(e);
    pith_vk_buffer *buffers[PITH_VK_EXEC_BUFFERS];
    buffers_of(e, buffers);
    for (int i = 0; i < PITH_VK_EXEC_BUFFERS; i++)
        pith_vk_buffer_destroy(&vk->device, buffers[i]);
    free(e->table_of);
    free(e->node_ns);
    free(e);
    *e_ptr = NULL;
}

/* Waits for a stage's last submission and looks at its epoch. */
static pith_status settle(pith_exec *e, int stage)
{
    if (!e->pending[stage])
        return PITH_OK;
    e->pending[stage] = false;
    PITH_TRY(pith_vk_queue_wait(&e->backend->queue, e->value[stage]));
    const volatile uint32_t *result = e->result[stage].mapped;
    uint32_t seen = result[0];
    if (seen != e->epoch[stage]) {
        char reason[128];
        PITH_TRY(pith_vk_queue_wait(&e->backend->queue, e->backend->queue.submitted)); /* nothing runs on when all is dropped */
        snprintf(reason, sizeof reason, "it reported work as done that never ran (epoch %u, expected %u)", seen, e->epoch[stage]);
        return pith_vk_queue_lose(&e->backend->queue, reason);
    }
    if (result[1]) { /* a chain's mark: the values are of no use, and no chain is from now on */
        pith_vk_selftest_condemn(e->backend, PITH_VK_CAP(CHAIN));
        PITH_TRY(pith_vk_queue_wait(&e->backend->queue, e->backend->queue.submitted));
        return pith_vk_queue_lose(&e->backend->queue, "a dispatch waited for the one before it without end; from now on there are barriers between them");
    }
    pith_vk_timings_collect(e);
    pith_vk_clock_collect(e, stage);
    return PITH_OK;
}

static void state_write(pith_exec *e, const pith_step *step)
{
    uint32_t *words = e->state[step->stage].mapped;
    struct pith_vk_state s = {.pos0 = (int32_t)step->pos0, .n_tokens = step->n_tokens, .n_rows = step->n_rows,
                              .raw_base = {(int32_t)step->raw_base[0], (int32_t)step->raw_base[1]}, .epoch = e->epoch[step->stage]};
    _Static_assert(sizeof s == 4 * PITH_VK_STATE_WORDS, "state");
    memcpy(words, &s, sizeof s);
    if (step->stage == PITH_STAGE_TRUNK) {
        memcpy(words + PITH_VK_STATE_WORDS, step->tokens, (size_t)step->n_tokens * 4);
        turn_fill(e->rope, step->pos0, e->rope ? (double)e->rope->magnitude : 1, (float *)(void *)((uint8_t *)words + e->base_offset));
    } else {
        memcpy(words + PITH_VK_STATE_WORDS + e->plan->n_tokens_max, step->rows, (size_t)step->n_rows * 4);
    }
}

pith_status pith_vk_run(pith_exec *e, const pith_step *step)
{
    pith_vk_queue *queue = &e->backend->queue;
    int32_t n = step->stage == PITH_STAGE_TRUNK ? step->n_tokens : step->n_rows;
    if (n < 1)
        return PITH_OK;
    PITH_TRY(pith_vk_transfer_flush(&e->backend->transfer));
    PITH_TRY(settle(e, step->stage)); /* its state buffer is read until then */
    pith_vk_recording *r;
    PITH_TRY(pith_vk_recording_get(e, step->stage, n, step->n_skip, &r));
    e->epoch[step->stage]++;
    state_write(e, step);
    e->begin_ns[step->stage] = queue->done == queue->submitted ? pith_os_now_ns() : 0;
    double queued = 0;
    for (int32_t i = 0; i < r->n_cmds; i++) {
        pith_vk_cmd *cmd = &r->cmds[i];
        PITH_TRY(pith_vk_queue_submit(queue, &cmd, 1));
        e->value[step->stage] = cmd->value;
        queued += r->n_cmds > 1 ? pith_vk_pace_seconds(&e->backend->pace, cmd->flop) : 0;
        if (queued <= PITH_VK_QUEUED_S)
            continue;
        PITH_TRY(pith_vk_queue_wait(queue, cmd->value - 1)); /* the device still has this one to do */
        queued = 0;
        if (step->cancel && atomic_load_explicit(step->cancel, memory_order_relaxed)) {
            PITH_TRY(pith_vk_queue_wait(queue, queue->submitted)); /* at most one more */
            /* Between the dispatches of one attention counters are not zero, as the next run expects them. */
            PITH_TRY(pith_vk_transfer_fill(&e->backend->transfer, &e->arrivals, 0, e->arrivals.bytes, 0));
            return PITH_ERROR_CANCELLED;
        }
    }
    e->last[step->stage] = r;
    if (step->stage == PITH_STAGE_TRUNK)
        e->shown = r;
    e->pending[step->stage] = true;
    if (step->stage == PITH_STAGE_HEAD)
        e->head_rows = n;
    return PITH_OK;
}

pith_status pith_vk_read(pith_exec *e, int32_t value, int32_t row0, int32_t n_rows, float *dst)
{
    PITH_TRY(settle(e, 0));
    PITH_TRY(settle(e, 1));
    size_t cols = (size_t)e->plan->graph->values[value].cols;
    if (value == e->head_value && row0 + n_rows <= e->head_rows) {
        memcpy(dst, (const uint8_t *)e->result[1].mapped + 64 + (size_t)row0 * cols * 4, (size_t)n_rows * cols * 4);
        return PITH_OK;
    }
    uint64_t place = pith_vk_places_of(e, e->shown, value), at = place ? place : (uint64_t)e->plan->offset[value] * e->sizes.arena_scale;
    return pith_vk_transfer_read(&e->backend->transfer, place ? &e->arrivals : &e->arena, at + (uint64_t)row0 * cols * 4, dst,
                                 (uint64_t)n_rows * cols * 4);
}
