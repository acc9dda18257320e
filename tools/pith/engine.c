/* SPDX-License-Identifier: MIT */
/* Opening and loading; each step says what it does in one line on stderr and returns an exit code. */
#include "engine.h"

#include "cache.h"
#include "progress.h"
#include "signals.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int cli_model_path(const cli_args *args, char **path)
{
    if (args->v[OPT_MODEL].given) {
        *path = cli_text("%s", args->v[OPT_MODEL].text);
        return CLI_OK;
    }
    *path = cli_cache_path(cli_pull_default()->file);
    if (*path && access(*path, R_OK) == 0)
        return CLI_OK;
    int code = cli_error(CLI_FILE, "no model: give one with -m FILE, or get the default one with 'pith pull %s' (looked for %s)",
                         cli_pull_default()->name, *path ? *path : "a cache directory: HOME is not set");
    free(*path);
    *path = NULL;
    return code;
}

int cli_engine_open_model(cli_engine *engine, const cli_args *args, int32_t context)
{
    if (!engine->path) {
        int code = cli_model_path(args, &engine->path);
        if (code != CLI_OK)
            return code;
    }
    pith_model_params params = pith_model_params_default();
    if (args->v[OPT_ROPE_BASE].given)
        params.rope_base = (float)args->v[OPT_ROPE_BASE].f;
    params.context_length = context;
    params.check_tensors = args->v[OPT_CHECK_TENSORS].i != 0;
    pith_model_destroy(&engine->model);
    pith_status status = pith_model_open(engine->path, &params, &engine->model);
    if (status != PITH_OK)
        return cli_fail(status, "%s", engine->path);
    pith_model_get_info(engine->model, &engine->info);
    return CLI_OK;
}

int cli_engine_extend(cli_engine *engine, const cli_args *args, int64_t need)
{
    if (!args->v[OPT_ROPE_BASE].given || need <= engine->info.context_length || need > INT32_MAX)
        return CLI_OK;
    return cli_engine_open_model(engine, args, (int32_t)need);
}

int cli_engine_open_backend(cli_engine *engine, const cli_args *args, int32_t threads)
{
    pith_backend_params params = pith_backend_params_default();
    params.threads = threads;
    if (args->v[OPT_DEVICE].given)
        params.device = args->v[OPT_DEVICE].text;
    if (args->v[OPT_CPU_MASK].given)
        params.cpu_mask = (uint32_t)args->v[OPT_CPU_MASK].i;
    params.retune = args->v[OPT_RETUNE].i != 0;
    params.on_loss = args->v[OPT_ON_DEVICE_LOSS].i == 1 ? PITH_ON_LOSS_CPU : PITH_ON_LOSS_FAIL;
    params.safe = args->v[OPT_SAFE].i != 0;
    if (args->v[OPT_VK_HIDE].given)
        params.vk_hide = args->v[OPT_VK_HIDE].text;
    params.exact = args->v[OPT_EXACT].i != 0;
    pith_status status = pith_backend_create(&params, &engine->backend);
    if (status == PITH_ERROR_NOT_FOUND) /* a device that was asked for and is absent is never replaced by another */
        return cli_error(CLI_MEMORY, "%s", pith_last_error());
    return status == PITH_OK ? CLI_OK : cli_fail(status, "device");
}

void cli_engine_params_for(cli_engine *engine, const cli_args *args, int64_t attn, int64_t kv_type, pith_session_params *out)
{
    *out = pith_session_params_default(engine->model);
    const cli_value *v = args->v;
    out->attn.method = attn == 0 ? PITH_ATTN_FULL : PITH_ATTN_CCA;
    if (v[OPT_GROUP].given)
        out->attn.group = (int32_t)v[OPT_GROUP].i;
    if (v[OPT_WINDOW].given)
        out->attn.window = (int32_t)v[OPT_WINDOW].i;
    if (v[OPT_SINKS].given)
        out->attn.sinks = (int32_t)v[OPT_SINKS].i;
    if (v[OPT_CCA_HEADS].given)
        out->attn.heads = v[OPT_CCA_HEADS].i == 0 ? PITH_CCA_HEADS_KV : PITH_CCA_HEADS_QUERY;
    if (v[OPT_CCA_BIAS].given)
        out->attn.bias = v[OPT_CCA_BIAS].i == 0 ? PITH_CCA_BIAS_NONE : PITH_CCA_BIAS_ENTROPY;
    if (v[OPT_CCA_POSITION].given) {
        static const pith_cca_position positions[] = {PITH_CCA_POSITION_POOLED, PITH_CCA_POSITION_LAST,
                                                      PITH_CCA_POSITION_MIDDLE, PITH_CCA_POSITION_CENTROID};
        out->attn.position = positions[v[OPT_CCA_POSITION].i];
    }
    if (v[OPT_DENSE_LAYERS].given) {
        if (!engine->dense_layers) {
            engine->dense_layers = cli_alloc(v[OPT_DENSE_LAYERS].n, sizeof *engine->dense_layers);
            for (size_t i = 0; i < v[OPT_DENSE_LAYERS].n; i++)
                engine->dense_layers[i] = (int32_t)v[OPT_DENSE_LAYERS].ints[i];
        }
        out->attn.dense_layers = engine->dense_layers;
        out->attn.n_dense_layers = v[OPT_DENSE_LAYERS].n;
    }
    if (kv_type >= 0) {
        static const pith_kv_type types[] = {PITH_KV_F32, PITH_KV_F16, PITH_KV_Q8_0};
        out->kv_type = types[kv_type];
    }
    out->chunk = (int32_t)v[OPT_CHUNK].i;
}

int cli_engine_session_params(cli_engine *engine, const cli_args *args, int32_t context, pith_session_params *out)
{
    cli_engine_params_for(engine, args, args->v[OPT_ATTN].i, args->v[OPT_KV_TYPE].given ? args->v[OPT_KV_TYPE].i : -1, out);
    out->context = context;
    if (args->v[OPT_CONTEXT].i > engine->info.context_length)
        return cli_error(CLI_USAGE, "-c %lld exceeds the model's length of %d tokens; --rope-base F allows it (such as 1000000), "
                         "with less precision the further it goes", (long long)args->v[OPT_CONTEXT].i,
                         engine->info.context_length);
    return CLI_OK;
}

int cli_engine_load(cli_engine *engine)
{
    uint64_t begin = cli_now_ns();
    cli_progress_begin("loading", CLI_PROGRESS_BYTES, false);
    pith_status status = pith_model_load(engine->model, engine->backend, cli_progress_update, NULL);
    cli_progress_end();
    engine->load_seconds = (double)(cli_now_ns() - begin) * 1e-9;
    engine->loaded = status == PITH_OK;
    return status == PITH_OK ? CLI_OK : cli_engine_fail(status, engine->path);
}

int cli_engine_fail(pith_status status, const char *what)
{
    int code = cli_fail(status, "%s", what);
    if (status == PITH_ERROR_DEVICE)
        cli_note("note: --safe uses no optional feature and short work; --on-device-loss cpu goes on on the CPU by itself");
    return code;
}

const char *cli_kv_name(pith_kv_type type)
{
    switch (type) {
    case PITH_KV_F32: return "f32";
    case PITH_KV_F16: return "f16";
    case PITH_KV_Q8_0: return "q8_0";
    }
    return "?";
}

void cli_attention_text(const pith_attn_params *a, char *out, size_t size)
{
    static const char *const positions[] = {"pooled", "last", "middle", "centroid"};
    if (a->method == PITH_ATTN_FULL) {
        snprintf(out, size, "full");
        return;
    }
    int n = snprintf(out, size, "cca, group %d, window %d, sinks %d, cores per %s head, bias %s, position %s", a->group,
                     a->window, a->sinks, a->heads == PITH_CCA_HEADS_KV ? "kv" : "query",
                     a->bias == PITH_CCA_BIAS_ENTROPY ? "entropy" : "none", positions[a->position]);
    for (size_t i = 0; i < a->n_dense_layers && n > 0 && (size_t)n < size; i++)
        n += snprintf(out + n, size - (size_t)n, "%s%d", i ? "," : ", dense layers ", a->dense_layers[i]);
}

void cli_engine_note_attention(const cli_engine *engine, const cli_args *args, const pith_session_params *params, int64_t need)
{
    char text[256];
    const pith_attn_params *a = &params->attn;
    cli_attention_text(a, text, sizeof text);
    cli_note("attention: %s; kv %s", text, cli_kv_name(params->kv_type));
    if (a->method == PITH_ATTN_FULL) {
        static const cli_option_id only_cca[] = {OPT_GROUP, OPT_WINDOW, OPT_SINKS, OPT_CCA_HEADS, OPT_CCA_BIAS,
                                                 OPT_CCA_POSITION, OPT_DENSE_LAYERS};
        for (size_t i = 0; i < sizeof only_cca / sizeof *only_cca; i++)
            if (args->v[only_cca[i]].given)
                cli_note("note: --%s has no effect with full attention", cli_options[only_cca[i]].name);
        return;
    }
    if (engine->info.trained_with_cca)
        return;
    if (need <= (int64_t)a->window + a->group)
        cli_note("note: this model was not trained with cca; this text fits into the window, so nothing is lost");
    else
        cli_note("note: this model was not trained with cca: exact details more than %d tokens back are blurred and may be lost; "
                 "--attn full keeps them", a->window);
}

void cli_engine_close(cli_engine *engine)
{
    pith_model_destroy(&engine->model);
    pith_backend_destroy(&engine->backend);
    free(engine->path);
    free(engine->dense_layers);
    memset(engine, 0, sizeof *engine);
}
