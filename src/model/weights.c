/* SPDX-License-Identifier: MIT */
/* Binding by name. One table says where each tensor of a layer goes, its shape in letters and whether it must exist;
 * after binding every pointer that is not NULL has exactly that shape and a type that the engine can use. Tensors that
 * nothing asked for are allowed (other engines put extras into files) and mentioned once. */
#include "model/weights.h"
#include "model/gguf_read.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { MATRIX, NORM, BIAS };
enum need { REQUIRED, OPTIONAL, IF_BIASED, IF_QK_NORMED };
enum size { ONE, D, HE, KE, E, F, V, HALF_ROT };

struct row {
    const char *name;  /* behind "blk.N." for layers */
    size_t at;         /* offset of the pointer in its struct */
    enum kind kind;
    enum need need;
    uint8_t dims[2];   /* enum size: contiguous, rows */
};

#define L(field) offsetof(pith_layer_weights, field)
static const struct row layer_rows[] = {
    {"attn_norm.weight", L(attn_norm), NORM, REQUIRED, {D, ONE}},
    {"attn_q.weight", L(attn_q), MATRIX, REQUIRED, {D, HE}},
    {"attn_k.weight", L(attn_k), MATRIX, REQUIRED, {D, KE}},
    {"attn_v.weight", L(attn_v), MATRIX, REQUIRED, {D, KE}},
    {"attn_q.bias", L(attn_q_bias), BIAS, IF_BIASED, {HE, ONE}},
    {"attn_k.bias", L(attn_k_bias), BIAS, IF_BIASED, {KE, ONE}},
    {"attn_v.bias", L(attn_v_bias), BIAS, IF_BIASED, {KE, ONE}},
    {"attn_q_norm.weight", L(attn_q_norm), NORM, IF_QK_NORMED, {E, ONE}},
    {"attn_k_norm.weight", L(attn_k_norm), NORM, IF_QK_NORMED, {E, ONE}},
    {"attn_output.weight", L(attn_output), MATRIX, REQUIRED, {HE, D}},
    {"attn_output.bias", L(attn_output_bias), BIAS, OPTIONAL, {D, ONE}},
    {"ffn_norm.weight", L(ffn_norm), NORM, REQUIRED, {D, ONE}},
    {"ffn_gate.weight", L(ffn_gate), MATRIX, REQUIRED, {D, F}},
    {"ffn_up.weight", L(ffn_up), MATRIX, REQUIRED, {D, F}},
    {"ffn_down.weight", L(ffn_down), MATRIX, REQUIRED, {F, D}},
    {"ffn_gate.bias", L(ffn_gate_bias), BIAS, OPTIONAL, {F, ONE}},
    {"ffn_up.bias", L(ffn_up_bias), BIAS, OPTIONAL, {F, ONE}},
    {"ffn_down.bias", L(ffn_down_bias), BIAS, OPTIONAL, {D, ONE}},
};
#undef L
static const struct row model_rows[] = {
    {"token_embd.weight", offsetof(pith_weights, token_embd), MATRIX, REQUIRED, {D, V}},
    {"output_norm.weight", offsetof(pith_weights, output_norm), NORM, REQUIRED, {D, ONE}},
    {"output.weight", offsetof(pith_weights, output), MATRIX, OPTIONAL, {D, V}},
    {"rope_freqs.weight", offsetof(pith_weights, rope_freqs), BIAS, OPTIONAL, {HALF_ROT, ONE}},
};

struct bind {
    const pith_gguf *gguf;
    const pith_config *config;
    uint8_t *used; /* [tensor count] */
};

static uint64_t size_of(const pith_config *c, uint8_t size)
{
    switch ((enum size)size) {
    case ONE: return 1;
    case D: return (uint64_t)c->n_embd;
    case HE: return (uint64_t)c->n_head * (uint64_t)c->head_dim;
    case KE: return (uint64_t)c->n_head_kv * (uint64_t)c->head_dim;
    case E: return (uint64_t)c->head_dim;
    case F: return (uint64_t)c->n_ff;
    case V: return (uint64_t)c->n_vocab;
    case HALF_ROT: return (uint64_t)c->n_rot / 2;
    }
    return 0;
}

static pith_status check_type(const struct bind *b, const struct row *row, const pith_gguf_tensor *t)
{
    pith_dtype_info info = pith_dtype_get((uint32_t)t->dtype);
    bool fine = row->kind == MATRIX ? info.usable
              : row->kind == NORM   ? t->dtype == PITH_DTYPE_F32 || t->dtype == PITH_DTYPE_F16
                                    : t->dtype == PITH_DTYPE_F32;
    if (fine)
        return PITH_OK;
    return pith_fail(PITH_ERROR_UNSUPPORTED, "%s: tensor %s: type %s is not supported here%s", pith_gguf_path(b->gguf), t->name,
                     info.name, row->kind == MATRIX ? "" : row->kind == NORM ? ": expected F32 or F16" : ": expected F32");
}

static pith_status check_shape(const struct bind *b, const struct row *row, const pith_gguf_tensor *t)
{
    uint64_t n = size_of(b->config, row->dims[0]), rows = size_of(b->config, row->dims[1]);
    if (t->dims[0] == n && t->dims[1] == rows && t->dims[2] == 1 && t->dims[3] == 1)
        return PITH_OK;
    char got[100];
    int at = 0;
    for (int32_t d = 0; d < 4 && (d < 2 || d < t->n_dims) && at >= 0 && (size_t)at < sizeof got; d++)
        at += snprintf(got + at, sizeof got - (size_t)at, d ? ", %" PRIu64 : "%" PRIu64, t->dims[d]);
    return pith_fail(PITH_ERROR_FORMAT, "%s: tensor %s: expected shape {%" PRIu64 ", %" PRIu64 "}, got {%s}", pith_gguf_path(b->gguf),
                     t->name, n, rows, got);
}

static bool is_required(const pith_arch *arch, enum need need)
{
    return need == REQUIRED || (need == IF_BIASED && arch->qkv_bias_required) || (need == IF_QK_NORMED && arch->qk_norm_required);
}

/* Finds and checks one tensor; the pointer at `base` + row->at receives it. layer -1: not in a layer. */
static pith_status bind_row(const struct bind *b, const struct row *row, int32_t layer, void *base)
{
    char name[80];
    if (layer >= 0)
        snprintf(name, sizeof name, "blk.%" PRId32 ".%s", layer, row->name);
    else
        snprintf(name, sizeof name, "%s", row->name);
    const pith_gguf_tensor *t = pith_gguf_tensor_find(b->gguf, name);
    if (!t && is_required(b->config->arch, row->need))
        return pith_fail(PITH_ERROR_FORMAT, "%s: tensor %s is missing (architecture %s)", pith_gguf_path(b->gguf), name,
                         b->config->arch->name);
    memcpy((char *)base + row->at, &t, sizeof t);
    if (!t)
        return PITH_OK;
    b->used[t - pith_gguf_tensor_at(b->gguf, 0)] = 1;
    PITH_TRY(check_shape(b, row, t));
    return check_type(b, row, t);
}

/* A divisor of 0 or NaN would turn every key into NaN. */
static pith_status check_rope_freqs(const struct bind *b, const pith_gguf_tensor *t)
{
    for (uint64_t i = 0; t && i < t->dims[0]; i++) {
        float f;
        pith_dequantize(t->dtype, t->data + 4 * i, &f, 1);
        if (!isfinite(f) || !(f > 0))
            return pith_fail(PITH_ERROR_FORMAT, "%s: tensor %s: element %" PRIu64 ": expected a number above 0, got %g",
                             pith_gguf_path(b->gguf), t->name, i, (double)f);
    }
    return PITH_OK;
}

/* Left by converters, computed anew by every engine. */
static bool is_leftover(const char *name)
{
    return strstr(name, "rotary_emb.inv_freq") || strstr(name, ".attn_rot_embd");
}

static void warn_unused(const struct bind *b)
{
    size_t n_unused = 0;
    const char *first = NULL;
    for (size_t i = 0; i < pith_gguf_tensor_count(b->gguf); i++) {
        const pith_gguf_tensor *t = pith_gguf_tensor_at(b->gguf, i);
        if (b->used[i] || is_leftover(t->name))
            continue;
        first = n_unused++ ? first : t->name;
    }
    if (!n_unused)
        return;
    char text[80];
    pith_log(PITH_LOG_WARNING, "%s: %zu tensor%s not used by architecture %s, the first is %s", pith_gguf_path(b->gguf), n_unused,
             n_unused == 1 ? " is" : "s are", b->config->arch->name,
             pith_str_print((pith_str){first, strlen(first)}, text, sizeof text));
}

static pith_status bind_all(const struct bind *b, pith_weights *out)
{
    for (size_t r = 0; r < sizeof model_rows / sizeof *model_rows; r++)
        PITH_TRY(bind_row(b, &model_rows[r], -1, out));
    for (int32_t l = 0; l < b->config->n_layer; l++) {
        for (size_t r = 0; r < sizeof layer_rows / sizeof *layer_rows; r++)
            PITH_TRY(bind_row(b, &layer_rows[r], l, &out->layers[l]));
    }
    if (!out->output)
        out->output = out->token_embd;
    return check_rope_freqs(b, out->rope_freqs);
}

pith_status pith_weights_bind(const pith_gguf *gguf, const pith_config *config, pith_weights *out)
{
    struct bind b = {gguf, config, pith_calloc(pith_gguf_tensor_count(gguf) + 1, 1)};
    *out = (pith_weights){.layers = pith_calloc((size_t)config->n_layer, sizeof *out->layers)};
    pith_status status = b.used && out->layers ? bind_all(&b, out)
                                               : pith_fail(PITH_ERROR_NO_MEMORY, "%s: list of weights: no memory", pith_gguf_path(gguf));
    if (status == PITH_OK)
        warn_unused(&b);
    else
        pith_weights_fini(out);
    free(b.used);
    return status;
}

void pith_weights_fini(pith_weights *weights)
{
    free(weights->layers);
    *weights = (pith_weights){0};
}
