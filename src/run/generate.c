/* SPDX-License-Identifier: MIT */
/* From a prompt to pieces of text: step, sample, accept, show. */
#include "base/os.h"
#include "base/mem.h"
#include "run/session.h"
#include "text/stream.h"

#include <stdlib.h>

pith_generate_params pith_generate_params_default(void)
{
    return (pith_generate_params){.max_tokens = -1, .sample = pith_sample_params_default()};
}

/* One generation in progress. */
struct generation {
    pith_session *session;
    const pith_generate_params *params;
    pith_sampler *sampler;
    pith_stream *stream;
    pith_token_logprob top[20];
    pith_piece_fn on_piece;
    void *user;
    pith_generate_result *result;
};

/* Shows text that no new token belongs to. */
static void show_rest(struct generation *g)
{
    const char *text;
    size_t n;
    if (pith_stream_flush(g->stream, &text, &n) == PITH_OK && n && g->on_piece) {
        pith_piece piece = {.text = text, .n_bytes = n, .token = -1};
        g->on_piece(&piece, g->user);
    }
}

/* Samples and shows one token; *go_on tells whether to feed it. */
static pith_status one(struct generation *g, int32_t *token, bool *go_on)
{
    const pith_generate_params *p = g->params;
    const pith_model *model = g->session->model;
    const float *logits = pith_session_logits(g->session);
    *go_on = false;
    *token = pith_sampler_next(g->sampler, logits);
    if (*token < 0)
        return pith_fail(PITH_ERROR_NUMERIC, "generate: no token can be chosen: all are banned or have no finite logit");
    pith_sampler_accept(g->sampler, *token);
    if (!p->ignore_end && pith_token_is_end(model, *token)) {
        g->result->finish = PITH_FINISH_END;
        return PITH_OK;
    }
    pith_piece piece = {.text = "", .token = *token};
    if (p->top_logprobs > 0) {
        piece.logprob = pith_logprobs(logits, model->config.n_vocab, *token, g->top, p->top_logprobs);
        piece.top = g->top;
        piece.n_top = p->top_logprobs;
    }
    size_t n_bytes;
    const char *bytes = pith_token_bytes(model, *token, p->special, &n_bytes);
    bool stopped;
    PITH_TRY(pith_stream_push(g->stream, bytes, n_bytes, &piece.text, &piece.n_bytes, &stopped));
    g->result->n_generated++;
    bool wanted = !g->on_piece || g->on_piece(&piece, g->user);
    if (stopped)
        g->result->finish = PITH_FINISH_STOP;
    else if (!wanted)
        g->result->finish = PITH_FINISH_CANCELLED;
    *go_on = wanted && !stopped;
    return PITH_OK;
}

static pith_status loop(struct generation *g)
{
    const pith_generate_params *p = g->params;
    pith_session *s = g->session;
    g->result->finish = PITH_FINISH_LENGTH;
    for (int32_t i = 0; p->max_tokens < 0 || i < p->max_tokens; i++) {
        int32_t token;
        bool go_on;
        PITH_TRY(one(g, &token, &go_on));
        if (!go_on)
            return PITH_OK;
        if (s->position >= s->shape.params.context || (p->max_tokens >= 0 && i + 1 == p->max_tokens))
            return PITH_OK;
        pith_status status = pith_session_step(s, &token, 1, NULL);
        if (status == PITH_ERROR_CANCELLED) {
            g->result->finish = PITH_FINISH_CANCELLED;
            return PITH_OK;
        }
        PITH_TRY(status);
    }
    return PITH_OK;
}

static pith_status feed_prompt(struct generation *g, const int32_t *prompt, size_t n)
{
    if (n == 0)
        return pith_session_logits(g->session)
                   ? PITH_OK
                   : pith_fail(PITH_ERROR_INVALID_ARGUMENT, "generate: expected at least one prompt token in a session without logits");
    pith_step_hooks hooks = {.want = PITH_WANT_LAST, .progress = g->params->progress, .user = g->params->progress_user};
    return pith_session_step(g->session, prompt, n, &hooks);
}

pith_status pith_generate(pith_session *session, const int32_t *prompt, size_t n, const pith_generate_params *params,
                          pith_piece_fn on_piece, void *user, pith_generate_result *result)
{
    pith_generate_params defaults = pith_generate_params_default();
    pith_generate_result unused;
    struct generation g = {.session = session, .params = params ? params : &defaults, .on_piece = on_piece, .user = user,
                           .result = result ? result : &unused};
    *g.result = (pith_generate_result){.n_prompt = (int32_t)n};
    if (g.params->top_logprobs < 0 || g.params->top_logprobs > 20)
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "generate: top log-probabilities: expected 0 to 20, got %d", g.params->top_logprobs);
    pith_status status;
    PITH_TRY_GOTO(pith_sampler_create(&g.params->sample, session->model->config.n_vocab, &g.sampler));
    PITH_TRY_GOTO(pith_stream_create(g.params->stop, g.params->n_stop, &g.stream));
    for (size_t i = 0; i < n; i++)
        pith_sampler_accept(g.sampler, prompt[i]);
    atomic_store(&session->cancel, false);
    int64_t position = session->position;
    uint64_t begin = pith_os_now_ns();
    status = feed_prompt(&g, prompt, n);
    g.result->n_prompt = (int32_t)(session->position - position);
    uint64_t middle = pith_os_now_ns();
    g.result->prompt_seconds = (double)(middle - begin) * 1e-9;
    if (status != PITH_OK) {
        if (status == PITH_ERROR_CANCELLED)
            g.result->finish = PITH_FINISH_CANCELLED;
        goto fail;
    }
    status = loop(&g);
    if (g.result->finish != PITH_FINISH_STOP)
        show_rest(&g);
    g.result->generate_seconds = (double)(pith_os_now_ns() - middle) * 1e-9;
fail:
    pith_stream_destroy(&g.stream);
    pith_sampler_destroy(&g.sampler);
    return status;
}
