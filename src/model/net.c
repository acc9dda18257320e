/* SPDX-License-Identifier: MIT */
/* One layer is six nodes; x is the residual stream [T][D]:
 *
 *   x --norm,matmul--> qkv --kv_append--> qkv --attend--> att --matmul,add--> x --norm,matmul,swiglu--> h --matmul,add--> x
 *
 * and after the last layer, for the rows asked for:  x --rows--> y --norm,matmul--> logits. Of the last layer, too, what
 * comes behind the append is for these rows alone: the tail. */
#include "model/net.h"
#include "base/mem.h"

#include <stdlib.h>

static void add_part(pith_weight_desc *desc, pith_weight_kind kind, const pith_gguf_tensor *t)
{
    if (!t)
        return;
    desc->kind = kind;
    desc->parts[desc->n_parts++] = (pith_weight_part){.name = t->name, .dtype = t->dtype, .rows = (int64_t)t->dims[1],
                                                      .cols = (int64_t)t->dims[0], .data = t->data};
}

pith_weight_desc *pith_net_weights(const pith_config *config, const pith_weights *weights, int32_t *n)
{
    *n = pith_net_slot(config->n_layer, 0);
    pith_weight_desc *table = pith_calloc((size_t)*n, sizeof *table);
    if (!table)
        return NULL;
    if (weights->token_embd != weights->output)
        add_part(&table[PITH_NET_EMBED], PITH_WEIGHT_LOOKUP, weights->token_embd);
    add_part(&table[PITH_NET_OUTPUT_NORM], PITH_WEIGHT_VECTOR, weights->output_norm);
    add_part(&table[PITH_NET_OUTPUT], PITH_WEIGHT_MATRIX, weights->output);
    for (int32_t l = 0; l < config->n_layer; l++) {
        const pith_layer_weights *w = &weights->layers[l];
        pith_weight_desc *slot = &table[pith_net_slot(l, 0)];
        add_part(&slot[PITH_LAYER_ATTN_NORM], PITH_WEIGHT_VECTOR, w->attn_norm);
        add_part(&slot[PITH_LAYER_QKV], PITH_WEIGHT_MATRIX, w->attn_q);
        add_part(&slot[PITH_LAYER_QKV], PITH_WEIGHT_MATRIX, w->attn_k);
        add_part(&slot[PITH_LAYER_QKV], PITH_WEIGHT_MATRIX, w->attn_v);
        add_part(&slot[PITH_LAYER_QKV_BIAS], PITH_WEIGHT_VECTOR, w->attn_q_bias);
        add_part(&slot[PITH_LAYER_QKV_BIAS], PITH_WEIGHT_VECTOR, w->attn_k_bias);
        add_part(&slot[PITH_LAYER_QKV_BIAS], PITH_WEIGHT_VECTOR, w->attn_v_bias);
        add_part(&slot[PITH_LAYER_Q_NORM], PITH_WEIGHT_VECTOR, w->attn_q_norm);
        add_part(&slot[PITH_LAYER_K_NORM], PITH_WEIGHT_VECTOR, w->attn_k_norm);
        add_part(&slot[PITH_LAYER_OUT], PITH_WEIGHT_MATRIX, w->attn_output);
        add_part(&slot[PITH_LAYER_OUT_BIAS], PITH_WEIGHT_VECTOR, w->attn_output_bias);
        add_part(&slot[PITH_LAYER_FFN_NORM], PITH_WEIGHT_VECTOR, w->ffn_norm);
        add_part(&slot[PITH_LAYER_GATE_UP], PITH_WEIGHT_MATRIX, w->ffn_gate);
        add_part(&slot[PITH_LAYER_GATE_UP], PITH_WEIGHT_MATRIX, w->ffn_up);
        add_part(&slot[PITH_LAYER_GATE_UP_BIAS], PITH_WEIGHT_VECTOR, w->ffn_gate_bias);
        add_part(&slot[PITH_LAYER_GATE_UP_BIAS], PITH_WEIGHT_VECTOR, w->ffn_up_bias);
        add_part(&slot[PITH_LAYER_DOWN], PITH_WEIGHT_MATRIX, w->ffn_down);
        add_part(&slot[PITH_LAYER_DOWN_BIAS], PITH_WEIGHT_VECTOR, w->ffn_down_bias);
    }
    return table;
}

/* What the builders share. */
struct build {
    const pith_config *config;
    const pith_weight_desc *table;
    pith_graph *graph;
    pith_rope rope;
    int32_t x, qkv, att, ffn; /* values, reused by every layer: the plan sees one storage each */
};

/* Index of a slot's weight, -1 when the model has none. */
static int32_t slot(const struct build *b, int32_t layer, int32_t which)
{
    int32_t i = pith_net_slot(layer, which);
    return b->table[i].kind == PITH_WEIGHT_NONE ? -1 : i;
}

static pith_status add_matmul(const struct build *b, int32_t layer, int32_t src, int32_t dst, int32_t weight, int32_t bias,
                              int32_t norm, pith_epilogue epilogue)
{
    pith_node node = {.op = PITH_OP_MATMUL, .src = src, .dst = dst, .layer = layer};
    node.tail = layer == b->config->n_layer - 1 && weight != PITH_LAYER_QKV;
    node.u.matmul.weight = pith_net_slot(layer, weight);
    node.u.matmul.bias = slot(b, layer, bias);
    node.u.matmul.norm = norm < 0 ? -1 : slot(b, layer, norm);
    node.u.matmul.norm_eps = b->config->rms_eps;
    node.u.matmul.epilogue = epilogue;
    return pith_graph_add(b->graph, &node);
}

static pith_status add_layer(const struct build *b, int32_t layer, const pith_layer_attn *attn)
{
    const pith_config *c = b->config;
    PITH_TRY(add_matmul(b, layer, b->x, b->qkv, PITH_LAYER_QKV, PITH_LAYER_QKV_BIAS, PITH_LAYER_ATTN_NORM, PITH_EPILOGUE_STORE));

    pith_node append = {.op = PITH_OP_KV_APPEND, .src = b->qkv, .dst = b->qkv, .layer = layer};
    append.u.append.n_head = c->n_head;
    append.u.append.q_norm = slot(b, layer, PITH_LAYER_Q_NORM);
    append.u.append.k_norm = slot(b, layer, PITH_LAYER_K_NORM);
    append.u.append.norm_eps = c->rms_eps;
    append.u.append.scale = c->attn_scale;
    append.u.append.rope = b->rope;
    append.u.append.layout = &attn->layout;
    append.u.append.kv_class = attn->kv_class;
    append.u.append.group = attn->group;
    append.u.append.n_sinks = attn->n_sinks;
    append.u.append.position = attn->position;
    PITH_TRY(pith_graph_add(b->graph, &append));

    pith_node attend = {.op = PITH_OP_ATTEND, .src = b->qkv, .dst = b->att, .layer = layer, .tail = layer == c->n_layer - 1};
    attend.u.attend.n_head = c->n_head;
    attend.u.attend.scale = c->attn_scale;
    attend.u.attend.layout = &attn->layout;
    attend.u.attend.kv_class = attn->kv_class;
    attend.u.attend.n_segments = attn->n_segments;
    for (int32_t s = 0; s < attn->n_segments; s++)
        attend.u.attend.segments[s] = attn->segments[s];
    PITH_TRY(pith_graph_add(b->graph, &attend));

    PITH_TRY(add_matmul(b, layer, b->att, b->x, PITH_LAYER_OUT, PITH_LAYER_OUT_BIAS, -1, PITH_EPILOGUE_ADD));
    PITH_TRY(add_matmul(b, layer, b->x, b->ffn, PITH_LAYER_GATE_UP, PITH_LAYER_GATE_UP_BIAS, PITH_LAYER_FFN_NORM,
                        PITH_EPILOGUE_SWIGLU));
    return add_matmul(b, layer, b->ffn, b->x, PITH_LAYER_DOWN, PITH_LAYER_DOWN_BIAS, -1, PITH_EPILOGUE_ADD);
}

static pith_status build_nodes(struct build *b, const pith_layer_attn *layers, int32_t *logits_out)
{
    const pith_config *c = b->config;
    pith_graph *graph = b->graph;
    int32_t ids = pith_graph_input(graph, "ids", PITH_DTYPE_I32, PITH_ROWS_TOKENS, 1);
    b->x = pith_graph_value(graph, "x", PITH_DTYPE_F32, PITH_ROWS_TOKENS, c->n_embd);
    b->qkv = pith_graph_value(graph, "qkv", PITH_DTYPE_F32, PITH_ROWS_TOKENS, (c->n_head + 2 * c->n_head_kv) * c->head_dim);
    b->att = pith_graph_value(graph, "att", PITH_DTYPE_F32, PITH_ROWS_TOKENS, c->n_head * c->head_dim);
    b->ffn = pith_graph_value(graph, "ffn", PITH_DTYPE_F32, PITH_ROWS_TOKENS, c->n_ff);
    int32_t y = pith_graph_value(graph, "y", PITH_DTYPE_F32, PITH_ROWS_WANTED, c->n_embd);
    int32_t logits = pith_graph_value(graph, "logits", PITH_DTYPE_F32, PITH_ROWS_WANTED, c->n_vocab);
    if (ids < 0 || b->x < 0 || b->qkv < 0 || b->att < 0 || b->ffn < 0 || y < 0 || logits < 0)
        return pith_fail(PITH_ERROR_NO_MEMORY, "net: no memory for the graph");

    pith_node embed = {.op = PITH_OP_EMBED, .src = ids, .dst = b->x, .layer = -1};
    embed.u.embed.weight = b->table[PITH_NET_EMBED].kind == PITH_WEIGHT_NONE ? PITH_NET_OUTPUT : PITH_NET_EMBED;
    PITH_TRY(pith_graph_add(graph, &embed));
    for (int32_t l = 0; l < c->n_layer; l++)
        PITH_TRY(add_layer(b, l, &layers[l]));

    pith_node rows = {.op = PITH_OP_ROWS, .stage = PITH_STAGE_HEAD, .src = b->x, .dst = y, .layer = -1};
    PITH_TRY(pith_graph_add(graph, &rows));
    pith_node head = {.op = PITH_OP_MATMUL, .stage = PITH_STAGE_HEAD, .src = y, .dst = logits, .layer = -1};
    head.u.matmul.weight = PITH_NET_OUTPUT;
    head.u.matmul.bias = -1;
    head.u.matmul.norm = PITH_NET_OUTPUT_NORM;
    head.u.matmul.norm_eps = c->rms_eps;
    head.u.matmul.epilogue = PITH_EPILOGUE_STORE;
    *logits_out = logits;
    return pith_graph_add(graph, &head);
}

pith_status pith_net_build(const pith_config *config, const pith_weights *weights, const pith_weight_desc *table, int32_t n_table,
                           const pith_layer_attn *layers, pith_net *out)
{
    *out = (pith_net){0};
    out->rope_freq = pith_calloc((size_t)config->n_rot / 2, sizeof *out->rope_freq);
    if (!out->rope_freq)
        return pith_fail(PITH_ERROR_NO_MEMORY, "net: no memory for %d rotation frequencies", config->n_rot / 2);
    struct build b = {.config = config, .table = table, .graph = &out->graph};
    const float *factors = weights->rope_freqs ? (const float *)(const void *)weights->rope_freqs->data : NULL;
    pith_config_rope_freqs(config, factors, out->rope_freq, &b.rope.magnitude);
    b.rope.freq = out->rope_freq;
    b.rope.n_rot = config->n_rot;
    b.rope.half = config->arch->pairing == PITH_ROPE_HALF;
    pith_graph_init(&out->graph, table, n_table);
    pith_status status = build_nodes(&b, layers, &out->logits);
    if (status != PITH_OK)
        pith_net_fini(out);
    return status;
}

void pith_net_fini(pith_net *net)
{
    pith_graph_fini(&net->graph);
    free(net->rope_freq);
    *net = (pith_net){0};
}
