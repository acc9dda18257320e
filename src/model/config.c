/* SPDX-License-Identifier: MIT */
/* Hyper-parameters from metadata: required keys, defaults, ranges. The ranges are chosen so that every product that
 * later code forms fits: widths fit int32 (H*E <= 2^22), and the whole KV store in its widest type fits int64. */
#include "model/config_keys.h"
#include "base/status.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    EMBD_MAX = 1 << 20, HEADS_MAX = 4096, FF_MAX = 1 << 22, VOCAB_MAX = 1 << 24, CONTEXT_MAX = 1 << 27,
    KV_BYTES_MAX_PER_VALUE = 16, /* key and value, raw and pooled, F32 */
};

/* ---- keys of an architecture ------------------------------------------------------------------------------------ */

const char *pith_config_key(const pith_config *config, const char *name, char key[PITH_KEY_BYTES])
{
    if (strncmp(name, "{a}", 3) == 0)
        snprintf(key, PITH_KEY_BYTES, "%s%s", config->arch->name, name + 3);
    else
        snprintf(key, PITH_KEY_BYTES, "%s", name);
    return key;
}

pith_status pith_config_opt_int(const pith_gguf *gguf, const pith_config *config, const char *name, int64_t lo, int64_t hi,
                                int32_t *out)
{
    char key[PITH_KEY_BYTES];
    int64_t value;
    if (!pith_gguf_has(gguf, pith_config_key(config, name, key)))
        return PITH_OK;
    PITH_TRY(pith_gguf_get_int(gguf, key, lo, hi, &value));
    *out = (int32_t)value;
    return PITH_OK;
}

pith_status pith_config_opt_float(const pith_gguf *gguf, const pith_config *config, const char *name, double lo, double hi,
                                  double *out)
{
    char key[PITH_KEY_BYTES];
    double value;
    if (!pith_gguf_has(gguf, pith_config_key(config, name, key)))
        return PITH_OK;
    PITH_TRY(pith_gguf_get_float(gguf, key, &value));
    if (!(value >= lo && value <= hi))
        return pith_fail(PITH_ERROR_FORMAT, "%s: key %s: expected %g to %g, got %g", pith_gguf_path(gguf), key, lo, hi, value);
    *out = value;
    return PITH_OK;
}

pith_status pith_config_opt_string(const pith_gguf *gguf, const pith_config *config, const char *name, pith_str *out)
{
    char key[PITH_KEY_BYTES];
    return pith_gguf_has(gguf, pith_config_key(config, name, key)) ? pith_gguf_get_string(gguf, key, out) : PITH_OK;
}

static pith_status need_int(const pith_gguf *gguf, const pith_config *config, const char *name, int64_t hi, int32_t *out)
{
    char key[PITH_KEY_BYTES];
    int64_t value;
    PITH_TRY(pith_gguf_get_int(gguf, pith_config_key(config, name, key), 1, hi, &value));
    *out = (int32_t)value;
    return PITH_OK;
}

/* A number, or one number per layer; layers that differ are not supported. Absent: *out stays, unless required. */
static pith_status per_layer_int(const pith_gguf *gguf, const pith_config *config, const char *name, int64_t hi, bool required,
                                 int32_t *out)
{
    char key[PITH_KEY_BYTES];
    pith_gguf_array array;
    pith_config_key(config, name, key);
    if (!pith_gguf_has(gguf, key) && !required)
        return PITH_OK;
    if (!pith_gguf_has(gguf, key) || pith_gguf_get_array(gguf, key, &array) != PITH_OK)
        return need_int(gguf, config, name, hi, out);
    if (array.type == PITH_GGUF_STRING || array.type == PITH_GGUF_BOOL || array.type == PITH_GGUF_F32 ||
        array.type == PITH_GGUF_F64 || array.n != (size_t)config->n_layer)
        return pith_fail(PITH_ERROR_FORMAT, "%s: key %s: expected an integer or an array of %" PRId32 " integers, got %zu elements",
                         pith_gguf_path(gguf), key, config->n_layer, array.n);
    int64_t first = pith_gguf_array_int(&array, 0);
    for (size_t i = 0; i < array.n; i++) {
        int64_t value = pith_gguf_array_int(&array, i);
        if (value < 0 || value > hi || (value == 0 && first == 0))
            return pith_fail(PITH_ERROR_FORMAT, "%s: key %s: layer %zu: expected 1 to %" PRId64 ", got %" PRId64,
                             pith_gguf_path(gguf), key, i, hi, value);
        if (value != first)
            return pith_fail(PITH_ERROR_UNSUPPORTED, "%s: key %s: layers that differ (layer 0: %" PRId64 ", layer %zu: %" PRId64
                             ") are not supported", pith_gguf_path(gguf), key, first, i, value);
    }
    *out = (int32_t)first;
    return PITH_OK;
}

/* ---- parts ------------------------------------------------------------------------------------------------------ */

static pith_status read_identity(const pith_gguf *gguf, pith_config *c)
{
    pith_str arch, kind = {"model", 5}, name = {"", 0};
    char text[80];
    if (pith_gguf_has(gguf, "general.type"))
        PITH_TRY(pith_gguf_get_string(gguf, "general.type", &kind));
    if (!pith_str_is(kind, "model"))
        return pith_fail(PITH_ERROR_UNSUPPORTED, "%s: key general.type: expected 'model', got '%s'", pith_gguf_path(gguf),
                         pith_str_print(kind, text, sizeof text));
    PITH_TRY(pith_gguf_get_string(gguf, "general.architecture", &arch));
    c->arch = pith_arch_find(arch);
    if (!c->arch)
        return pith_fail(PITH_ERROR_UNSUPPORTED, "%s: architecture '%s' is not supported; supported: %s", pith_gguf_path(gguf),
                         pith_str_print(arch, text, sizeof text), pith_arch_names());
    if (pith_gguf_has(gguf, "general.name"))
        PITH_TRY(pith_gguf_get_string(gguf, "general.name", &name));
    size_t n = name.n < sizeof c->name ? name.n : sizeof c->name - 1;
    while (n > 0 && n < name.n && ((uint8_t)name.data[n] & 0xc0) == 0x80)
        n--; /* cut before a character, not inside */
    for (size_t i = 0; i < n; i++) /* it goes to terminals */
        c->name[i] = (uint8_t)name.data[i] < 0x20 || name.data[i] == 0x7f ? ' ' : name.data[i];
    c->name[n] = '\0';
    return PITH_OK;
}

static pith_status read_head_dim(const pith_gguf *gguf, pith_config *c)
{
    char key[PITH_KEY_BYTES];
    pith_config_key(c, "{a}.attention.key_length", key);
    if (!pith_gguf_has(gguf, key) && c->n_embd % c->n_head != 0)
        return pith_fail(PITH_ERROR_FORMAT, "%s: key %s is missing, and embedding_length %" PRId32
                         " is not a multiple of head_count %" PRId32, pith_gguf_path(gguf), key, c->n_embd, c->n_head);
    c->head_dim = c->n_embd / c->n_head;
    PITH_TRY(pith_config_opt_int(gguf, c, "{a}.attention.key_length", 2, PITH_HEAD_DIM_MAX, &c->head_dim));
    if (c->head_dim < 2 || c->head_dim > PITH_HEAD_DIM_MAX || c->head_dim % 2 != 0)
        return pith_fail(PITH_ERROR_FORMAT, "%s: head size (key %s, or embedding_length / head_count): expected an even number"
                         " from 2 to %d, got %" PRId32, pith_gguf_path(gguf), key, PITH_HEAD_DIM_MAX, c->head_dim);
    int32_t value_dim = c->head_dim;
    PITH_TRY(pith_config_opt_int(gguf, c, "{a}.attention.value_length", 1, INT32_MAX, &value_dim));
    if (value_dim != c->head_dim)
        return pith_fail(PITH_ERROR_UNSUPPORTED, "%s: key %s: values of %" PRId32 " next to keys of %" PRId32
                         " elements are not supported", pith_gguf_path(gguf),
                         pith_config_key(c, "{a}.attention.value_length", key), value_dim, c->head_dim);
    return PITH_OK;
}

static pith_status read_shape(const pith_gguf *gguf, pith_config *c)
{
    char key[PITH_KEY_BYTES];
    PITH_TRY(need_int(gguf, c, "{a}.block_count", PITH_LAYERS_MAX, &c->n_layer));
    PITH_TRY(need_int(gguf, c, "{a}.context_length", CONTEXT_MAX, &c->context_length));
    PITH_TRY(need_int(gguf, c, "{a}.embedding_length", EMBD_MAX, &c->n_embd));
    PITH_TRY(per_layer_int(gguf, c, "{a}.feed_forward_length", FF_MAX, true, &c->n_ff));
    PITH_TRY(per_layer_int(gguf, c, "{a}.attention.head_count", HEADS_MAX, true, &c->n_head));
    c->n_head_kv = c->n_head;
    PITH_TRY(per_layer_int(gguf, c, "{a}.attention.head_count_kv", HEADS_MAX, false, &c->n_head_kv));
    if (c->n_head_kv > c->n_head || c->n_head % c->n_head_kv != 0)
        return pith_fail(PITH_ERROR_FORMAT, "%s: key %s: expected a divisor of head_count %" PRId32 ", got %" PRId32,
                         pith_gguf_path(gguf), pith_config_key(c, "{a}.attention.head_count_kv", key), c->n_head, c->n_head_kv);
    return read_head_dim(gguf, c);
}

static pith_status read_vocab(const pith_gguf *gguf, pith_config *c)
{
    const pith_gguf_tensor *embd = pith_gguf_tensor_find(gguf, "token_embd.weight");
    if (!embd)
        return pith_fail(PITH_ERROR_NOT_FOUND, "%s: tensor token_embd.weight is missing", pith_gguf_path(gguf));
    if (embd->dims[1] > VOCAB_MAX || embd->dims[2] != 1 || embd->dims[3] != 1)
        return pith_fail(PITH_ERROR_FORMAT, "%s: tensor token_embd.weight: expected at most %d rows, got %" PRIu64 "x%" PRIu64
                         "x%" PRIu64, pith_gguf_path(gguf), VOCAB_MAX, embd->dims[1], embd->dims[2], embd->dims[3]);
    c->n_vocab = (int32_t)embd->dims[1];
    return PITH_OK;
}

static pith_status read_numbers(const pith_gguf *gguf, pith_config *c)
{
    char key[PITH_KEY_BYTES];
    double eps, scale = 0;
    PITH_TRY(pith_gguf_get_float(gguf, pith_config_key(c, "{a}.attention.layer_norm_rms_epsilon", key), &eps));
    c->rms_eps = (float)eps;
    if (!(c->rms_eps > 0 && eps <= 1))
        return pith_fail(PITH_ERROR_FORMAT, "%s: key %s: expected a number above 0, at most 1, got %g", pith_gguf_path(gguf), key,
                         eps);
    PITH_TRY(pith_config_opt_float(gguf, c, "{a}.attention.scale", 0, 1e6, &scale));
    c->attn_scale = scale > 0 ? (float)scale : (float)(1.0 / sqrt(c->head_dim));
    if (!(c->attn_scale > 0))
        return pith_fail(PITH_ERROR_FORMAT, "%s: key %s: %g is too small", pith_gguf_path(gguf),
                         pith_config_key(c, "{a}.attention.scale", key), scale);
    return PITH_OK;
}

/* Each field is in range by now; their product is what memory plans multiply out. */
static pith_status check_products(const pith_gguf *gguf, const pith_config *c)
{
    int64_t product = KV_BYTES_MAX_PER_VALUE;
    if (__builtin_mul_overflow(product, c->n_layer, &product) ||
        __builtin_mul_overflow(product, (int64_t)c->n_head * c->head_dim, &product) ||
        __builtin_mul_overflow(product, c->context_length, &product))
        return pith_fail(PITH_ERROR_FORMAT, "%s: block_count %" PRId32 ", head_count %" PRId32 ", head size %" PRId32
                         ", context_length %" PRId32 ": the size of the KV store overflows", pith_gguf_path(gguf), c->n_layer,
                         c->n_head, c->head_dim, c->context_length);
    return PITH_OK;
}

pith_status pith_config_read(const pith_gguf *gguf, pith_config *out)
{
    pith_status status;
    *out = (pith_config){0};
    PITH_TRY_GOTO(read_identity(gguf, out));
    PITH_TRY_GOTO(read_shape(gguf, out));
    PITH_TRY_GOTO(pith_config_refuse(gguf, out));
    PITH_TRY_GOTO(read_vocab(gguf, out));
    PITH_TRY_GOTO(read_numbers(gguf, out));
    PITH_TRY_GOTO(pith_config_read_rope(gguf, out));
    PITH_TRY_GOTO(check_products(gguf, out));
    PITH_TRY_GOTO(pith_config_read_cca(gguf, out));
    return PITH_OK;
fail:
    *out = (pith_config){0};
    return status;
}
