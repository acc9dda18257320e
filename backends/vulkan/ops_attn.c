/* SPDX-License-Identifier: MIT */
/* Append and attend: the layer's planes as four windows of its buffer, segments as data, and which kernel at which
 * number of tokens. */
#include "tune.h"
#include "vulkan.h"

#include <math.h>
#include <string.h>

#define FEW_TOKENS 4       /* tokens that take the split kernel */
#define TILE_ROWS 32       /* of attn_tile.comp */
#define TILE_KEYS 32       /* at a time there */
#define FEW_ROWS 2         /* most query heads of a workgroup of attn_split.comp, attn_step.comp */
#define SPLITS_MAX 64
#define PART_KEYS 16384    /* keys of a part at most, where SPLITS_MAX allows */
#define RANGES_MAX 4096    /* times blocks of keys: 32 bits */
#define KEPT_MAX (4u << 20) /* bytes that tiles keep between ranges, unless a single one needs more */
#define HEAD_DIM_MAX 256
#define GROUP_MAX 512      /* logits of a group in shared memory */

static uint64_t div_up(uint64_t a, uint64_t b) { return (a + b - 1) / b; }

/* A stretch of the layer's buffer that one binding shows: raw K, raw V, core K, core V with the bias. */
struct window {
    uint64_t offset, bytes; /* offset aligned for the device */
};

static void windows_of(const pith_vk_device *d, const pith_kv_layout *l, struct window *w)
{
    uint64_t end_raw = l->raw_bytes, core = l->core_heads && l->core_rows;
    uint64_t begin[4] = {l->raw_k.offset, l->raw_v.offset, core ? l->core_k.offset : 0, core ? l->core_v.offset : 0};
    uint64_t end[4] = {l->raw_v.offset, end_raw, core ? l->core_v.offset : end_raw, core ? l->bytes : end_raw};
    for (int i = 0; i < 4; i++) {
        w[i].offset = begin[i] / d->align * d->align;
        w[i].bytes = end[i] - w[i].offset;
        if (i >= 2 && !core) /* no cores: nothing reads it, but something must be bound */
            w[i].bytes = w[i].bytes < 64 ? w[i].bytes : 64;
        w[i].bytes = w[i].bytes ? w[i].bytes : 4;
    }
}

pith_status pith_vk_kv_check(const pith_vk_device *d, const pith_kv_layout *l)
{
    struct window w[4];
    if (l->head_dim % 8 != 0 || l->head_dim > HEAD_DIM_MAX)
        return pith_fail(PITH_ERROR_UNSUPPORTED, "vulkan: a head width of %d: expected a multiple of 8, at most %d", l->head_dim, HEAD_DIM_MAX);
    windows_of(d, l, w);
    for (int i = 0; i < 4; i++)
        if (w[i].bytes > d->range_max || (d->physical.max_buffer && l->bytes > d->physical.max_buffer))
            return pith_fail(PITH_ERROR_UNSUPPORTED, "vulkan: a layer keeps %llu bytes of keys, %s binds at most %llu: choose a smaller context, "
                             "cca or a smaller KV type", (unsigned long long)w[i].bytes, d->physical.properties.deviceName,
                             (unsigned long long)d->range_max);
    return PITH_OK;
}

void pith_vk_bind_windows(pith_vk_record *rec, const pith_node *node, const pith_kv_layout *l, bool write, pith_vk_bind *bind)
{
    struct window w[4];
    windows_of(&rec->e->backend->device, l, w);
    for (int i = 0; i < 4; i++)
        bind[i] = (pith_vk_bind){&rec->e->kv[node->layer]->vk, w[i].offset, w[i].bytes, write};
}

static struct pith_vk_plane plane_of(const pith_kv_layout *l, const pith_kv_plane *p, const struct window *w)
{
    struct pith_vk_plane r = {.base = (uint32_t)((p->offset - w->offset) / 4), .head = (uint32_t)(p->head_bytes / 4), .row = p->row_bytes / 4};
    if (l->dtype == PITH_DTYPE_Q8_0) {
        r.scale = (uint32_t)((p->scale_offset - w->offset) / 2);
        r.scale_head = (uint32_t)(p->scale_head_bytes / 2);
    }
    return r;
}

static int32_t to_i32(int64_t x) { return x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : (int32_t)x; }

static struct pith_vk_bound bound_of(const pith_bound *b)
{
    return (struct pith_vk_bound){to_i32(b->min), to_i32(b->max), to_i32(b->shift), b->mul, b->group};
}

void pith_vk_attn_fill_append(const pith_node *append, struct pith_vk_attn *out)
{
    out->kv_class = append->u.append.kv_class;
    out->group = append->u.append.layout->core_heads ? append->u.append.group : 0;
    out->n_sinks = append->u.append.n_sinks;
    out->position = append->u.append.position;
    out->n_rot = append->u.append.rope.n_rot;
    out->rope_half = append->u.append.rope.half;
    out->scale = append->u.append.scale;
    out->eps = append->u.append.norm_eps;
}

void pith_vk_attn_fill(const pith_vk_device *device, const pith_node *node, struct pith_vk_attn *out)
{
    bool append = node->op == PITH_OP_KV_APPEND;
    const pith_kv_layout *l = append ? node->u.append.layout : node->u.attend.layout;
    struct window w[4];
    windows_of(device, l, w);
    memset(out, 0, sizeof *out);
    out->n_head = append ? node->u.append.n_head : node->u.attend.n_head;
    out->n_kv = l->n_kv;
    out->core_heads = l->core_heads;
    out->head_dim = l->head_dim;
    out->n_fixed = (int32_t)l->n_fixed;
    out->raw_k = plane_of(l, &l->raw_k, &w[0]);
    out->raw_v = plane_of(l, &l->raw_v, &w[1]);
    if (l->core_heads && l->core_rows) {
        out->core_k = plane_of(l, &l->core_k, &w[2]);
        out->core_v = plane_of(l, &l->core_v, &w[3]);
        out->bias_base = (uint32_t)((l->bias_offset - w[3].offset) / 2);
        out->bias_head = (uint32_t)(l->bias_head_bytes / 2);
    }
    if (append) {
        pith_vk_attn_fill_append(node, out);
    } else {
        out->kv_class = node->u.attend.kv_class;
        out->scale = node->u.attend.scale;
        out->n_segments = node->u.attend.n_segments;
        for (int32_t i = 0; i < out->n_segments; i++) {
            const pith_segment *s = &node->u.attend.segments[i];
            out->segments[i] = (struct pith_vk_segment){.lo = bound_of(&s->lo), .hi = bound_of(&s->hi), .core = s->source == PITH_SEGMENT_CORE,
                                                        .bias = s->bias};
        }
    }
}

pith_vk_bind pith_vk_bind_table(const pith_vk_record *rec, int32_t index)
{
    const pith_exec *e = rec->e;
    return (pith_vk_bind){&e->tables, (uint64_t)e->table_of[index] * e->tables_pitch, sizeof(struct pith_vk_attn), false};
}

uint32_t pith_vk_kv_type(const pith_kv_layout *l)
{
    return l->dtype == PITH_DTYPE_F32 ? 0 : l->dtype == PITH_DTYPE_F16 ? 1 : 2;
}

void pith_vk_op_append(pith_vk_record *rec, const pith_node *node, int32_t index)
{
    pith_exec *e = rec->e;
    const pith_kv_layout *l = node->u.append.layout;
    uint32_t group = l->core_heads ? (uint32_t)node->u.append.group : 0, pairs = (uint32_t)node->u.append.rope.n_rot / 2;
    const struct pith_vk_push_append push = {.ld = (uint32_t)e->plan->graph->values[node->src].cols, .tile = group ? group : 4};
    uint32_t size = 128; /* vectors of E floats in shared memory, one per 32 invocations */
    pith_vk_call call = {
        .variant = PITH_SPV_APPEND,
        .spec = {size, pith_vk_kv_type(l), (uint32_t)l->head_dim, group ? group : 1, node->u.append.q_norm >= 0, node->u.append.k_norm >= 0},
        .bind = {pith_vk_bind_value(rec, node->dst, true), pith_vk_bind_state(rec), pith_vk_bind_table(rec, index), pith_vk_bind_all(&e->turns, false)},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = {rec->n == 1 ? 1 : div_up((uint64_t)rec->n, push.tile) + 1, (uint64_t)l->n_kv}};
    pith_vk_bind_windows(rec, node, l, true, &call.bind[4]);
    call.bind[8] = (pith_vk_bind){&e->state[rec->r->stage], e->base_offset, (pairs ? pairs : 1) * 8ull, false};
    call.bind[9] = (pith_vk_bind){&e->tables, e->freq_offset, (pairs ? pairs : 1) * 4ull, false};
    call.bind[10] = pith_vk_bind_vector(rec, node->u.append.q_norm);
    call.bind[11] = pith_vk_bind_vector(rec, node->u.append.k_norm);
    pith_vk_record_cost(rec, 10.0 * (double)rec->n * (double)push.ld);
    if (rec->status == PITH_OK)
        pith_vk_cmd_dispatch(rec->cmd, &call);
}

/* ---- attend ----------------------------------------------------------------------------------------------------------- */

/* Do query heads of one KV head see different keys? */
static bool own_cores(const pith_node *node)
{
    const pith_kv_layout *l = node->u.attend.layout;
    bool own = false;
    for (int32_t i = 0; i < node->u.attend.n_segments; i++)
        own = own || (node->u.attend.segments[i].source == PITH_SEGMENT_CORE && l->core_heads != l->n_kv);
    return own;
}

/* Query heads of a workgroup, and workgroups per KV head. */
static uint32_t heads_of(const pith_node *node, uint32_t most, uint32_t *blocks)
{
    uint32_t share = (uint32_t)(node->u.attend.n_head / node->u.attend.layout->n_kv);
    uint32_t heads = own_cores(node) ? 1 : share < most ? share : most;
    *blocks = (share + heads - 1) / heads;
    return heads;
}

/* Registers decide: of one head with two keys 96, with three f16 keys 125, of two heads 128, of four 167 (docs/SPEED.md: an
 * H200, the one card that was measured). Workgroups that share a KV head read its keys at about the same time: the cache
 * should have them for all but the first, as it has there. */
struct pith_vk_attend_few pith_vk_attend_few(const pith_node *node)
{
    struct pith_vk_attend_few f = {.lanes = 1};
    f.heads = heads_of(node, FEW_ROWS, &f.blocks);
    while (8 * f.lanes < (uint32_t)node->u.attend.layout->head_dim)
        f.lanes *= 2;
    f.keys = f.heads == 1 && node->u.attend.layout->dtype == PITH_DTYPE_F16 ? 3 : 2;
    f.per_core = f.heads == 1 && f.keys == 2 ? 5 : 4;
    return f;
}

/* Most keys that one query can see, for the length of submissions. */
static double keys_most(const pith_node *node)
{
    const pith_kv_layout *l = node->u.attend.layout;
    return (double)l->raw_rows + (double)l->core_rows;
}

double pith_vk_attend_flop(const pith_node *node)
{
    return 4.0 * (double)node->u.attend.n_head * (double)node->u.attend.layout->head_dim * keys_most(node);
}

/* Parts of the keys of one token: enough workgroups to fill the device, `fill`. More where keys are so many that a slow
 * device takes them in several dispatches; always as many, whatever is known of its pace: results stay the same. */
static uint32_t splits_of(const pith_vk_device *d, const pith_node *node, uint32_t *fill)
{
    /* All that the device holds at once: a remainder would be a wave of its own. */
    const struct pith_vk_attend_few few = pith_vk_attend_few(node);
    uint32_t n_kv = (uint32_t)node->u.attend.layout->n_kv, have = few.blocks * n_kv; /* and one of each KV head appends */
    uint32_t n = few.per_core * d->cores > n_kv ? (few.per_core * d->cores - n_kv) / have : 1;
    *fill = n < 1 ? 1 : n > SPLITS_MAX ? SPLITS_MAX : n;
    double times = keys_most(node) / ((double)PART_KEYS * *fill);
    uint32_t most = SPLITS_MAX / *fill;
    return *fill * (times > most ? most : times > 1 ? (uint32_t)ceil(times) : 1);
}

/* Many tokens as tiles of queries. */
struct tiling {
    pith_vk_attend by;      /* the kernel and its sizes */
    uint32_t heads, tokens; /* of a workgroup */
    uint32_t groups;        /* workgroups of a tile, all heads */
    uint64_t kept_bytes;    /* what they keep from one range of keys to the next */
    uint64_t fill;          /* tiles at once where keys are read in ranges: enough to fill the device, bounded by KEPT_MAX */
    uint32_t ranges_most;
};

static struct tiling tiling_of(const pith_vk_device *d, const pith_node *node)
{
    const pith_kv_layout *l = node->u.attend.layout;
    struct tiling t = {.by = l->dtype == PITH_DTYPE_F32 ? (pith_vk_attend){0} : pith_vk_attend_choose(d, (uint32_t)l->head_dim)};
    uint32_t blocks, subs = t.by.subs, rows = subs ? 16 * subs : TILE_ROWS, size = d->physical.subgroup, dim = (uint32_t)l->head_dim;
    t.heads = heads_of(node, rows, &blocks);
    t.tokens = rows / t.heads;
    t.groups = blocks * (uint32_t)l->n_kv;
    uint64_t vectors = t.by.two ? subs * (4 * dim + 128) : subs ? subs * (4 * dim + 16 * (size < 16 ? 1 : size / 16)) : 128 * (2 * ((dim + 31) / 32) + 1);
    t.kept_bytes = 16 * vectors * t.groups;
    uint64_t full = div_up(4ull * d->cores, t.groups), room = KEPT_MAX / t.kept_bytes;
    t.fill = full < room ? full : room ? room : 1;
    double blocks_most = keys_most(node) / (subs ? t.by.keys : TILE_KEYS);
    t.ranges_most = blocks_most < 1 ? 1 : blocks_most > RANGES_MAX ? RANGES_MAX : (uint32_t)blocks_most;
    return t;
}

uint64_t pith_vk_attend_part_bytes(const pith_vk_device *d, const pith_node *node)
{
    uint32_t fill;
    return (uint64_t)node->u.attend.n_head * splits_of(d, node, &fill) * (uint64_t)(node->u.attend.layout->head_dim + 2) * 4;
}

void pith_vk_op_attend_sizes(const pith_vk_backend *b, const pith_plan *plan, const pith_node *node, pith_vk_sizes *s)
{
    uint64_t tokens = (uint64_t)(plan->n_tokens_max < FEW_TOKENS ? plan->n_tokens_max : FEW_TOKENS);
    uint64_t bytes = tokens * pith_vk_attend_part_bytes(&b->device, node);
    uint64_t arrivals = tokens * (uint64_t)node->u.attend.n_head * 4; /* behind the parts, zeroed once */
    s->parts = bytes > s->parts ? bytes : s->parts;
    s->arrivals = arrivals > s->arrivals ? arrivals : s->arrivals;
    const struct tiling t = tiling_of(&b->device, node);
    if (plan->n_tokens_max > FEW_TOKENS && t.ranges_most > 1) {
        uint64_t tiles = div_up((uint64_t)plan->n_tokens_max, t.tokens);
        bytes = (tiles < t.fill ? tiles : t.fill) * t.kept_bytes;
        s->parts = bytes > s->parts ? bytes : s->parts;
    }
}

static pith_vk_call attend_call(pith_vk_record *rec, const pith_node *node, int32_t index)
{
    const pith_kv_layout *l = node->u.attend.layout;
    pith_vk_call call = {.spec = {128, pith_vk_kv_type(l), (uint32_t)l->head_dim},
                         .bind = {pith_vk_bind_from_start(rec, node->src, false), pith_vk_bind_from_start(rec, node->dst, true),
                                  pith_vk_bind_state(rec), pith_vk_bind_table(rec, index)}};
    pith_vk_bind_windows(rec, node, l, false, &call.bind[4]);
    return call;
}

struct pith_vk_attend_cut pith_vk_attend_cut(const pith_vk_record *rec, const pith_node *node)
{
    uint32_t fill, splits = splits_of(&rec->e->backend->device, node, &fill);
    struct pith_vk_attend_cut cut = {.splits = splits, .parts = splits, .per_part = pith_vk_attend_flop(node) / splits};
    uint64_t room = pith_vk_record_room(rec, PITH_VK_WORK_FEW, cut.per_part), n = (uint64_t)rec->n;
    cut.tokens = room / splits < n ? room / splits : n;
    if (cut.tokens == 0) { /* at best as many parts as fill the device */
        cut.tokens = 1;
        cut.parts = room >= fill ? room / fill * fill : room;
    }
    return cut;
}

static void attend_few(pith_vk_record *rec, const pith_node *node, int32_t index, struct pith_vk_push_attend push)
{
    const pith_vk_device *d = &rec->e->backend->device;
    const pith_kv_layout *l = node->u.attend.layout;
    const struct pith_vk_attend_few few = pith_vk_attend_few(node);
    const struct pith_vk_attend_cut cut = pith_vk_attend_cut(rec, node);
    push.heads = few.heads;
    push.tokens = 1;
    push.splits = cut.splits;
    bool shuffle = (d->caps & PITH_VK_CAP(SUBGROUP)) && few.lanes <= d->physical.subgroup;
    pith_vk_call call = attend_call(rec, node, index);
    call.variant = shuffle ? PITH_SPV_ATTN_SPLIT_SG : PITH_SPV_ATTN_SPLIT;
    call.spec[3] = few.lanes;
    call.spec[4] = few.heads;
    call.spec[5] = push.splits > 1;
    call.spec[6] = few.keys;
    call.bind[8] = pith_vk_bind_all(&rec->e->parts, true);
    call.bind[9] = pith_vk_bind_counters(rec);
    call.push = &push;
    call.push_bytes = sizeof push;
    call.groups[1] = (uint64_t)few.blocks * (uint64_t)l->n_kv;
    for (uint64_t token = 0; token < (uint64_t)rec->n; token += cut.tokens)
        for (uint64_t part = 0; part < cut.splits; part += cut.parts) {
            call.groups[0] = cut.splits - part < cut.parts ? cut.splits - part : cut.parts;
            call.groups[2] = (uint64_t)rec->n - token < cut.tokens ? (uint64_t)rec->n - token : cut.tokens;
            pith_vk_record_cost_of(rec, PITH_VK_WORK_FEW, cut.per_part * (double)(call.groups[0] * call.groups[2]));
            if (rec->status != PITH_OK)
                return;
            push.token0 = (uint32_t)rec->first + (uint32_t)token;
            push.split0 = (uint32_t)part;
            pith_vk_cmd_dispatch(rec->cmd, &call);
        }
}

/* Tiles of a dispatch, and ranges that their keys are read in: several where a tile would be too long for a submission, or
 * the few that fit would leave most of the device idle. Ranges and not heads: the device stays as full as it was. */
static uint64_t step_of(const pith_vk_record *rec, const struct tiling *t, uint64_t tiles, double per_tile, uint32_t *ranges)
{
    double room = pith_vk_record_share(rec, PITH_VK_WORK_ATTEND, per_tile), most = room * t->ranges_most, n;
    uint64_t step = tiles < t->fill ? tiles : t->fill;
    *ranges = 1;
    if (t->ranges_most == 1 || room >= (double)tiles || (room >= 1 && 4 * room >= (double)t->fill))
        return pith_vk_record_room(rec, PITH_VK_WORK_ATTEND, per_tile);
    step = most >= (double)step ? step : most >= 1 ? (uint64_t)most : 1;
    n = ceil((double)step / room);
    *ranges = n < t->ranges_most ? (uint32_t)n : t->ranges_most;
    return step;
}

static void attend_many(pith_vk_record *rec, const pith_node *node, int32_t index, struct pith_vk_push_attend push)
{
    const pith_vk_device *d = &rec->e->backend->device;
    const pith_kv_layout *l = node->u.attend.layout;
    const struct tiling t = tiling_of(d, node);
    double per_tile = pith_vk_attend_flop(node) * t.tokens;
    uint64_t tiles = div_up((uint64_t)rec->n, t.tokens), step = step_of(rec, &t, tiles, per_tile, &push.ranges);
    push.heads = t.heads;
    push.tokens = t.tokens;
    push.splits = 1;
    pith_vk_call call = attend_call(rec, node, index);
    call.variant = push.ranges > 1 ? PITH_SPV_ATTN_TILE_RANGES : PITH_SPV_ATTN_TILE;
    if (t.by.subs) {
        const uint32_t spec[] = {t.by.subs * d->physical.subgroup, pith_vk_kv_type(l), (uint32_t)l->head_dim, t.by.subs, t.by.keys, d->physical.subgroup, 0,
                                 d->physical.matrix[0], d->physical.matrix[1], d->physical.matrix[2]};
        call.variant = push.ranges > 1 ? PITH_SPV_ATTN_MATRIX_RANGES : PITH_SPV_ATTN_MATRIX;
        if (t.by.two)
            call.variant = push.ranges > 1 ? PITH_SPV_ATTN_MATRIX2_RANGES : PITH_SPV_ATTN_MATRIX2;
        memcpy(call.spec, spec, sizeof spec);
    }
    if (push.ranges > 1)
        call.bind[8] = pith_vk_bind_all(&rec->e->parts, true);
    call.push = &push;
    call.push_bytes = sizeof push;
    call.groups[1] = t.groups;
    for (uint64_t tile = 0; tile < tiles; tile += step) {
        call.groups[0] = tiles - tile < step ? tiles - tile : step;
        push.token0 = (uint32_t)rec->first + (uint32_t)(tile * t.tokens);
        for (push.range = 0; push.range < push.ranges; push.range++) {
            pith_vk_record_cost_of(rec, PITH_VK_WORK_ATTEND, per_tile * (double)call.groups[0] / push.ranges);
            if (rec->status != PITH_OK)
                return;
            pith_vk_cmd_dispatch(rec->cmd, &call);
        }
    }
}

void pith_vk_op_attend(pith_vk_record *rec, const pith_node *node, int32_t index)
{
    const pith_graph *graph = rec->e->plan->graph;
    const struct pith_vk_push_attend push = {.ldq = (uint32_t)graph->values[node->src].cols, .ldo = (uint32_t)graph->values[node->dst].cols};
    if (rec->n > FEW_TOKENS)
        attend_many(rec, node, index, push);
    else
        attend_few(rec, node, index, push);
}
