/* SPDX-License-Identifier: MIT */
/* `pith info`: the model's metadata, its tensors, and the memory plan of a session with the given options. The weights
 * are read only for --tensors, which shows the layout that each tensor has on the device. */
#include "engine.h"
#include "json_out.h"
#include "plan_print.h"
#include "quant_mix.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void shape_text(const pith_tensor_info *t, char *out, size_t size)
{
    int n_dims = 4;
    while (n_dims > 1 && t->shape[n_dims - 1] == 1)
        n_dims--;
    int n = 0;
    for (int i = 0; i < n_dims && (size_t)n < size; i++)
        n += snprintf(out + n, size - (size_t)n, "%s%" PRIu64, i ? " x " : "", t->shape[i]);
}

static void tensors_print(const pith_model *model)
{
    printf("\n%-32s %-18s %-8s %10s  %s\n", "tensor", "shape", "type", "size", "runs as");
    for (size_t i = 0; i < pith_model_tensor_count(model); i++) {
        pith_tensor_info t;
        char shape[96];
        pith_model_get_tensor(model, i, &t);
        shape_text(&t, shape, sizeof shape);
        printf("%-32s %-18s %-8s %10s  %s\n", t.name, shape, t.type, cli_bytes(t.bytes), t.runs_as ? t.runs_as : "-");
    }
}

static json_t *tensors_json(const pith_model *model)
{
    json_t *list = json_array();
    for (size_t i = 0; i < pith_model_tensor_count(model); i++) {
        pith_tensor_info t;
        pith_model_get_tensor(model, i, &t);
        json_t *shape = json_array();
        for (int d = 0; d < 4; d++)
            json_array_append_new(shape, json_integer((json_int_t)t.shape[d]));
        json_array_append_new(list, json_pack("{so so ss sI ss?}", "name", cli_json_bytes(t.name, strlen(t.name)), "shape",
                                              shape, "type", t.type, "bytes", (json_int_t)t.bytes, "runs_as", t.runs_as));
    }
    return list;
}

/* Whether the model has a vocabulary: an empty text can be tokenized. */
static bool has_vocabulary(const pith_model *model)
{
    pith_tokens tokens = {NULL, 0};
    bool has = pith_tokenize(model, "", 0, 0, &tokens) == PITH_OK;
    pith_tokens_free(&tokens);
    return has;
}

static void info_print(const cli_engine *e, const char *mix, const pith_session_params *params, const pith_memory_plan *plan)
{
    const pith_model_info *m = &e->info;
    char attention[256];
    cli_attention_text(&params->attn, attention, sizeof attention);
    printf("file         %s, %s\n", e->path, cli_bytes(m->file_bytes));
    printf("model        %s, architecture %s, %.1f M parameters\n", m->name ? m->name : "(no name)", m->architecture,
           (double)m->n_params * 1e-6);
    printf("shape        %d layers, width %d, ffn %d, %d heads of %d (%d for keys and values), vocabulary %d\n", m->n_layer,
           m->n_embd, m->n_ff, m->n_head, m->head_dim, m->n_head_kv, m->n_vocab);
    printf("length       %d tokens, rotation base %g\n", m->context_length, (double)m->rope_base);
    printf("weights      %s\n", mix);
    printf("tokenizer    %s; chat format: %s\n", has_vocabulary(e->model) ? "in the file" : "none in the file",
           m->chat_format ? m->chat_format : "none recognised");
    printf("attention    %s (the model was %strained with cca); kv %s\n", attention, m->trained_with_cca ? "" : "not ",
           cli_kv_name(params->kv_type));
    printf("device       %s\n", pith_backend_describe(e->backend));
    cli_plan_print(stdout, plan, params->context);
    if (!plan->fits)
        printf("memory: does not fit\n");
}

static json_t *info_json(const cli_engine *e, const char *mix, const pith_session_params *params, const pith_memory_plan *plan)
{
    const pith_model_info *m = &e->info;
    char attention[256];
    cli_attention_text(&params->attn, attention, sizeof attention);
    return json_pack("{ss ss? ss ss? sI sI si si si si si si si si sf sb sb ss ss ss ss si so}", "file", e->path, "name", m->name,
                     "architecture", m->architecture, "chat_format", m->chat_format, "parameters", (json_int_t)m->n_params,
                     "file_bytes", (json_int_t)m->file_bytes, "layers", m->n_layer, "embedding_length", m->n_embd, "heads",
                     m->n_head, "heads_kv", m->n_head_kv, "head_length", m->head_dim, "ffn_length", m->n_ff, "vocabulary",
                     m->n_vocab, "context_length", m->context_length, "rope_base", (double)m->rope_base, "trained_with_cca",
                     m->trained_with_cca, "has_tokenizer", has_vocabulary(e->model), "weights", mix, "attention", attention,
                     "kv_type", cli_kv_name(params->kv_type), "device", pith_backend_describe(e->backend), "context",
                     params->context, "memory", cli_plan_json(plan));
}

static int info_run(cli_engine *e, const cli_args *args)
{
    int64_t given = args->v[OPT_CONTEXT].i;
    pith_session_params params;
    pith_memory_plan plan;
    int code = cli_engine_extend(e, args, given);
    if (code == CLI_OK)
        code = cli_engine_open_backend(e, args, (int32_t)args->v[OPT_THREADS].i);
    if (code == CLI_OK)
        code = cli_engine_session_params(e, args, (int32_t)(given ? given : e->info.context_length), &params);
    if (code != CLI_OK)
        return code;
    pith_status status = pith_memory_plan_make(e->model, e->backend, &params, &plan);
    if (status != PITH_OK)
        return cli_fail(status, "memory plan");
    bool tensors = args->v[OPT_TENSORS].i != 0;
    if (tensors && (code = cli_engine_load(e)) != CLI_OK)
        return code;
    char mix[256];
    cli_quant_mix(e->model, mix, sizeof mix);
    if (!args->v[OPT_JSON].i) {
        info_print(e, mix, &params, &plan);
        if (tensors)
            tensors_print(e->model);
        return CLI_OK;
    }
    json_t *root = info_json(e, mix, &params, &plan);
    if (tensors)
        json_object_set_new(root, "tensors", tensors_json(e->model));
    return cli_json_print(root, false);
}

int cli_info(const cli_args *args)
{
    cli_engine engine = {0};
    int code = cli_engine_open_model(&engine, args, 0);
    if (code == CLI_OK)
        code = info_run(&engine, args);
    cli_engine_close(&engine);
    return code;
}
