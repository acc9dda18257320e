/* SPDX-License-Identifier: MIT */
/* Steps. Any number of tokens becomes passes of at most a chunk: room in the KV store, the trunk, and the head for the
 * rows whose logits are wanted. Prefill is a step with many tokens, decode a step with one. */
#include "run/session.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

pith_status pith_session_take(pith_session *s)
{
    const pith_model *model = s->model;
    pith_kv_tier *tier = s->kv.tier;
    s->backend = model->backend;
    PITH_TRY(pith_kv_store_init(&s->kv, s->backend, s->shape.layers, model->config.n_layer));
    if (tier)
        PITH_TRY(pith_kv_store_set_tier(&s->kv, tier));
    pith_exec_params exec = {.plan = &s->shape.plan, .weights = model->store, .kv = s->kv.bufs, .n_layers = model->config.n_layer};
    return s->backend->fns->prepare(s->backend, &exec, &s->exec);
}

void pith_session_drop(pith_session *s)
{
    pith_kv_tier *tier = s->kv.tier;
    pith_profile_destroy(&s->profile); /* it measured the executor */
    if (s->exec)
        s->backend->fns->exec_destroy(&s->exec);
    pith_kv_store_fini(&s->kv);
    s->kv.tier = tier;
    s->last = NULL;
}

pith_status pith_session_create(pith_model *model, const pith_session_params *params, pith_session **out)
{
    *out = NULL;
    if (!model->store)
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "session: the model is not loaded%s", model->rebuilt ? ": its device was lost" : "");
    pith_status status;
    pith_session *s = pith_calloc(1, sizeof *s);
    if (!s)
        return pith_fail(PITH_ERROR_NO_MEMORY, "session: no memory");
    s->model = model;
    s->backend = model->backend;
    s->next = model->sessions;
    model->sessions = s;
    PITH_TRY_GOTO(pith_session_shape_init(&s->shape, model, s->backend, params));
    s->tokens = pith_calloc((size_t)s->shape.params.context, sizeof *s->tokens);
    s->logits = pith_aligned_alloc((size_t)PITH_HEAD_ROWS * (size_t)model->config.n_vocab * sizeof *s->logits);
    if (!s->logits || !s->tokens) {
        status = pith_fail(PITH_ERROR_NO_MEMORY, "session: no memory for %d rows of logits and %d tokens", PITH_HEAD_ROWS, s->shape.params.context);
        goto fail;
    }
    PITH_TRY_GOTO(pith_session_room(s));
    status = pith_session_take(s);
    if (status == PITH_ERROR_DEVICE)
        status = pith_session_recover(s);
    if (status != PITH_OK)
        goto fail;
    *out = s;
    return PITH_OK;
fail:
    pith_session_destroy(&s);
    return status;
}

void pith_session_destroy(pith_session **session)
{
    pith_session *s = *session;
    if (!s)
        return;
    pith_session_drop(s);
    for (pith_session **p = &s->model->sessions; *p; p = &(*p)->next)
        if (*p == s) {
            *p = s->next;
            break;
        }
    pith_session_shape_fini(&s->shape);
    pith_aligned_free(s->logits);
    free(s->tokens);
    free(s);
    *session = NULL;
}

int32_t pith_session_position(const pith_session *s) { return (int32_t)s->position; }
int32_t pith_session_context(const pith_session *s) { return s->shape.params.context; }
const char *pith_session_device(const pith_session *s) { return s->backend->describe; }
void pith_session_cancel(pith_session *s) { atomic_store(&s->cancel, true); }
const float *pith_session_logits(const pith_session *s) { return s->last; }

void pith_session_clear(pith_session *s)
{
    pith_kv_store_clear(&s->kv);
    s->position = 0;
    s->last = NULL;
}

pith_status pith_session_rewind(pith_session *s, int32_t position)
{
    if (position < 0 || position > s->position)
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "rewind: expected a position from 0 to %lld, got %d", (long long)s->position, position);
    if (position == 0) {
        pith_session_clear(s);
        return PITH_OK;
    }
    if (position < s->position && !pith_kv_store_covers(&s->kv, position))
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "rewind: the raw window no longer covers position %d", position);
    if (position < s->position) {
        s->position = position;
        s->last = NULL;
        if (s->kv.tier && s->kv.tier->rewind)
            s->kv.tier->rewind(s->kv.tier, position);
    }
    return PITH_OK;
}

/* Every logit of a row finite? Comparing exponents keeps the loop free of the long chain that a sum of floats has. */
static bool row_is_finite(const float *x, int32_t n)
{
    const uint32_t exponent = 0x7F800000u;
    uint32_t bad = 0;
    for (int32_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bad |= (bits & exponent) == exponent;
    }
    return bad == 0;
}

static pith_status run(pith_session *s, const pith_step *step)
{
    PITH_TRY(s->backend->fns->run(s->exec, step));
    if (s->profile)
        pith_profile_add(s->profile, step);
    return PITH_OK;
}

/* Logits of rows [row0, row0 + n) of the last trunk into s->logits. */
static pith_status head(pith_session *s, int32_t row0, int32_t n)
{
    int32_t rows[PITH_HEAD_ROWS];
    for (int32_t i = 0; i < n; i++)
        rows[i] = row0 + i;
    pith_step step = {.stage = PITH_STAGE_HEAD, .n_rows = n, .rows = rows};
    PITH_TRY(run(s, &step));
    PITH_TRY(s->backend->fns->read(s->exec, s->shape.net.logits, 0, n, s->logits));
    int32_t n_vocab = s->model->config.n_vocab;
    for (int32_t i = 0; i < n; i++)
        if (!row_is_finite(s->logits + (size_t)i * (size_t)n_vocab, n_vocab))
            return pith_fail(PITH_ERROR_NUMERIC, "the logits after position %lld are not finite: broken weights, or a fault in a kernel "
                             "of %s", (long long)(s->position + row0 + i), s->backend->describe);
    return PITH_OK;
}

/* All rows of the chunk at s->position, handed to the callback. */
static pith_status all_rows(pith_session *s, int32_t n, const pith_step_hooks *hooks)
{
    int32_t n_vocab = s->model->config.n_vocab;
    for (int32_t row = 0; row < n; row += PITH_HEAD_ROWS) {
        int32_t rows = n - row < PITH_HEAD_ROWS ? n - row : PITH_HEAD_ROWS;
        PITH_TRY(head(s, row, rows));
        for (int32_t i = 0; hooks->logits && i < rows; i++) {
            int64_t position = s->position + row + i;
            if (position < s->shown) /* before the device was lost in mid-chunk */
                continue;
            s->shown = position + 1;
            if (!hooks->logits((int32_t)position, s->logits + (size_t)i * (size_t)n_vocab, n_vocab, hooks->user))
                return pith_fail(PITH_ERROR_CANCELLED, "stopped by the caller");
        }
        s->last = s->logits + (size_t)(rows - 1) * (size_t)n_vocab;
    }
    return PITH_OK;
}

/* Of n tokens the first whose logits are of no use: nobody can ask for them after the pass. */
static int32_t skip_of(pith_want want, int32_t n, bool final)
{
    return want == PITH_WANT_ALL ? 0 : want == PITH_WANT_LAST && final ? n - 1 : n;
}

pith_status pith_session_pass(pith_session *s, const int32_t *tokens, int32_t n, bool final, const pith_step_hooks *hooks)
{
    PITH_TRY(pith_kv_store_reserve(&s->kv, s->position, n));
    pith_step step = {.stage = PITH_STAGE_TRUNK, .n_tokens = n, .tokens = tokens, .pos0 = s->position,
                      .n_skip = skip_of(hooks->want, n, final), .cancel = &s->cancel};
    for (int c = 0; c < PITH_KV_CLASSES; c++)
        step.raw_base[c] = s->kv.base[c];
    PITH_TRY(run(s, &step));
    s->last = NULL;
    if (hooks->want == PITH_WANT_ALL)
        PITH_TRY(all_rows(s, n, hooks));
    else if (hooks->want == PITH_WANT_LAST && final) {
        PITH_TRY(head(s, n - 1, 1));
        s->last = s->logits;
    }
    memmove(s->tokens + s->position, tokens, (size_t)n * sizeof *tokens); /* in place when they are read again */
    s->position += n;
    return PITH_OK;
}

pith_status pith_session_step(pith_session *s, const int32_t *tokens, size_t n, const pith_step_hooks *hooks)
{
    const pith_step_hooks last_only = {.want = PITH_WANT_LAST};
    if (!hooks)
        hooks = &last_only;
    int64_t room = s->shape.params.context - s->position;
    if (n > (size_t)room)
        return pith_fail(PITH_ERROR_CONTEXT_LENGTH, "the input exceeds the available context size: %lld tokens in the session and %zu new ones, "
                         "the context holds %d", (long long)s->position, n, s->shape.params.context);
    for (size_t i = 0; i < n; i++)
        if (tokens[i] < 0 || tokens[i] >= s->model->config.n_vocab)
            return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "token %zu: expected 0 to %d, got %d", i, s->model->config.n_vocab - 1, tokens[i]);
    s->shown = s->position;
    for (size_t done = 0; done < n;) {
        size_t part = pith_min_size(n - done, (size_t)s->shape.params.chunk);
        pith_status status = atomic_load(&s->cancel) ? PITH_ERROR_CANCELLED : s->exec ? PITH_OK : pith_session_reread(s);
        if (status == PITH_OK)
            status = pith_session_pass(s, tokens + done, (int32_t)part, done + part == n, hooks);
        if (status == PITH_ERROR_DEVICE) {
            status = pith_session_recover(s);
            if (status == PITH_OK)
                continue; /* with the same tokens */
        }
        if (status == PITH_ERROR_CANCELLED) {
            atomic_store(&s->cancel, false); /* heard; until then a request is never lost */
            s->last = NULL;
            return pith_fail(PITH_ERROR_CANCELLED, "stopped on request after %zu of %zu tokens", done, n);
        }
        PITH_TRY(status);
        done += part;
        if (hooks->progress)
            hooks->progress(done, n, hooks->user);
    }
    return PITH_OK;
}
