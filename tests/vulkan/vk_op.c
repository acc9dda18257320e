/* SPDX-License-Identifier: MIT */
#include "vk_op.h"

#define MARGIN 512u
#define WORD 0xFFFFFFFFu /* a NaN, as a float and as two halves */

static size_t align_up(size_t n) { return (n + 255) / 256 * 256; }

/* Lays the values one behind the other, margins between, instead of as the plan had them. */
static void spread(pith_plan *plan)
{
    const pith_graph *graph = plan->graph;
    size_t at = MARGIN;
    for (int32_t v = 0; v < graph->n_values; v++) {
        const pith_value *value = &graph->values[v];
        if (value->input)
            continue;
        if (value->storage == v) {
            plan->offset[v] = at;
            at += align_up(pith_plan_value_bytes(plan, v)) + MARGIN;
        } else {
            plan->offset[v] = plan->offset[value->storage]; /* values are numbered in order: storage came first */
        }
    }
    plan->arena_bytes = at;
}

void vk_op_begin(vk_op *op, pith_backend *vk, const pith_graph *graph, int32_t n_tokens, int32_t n_rows, pith_buf *const *kv, int32_t n_layers)
{
    *op = (vk_op){.vk = vk};
    for (int32_t i = 0; i < graph->n_nodes; i++)
        assert_true(vk->fns->supports(vk, &graph->nodes[i], graph->weights));
    assert_ok(pith_plan_make(graph, n_tokens, n_rows, &op->plan));
    spread(&op->plan);
    assert_ok(vk->fns->weights_create(vk, graph->weights, graph->n_weights, NULL, NULL, NULL, &op->store));
    assert_ok(vk->fns->prepare(vk, &(pith_exec_params){.plan = &op->plan, .weights = op->store, .kv = kv, .n_layers = n_layers}, &op->exec));
}

static void read_all(vk_op *op, const pith_vk_buffer *buffer, uint32_t *words, uint64_t bytes)
{
    assert_ok(pith_vk_transfer_read(&pith_vk_of(op->vk)->transfer, buffer, 0, words, bytes));
}

static void guards_check(vk_op *op)
{
    const pith_vk_buffer *arena = &op->exec->arena, *arrivals = &op->exec->arrivals;
    uint64_t scale = op->exec->sizes.arena_scale, bytes = op->exec->sizes.arena;
    uint32_t *words = malloc((size_t)bytes);
    bool *inside = calloc((size_t)bytes / 4, sizeof *inside);
    assert_true(words && inside);
    read_all(op, arena, words, bytes);
    const pith_graph *graph = op->plan.graph;
    for (int32_t v = 0; v < graph->n_values; v++)
        for (size_t w = 0; !graph->values[v].input && w < pith_plan_value_bytes(&op->plan, v) / 4; w++)
            inside[op->plan.offset[v] * scale / 4 + w] = true;
    for (size_t w = 0; w < bytes / 4; w++)
        if (!inside[w] && words[w] != WORD)
            fail_msg("a kernel wrote 0x%08x outside the values, at byte %zu of %llu", words[w], 4 * w, (unsigned long long)bytes);
    free(words);
    free(inside);
    words = malloc((size_t)arrivals->bytes);
    assert_non_null(words);
    read_all(op, arrivals, words, arrivals->bytes);
    for (size_t w = 0; w < op->exec->sizes.mark / 4; w++)
        if (words[w] != 0)
            fail_msg("counter of arrivals %zu is left at %u", w, words[w]);
    free(words);
}

void vk_op_run(vk_op *op, const pith_step *step)
{
    pith_vk_transfer *t = &pith_vk_of(op->vk)->transfer;
    const pith_vk_buffer *poisoned[] = {&op->exec->arena, &op->exec->unpacked, &op->exec->parts};
    for (size_t i = 0; i < sizeof poisoned / sizeof poisoned[0] && step->stage == PITH_STAGE_TRUNK; i++)
        assert_ok(pith_vk_transfer_fill(t, poisoned[i], 0, poisoned[i]->bytes, WORD));
    assert_ok(op->vk->fns->run(op->exec, step));
    guards_check(op);
}

void vk_op_read(vk_op *op, int32_t value, int32_t n_rows, float *dst)
{
    assert_ok(op->vk->fns->read(op->exec, value, 0, n_rows, dst));
}

void vk_op_end(vk_op *op)
{
    op->vk->fns->exec_destroy(&op->exec);
    op->vk->fns->weights_destroy(&op->store);
    pith_plan_fini(&op->plan);
}
