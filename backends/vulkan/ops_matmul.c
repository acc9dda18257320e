/* SPDX-License-Identifier: MIT */
/* Products with weights, and table lookup. A few tokens: mat-vec kernels on packed rows. Many: a tile kernel that reads
 * packed rows; where there is none, rows are unpacked into scratch first, block of rows by block of rows. */
#include "tune.h"
#include "vulkan.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define FEW_TOKENS 4     /* mat-vec up to so many tokens */
#define DEQUANT_GROUP 64

enum { EPI_STORE, EPI_ADD, EPI_SWIGLU, EPI_SILU_MUL };

static uint64_t div_up(uint64_t a, uint64_t b) { return (a + b - 1) / b; }

/* What the tile kernels multiply: floats only where a weight holds more than a half can; bytes, where the device and the
 * user have them (tune.h), only with codes. Groups of a product share its activations. */
static pith_vk_operands operands_of(const pith_vk_backend *b, const pith_vk_group *groups, int32_t n)
{
    bool codes = true;
    for (int32_t g = 0; g < n; g++) {
        if (groups[g].format == PITH_VK_FORMAT_F32)
            return PITH_VK_FLOATS;
        codes = codes && groups[g].format >= PITH_VK_FORMAT_Q4_0;
    }
    return codes && pith_vk_has_int8(&b->device) ? PITH_VK_BYTES : PITH_VK_HALVES;
}

/* Bytes of a unit of 32 activations: lib/bytes.glsl, act.comp. */
static uint64_t act_unit_bytes(pith_vk_operands operands)
{
    return operands == PITH_VK_BYTES ? 48 : operands == PITH_VK_FLOATS ? 128 : 64;
}

/* Does the tile kernel read the group's rows as they are? PITH_VK_UNPACK=1 in the environment: only that for bytes. */
static bool direct(const pith_vk_backend *b, const pith_vk_group *g, pith_vk_operands operands)
{
    const char *text = getenv("PITH_VK_UNPACK");
    if (operands == PITH_VK_BYTES)
        return true;
    return operands == PITH_VK_HALVES && !(text && strcmp(text, "1") == 0) && (g->format == PITH_VK_FORMAT_F16 || g->format >= PITH_VK_FORMAT_Q4_0) &&
           pith_vk_tile_choose(&b->device, PITH_VK_TILE_MAX, PITH_VK_TILE_MAX, 32 * g->units, PITH_VK_HALVES).variant == PITH_SPV_GEMM_COOPMAT;
}

/* Rows of the scratch that holds unpacked weights, of `units` units each. */
static int64_t scratch_rows(const pith_vk_backend *b, int64_t rows, uint32_t units, bool floats)
{
    uint64_t row_bytes = (uint64_t)units * (floats ? 128 : 64);
    int64_t most = (int64_t)(b->scratch_max / row_bytes) / PITH_VK_TILE_MAX * PITH_VK_TILE_MAX;
    int64_t wanted = (rows + PITH_VK_TILE_MAX - 1) / PITH_VK_TILE_MAX * PITH_VK_TILE_MAX;
    return wanted < most ? wanted : most;
}

void pith_vk_op_matmul_sizes(const pith_vk_backend *b, const pith_plan *plan, const pith_node *node, pith_vk_sizes *s)
{
    const pith_graph *graph = plan->graph;
    pith_vk_group groups[PITH_WEIGHT_PARTS_MAX];
    int32_t n = pith_vk_groups_of(&graph->weights[node->u.matmul.weight], groups);
    int64_t tokens = graph->values[node->src].rows == PITH_ROWS_TOKENS ? plan->n_tokens_max : plan->n_rows_max;
    if (tokens <= FEW_TOKENS)
        return;
    pith_vk_operands operands = operands_of(b, groups, n);
    bool floats = operands == PITH_VK_FLOATS;
    for (int32_t g = 0; g < n; g++) {
        uint64_t units = groups[g].units, row_bytes = units * (floats ? 128 : 64);
        uint64_t unpacked = direct(b, &groups[g], operands) ? 0 : (uint64_t)scratch_rows(b, groups[g].rows, groups[g].units, floats) * row_bytes;
        uint64_t act = div_up((uint64_t)tokens, PITH_VK_TILE_MAX) * PITH_VK_TILE_MAX * units * act_unit_bytes(operands);
        s->unpacked = unpacked > s->unpacked ? unpacked : s->unpacked;
        s->act = act > s->act ? act : s->act;
    }
}

bool pith_vk_node_supported(const pith_vk_backend *b, const pith_node *node, const pith_weight_desc *weights)
{
    if (node->op == PITH_OP_ATTEND)
        for (int32_t i = 0; i < node->u.attend.n_segments; i++)
            if (node->u.attend.segments[i].list != PITH_LIST_NONE) {
                pith_fail(PITH_ERROR_UNSUPPORTED, "vulkan: attention over lists of blocks");
                return false;
            }
    if (node->op == PITH_OP_KV_APPEND || node->op == PITH_OP_ATTEND) {
        const pith_kv_layout *l = node->op == PITH_OP_ATTEND ? node->u.attend.layout : node->u.append.layout;
        return pith_vk_kv_check(&b->device, l) == PITH_OK;
    }
    if (node->op != PITH_OP_MATMUL && node->op != PITH_OP_EMBED)
        return true;
    const pith_weight_desc *w = &weights[node->op == PITH_OP_MATMUL ? node->u.matmul.weight : node->u.embed.weight];
    pith_vk_group groups[PITH_WEIGHT_PARTS_MAX];
    int32_t n = pith_vk_groups_of(w, groups);
    for (int32_t g = 0; g < n; g++) {
        const pith_weight_part *part = &w->parts[groups[g].first_part];
        if (groups[g].format < 0) {
            pith_fail(PITH_ERROR_UNSUPPORTED, "vulkan: %s: no kernel for tensor type %s", part->name, pith_dtype_get((uint32_t)part->dtype).name);
            return false;
        }
        if (node->op == PITH_OP_MATMUL && scratch_rows(b, PITH_VK_TILE_MAX, groups[g].units, operands_of(b, groups, n) == PITH_VK_FLOATS) < PITH_VK_TILE_MAX) {
            pith_fail(PITH_ERROR_UNSUPPORTED, "vulkan: %s: %lld columns", part->name, (long long)part->cols);
            return false;
        }
    }
    return true;
}

/* ---- a few tokens --------------------------------------------------------------------------------------------------- */

/* halfway: the gate of a gated product, which its other part will be multiplied with; again: beside results of another
 * dispatch of the node, in columns of its own. */
static void matvec(pith_vk_record *rec, const pith_node *node, const pith_vk_group *g, const pith_vk_slab *slab, uint32_t epilogue,
                   bool halfway, bool again)
{
    const pith_vk_device *d = &rec->e->backend->device;
    const pith_graph *graph = rec->e->plan->graph;
    uint32_t ldx = (uint32_t)graph->values[node->src].cols, ldy = (uint32_t)graph->values[node->dst].cols;
    bool shuffle = d->caps & PITH_VK_CAP(SUBGROUP), norm = node->u.matmul.norm >= 0, ragged = g->cols % 32 != 0 || ldx % 4 != 0;
    bool half = g->format >= PITH_VK_FORMAT_Q4_0 && !ragged && pith_vk_has_half_vectors(d);
    /* lib/halves.glsl: RAW_NIBBLES */
    bool nibbles = g->format == PITH_VK_FORMAT_Q4_0 || g->format == PITH_VK_FORMAT_Q4_1 || g->format == PITH_VK_FORMAT_Q4_K;
    const pith_vk_vector v = half ? pith_vk_vector_half_choose(d, (uint32_t)slab->rows, g->units, nibbles) : pith_vk_vector_choose(d, (uint32_t)slab->rows, g->units);
    struct pith_vk_push_matvec push = {.units = g->units, .rows = (uint32_t)slab->rows, .row0 = (uint32_t)slab->row0,
                                       .group_rows = (uint32_t)g->rows, .col0 = (uint32_t)g->col0, .cols = (uint32_t)g->cols,
                                       .ldx = ldx, .ldy = ldy, .eps = node->u.matmul.norm_eps};
    memcpy(push.plane, slab->plane, sizeof push.plane);
    pith_vk_call call = {
        .variant = (pith_spv)(half ? PITH_SPV_MATVEC_HALF_Q4_0 + g->format - PITH_VK_FORMAT_Q4_0
                                   : (shuffle ? PITH_SPV_MATVEC_SG_F32 : PITH_SPV_MATVEC_F32) + g->format),
        .spec = {v.invocations, v.lanes, v.rows, norm, epilogue, node->u.matmul.bias >= 0, g->pairs, half ? v.stage : ragged, half ? v.depth : v.stage,
                 half ? v.split : v.depth, half && (d->caps & PITH_VK_CAP(SUBNORMAL))},
        .bind = {pith_vk_bind_slab(rec, slab), pith_vk_bind_value(rec, node->src, false),
                 halfway ? pith_vk_bind_old(rec, node->dst, true) : pith_vk_bind_value(rec, node->dst, true),
                 pith_vk_bind_vector(rec, node->u.matmul.norm), pith_vk_bind_vector(rec, node->u.matmul.bias)},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = {half ? v.workgroups : div_up((uint64_t)slab->rows, (uint64_t)(v.invocations / v.lanes) * v.rows), 1, (uint64_t)rec->n}};
    if (epilogue == EPI_ADD || epilogue == EPI_SILU_MUL)
        call.bind[5] = pith_vk_bind_old(rec, node->dst, false);
    if (half && rec->r->place) {
        call.bind[9] = pith_vk_bind_counters(rec);
        call.link_shares = 1 << 9 | again << 2;
        call.link_at = offsetof(struct pith_vk_push_matvec, link);
    }
    pith_vk_cmd_dispatch(rec->cmd, &call);
}

/* ---- many tokens ---------------------------------------------------------------------------------------------------- */

static void act_make(pith_vk_record *rec, const pith_node *node, uint32_t cols, uint32_t ldy, pith_vk_operands operands)
{
    uint32_t ldx = (uint32_t)rec->e->plan->graph->values[node->src].cols;
    const struct pith_vk_push_act push = {.cols = cols, .ldx = ldx, .ldy = ldy, .eps = node->u.matmul.norm_eps};
    bool bytes = operands == PITH_VK_BYTES; /* of whole blocks: never ragged */
    const pith_vk_call call = {.variant = bytes ? PITH_SPV_ACT_INT8 : PITH_SPV_ACT,
                               .spec = {128, node->u.matmul.norm >= 0, operands == PITH_VK_FLOATS, cols % 4 != 0},
                               .bind = {pith_vk_bind_value(rec, node->src, false), pith_vk_bind_all(&rec->e->act, true),
                                        pith_vk_bind_vector(rec, node->u.matmul.norm)},
                               .push = &push,
                               .push_bytes = sizeof push,
                               .groups = {(uint64_t)rec->n}};
    pith_vk_cmd_dispatch(rec->cmd, &call);
}

/* Rows [row, row + n) of a slab into the scratch. */
static void unpack(pith_vk_record *rec, const pith_vk_group *g, const pith_vk_slab *slab, int64_t row, int64_t n, bool floats)
{
    struct pith_vk_push_dequant push = {.units = g->units, .row0 = (uint32_t)row, .rows = (uint32_t)slab->rows, .n = (uint32_t)n,
                                        .cols = (uint32_t)g->cols, .ld = 32 * g->units};
    memcpy(push.plane, slab->plane, sizeof push.plane);
    const pith_vk_call call = {.variant = (pith_spv)(PITH_SPV_DEQUANT_F32 + g->format),
                               .spec = {DEQUANT_GROUP, false, floats},
                               .bind = {pith_vk_bind_slab(rec, slab), pith_vk_bind_all(&rec->e->unpacked, true), pith_vk_bind_state(rec)},
                               .push = &push,
                               .push_bytes = sizeof push,
                               .groups = {div_up((uint64_t)n * g->units, DEQUANT_GROUP)}};
    pith_vk_cmd_dispatch(rec->cmd, &call);
}

/* Rows [row, row + n) of the slab; slab NULL: of the scratch, where row is their place in the group. */
static void multiply(pith_vk_record *rec, const pith_node *node, const pith_vk_group *g, const pith_vk_slab *slab, int64_t row, int64_t n,
                     pith_vk_operands operands, uint32_t epilogue)
{
    const pith_vk_tile t = pith_vk_tile_choose(&rec->e->backend->device, (uint32_t)rec->n, (uint32_t)n, 32 * g->units, operands);
    uint32_t bias = node->u.matmul.bias >= 0;
    struct pith_vk_push_gemm push = {.m = (uint32_t)rec->n, .n = (uint32_t)n, .k = 32 * g->units,
                                     .row0 = (uint32_t)(row + (slab ? slab->row0 : 0)), .group_rows = (uint32_t)g->rows, .col0 = (uint32_t)g->col0,
                                     .ldy = (uint32_t)rec->e->plan->graph->values[node->dst].cols};
    pith_vk_call call = {.variant = t.variant,
                         .bind = {pith_vk_bind_all(&rec->e->act, false), slab ? pith_vk_bind_slab(rec, slab) : pith_vk_bind_all(&rec->e->unpacked, false),
                                  pith_vk_bind_value(rec, node->dst, true), {0}, pith_vk_bind_vector(rec, node->u.matmul.bias)},
                         .push = &push,
                         .push_bytes = sizeof push,
                         .groups = {div_up((uint64_t)n, t.bn), div_up((uint64_t)rec->n, t.bm)}};
    if (slab && g->format == PITH_VK_FORMAT_F16) {
        push.w0 = slab->plane[0] + (uint32_t)row * 4 * g->units;
    } else if (slab) {
        const pith_vk_format *f = pith_vk_format_get(g->format);
        for (uint32_t p = 0; p < f->n_planes; p++) /* rows of whole pieces: `row` is a multiple of 256 */
            push.plane[p] = slab->plane[p] + (uint32_t)((uint64_t)row * pith_vk_plane_row_bytes(f, p, g->units) / 16);
        push.units = g->units;
        call.variant = (pith_spv)((operands == PITH_VK_BYTES ? PITH_SPV_GEMM_INT8_Q4_0 : PITH_SPV_GEMM_PACKED_Q4_0) + g->format - PITH_VK_FORMAT_Q4_0);
    }
    pith_vk_tile_spec(&rec->e->backend->device, &t, operands, epilogue | bias << 2 | (uint32_t)g->pairs << 3, call.spec);
    pith_vk_cmd_dispatch(rec->cmd, &call);
}

void pith_vk_op_matmul(pith_vk_record *rec, const pith_node *node)
{
    const pith_vk_weight *w = &rec->e->weights->weights[node->u.matmul.weight];
    bool few = rec->n <= FEW_TOKENS;
    pith_vk_operands operands = operands_of(rec->e->backend, w->groups, w->n_groups);
    bool floats = operands == PITH_VK_FLOATS;
    if (!few) {
        pith_vk_record_cost(rec, 0);
        act_make(rec, node, (uint32_t)w->groups[0].cols, 32 * w->groups[0].units, operands);
    }
    for (int32_t i = 0; i < w->n_groups; i++) {
        const pith_vk_group *g = &w->groups[i];
        uint32_t epilogue = (uint32_t)node->u.matmul.epilogue;
        bool parted = epilogue == EPI_SWIGLU && !g->pairs, halfway = parted && i == 0;
        if (parted) /* gate, then up on top of it */
            epilogue = i == 0 ? EPI_STORE : EPI_SILU_MUL;
        bool as_is = direct(rec->e->backend, g, operands);
        int64_t most = as_is ? g->rows : scratch_rows(rec->e->backend, g->rows, g->units, floats);
        for (int32_t k = 0; k < g->n_slabs; k++) {
            const pith_vk_slab *slab = &g->slabs[k];
            int64_t step = few ? slab->rows : pith_vk_record_rows(rec, most, 2.0 * (double)rec->n * (double)g->cols);
            for (int64_t row = 0; row < slab->rows; row += step) {
                int64_t n = slab->rows - row < step ? slab->rows - row : step;
                pith_vk_record_cost(rec, 2.0 * (double)rec->n * (double)n * (double)g->cols);
                if (rec->status != PITH_OK)
                    return;
                if (few) {
                    matvec(rec, node, g, slab, epilogue, halfway, k > 0 || (i > 0 && !parted));
                } else if (as_is) {
                    multiply(rec, node, g, slab, row, n, operands, epilogue);
                } else {
                    unpack(rec, g, slab, row, n, floats);
                    multiply(rec, node, g, NULL, slab->row0 + row, n, operands, epilogue);
                }
            }
        }
    }
}

/* ---- rows of a table, rows of a value ------------------------------------------------------------------------------- */

void pith_vk_op_embed(pith_vk_record *rec, const pith_node *node)
{
    const pith_vk_weight *w = &rec->e->weights->weights[node->u.embed.weight];
    const pith_vk_group *g = &w->groups[0];
    pith_vk_record_cost(rec, (double)rec->n * (double)g->cols);
    for (int32_t k = 0; k < g->n_slabs && rec->status == PITH_OK; k++) {
        const pith_vk_slab *slab = &g->slabs[k];
        struct pith_vk_push_dequant push = {.units = g->units, .row0 = (uint32_t)slab->row0, .rows = (uint32_t)slab->rows,
                                            .n = (uint32_t)rec->n, .cols = (uint32_t)g->cols, .ld = (uint32_t)g->cols,
                                            .list = PITH_VK_STATE_WORDS};
        memcpy(push.plane, slab->plane, sizeof push.plane);
        const pith_vk_call call = {.variant = (pith_spv)(PITH_SPV_DEQUANT_F32 + g->format),
                                   .spec = {DEQUANT_GROUP, true, true},
                                   .bind = {pith_vk_bind_slab(rec, slab), pith_vk_bind_value(rec, node->dst, true), pith_vk_bind_state(rec)},
                                   .push = &push,
                                   .push_bytes = sizeof push,
                                   .groups = {div_up((uint64_t)rec->n * g->units, DEQUANT_GROUP)}};
        pith_vk_cmd_dispatch(rec->cmd, &call);
    }
}

void pith_vk_op_rows(pith_vk_record *rec, const pith_node *node)
{
    const struct pith_vk_push_rows push = {.cols = (uint32_t)rec->e->plan->graph->values[node->src].cols,
                                           .list = PITH_VK_STATE_WORDS + (uint32_t)rec->e->plan->n_tokens_max};
    const pith_vk_call call = {.variant = PITH_SPV_ROWS,
                               .spec = {128},
                               .bind = {pith_vk_bind_value(rec, node->src, false), pith_vk_bind_value(rec, node->dst, true), pith_vk_bind_state(rec)},
                               .push = &push,
                               .push_bytes = sizeof push,
                               .groups = {(uint64_t)rec->n}};
    pith_vk_record_cost(rec, 1);
    if (rec->status == PITH_OK)
        pith_vk_cmd_dispatch(rec->cmd, &call);
}
