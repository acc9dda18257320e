/* SPDX-License-Identifier: MIT */
/* Where the values of a chained recording live (cmd.h, shaders/lib/link.glsl): every node writes a place of its own, which
 * nothing else of the token uses, so that an element that is not there yet can be told from one that is. The residual
 * stream moves on from place to place. What no later node of the trunk reads goes where the plan says: the head looks
 * there. */
#include "vulkan.h"
#include "base/mem.h"

#include <stdlib.h>

#define PARTS_MAX (1u << 20) /* of a layer: more bytes would take too long to fill, every token */
#define PLANNED 0 /* offsets count from the begin of the buffer, where counters are: none is 0 */

static uint64_t place_bytes(const pith_vk_device *d, const pith_graph *graph, int32_t value)
{
    uint64_t bytes = (uint64_t)graph->values[value].cols * 4;
    return (bytes + d->align - 1) / d->align * d->align;
}

/* Of the parts of an attention that is split; 0: too many, and workgroups count their arrivals as they do without a chain. */
static uint64_t parts_bytes(const pith_vk_device *d, const pith_node *attend)
{
    uint64_t bytes = (pith_vk_attend_part_bytes(d, attend) + d->align - 1) / d->align * d->align;
    return bytes <= PARTS_MAX ? bytes : 0;
}

/* Gate and up of different types: the gate waits in a place of its own. */
static bool in_two(const pith_graph *graph, const pith_node *node)
{
    pith_vk_group groups[PITH_WEIGHT_PARTS_MAX];
    return node->op == PITH_OP_MATMUL && node->u.matmul.epilogue == PITH_EPILOGUE_SWIGLU &&
           pith_vk_groups_of(&graph->weights[node->u.matmul.weight], groups) > 1;
}

uint64_t pith_vk_places_bytes(const pith_vk_device *d, const pith_graph *graph)
{
    uint64_t bytes = 0;
    for (int32_t i = 0; i < graph->n_nodes; i++) {
        const pith_node *node = &graph->nodes[i];
        if (node->stage != PITH_STAGE_TRUNK)
            continue;
        bytes += place_bytes(d, graph, node->dst) * (in_two(graph, node) ? 2 : 1);
        if (i > 0 && pith_vk_step_fits(d, graph, i - 1))
            bytes += parts_bytes(d, node);
    }
    return bytes;
}

pith_status pith_vk_places_init(pith_vk_record *rec)
{
    rec->r->place = pith_calloc((size_t)rec->e->plan->graph->n_values, sizeof *rec->r->place);
    if (!rec->r->place)
        return pith_fail(PITH_ERROR_NO_MEMORY, "vulkan: no memory for the places of values");
    rec->place_next = rec->e->sizes.places;
    return PITH_OK;
}

static uint64_t take(pith_vk_record *rec, int32_t value)
{
    uint64_t at = rec->place_next;
    rec->place_next += place_bytes(&rec->e->backend->device, rec->e->plan->graph, value);
    return at;
}

/* Does the trunk read the value after node `index`, or add to it? */
static bool read_later(const pith_vk_record *rec, int32_t index, int32_t storage)
{
    const pith_graph *graph = rec->e->plan->graph;
    for (int32_t i = index + 1; i < graph->n_nodes; i++) {
        const pith_node *n = &graph->nodes[i];
        if (n->stage != PITH_STAGE_TRUNK || (n->tail && rec->r->skip))
            continue;
        if (graph->values[n->src].storage == storage)
            return true;
        if (graph->values[n->dst].storage == storage)
            return n->op == PITH_OP_MATMUL && n->u.matmul.epilogue == PITH_EPILOGUE_ADD;
    }
    return false;
}

void pith_vk_places_move(pith_vk_record *rec, int32_t index)
{
    const pith_graph *graph = rec->e->plan->graph;
    const pith_node *node = &graph->nodes[index];
    int32_t storage = graph->values[node->dst].storage;
    if (!rec->r->place || node->op == PITH_OP_KV_APPEND) /* in place */
        return;
    rec->place_old = rec->r->place[storage];
    if (in_two(graph, node))
        rec->place_old = take(rec, node->dst);
    rec->r->place[storage] = read_later(rec, index, storage) ? take(rec, node->dst) : PLANNED;
}

/* A place of `value` as a binding; false: where the plan says. */
static bool bind_at(const pith_vk_record *rec, int32_t value, uint64_t at, bool write, pith_vk_bind *out)
{
    *out = (pith_vk_bind){&rec->e->arrivals, at, (uint64_t)rec->e->plan->graph->values[value].cols * 4, write};
    return at != PLANNED;
}

uint64_t pith_vk_places_of(const pith_exec *e, const pith_vk_recording *r, int32_t value)
{
    return r && r->place ? r->place[e->plan->graph->values[value].storage] : PLANNED;
}

bool pith_vk_places_bind(const pith_vk_record *rec, int32_t value, bool write, pith_vk_bind *out)
{
    return bind_at(rec, value, pith_vk_places_of(rec->e, rec->r, value), write, out);
}

pith_vk_bind pith_vk_bind_old(const pith_vk_record *rec, int32_t value, bool write)
{
    pith_vk_bind bind;
    return rec->r->place && bind_at(rec, value, rec->place_old, write, &bind) ? bind : pith_vk_bind_planned(rec, value, write);
}

void pith_vk_places_end(pith_vk_record *rec)
{
    const pith_graph *graph = rec->e->plan->graph;
    for (int32_t i = 0; i < graph->n_nodes; i++) {
        int32_t value = graph->nodes[i].src;
        pith_vk_bind from;
        if (graph->nodes[i].stage != PITH_STAGE_HEAD || graph->values[value].rows != PITH_ROWS_TOKENS || !pith_vk_places_bind(rec, value, false, &from))
            continue;
        const pith_vk_bind to = pith_vk_bind_planned(rec, value, true);
        pith_vk_cmd_copy(rec->cmd, to.buffer, to.offset, from.buffer, from.offset, from.bytes);
    }
}

bool pith_vk_places_parts(pith_vk_record *rec, int32_t index, pith_vk_bind *out)
{
    uint64_t bytes = rec->r->place ? parts_bytes(&rec->e->backend->device, &rec->e->plan->graph->nodes[index]) : 0;
    *out = bytes ? (pith_vk_bind){&rec->e->arrivals, rec->place_next, bytes, true} : pith_vk_bind_all(&rec->e->parts, true);
    rec->place_next += bytes;
    return bytes > 0;
}
