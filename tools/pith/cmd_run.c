/* SPDX-License-Identifier: MIT */
/* `pith run`: input -> tokens -> plan -> weights -> answer. Everything that can be refused is refused before the weights
 * are read: bad options, a missing file, an input that is too long, a plan that does not fit. */
#include "answer.h"
#include "engine.h"
#include "input.h"
#include "json_out.h"
#include "plan_print.h"
#include "progress.h"
#include "signals.h"

#include <stdlib.h>
#include <string.h>

static int options_check(const cli_args *args)
{
    const cli_value *v = args->v;
    if (v[OPT_LOGPROBS].given && !v[OPT_JSON].i)
        return cli_error(CLI_USAGE, "--logprobs: needs --json");
    if (v[OPT_RAW].i && v[OPT_SYSTEM].given)
        return cli_error(CLI_USAGE, "--system: has no place in --raw text");
    if (v[OPT_RAW].i && v[OPT_CHAT_FORMAT].given)
        return cli_error(CLI_USAGE, "--chat-format: contradicts --raw");
    if (v[OPT_PARSE_SPECIAL].i && !v[OPT_RAW].i)
        return cli_error(CLI_USAGE, "--parse-special: needs --raw");
    return CLI_OK;
}

static int input_tokenize(const cli_engine *engine, const cli_args *args, const cli_input *input, pith_tokens *out)
{
    const cli_value *v = args->v;
    const char *format = v[OPT_CHAT_FORMAT].given ? v[OPT_CHAT_FORMAT].text : NULL;
    pith_status status;
    if (v[OPT_RAW].i || (!engine->info.chat_format && !format)) {
        if (v[OPT_SYSTEM].given)
            return cli_error(CLI_USAGE, "--system: this model has no chat format; --chat-format NAME gives it one");
        int flags = PITH_TOKENIZE_SPECIAL | (v[OPT_PARSE_SPECIAL].i ? PITH_TOKENIZE_PARSE_SPECIAL : 0);
        status = pith_tokenize(engine->model, input->text, input->n, flags, out);
        return status == PITH_OK ? CLI_OK : cli_fail(status, "input");
    }
    if (strlen(input->text) != input->n) /* messages are C strings */
        return cli_error(CLI_FILE, "input: a NUL byte at offset %zu cannot stand in a chat message; --raw takes any bytes",
                         strlen(input->text));
    pith_chat_message messages[2];
    size_t n = 0;
    if (v[OPT_SYSTEM].given)
        messages[n++] = (pith_chat_message){"system", v[OPT_SYSTEM].text};
    messages[n++] = (pith_chat_message){"user", input->text};
    status = pith_chat_tokenize(engine->model, format, messages, n, true, out);
    if (status == PITH_ERROR_NOT_FOUND)
        return cli_error(CLI_USAGE, "--chat-format: %s", pith_last_error());
    return status == PITH_OK ? CLI_OK : cli_fail(status, "chat format");
}

/* The session's size: -c, or what input and answer need, up to the model's length. */
static int context_choose(cli_engine *engine, const cli_args *args, size_t n_prompt, int32_t *context)
{
    int64_t given = args->v[OPT_CONTEXT].i, predict = args->v[OPT_PREDICT].i, n = (int64_t)n_prompt;
    int64_t need = given > 0 ? given : n + (predict < 0 ? 0 : predict);
    int code = cli_engine_extend(engine, args, need);
    if (code != CLI_OK)
        return code;
    int64_t length = engine->info.context_length;
    int64_t size = given > 0 ? given : predict < 0 || need > length ? length : need;
    *context = (int32_t)(size > 0 ? size : 1);
    if (n > *context || n == 0)
        return n == 0 ? cli_error(CLI_USAGE, "the input has no tokens")
               : given > 0 ? cli_error(CLI_FAILURE, "the input of %zu tokens exceeds the available context size of %d tokens "
                                       "(-c); nothing is cut: raise -c or shorten the input", n_prompt, *context)
                           : cli_error(CLI_FAILURE, "the input of %zu tokens exceeds the available context size of %d tokens, "
                                       "the model's length; nothing is cut: shorten the input, or raise the length with "
                                       "--rope-base F (such as 1000000)", n_prompt, *context);
    return CLI_OK;
}

static json_t *result_json(const cli_engine *engine, const char *device, const cli_args *args, const pith_session_params *params,
                           const pith_generate_params *generate, const pith_generate_result *r, const pith_memory_plan *plan,
                           cli_answer *answer)
{
    char attention[256];
    cli_attention_text(&params->attn, attention, sizeof attention);
    json_t *memory = cli_plan_json(plan);
    json_object_set_new(memory, "peak", json_integer((json_int_t)cli_memory_peak_bytes()));
    uint64_t now, peak;
    if (pith_backend_memory_used(engine->backend, &now, &peak))
        json_object_set_new(memory, "device_peak", json_integer((json_int_t)peak));
    json_t *root = json_pack(
        "{so ss si si sf sf sf so so si ss ss ss ss sI so}", "text", cli_json_bytes(answer->text ? answer->text : "", answer->n_text),
        "finish", cli_finish_name(r->finish), "prompt_tokens", r->n_prompt, "generated_tokens", r->n_generated,
        "load_seconds", engine->load_seconds, "prompt_seconds", r->prompt_seconds, "generate_seconds", r->generate_seconds,
        "prompt_tokens_per_second", cli_json_real(r->n_prompt / r->prompt_seconds), "generated_tokens_per_second",
        cli_json_real(r->n_generated / r->generate_seconds), "context", params->context, "attention", attention, "kv_type",
        cli_kv_name(params->kv_type), "device", device, "model", engine->path, "seed",
        (json_int_t)generate->sample.seed, "memory", memory);
    json_t *ids = json_array();
    for (size_t i = 0; i < answer->n_ids; i++)
        json_array_append_new(ids, json_integer(answer->ids[i]));
    json_object_set_new(root, "tokens", ids);
    if (root && args->v[OPT_LOGPROBS].given)
        json_object_set(root, "logprobs", answer->logprobs);
    return root;
}

static void summary_note(const pith_backend *backend, const pith_generate_result *r, const pith_generate_params *p, const pith_memory_plan *plan)
{
    static const char *const why[] = {"", " (stopped at the limit of -n or -c)", " (stop text)", " (stopped)"};
    cli_note("prompt: %d tokens in %s, %.1f tokens/s; answer: %d tokens in %s, %.1f tokens/s%s", r->n_prompt,
             cli_seconds(r->prompt_seconds), r->prompt_seconds > 0 ? r->n_prompt / r->prompt_seconds : 0.0, r->n_generated,
             cli_seconds(r->generate_seconds), r->generate_seconds > 0 ? r->n_generated / r->generate_seconds : 0.0,
             why[r->finish]);
    if (p->sample.temperature > 0.0f)
        cli_note("sampling: seed %llu", (unsigned long long)p->sample.seed);
    uint64_t peak = cli_memory_peak_bytes(), now, device;
    if (pith_backend_memory_used(backend, &now, &device))
        cli_note("memory: peak %s on the device, planned %s; %s in this process", cli_bytes(device), cli_bytes(plan->total - plan->other),
                 cli_bytes(peak));
    else if (peak)
        cli_note("memory: peak %s, planned %s", cli_bytes(peak), cli_bytes(plan->total));
}

static int answer_generate(cli_engine *engine, const cli_args *args, const pith_session_params *params,
                           const pith_memory_plan *plan, const pith_tokens *tokens)
{
    pith_session *session = NULL;
    pith_status status = pith_session_create(engine->model, params, &session);
    if (status != PITH_OK)
        return cli_engine_fail(status, "session");
    pith_logit_bias *bias;
    pith_generate_params generate = cli_generate_params(args, &bias);
    bool json = args->v[OPT_JSON].i != 0;
    cli_answer answer = {.model = engine->model, .print = !json, .logprobs = args->v[OPT_LOGPROBS].given ? json_array() : NULL,
                         .n_top = (int32_t)args->v[OPT_LOGPROBS].i};
    pith_generate_result result = {.finish = PITH_FINISH_CANCELLED};
    cli_signals_session(session);
    cli_progress_begin("reading", CLI_PROGRESS_TOKENS, true);
    status = pith_generate(session, tokens->ids, tokens->n, &generate, cli_answer_piece, &answer, &result);
    cli_progress_end();
    cli_signals_hold(true);
    cli_signals_session(NULL);
    cli_answer_end(&answer);
    int code = status == PITH_OK || status == PITH_ERROR_CANCELLED ? CLI_OK : cli_engine_fail(status, "run");
    if (status == PITH_ERROR_CANCELLED) {
        result.finish = PITH_FINISH_CANCELLED;
        result.n_prompt = pith_session_position(session); /* how far it came */
    }
    if (code == CLI_OK && json)
        code = cli_json_print(result_json(engine, pith_session_device(session), args, params, &generate, &result, plan, &answer), false);
    if (code == CLI_OK)
        summary_note(engine->backend, &result, &generate, plan);
    cli_answer_free(&answer);
    free(bias);
    pith_session_destroy(&session);
    return code;
}

int cli_run(const cli_args *args)
{
    int code = options_check(args);
    if (code != CLI_OK)
        return code;
    if (args->v[OPT_CHAT].i)
        return cli_chat(args);
    cli_engine engine = {0};
    cli_input input = {NULL, 0};
    pith_tokens tokens = {NULL, 0};
    pith_session_params params;
    pith_memory_plan plan;
    int32_t context = 0;
    bool found = false;
    code = cli_input_join(args, &input, &found);
    if (code == CLI_OK && !found)
        code = cli_error(CLI_USAGE, "run: nothing to read: give -p TEXT, -f FILE, or --chat ('pith help run')");
    if (code == CLI_OK)
        code = cli_engine_open_model(&engine, args, 0);
    if (code == CLI_OK)
        code = input_tokenize(&engine, args, &input, &tokens);
    cli_input_free(&input);
    if (code == CLI_OK)
        code = context_choose(&engine, args, tokens.n, &context);
    if (code == CLI_OK)
        code = cli_engine_open_backend(&engine, args, (int32_t)args->v[OPT_THREADS].i);
    if (code == CLI_OK) {
        cli_note("model: %s (%s), %zu tokens of input, context %d; device: %s", engine.info.name ? engine.info.name : engine.path,
                 engine.info.architecture, tokens.n, context, pith_backend_describe(engine.backend));
        code = cli_engine_session_params(&engine, args, context, &params);
    }
    if (code == CLI_OK)
        code = cli_plan_check(engine.model, engine.backend, &params, &plan);
    if (code == CLI_OK) {
        cli_engine_note_attention(&engine, args, &params, context);
        code = cli_engine_load(&engine);
    }
    if (code == CLI_OK) {
        cli_note("loaded in %s", cli_seconds(engine.load_seconds));
        code = answer_generate(&engine, args, &params, &plan, &tokens);
    }
    pith_tokens_free(&tokens);
    cli_engine_close(&engine);
    return cli_signals_exit_code(code);
}
