/* SPDX-License-Identifier: MIT */
/* `pith bench`: rates of reading and generating. All settings stay loaded and take turns inside each repetition:
 *
 *     for each depth:  fill every session to the depth
 *         repetition 0 (not counted), 1, 2, ...:  for each test: for each setting: run, go back to the depth
 *
 * Going back is a rewind where the raw window allows it, else the session is filled again, outside the measured time.
 * With --profile every test then runs again, with a clock around each op (bench_profile.c). */
#include "bench.h"
#include "input.h"
#include "plan_print.h"
#include "progress.h"
#include "quant_mix.h"
#include "signals.h"

#include <stdlib.h>
#include <string.h>

typedef struct setting {
    cli_engine *engine;
    pith_session_params params;
    pith_session *session;
    char attention[256];
    int32_t threads;
    uint64_t planned;
    const pith_ceilings *ceilings;
} setting;

typedef struct test { bool generate; int32_t n; } test;

typedef struct bench {
    cli_engine *engines;  /* one per number of threads */
    size_t n_engines;
    pith_ceilings *ceilings; /* [n_engines]; --profile */
    setting *settings;
    size_t n_settings;
    test *tests;
    size_t n_tests;
    cli_bench_row *rows;  /* [depth][test][setting] */
    size_t n_rows;
    int32_t *tokens;      /* [context] */
    int32_t context, repeat;
    bool text;            /* tokens come from a file */
    bool retune;
    uint64_t runs_done, runs_total;
} bench;

/* A fixed series, spread over the vocabulary: splitmix64 from seed 1. */
static void tokens_random(int32_t *out, int64_t n, int32_t n_vocab)
{
    uint64_t state = 1;
    for (int64_t i = 0; i < n; i++) {
        uint64_t z = state += 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        out[i] = (int32_t)((z ^ z >> 31) % (uint64_t)n_vocab);
    }
}

static int tokens_make(bench *b, const cli_args *args)
{
    const cli_engine *e = &b->engines[0];
    b->tokens = cli_alloc((size_t)b->context, sizeof *b->tokens);
    b->text = args->n_parts > 0;
    if (!b->text) {
        tokens_random(b->tokens, b->context, e->info.n_vocab);
        return CLI_OK;
    }
    cli_input input;
    bool found;
    int code = cli_input_join(args, &input, &found);
    if (code != CLI_OK)
        return code;
    pith_tokens t = {NULL, 0};
    pith_status status = pith_tokenize(e->model, input.text, input.n, PITH_TOKENIZE_SPECIAL, &t);
    cli_input_free(&input);
    if (status != PITH_OK)
        return cli_fail(status, "-f");
    if (t.n == 0)
        code = cli_error(CLI_FILE, "-f: no tokens in it");
    for (int32_t i = 0; i < b->context && code == CLI_OK; i++) /* a short text starts over */
        b->tokens[i] = t.ids[(size_t)i % t.n];
    pith_tokens_free(&t);
    return code;
}

static int tests_make(bench *b, const cli_args *args)
{
    const cli_value *prompt = &args->v[OPT_BENCH_PROMPT], *gen = &args->v[OPT_BENCH_GEN], *depth = &args->v[OPT_BENCH_DEPTH];
    int64_t longest = 0, deepest = 0;
    b->tests = cli_alloc(prompt->n + gen->n, sizeof *b->tests);
    for (size_t i = 0; i < prompt->n + gen->n; i++) {
        bool generate = i >= prompt->n;
        int64_t n = generate ? gen->ints[i - prompt->n] : prompt->ints[i];
        if (n > 0)
            b->tests[b->n_tests++] = (test){generate, (int32_t)n};
        longest = n > longest ? n : longest;
    }
    for (size_t i = 0; i < depth->n; i++)
        deepest = depth->ints[i] > deepest ? depth->ints[i] : deepest;
    if (b->n_tests == 0)
        return cli_error(CLI_USAGE, "bench: nothing to measure: --prompt and --gen are both 0");
    if (longest + deepest > INT32_MAX)
        return cli_error(CLI_USAGE, "--depth: %lld tokens with the longest test are too many", (long long)(longest + deepest));
    b->context = (int32_t)(longest + deepest);
    b->retune = args->v[OPT_RETUNE].i != 0;
    b->repeat = (int32_t)args->v[OPT_REPEAT].i;
    return CLI_OK;
}

static int engines_open(bench *b, const cli_args *args)
{
    const cli_value *threads = &args->v[OPT_THREADS_LIST];
    b->engines = cli_alloc(threads->n, sizeof *b->engines);
    b->ceilings = cli_alloc(threads->n, sizeof *b->ceilings);
    int code = CLI_OK;
    for (; b->n_engines < threads->n && code == CLI_OK; b->n_engines++) {
        cli_engine *e = &b->engines[b->n_engines];
        code = cli_engine_open_model(e, args, 0);
        if (code == CLI_OK && b->context > e->info.context_length) {
            if (b->n_engines == 0)
                cli_note("note: %d tokens exceed the model's length of %d: fine for speed, not for answers", b->context,
                         e->info.context_length);
            code = cli_engine_open_model(e, args, b->context);
        }
        if (code == CLI_OK)
            code = cli_engine_open_backend(e, args, (int32_t)threads->ints[b->n_engines]);
    }
    return code;
}

/* Every combination of threads, attention and kv type; refused when all of them together do not fit. */
static int settings_make(bench *b, const cli_args *args)
{
    const cli_value *attn = &args->v[OPT_ATTN_LIST], *kv = &args->v[OPT_KV_LIST];
    size_t n_kv = kv->n ? kv->n : 1;
    uint64_t needed = 0, available = 0;
    b->settings = cli_alloc(b->n_engines * attn->n * n_kv, sizeof *b->settings);
    for (size_t e = 0; e < b->n_engines; e++)
        for (size_t a = 0; a < attn->n; a++)
            for (size_t k = 0; k < n_kv; k++) {
                setting *s = &b->settings[b->n_settings++];
                s->engine = &b->engines[e];
                s->threads = pith_backend_device(s->engine->backend)->threads;
                s->ceilings = &b->ceilings[e];
                cli_engine_params_for(s->engine, args, attn->ints[a], kv->n ? kv->ints[k] : -1, &s->params);
                s->params.context = b->context;
                cli_attention_text(&s->params.attn, s->attention, sizeof s->attention);
                pith_memory_plan plan;
                pith_status status = pith_memory_plan_make(s->engine->model, s->engine->backend, &s->params, &plan);
                if (status != PITH_OK)
                    return cli_fail(status, "memory plan");
                s->planned = plan.total;
                needed += plan.total - (a + k > 0 ? plan.weights : 0);
                available = plan.available;
                cli_note("setting: %s; kv %s; %s: %s", s->attention, cli_kv_name(s->params.kv_type),
                         pith_backend_describe(s->engine->backend), cli_bytes(plan.total));
            }
    if (available && needed > available)
        return cli_error(CLI_MEMORY, "the %zu settings together need %s and %s is free: measure fewer at a time, or less --depth",
                         b->n_settings, cli_bytes(needed), cli_bytes(available));
    cli_note("memory: %s for all settings together, free %s", cli_bytes(needed), available ? cli_bytes(available) : "unknown");
    return CLI_OK;
}

static int sessions_make(bench *b)
{
    for (size_t e = 0; e < b->n_engines; e++) {
        int code = cli_engine_load(&b->engines[e]);
        if (code != CLI_OK)
            return code;
        const pith_device_info *d = pith_backend_device(b->engines[e].backend);
        if (b->retune)
            cli_note("tiles: %s", d->tiles[0] ? d->tiles : "nothing to choose on this device");
    }
    for (size_t i = 0; i < b->n_settings; i++) {
        pith_status status = pith_session_create(b->settings[i].engine->model, &b->settings[i].params, &b->settings[i].session);
        if (status != PITH_OK)
            return cli_fail(status, "session: %s", b->settings[i].attention);
    }
    return CLI_OK;
}

static int step(setting *s, const int32_t *tokens, size_t n, pith_want want)
{
    pith_step_hooks hooks = {.want = want};
    pith_status status = pith_session_step(s->session, tokens, n, &hooks);
    if (status == PITH_ERROR_CANCELLED || (status == PITH_OK && cli_signals_caught()))
        return CLI_INTERRUPTED;
    return status == PITH_OK ? CLI_OK : cli_engine_fail(status, "bench");
}

static int depth_set(const bench *b, setting *s, int32_t depth)
{
    if (pith_session_position(s->session) == depth)
        return CLI_OK;
    if (depth > 0 && pith_session_position(s->session) > depth && pith_session_rewind(s->session, depth) == PITH_OK)
        return CLI_OK;
    pith_session_clear(s->session);
    /* Logits that nobody wants: without them a device would still be at it when the clock starts. */
    return depth > 0 ? step(s, b->tokens, (size_t)depth, PITH_WANT_LAST) : CLI_OK;
}

/* One run of `n` tokens from the depth; *rate in tokens per second. */
static int test_run(const bench *b, setting *s, const test *t, int32_t n, int32_t depth, double *rate)
{
    cli_signals_session(s->session);
    int code = depth_set(b, s, depth);
    const int32_t *tokens = b->tokens + depth;
    uint64_t begin = cli_now_ns();
    if (code == CLI_OK && !t->generate)
        code = step(s, tokens, (size_t)n, PITH_WANT_LAST);
    for (int32_t i = 0; i < n && t->generate && code == CLI_OK; i++)
        code = step(s, tokens + i, 1, PITH_WANT_LAST);
    *rate = n / ((double)(cli_now_ns() - begin) * 1e-9);
    cli_signals_hold(true);
    cli_signals_session(NULL);
    return code;
}

static void rows_make(bench *b, const cli_args *args)
{
    const cli_value *depth = &args->v[OPT_BENCH_DEPTH];
    b->rows = cli_alloc(depth->n * b->n_tests * b->n_settings, sizeof *b->rows);
    b->runs_total = (uint64_t)depth->n * b->n_tests * b->n_settings * (uint64_t)(b->repeat + 1) * (args->v[OPT_PROFILE].i ? 2 : 1);
    for (size_t d = 0; d < depth->n; d++)
        for (size_t t = 0; t < b->n_tests; t++)
            for (size_t i = 0; i < b->n_settings; i++) {
                const setting *s = &b->settings[i];
                bool cca = s->params.attn.method == PITH_ATTN_CCA;
                b->rows[b->n_rows++] = (cli_bench_row){
                    .attention = s->attention, .method = cca ? "cca" : "full", .group = cca ? s->params.attn.group : 0,
                    .window = cca ? s->params.attn.window : 0, .kv_type = cli_kv_name(s->params.kv_type),
                    .device = pith_backend_describe(s->engine->backend), .info = pith_backend_device(s->engine->backend),
                    .ceilings = s->ceilings, .chunk = s->params.chunk ? s->params.chunk : 512,
                    .threads = s->threads, .generate = b->tests[t].generate, .n = b->tests[t].n,
                    .depth = (int32_t)depth->ints[d], .samples = cli_alloc((size_t)b->repeat, sizeof(double)),
                    .memory_planned = s->planned};
            }
}

static int rows_measure(bench *b, const cli_args *args)
{
    int code = CLI_OK;
    size_t per_depth = b->n_tests * b->n_settings;
    cli_progress_begin("measuring", CLI_PROGRESS_RUNS, true);
    for (size_t d = 0; d < args->v[OPT_BENCH_DEPTH].n && code == CLI_OK; d++)
        for (int32_t r = 0; r <= b->repeat && code == CLI_OK; r++)
            for (size_t i = 0; i < per_depth && code == CLI_OK; i++) {
                cli_bench_row *row = &b->rows[d * per_depth + i];
                const test *t = &b->tests[i / b->n_settings];
                int32_t warm = t->generate ? 8 : 512, n = r == 0 && t->n > warm ? warm : t->n;
                double rate = 0.0;
                code = test_run(b, &b->settings[i % b->n_settings], t, n, row->depth, &rate);
                if (code == CLI_OK && r > 0)
                    row->samples[row->n_samples++] = rate;
                row->memory_peak = cli_memory_peak_bytes();
                cli_progress_update(++b->runs_done, b->runs_total, NULL);
            }
    cli_progress_end();
    return code;
}

/* A test of a profile. */
typedef struct profiled {
    bench *b;
    setting *s;
    const test *t;
    int32_t depth;
} profiled;

static int profile_ready(void *user)
{
    const profiled *p = user;
    cli_signals_session(p->s->session);
    int code = depth_set(p->b, p->s, p->depth);
    cli_signals_hold(true);
    cli_signals_session(NULL);
    return code;
}

static int profile_run(void *user)
{
    const profiled *p = user;
    double rate;
    int code = test_run(p->b, p->s, p->t, p->t->n, p->depth, &rate);
    cli_progress_update(++p->b->runs_done, p->b->runs_total, NULL);
    return code;
}

/* After all rates: ceilings of each device, then every test again with a clock around each op. */
static int rows_profile(bench *b, const cli_args *args)
{
    int code = CLI_OK;
    size_t per_depth = b->n_tests * b->n_settings;
    for (size_t e = 0; e < b->n_engines; e++) {
        pith_status status = pith_backend_measure(b->engines[e].backend, &b->ceilings[e]);
        if (status != PITH_OK)
            return cli_fail(status, "--profile");
    }
    cli_progress_begin("profiling", CLI_PROGRESS_RUNS, true);
    for (size_t i = 0; i < per_depth * args->v[OPT_BENCH_DEPTH].n && code == CLI_OK; i++) {
        setting *s = &b->settings[i % b->n_settings];
        profiled p = {b, s, &b->tests[i % per_depth / b->n_settings], b->rows[i].depth};
        code = cli_bench_profile(&b->rows[i], s->session, b->repeat, profile_ready, profile_run, &p);
    }
    cli_progress_end();
    return code;
}

static int report(const bench *b, const cli_args *args)
{
    const cli_engine *e = &b->engines[0];
    char mix[256];
    cli_quant_mix(e->model, mix, sizeof mix);
    cli_bench_report r = {.model_path = e->path, .model_name = e->info.name ? e->info.name : "", .weights = mix,
                          .architecture = e->info.architecture, .tokens = b->text ? "text" : "random",
                          .model_bytes = e->info.file_bytes, .n_params = e->info.n_params, .rows = b->rows, .n_rows = b->n_rows};
    int code = cli_bench_hash(e->path, r.model_hash);
    if (code != CLI_OK)
        return code;
    return cli_bench_print(&r, args->v[OPT_JSON].i ? CLI_BENCH_JSON : (cli_bench_format)args->v[OPT_FORMAT].i);
}

static void bench_free(bench *b)
{
    for (size_t i = 0; i < b->n_rows; i++) {
        free(b->rows[i].samples);
        cli_bench_profile_free(&b->rows[i]);
    }
    for (size_t i = 0; i < b->n_settings; i++)
        pith_session_destroy(&b->settings[i].session);
    for (size_t i = 0; i < b->n_engines; i++)
        cli_engine_close(&b->engines[i]);
    free(b->rows);
    free(b->settings);
    free(b->engines);
    free(b->ceilings);
    free(b->tests);
    free(b->tokens);
}

int cli_bench(const cli_args *args)
{
    bench b = {0};
    int code = tests_make(&b, args);
    if (code == CLI_OK)
        code = engines_open(&b, args);
    if (code == CLI_OK)
        code = settings_make(&b, args);
    if (code == CLI_OK)
        code = tokens_make(&b, args);
    if (code == CLI_OK)
        code = sessions_make(&b);
    if (code == CLI_OK) {
        rows_make(&b, args);
        code = rows_measure(&b, args);
        if (code == CLI_OK && args->v[OPT_PROFILE].i)
            code = rows_profile(&b, args);
        if (b.runs_done > 0 && (code == CLI_OK || cli_signals_caught())) { /* an interrupted run shows what it has */
            int printed = report(&b, args);
            code = code == CLI_OK ? printed : code;
        }
    }
    bench_free(&b);
    return cli_signals_exit_code(code);
}
