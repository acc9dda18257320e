/* SPDX-License-Identifier: MIT */
/* pith.cca.*: the attention that a model was trained with (config.h lists the keys). A key of this family that is not
 * known is refused: it would change the attention in a way that nobody here would notice. */
#include "model/config_keys.h"
#include "base/status.h"

#include <inttypes.h>
#include <string.h>

static const char prefix[] = "pith.cca.";
static const char *const known[] = {"group", "window", "sinks", "heads", "position", "bias", "dense_layers"};
static const char *const heads_names[] = {"kv", "query"};
static const char *const bias_names[] = {"none", "entropy"};
static const char *const position_names[] = {
    [PITH_CCA_POSITION_POOLED] = "pooled", [PITH_CCA_POSITION_LAST] = "last",
    [PITH_CCA_POSITION_MIDDLE] = "middle", [PITH_CCA_POSITION_CENTROID] = "centroid",
};

static pith_status find_keys(const pith_gguf *gguf, bool *present)
{
    *present = false;
    for (size_t i = 0; i < pith_gguf_key_count(gguf); i++) {
        pith_str key;
        pith_gguf_type type;
        char text[80];
        pith_gguf_key_describe(gguf, i, &key, &type, text, sizeof text);
        if (key.n < sizeof prefix - 1 || memcmp(key.data, prefix, sizeof prefix - 1) != 0)
            continue;
        pith_str rest = {key.data + sizeof prefix - 1, key.n - (sizeof prefix - 1)};
        bool is_known = false;
        for (size_t k = 0; k < sizeof known / sizeof *known; k++)
            is_known = is_known || pith_str_is(rest, known[k]);
        if (!is_known)
            return pith_fail(PITH_ERROR_UNSUPPORTED, "%s: key %s is not known to this build", pith_gguf_path(gguf),
                             pith_str_print(key, text, sizeof text));
        *present = true;
    }
    return PITH_OK;
}

/* One of n names; *out is its number, 0 when the key is absent. */
static pith_status read_name(const pith_gguf *gguf, const pith_config *c, const char *key, const char *const *names, int32_t n,
                             int32_t *out)
{
    pith_str value = {names[0], strlen(names[0])};
    char text[64];
    PITH_TRY(pith_config_opt_string(gguf, c, key, &value));
    for (*out = 0; *out < n; ++*out) {
        if (pith_str_is(value, names[*out]))
            return PITH_OK;
    }
    return pith_fail(PITH_ERROR_FORMAT, "%s: key %s: expected '%s', '%s'%s, got '%s'", pith_gguf_path(gguf), key, names[0], names[1],
                     n > 2 ? ", 'middle' or 'centroid'" : "", pith_str_print(value, text, sizeof text));
}

static pith_status read_dense(const pith_gguf *gguf, pith_config *c)
{
    static const char key[] = "pith.cca.dense_layers";
    pith_gguf_array array;
    if (!pith_gguf_has(gguf, key))
        return PITH_OK;
    PITH_TRY(pith_gguf_get_array(gguf, key, &array));
    if (array.type == PITH_GGUF_STRING || array.type == PITH_GGUF_BOOL || array.type == PITH_GGUF_F32 || array.type == PITH_GGUF_F64)
        return pith_fail(PITH_ERROR_FORMAT, "%s: key %s: expected an array of integers", pith_gguf_path(gguf), key);
    for (size_t i = 0; i < array.n; i++) {
        int64_t layer = pith_gguf_array_int(&array, i);
        if (layer < 0 || layer >= c->n_layer)
            return pith_fail(PITH_ERROR_FORMAT, "%s: key %s: element %zu: expected a layer from 0 to %" PRId32 ", got %" PRId64,
                             pith_gguf_path(gguf), key, i, c->n_layer - 1, layer);
        c->cca.dense[layer] = 1;
    }
    return PITH_OK;
}

pith_status pith_config_read_cca(const pith_gguf *gguf, pith_config *c)
{
    int64_t group, window;
    int32_t heads, bias;
    PITH_TRY(find_keys(gguf, &c->cca.present));
    if (!c->cca.present)
        return PITH_OK;
    PITH_TRY(pith_gguf_get_int(gguf, "pith.cca.group", 1, c->context_length, &group));
    PITH_TRY(pith_gguf_get_int(gguf, "pith.cca.window", group, 1 << 28, &window));
    if (window % group != 0)
        return pith_fail(PITH_ERROR_FORMAT, "%s: key pith.cca.window: expected a multiple of pith.cca.group %" PRId64 ", got %" PRId64,
                         pith_gguf_path(gguf), group, window);
    c->cca.group = (int32_t)group;
    c->cca.window = (int32_t)window;
    PITH_TRY(pith_config_opt_int(gguf, c, "pith.cca.sinks", 0, c->context_length, &c->cca.sinks));
    PITH_TRY(read_name(gguf, c, "pith.cca.heads", heads_names, 2, &heads));
    PITH_TRY(read_name(gguf, c, "pith.cca.bias", bias_names, 2, &bias));
    PITH_TRY(read_name(gguf, c, "pith.cca.position", position_names, 4, &c->cca.position));
    c->cca.heads_query = heads == 1;
    c->cca.bias_entropy = bias == 1;
    return read_dense(gguf, c);
}
