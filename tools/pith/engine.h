/* SPDX-License-Identifier: MIT */
/* What every computing command does first: find the model, open it, open the device, turn the options into session
 * parameters, show and check the memory plan, load. */
#ifndef CLI_ENGINE_H
#define CLI_ENGINE_H

#include "cli.h"
#include "options.h"

typedef struct cli_engine {
    char *path;              /* of the model file */
    pith_backend *backend;
    pith_model *model;
    pith_model_info info;
    bool loaded;
    double load_seconds;
    int32_t *dense_layers;   /* behind session parameters made by cli_engine_session_params */
} cli_engine;

/* The model's path in `path` (owned): -m, else the pulled default. Exit code. */
int cli_model_path(const cli_args *args, char **path);
/* Opens the model only. `context`: > 0 replaces the trained length (for --rope-base). Exit code. */
int cli_engine_open_model(cli_engine *engine, const cli_args *args, int32_t context);
/* With --rope-base: opens the model again for `need` tokens when that is more than its length. Exit code. */
int cli_engine_extend(cli_engine *engine, const cli_args *args, int64_t need);
/* Opens the device; `threads` 0: automatic. Exit code. */
int cli_engine_open_backend(cli_engine *engine, const cli_args *args, int32_t threads);
/* Session parameters from the options: attention, kv type, chunk; context is `context`. Exit code. */
int cli_engine_session_params(cli_engine *engine, const cli_args *args, int32_t context, pith_session_params *out);
/* The same with the attention method and kv type (-1: default) given, for bench. */
void cli_engine_params_for(cli_engine *engine, const cli_args *args, int64_t attn, int64_t kv_type, pith_session_params *out);
/* Reads the weights, with progress. Exit code. */
int cli_engine_load(cli_engine *engine);
/* Reports a failure while computing, with what to do when it is the device's. Exit code. */
int cli_engine_fail(pith_status status, const char *what);
/* One line with what attention does, and one with what an untrained model loses; `need`: tokens of this run. */
void cli_engine_note_attention(const cli_engine *engine, const cli_args *args, const pith_session_params *params, int64_t need);
void cli_engine_close(cli_engine *engine);

/* "cca, group 16, window 1024, ..." in `out`. */
void cli_attention_text(const pith_attn_params *attn, char *out, size_t size);
const char *cli_kv_name(pith_kv_type type);

#endif
