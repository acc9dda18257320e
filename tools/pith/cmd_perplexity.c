/* SPDX-License-Identifier: MIT */
/* `pith perplexity`: negative log-likelihood of text, in nats per token, overall and by position.
 *
 *     window:   t0 t1 t2 ... t(n-1)        scored: t1 .. t(n-1), each from the logits behind the token before it
 *     bucket of t(i): [0, 1024), [1024, 2048), [2048, 4096), ... by i */
#include "engine.h"
#include "input.h"
#include "json_out.h"
#include "plan_print.h"
#include "progress.h"
#include "signals.h"
#include "token_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 24

typedef struct scoring {
    int64_t context;               /* tokens of a window; 0: a file is one window */
    int64_t n_windows, limit;
    uint64_t done, total;          /* tokens, for the progress line */
    int64_t n;                     /* scored tokens */
    double nll;
    int64_t bucket_n[BUCKETS];
    double bucket_nll[BUCKETS];
    const int32_t *window;         /* the running one */
    int64_t n_window;
    json_t *top1, *top1_window;    /* NULL: not wanted */
} scoring;

static int bucket_of(int64_t position)
{
    int bucket = 0;
    for (int64_t end = 1024; position >= end && bucket < BUCKETS - 1; end *= 2)
        bucket++;
    return bucket;
}

static bool on_logits(int32_t position, const float *logits, int32_t n_vocab, void *user)
{
    scoring *s = user;
    if (s->top1_window) {
        pith_token_logprob best;
        pith_logprobs(logits, n_vocab, -1, &best, 1);
        json_array_append_new(s->top1_window, json_integer(best.token));
    }
    int64_t next = (int64_t)position + 1;
    if (next < s->n_window) {
        double nll = -(double)pith_logprobs(logits, n_vocab, s->window[next], NULL, 0);
        int bucket = bucket_of(next);
        s->n++;
        s->nll += nll;
        s->bucket_n[bucket]++;
        s->bucket_nll[bucket] += nll;
    }
    return !cli_signals_caught();
}

static void on_progress(uint64_t done, uint64_t total, void *user)
{
    const scoring *s = user;
    (void)total;
    cli_progress_update(s->done + done, s->total, NULL);
}

/* All windows of one sequence. */
static int sequence_score(scoring *s, pith_session *session, const int32_t *ids, int64_t n)
{
    int64_t step = s->context ? s->context : n;
    for (int64_t at = 0; n - at >= 2 && (s->limit == 0 || s->n_windows < s->limit); at += step) {
        s->window = ids + at;
        s->n_window = n - at < step ? n - at : step;
        s->top1_window = s->top1 ? json_array() : NULL;
        pith_session_clear(session);
        pith_step_hooks hooks = {.want = PITH_WANT_ALL, .logits = on_logits, .progress = on_progress, .user = s};
        pith_status status = pith_session_step(session, s->window, (size_t)s->n_window, &hooks);
        if (status == PITH_OK && cli_signals_caught())
            status = PITH_ERROR_CANCELLED;
        if (status != PITH_OK) {
            json_decref(s->top1_window);
            return status == PITH_ERROR_CANCELLED ? CLI_INTERRUPTED : cli_engine_fail(status, "perplexity");
        }
        if (s->top1)
            json_array_append_new(s->top1, s->top1_window);
        s->done += (uint64_t)s->n_window;
        s->n_windows++;
    }
    return CLI_OK;
}

static json_t *buckets_json(const scoring *s)
{
    json_t *list = json_array();
    int64_t from = 0;
    for (int b = 0; b < BUCKETS; b++) {
        int64_t to = (int64_t)1024 << b;
        if (s->bucket_n[b])
            json_array_append_new(list, json_pack("{sI sI sI sf}", "from", (json_int_t)from, "to", (json_int_t)to, "tokens",
                                                  (json_int_t)s->bucket_n[b], "nll", s->bucket_nll[b] / (double)s->bucket_n[b]));
        from = to;
    }
    return list;
}

static int report(const scoring *s, const cli_engine *e, const pith_session_params *params, bool json)
{
    if (s->n == 0)
        return cli_error(CLI_FILE, "perplexity: nothing to score: no sequence has two tokens");
    double nll = s->nll / (double)s->n;
    char attention[256];
    cli_attention_text(&params->attn, attention, sizeof attention);
    if (json) {
        json_t *root = json_pack("{sI so so sI si ss ss ss ss so}", "tokens", (json_int_t)s->n, "nll", cli_json_real(nll), "ppl",
                                 cli_json_real(exp(nll)), "windows", (json_int_t)s->n_windows, "context", params->context,
                                 "attention", attention, "kv_type", cli_kv_name(params->kv_type), "device",
                                 pith_backend_describe(e->backend), "model", e->path, "buckets", buckets_json(s));
        if (root && s->top1)
            json_object_set(root, "top1", s->top1);
        return cli_json_print(root, true);
    }
    printf("tokens scored  %lld in %lld windows\n", (long long)s->n, (long long)s->n_windows);
    printf("mean NLL       %.6f nats\nperplexity     %.4f\n\n%12s %10s %10s\n", nll, exp(nll), "position", "tokens", "NLL");
    int64_t from = 0;
    for (int b = 0; b < BUCKETS; b++) {
        int64_t to = (int64_t)1024 << b;
        char range[48];
        snprintf(range, sizeof range, "%lldK-%lldK", (long long)(from / 1024), (long long)(to / 1024));
        if (s->bucket_n[b])
            printf("%12s %10lld %10.6f\n", range, (long long)s->bucket_n[b], s->bucket_nll[b] / (double)s->bucket_n[b]);
        from = to;
    }
    return CLI_OK;
}

typedef struct sequences { pith_tokens *items; bool *from_ids; size_t n; } sequences;

static int sequences_read(const cli_engine *e, const cli_args *args, sequences *out)
{
    bool ids = args->v[OPT_TOKENS_FILE].given;
    if (ids == (args->n_parts > 0))
        return cli_error(CLI_USAGE, ids ? "--tokens-file: contradicts -f" : "perplexity: what? Give -f FILE or --tokens-file FILE");
    out->items = cli_alloc(args->n_parts + 1, sizeof *out->items);
    out->from_ids = cli_alloc(args->n_parts + 1, sizeof *out->from_ids);
    if (ids) {
        out->from_ids[out->n++] = true;
        return cli_token_file_read(args->v[OPT_TOKENS_FILE].text, e->info.n_vocab, &out->items[0]);
    }
    for (size_t i = 0; i < args->n_parts; i++) {
        cli_input input;
        int code = cli_input_read(args->parts[i].value, &input);
        if (code != CLI_OK)
            return code;
        pith_status status = pith_tokenize(e->model, input.text, input.n, PITH_TOKENIZE_SPECIAL, &out->items[out->n]);
        cli_input_free(&input);
        if (status != PITH_OK)
            return cli_fail(status, "%s", args->parts[i].value);
        out->n++;
    }
    return CLI_OK;
}

static void sequences_free(sequences *s)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->from_ids[i])
            free(s->items[i].ids);
        else
            pith_tokens_free(&s->items[i]);
    }
    free(s->items);
    free(s->from_ids);
}

/* Applies --limit-tokens and --limit, and chooses the session's size: -c, or the longest sequence. */
static int windows_plan(scoring *s, const cli_args *args, const sequences *seqs, size_t *use, int64_t *context)
{
    int64_t most = args->v[OPT_LIMIT_TOKENS].given ? args->v[OPT_LIMIT_TOKENS].i : INT32_MAX, longest = 2, windows = 0;
    s->context = args->v[OPT_CONTEXT].i;
    s->limit = args->v[OPT_LIMIT].given ? args->v[OPT_LIMIT].i : 0;
    if (s->context == 1)
        return cli_error(CLI_USAGE, "-c: a window needs 2 tokens, got 1");
    for (size_t i = 0; i < seqs->n; i++) {
        int64_t n = (int64_t)seqs->items[i].n < most ? (int64_t)seqs->items[i].n : most;
        use[i] = (size_t)n;
        longest = n > longest ? n : longest;
        int64_t step = s->context ? s->context : n > 0 ? n : 1;
        for (int64_t at = 0; n - at >= 2 && (s->limit == 0 || windows < s->limit); at += step, windows++)
            s->total += (uint64_t)(n - at < step ? n - at : step);
    }
    *context = s->context && s->context < longest ? s->context : longest;
    return CLI_OK;
}

static int score_all(cli_engine *e, const cli_args *args, const sequences *seqs)
{
    scoring s = {0};
    size_t *use = cli_alloc(seqs->n, sizeof *use);
    int64_t context = 0;
    pith_session_params params;
    pith_memory_plan plan;
    pith_session *session = NULL;
    int code = windows_plan(&s, args, seqs, use, &context);
    if (code == CLI_OK)
        code = cli_engine_extend(e, args, context);
    if (code == CLI_OK && context > e->info.context_length)
        code = cli_error(CLI_FAILURE, "a window of %lld tokens exceeds the available context size of %d tokens, the model's "
                         "length; -c N cuts files into windows, --rope-base F raises the length", (long long)context,
                         e->info.context_length);
    if (code == CLI_OK)
        code = cli_engine_open_backend(e, args, (int32_t)args->v[OPT_THREADS].i);
    if (code == CLI_OK)
        code = cli_engine_session_params(e, args, (int32_t)context, &params);
    if (code == CLI_OK)
        code = cli_plan_check(e->model, e->backend, &params, &plan);
    if (code == CLI_OK) {
        cli_engine_note_attention(e, args, &params, context);
        code = cli_engine_load(e);
    }
    if (code == CLI_OK) {
        pith_status status = pith_session_create(e->model, &params, &session);
        code = status == PITH_OK ? CLI_OK : cli_engine_fail(status, "session");
    }
    if (code == CLI_OK) {
        s.top1 = args->v[OPT_TOP1].i ? json_array() : NULL;
        uint64_t begin = cli_now_ns();
        cli_signals_session(session);
        cli_progress_begin("scoring", CLI_PROGRESS_TOKENS, true);
        for (size_t i = 0; i < seqs->n && code == CLI_OK; i++)
            code = sequence_score(&s, session, seqs->items[i].ids, (int64_t)use[i]);
        cli_progress_end();
        cli_signals_hold(true);
        cli_signals_session(NULL);
        double seconds = (double)(cli_now_ns() - begin) * 1e-9;
        if (code == CLI_OK)
            code = report(&s, e, &params, args->v[OPT_JSON].i != 0);
        cli_note("%llu tokens in %s, %.1f tokens/s", (unsigned long long)s.done, cli_seconds(seconds),
                 seconds > 0 ? (double)s.done / seconds : 0.0);
        json_decref(s.top1);
    }
    pith_session_destroy(&session);
    free(use);
    return cli_signals_exit_code(code);
}

int cli_perplexity(const cli_args *args)
{
    if (args->v[OPT_TOP1].i && !args->v[OPT_JSON].i)
        return cli_error(CLI_USAGE, "--top1: needs --json");
    cli_engine engine = {0};
    sequences seqs = {NULL, NULL, 0};
    int code = cli_engine_open_model(&engine, args, 0);
    if (code == CLI_OK)
        code = sequences_read(&engine, args, &seqs);
    if (code == CLI_OK)
        code = score_all(&engine, args, &seqs);
    sequences_free(&seqs);
    cli_engine_close(&engine);
    return code;
}
