/* SPDX-License-Identifier: MIT */
/* Append and attend of one token as one dispatch (attn_step.comp): in decode the wait between the two, and the second's
 * start, cost more than the append itself. */
#include "tune.h"
#include "vulkan.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define INVOCATIONS 128u

/* Is the query's own key the last of a raw segment, at every position, and no core seen that the token completes? */
static bool own_key_is_raw(const pith_node *attend)
{
    const pith_segment *s = attend->u.attend.segments, *last = &s[attend->u.attend.n_segments - 1];
    int64_t from = last->lo.min; /* positions before it: in the first segment */
    for (const pith_segment *c = s; c <= last; c++) {
        bool upto = c->hi.mul == 1 && c->hi.group == 1 && c->hi.shift == 0;
        if (c->source == PITH_SEGMENT_CORE ? c->hi.mul != 1 || c->hi.shift < 1 : !upto || c->hi.min > 0)
            return false;
    }
    bool moves = last->lo.mul > 0 && last->lo.mul <= last->lo.group && last->lo.shift >= 1, stands = last->lo.mul == 0;
    bool first = s->source == PITH_SEGMENT_RAW && s->lo.mul == 0 && s->lo.min == 0 && s->hi.max >= from;
    return last->source == PITH_SEGMENT_RAW && last->hi.max >= INT32_MAX && (moves || stands) && (from == 0 || (s != last && first));
}

/* Shared memory as attn_step.comp declares it. */
static uint64_t shared_bytes(const pith_node *append, const struct pith_vk_attend_few *few)
{
    uint64_t dim = (uint64_t)append->u.append.layout->head_dim, sums = INVOCATIONS / few->lanes * (dim + 2), weights = 2 * 64 * few->heads;
    uint64_t logits = (uint64_t)(append->u.append.group > 1 ? append->u.append.group : 1);
    return 4 * ((sums > weights ? sums : weights) + 4 * INVOCATIONS + (few->heads + 2) * dim + logits) + 128;
}

bool pith_vk_step_fits(const pith_vk_device *d, const pith_graph *graph, int32_t index)
{
    const pith_node *append = &graph->nodes[index], *attend = append + 1;
    const char *text = getenv("PITH_VK_STEP");
    if (index + 1 >= graph->n_nodes || append->op != PITH_OP_KV_APPEND || attend->op != PITH_OP_ATTEND || attend->src != append->dst ||
        append->layer != attend->layer || append->stage != attend->stage || (text && strcmp(text, "0") == 0))
        return false;
    const struct pith_vk_attend_few few = pith_vk_attend_few(attend);
    return append->u.append.layout == attend->u.attend.layout && append->u.append.scale == attend->u.attend.scale &&
           append->u.append.n_head == attend->u.attend.n_head && append->u.append.kv_class == attend->u.attend.kv_class &&
           own_key_is_raw(attend) && (d->caps & PITH_VK_CAP(STEP)) && few.lanes <= d->physical.subgroup &&
           shared_bytes(append, &few) <= d->shared_bytes;
}

void pith_vk_op_step(pith_vk_record *rec, int32_t index)
{
    pith_exec *e = rec->e;
    const pith_node *append = &e->plan->graph->nodes[index], *attend = append + 1;
    const pith_kv_layout *l = append->u.append.layout;
    const struct pith_vk_attend_few few = pith_vk_attend_few(attend);
    uint32_t group = l->core_heads && append->u.append.group > 0 ? (uint32_t)append->u.append.group : 1;
    const struct pith_vk_attend_cut cut = pith_vk_attend_cut(rec, attend);
    const pith_vk_bind table = pith_vk_bind_table(rec, index + 1);
    struct pith_vk_push_step push = {.ldo = (uint32_t)e->plan->graph->values[attend->dst].cols, .heads = few.heads, .splits = cut.splits,
                                     .bases = (uint32_t)(e->base_offset / 8), .freqs = (uint32_t)((e->freq_offset - table.offset) / 4)};
    pith_vk_call call = {.variant = PITH_SPV_ATTN_STEP,
                         .spec = {INVOCATIONS, pith_vk_kv_type(l), (uint32_t)l->head_dim, few.lanes, few.heads, cut.splits > 1, few.keys, group,
                                  append->u.append.q_norm >= 0, append->u.append.k_norm >= 0},
                         .bind = {pith_vk_bind_value(rec, append->src, false), pith_vk_bind_value(rec, attend->dst, true), pith_vk_bind_state(rec),
                                  {table.buffer, table.offset, e->tables.bytes - table.offset, false}},
                         .push = &push,
                         .push_bytes = sizeof push,
                         .link_at = offsetof(struct pith_vk_push_step, link),
                         .groups = {0, (uint64_t)few.blocks * (uint64_t)l->n_kv, 1}};
    pith_vk_bind_windows(rec, attend, l, true, &call.bind[4]);
    call.spec[10] = pith_vk_places_parts(rec, index + 1, &call.bind[8]);
    call.link_shares = 3 << 8; /* the next layer's parts come only after this one's have been joined */
    call.bind[9] = pith_vk_bind_counters(rec);
    call.bind[10] = pith_vk_bind_vector(rec, append->u.append.q_norm);
    call.bind[11] = pith_vk_bind_vector(rec, append->u.append.k_norm);
    for (uint64_t part = 0; part < cut.splits; part += cut.parts) { /* on a slow device several dispatches: attend_few */
        uint64_t left = cut.splits - part, n = left < cut.parts ? left : cut.parts;
        call.groups[0] = n == left ? n + 1 : n; /* the append, behind the last */
        pith_vk_record_cost_of(rec, PITH_VK_WORK_FEW, cut.per_part * (double)n);
        if (rec->status != PITH_OK)
            return;
        push.split0 = (uint32_t)part;
        pith_vk_cmd_dispatch(rec->cmd, &call);
        call.link_shares |= 0xF << 4; /* one of them appends */
    }
}
