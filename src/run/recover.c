/* SPDX-License-Identifier: MIT */
/* A device was lost. What it held is gone, for every session of the model; the file and each session's tokens are not.
 * So: take the device anew, once; load the model again; let the session that met the loss read its tokens again. Its
 * siblings do so at their next step. Where that fails, the user's choice: stop, or the same on the CPU. */
#include "run/session.h"
#include "base/log.h"

#include <stdio.h>

static pith_status read_again(pith_session *s, int64_t n)
{
    const pith_step_hooks nothing = {.want = PITH_WANT_NONE};
    PITH_TRY(pith_session_take(s));
    s->position = 0;
    if (n > 0)
        pith_log(PITH_LOG_WARNING, "reading %lld tokens again on %s", (long long)n, s->backend->describe);
    while (s->position < n) {
        int64_t part = n - s->position < s->shape.params.chunk ? n - s->position : s->shape.params.chunk;
        if (atomic_load(&s->cancel))
            return PITH_ERROR_CANCELLED;
        PITH_TRY(pith_session_pass(s, s->tokens + s->position, (int32_t)part, false, &nothing));
    }
    return PITH_OK;
}

static void drop_all(pith_model *model)
{
    for (pith_session *s = model->sessions; s; s = s->next)
        pith_session_drop(s);
    if (model->store)
        model->backend->fns->weights_destroy(&model->store);
}

static pith_status to_same_device(pith_model *model)
{
    pith_log(PITH_LOG_WARNING, "%s; taking it anew", pith_last_error());
    model->rebuilt = true;
    drop_all(model);
    PITH_TRY(model->backend->fns->rebuild(model->backend));
    return pith_model_place(model, model->backend, NULL, NULL);
}

static pith_status to_cpu(pith_model *model, const pith_session_params *params)
{
    pith_log(PITH_LOG_WARNING, "%s; going on on the CPU", pith_last_error());
    drop_all(model);
    pith_backend_params p = model->backend->params;
    p.device = "cpu";
    PITH_TRY(pith_backend_create(&p, &model->fallback));
    pith_memory_plan plan;
    PITH_TRY(pith_memory_plan_make(model, model->fallback, params, &plan));
    if (!plan.fits)
        return pith_fail(PITH_ERROR_NO_MEMORY, "going on on the CPU needs %llu MiB and %llu MiB are free",
                         (unsigned long long)(plan.total >> 20), (unsigned long long)(plan.available >> 20));
    return pith_model_place(model, model->fallback, NULL, NULL);
}

static bool may_rebuild(const pith_model *m) { return !m->rebuilt && !m->fallback && m->backend->fns->rebuild; }
static bool may_fall_back(const pith_model *m) { return !m->fallback && m->backend->params.on_loss == PITH_ON_LOSS_CPU; }

pith_status pith_session_recover(pith_session *s)
{
    pith_model *model = s->model;
    int64_t n = s->position;
    pith_status status = PITH_ERROR_DEVICE;
    char why[768];
    snprintf(why, sizeof why, "%s", pith_last_error());
    while (may_rebuild(model) || may_fall_back(model)) {
        status = may_rebuild(model) ? to_same_device(model) : to_cpu(model, &s->shape.params);
        if (status == PITH_OK)
            status = read_again(s, n);
        if (status == PITH_OK || status == PITH_ERROR_CANCELLED)
            return status;
        snprintf(why, sizeof why, "%s", pith_last_error());
    }
    drop_all(model); /* says more about the lost device, but not why */
    s->position = 0;
    return pith_fail(status, "%s%s", model->rebuilt ? "taking the device anew did not help: " : "", why);
}

pith_status pith_session_reread(pith_session *s)
{
    if (!s->model->store)
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "session: its device was lost, and with it all that it held");
    return read_again(s, s->position);
}
