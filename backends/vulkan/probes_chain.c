/* SPDX-License-Identifier: MIT */
/* The self-test's chain: layers of a small model, token by token, with dispatches that wait for each other in the shader
 * and again with barriers between them. The kernels and their order are the same, so the values must be, to the bit. */
#include "base/half.h"
#include "base/mem.h"
#include "base/rng.h"
#include "rig.h"

#include <stdlib.h>
#include <string.h>

#define HEADS 6 /* of a KV head three: in two workgroups */
#define KV 2
#define WIDTH 64
#define D 768
#define H 1536
#define QKV ((HEADS + 2 * KV) * WIDTH)
#define LAYERS PITH_VK_RIG_LAYERS
#define TOKENS 100
#define GROUP 8
#define WINDOW 80

/* Attention in several parts, which are waited for, too. */
_Static_assert(WINDOW > 64 && TOKENS > WINDOW + GROUP, "more keys than a part has at least (lib/split.glsl)");

enum { EMBED, NORM, IN, OUT, UP, DOWN, WEIGHTS };
static const int32_t shape[WEIGHTS][2] = {{TOKENS, D}, {1, D}, {QKV, D}, {D, HEADS * WIDTH}, {H, D}, {D, H}}; /* rows, columns */

struct chain {
    pith_kv_layout layout;
    double freq[WIDTH / 2];
    float table[TOKENS * D], norm[D];
    uint8_t codes[H * D / 32 * 18]; /* of every matrix: one may be the beginning of another */
    float got[2][TOKENS][D];
};

static void fill(struct chain *c)
{
    pith_rng rng;
    pith_rng_init(&rng, 22);
    for (int i = 0; i < TOKENS * D; i++)
        c->table[i] = pith_rng_normal(&rng);
    for (int i = 0; i < D; i++)
        c->norm[i] = 1.0f + 0.1f * pith_rng_normal(&rng);
    for (size_t i = 0; i < sizeof c->codes; i++)
        c->codes[i] = (uint8_t)pith_rng_u64(&rng);
    uint16_t scale = pith_f32_to_f16(1.0f / 128);
    for (size_t at = 0; at < sizeof c->codes; at += 18)
        memcpy(c->codes + at, &scale, 2);
    for (int i = 0; i < WIDTH / 2; i++)
        c->freq[i] = 1.0 / (i + 1);
    c->layout = (pith_kv_layout){.dtype = PITH_DTYPE_F16, .n_kv = KV, .core_heads = KV, .head_dim = WIDTH, .raw_rows = TOKENS,
                                 .core_rows = TOKENS / GROUP};
    pith_kv_layout_fill(&c->layout);
}

static pith_status product(pith_graph *g, int weight, int32_t src, int32_t dst, bool norm, pith_epilogue epilogue)
{
    pith_node node = {.op = PITH_OP_MATMUL, .src = src, .dst = dst, .layer = 0};
    node.u.matmul.weight = weight;
    node.u.matmul.norm = norm ? NORM : -1;
    node.u.matmul.norm_eps = 1e-5f;
    node.u.matmul.bias = -1;
    node.u.matmul.epilogue = epilogue;
    return pith_graph_add(g, &node);
}

static pith_status attention(pith_graph *g, const struct chain *c, int32_t layer, int32_t qkv, int32_t att)
{
    pith_node node = {.op = PITH_OP_KV_APPEND, .src = qkv, .dst = qkv, .layer = layer};
    node.u.append.n_head = HEADS;
    node.u.append.q_norm = node.u.append.k_norm = -1;
    node.u.append.scale = 0.125f;
    node.u.append.rope = (pith_rope){.freq = c->freq, .magnitude = 1, .n_rot = WIDTH, .half = true};
    node.u.append.layout = &c->layout;
    node.u.append.group = GROUP;
    PITH_TRY(pith_graph_add(g, &node));
    node = (pith_node){.op = PITH_OP_ATTEND, .src = qkv, .dst = att, .layer = layer};
    node.u.attend.n_head = HEADS;
    node.u.attend.scale = 0.125f;
    node.u.attend.layout = &c->layout;
    node.u.attend.n_segments = 2;
    node.u.attend.segments[0] = (pith_segment){.source = PITH_SEGMENT_CORE, .lo = pith_bound_const(0), .bias = true, .list_value = -1,
                                               .hi = {.max = INT64_MAX, .shift = WINDOW, .mul = 1, .group = GROUP}};
    node.u.attend.segments[1] = (pith_segment){.source = PITH_SEGMENT_RAW, .hi = {.max = INT64_MAX, .mul = 1, .group = 1}, .list_value = -1,
                                               .lo = {.max = INT64_MAX, .shift = WINDOW, .mul = GROUP, .group = GROUP}};
    return pith_graph_add(g, &node);
}

static pith_status graph_make(pith_graph *g, const struct chain *c, pith_weight_desc *w, int32_t *result)
{
    for (int i = 0; i < WEIGHTS; i++) {
        const void *data = i == EMBED ? (const void *)c->table : i == NORM ? (const void *)c->norm : (const void *)c->codes;
        w[i] = (pith_weight_desc){i == EMBED ? PITH_WEIGHT_LOOKUP : i == NORM ? PITH_WEIGHT_VECTOR : PITH_WEIGHT_MATRIX, 1,
                                  {{"w", i > NORM ? PITH_DTYPE_Q4_0 : PITH_DTYPE_F32, shape[i][0], shape[i][1], data}}};
    }
    pith_graph_init(g, w, WEIGHTS);
    int32_t ids = pith_graph_input(g, "ids", PITH_DTYPE_I32, PITH_ROWS_TOKENS, 1);
    int32_t x = *result = pith_graph_value(g, "x", PITH_DTYPE_F32, PITH_ROWS_TOKENS, D);
    int32_t qkv = pith_graph_value(g, "qkv", PITH_DTYPE_F32, PITH_ROWS_TOKENS, QKV);
    int32_t att = pith_graph_value(g, "att", PITH_DTYPE_F32, PITH_ROWS_TOKENS, HEADS * WIDTH);
    int32_t h = pith_graph_value(g, "h", PITH_DTYPE_F32, PITH_ROWS_TOKENS, H);
    PITH_TRY(pith_graph_add(g, &(pith_node){.op = PITH_OP_EMBED, .src = ids, .dst = x, .layer = -1}));
    for (int l = 0; l < LAYERS; l++) {
        PITH_TRY(product(g, IN, x, qkv, true, PITH_EPILOGUE_STORE));
        PITH_TRY(attention(g, c, l, qkv, att));
        PITH_TRY(product(g, OUT, att, x, false, PITH_EPILOGUE_ADD));
        PITH_TRY(product(g, UP, x, h, true, PITH_EPILOGUE_STORE));
        PITH_TRY(product(g, DOWN, h, x, false, PITH_EPILOGUE_ADD));
    }
    return PITH_OK;
}

/* All tokens; sliding rows begin at 0. */
static pith_status run(pith_vk_backend *vk, const struct chain *c, float (*got)[D])
{
    pith_vk_rig r = {.vk = vk};
    pith_weight_desc weights[WEIGHTS];
    int32_t result;
    pith_status status = graph_make(&r.graph, c, weights, &result);
    if (status == PITH_OK)
        status = pith_vk_rig_take(&r, weights, WEIGHTS, 1, LAYERS, &c->layout);
    for (int32_t t = 0; t < TOKENS && status == PITH_OK; t++) {
        status = pith_vk_rig_run(&r, t, 1, 0);
        if (status == PITH_OK)
            status = pith_vk_read(r.exec, result, 0, 1, got[t]);
    }
    pith_vk_rig_fini(&r);
    return status;
}

pith_status pith_vk_probe_chain(pith_vk_backend *vk, bool *good)
{
    *good = true;
    if (!(vk->device.caps & PITH_VK_CAP(CHAIN)))
        return PITH_OK;
    struct chain *c = pith_calloc(1, sizeof *c);
    if (!c)
        return pith_fail(PITH_ERROR_NO_MEMORY, "vulkan: no memory for the self-test");
    fill(c);
    const uint32_t caps = vk->device.caps;
    vk->device.caps = caps & ~PITH_VK_CAP(CHAIN);
    pith_status status = run(vk, c, c->got[0]);
    vk->device.caps = caps;
    for (int i = 0; i < 3 && status == PITH_OK && *good; i++) { /* what goes wrong need not always */
        status = run(vk, c, c->got[1]);
        *good = memcmp(c->got[0], c->got[1], sizeof c->got[0]) == 0;
    }
    free(c);
    return status;
}
