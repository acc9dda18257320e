/* SPDX-License-Identifier: MIT */
#include "run/model.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

pith_model_params pith_model_params_default(void)
{
    return (pith_model_params){0};
}

static pith_status apply_params(pith_model *model, const pith_model_params *params)
{
    pith_config *c = &model->config;
    if (!(params->rope_base >= 0) || params->rope_base > 1e12f)
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "rope base: expected a number above 0, got %g", (double)params->rope_base);
    if (params->context_length < 0 || params->context_length > 1 << 27)
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "context length: expected 0 to %d, got %d", 1 << 27, params->context_length);
    if (params->rope_base > 0)
        c->rope.base = (double)params->rope_base;
    if (params->context_length > 0)
        c->context_length = params->context_length;
    model->check_tensors = params->check_tensors;
    return PITH_OK;
}

pith_status pith_model_open(const char *path, const pith_model_params *params, pith_model **out)
{
    *out = NULL;
    pith_model_params defaults = pith_model_params_default();
    pith_status status;
    pith_model *model = pith_calloc(1, sizeof *model);
    if (!model)
        return pith_fail(PITH_ERROR_NO_MEMORY, "%s: no memory for the model", path);
    PITH_TRY_GOTO(pith_gguf_open(path, &model->gguf));
    PITH_TRY_GOTO(pith_config_read(model->gguf, &model->config));
    PITH_TRY_GOTO(apply_params(model, params ? params : &defaults));
    PITH_TRY_GOTO(pith_weights_bind(model->gguf, &model->config, &model->weights));
    model->table = pith_net_weights(&model->config, &model->weights, &model->n_table);
    if (!model->table) {
        status = pith_fail(PITH_ERROR_NO_MEMORY, "no memory for the weight table");
        goto fail;
    }
    PITH_TRY_GOTO(pith_vocab_create(model->gguf, model->config.n_vocab, &model->vocab));
    if (model->vocab)
        model->chat = pith_chat_detect(model->gguf, model->vocab);
    *out = model;
    return PITH_OK;
fail:
    pith_model_destroy(&model);
    return strncmp(pith_last_error(), path, strlen(path)) == 0 ? status : pith_fail_in(status, "%s", path);
}

void pith_model_destroy(pith_model **model_ptr)
{
    pith_model *model = *model_ptr;
    if (!model)
        return;
    if (model->store)
        model->backend->fns->weights_destroy(&model->store);
    pith_backend_destroy(&model->fallback);
    pith_vocab_destroy(&model->vocab);
    free(model->table);
    pith_weights_fini(&model->weights);
    pith_gguf_close(&model->gguf);
    free(model);
    *model_ptr = NULL;
}

/* What pith_model_load threads through the backend's callbacks. */
struct load {
    const pith_model *model;
    pith_progress_fn progress;
    void *user;
};

static void load_read_done(const pith_weight_part *part, size_t offset, size_t bytes, void *user)
{
    const struct load *load = user;
    const pith_gguf_tensor *t = pith_gguf_tensor_find(load->model->gguf, part->name);
    if (!t)
        return;
    pith_gguf_tensor range = *t;
    range.offset += offset;
    range.data += offset;
    range.bytes = bytes;
    pith_gguf_tensor_drop(load->model->gguf, &range);
}

static void load_progress(uint64_t done, uint64_t total, void *user)
{
    const struct load *load = user;
    if (load->progress)
        load->progress(done, total, load->user);
}

pith_status pith_model_place(pith_model *model, pith_backend *backend, pith_progress_fn progress, void *user)
{
    struct load load = {model, progress, user};
    PITH_TRY(backend->fns->weights_create(backend, model->table, model->n_table, load_read_done, load_progress, &load, &model->store));
    model->backend = backend;
    return PITH_OK;
}

pith_status pith_model_load(pith_model *model, pith_backend *backend, pith_progress_fn progress, void *user)
{
    if (model->store)
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "the model is loaded already");
    PITH_TRY(pith_gguf_check(model->gguf));
    for (size_t i = 0; model->check_tensors && i < pith_gguf_tensor_count(model->gguf); i++) {
        const pith_gguf_tensor *t = pith_gguf_tensor_at(model->gguf, i);
        PITH_TRY(pith_weights_check_finite(t));
        pith_gguf_tensor_drop(model->gguf, t);
    }
    model->backend = backend;
    model->rebuilt = false;
    pith_status status = pith_model_place(model, backend, progress, user);
    return status == PITH_ERROR_DEVICE ? pith_model_recover(model, progress, user) : status;
}

void pith_model_get_info(const pith_model *model, pith_model_info *out)
{
    const pith_config *c = &model->config;
    *out = (pith_model_info){
        .architecture = c->arch->name,
        .name = c->name,
        .chat_format = model->chat ? pith_chat_name(model->chat) : NULL,
        .n_layer = c->n_layer,
        .n_embd = c->n_embd,
        .n_head = c->n_head,
        .n_head_kv = c->n_head_kv,
        .head_dim = c->head_dim,
        .n_ff = c->n_ff,
        .n_vocab = c->n_vocab,
        .context_length = c->context_length,
        .file_bytes = pith_gguf_file_bytes(model->gguf),
        .rope_base = (float)c->rope.base,
        .trained_with_cca = c->cca.present,
    };
    for (size_t i = 0; i < pith_gguf_tensor_count(model->gguf); i++) {
        const pith_gguf_tensor *t = pith_gguf_tensor_at(model->gguf, i);
        out->n_params += t->dims[0] * t->dims[1] * t->dims[2] * t->dims[3];
    }
}

size_t pith_model_tensor_count(const pith_model *model)
{
    return pith_gguf_tensor_count(model->gguf);
}

void pith_model_get_tensor(const pith_model *model, size_t index, pith_tensor_info *out)
{
    const pith_gguf_tensor *t = pith_gguf_tensor_at(model->gguf, index);
    *out = (pith_tensor_info){.name = t->name, .type = pith_dtype_get((uint32_t)t->dtype).name, .bytes = t->bytes};
    for (int d = 0; d < 4; d++)
        out->shape[d] = t->dims[d];
    for (int32_t i = 0; model->store && i < model->n_table; i++)
        for (int32_t p = 0; p < model->table[i].n_parts; p++)
            if (model->table[i].parts[p].name == t->name)
                out->runs_as = model->backend->fns->weights_layout(model->store, i, p);
}

/* ---- text ---- */

static pith_status need_vocab(const pith_model *model)
{
    return model->vocab ? PITH_OK : pith_fail(PITH_ERROR_UNSUPPORTED, "%s: the file has no vocabulary", pith_gguf_path(model->gguf));
}

static pith_status hand_over(pith_status status, pith_token_list *list, pith_tokens *out)
{
    if (status != PITH_OK) {
        free(list->ids);
        return status;
    }
    *out = (pith_tokens){list->ids, list->n};
    return PITH_OK;
}

pith_status pith_tokenize(const pith_model *model, const char *text, size_t n_bytes, int flags, pith_tokens *out)
{
    *out = (pith_tokens){0};
    PITH_TRY(need_vocab(model));
    pith_token_list list = {0};
    pith_status status = pith_vocab_encode(model->vocab, text, n_bytes, flags & PITH_TOKENIZE_SPECIAL,
                                           flags & PITH_TOKENIZE_PARSE_SPECIAL, &list);
    return hand_over(status, &list, out);
}

void pith_tokens_free(pith_tokens *tokens)
{
    free(tokens->ids);
    *tokens = (pith_tokens){0};
}

const char *pith_token_bytes(const pith_model *model, int32_t token, bool special, size_t *n_bytes)
{
    pith_str s = {"", 0};
    if (model->vocab && token >= 0 && token < model->config.n_vocab)
        s = pith_vocab_bytes(model->vocab, token, special);
    *n_bytes = s.n;
    return s.data ? s.data : "";
}

bool pith_token_is_end(const pith_model *model, int32_t token)
{
    return model->vocab && pith_vocab_is_end(model->vocab, token);
}

pith_status pith_chat_tokenize(const pith_model *model, const char *format, const pith_chat_message *messages, size_t n_messages,
                               bool add_generation_prompt, pith_tokens *out)
{
    *out = (pith_tokens){0};
    PITH_TRY(need_vocab(model));
    const pith_chat_format *chat = format ? pith_chat_find(format) : model->chat;
    if (!chat && format)
        return pith_fail(PITH_ERROR_NOT_FOUND, "chat format: expected one of %s, got '%s'", pith_chat_names(), format);
    if (!chat)
        return pith_fail(PITH_ERROR_UNSUPPORTED, "chat format: none recognised in the model; name one of %s", pith_chat_names());
    pith_token_list list = {0};
    pith_status status = pith_chat_encode(chat, model->vocab, messages, n_messages, add_generation_prompt, &list);
    return hand_over(status, &list, out);
}
