/* SPDX-License-Identifier: MIT */
/* A device was lost. What it held is gone, for every session of the model; the file and each session's tokens are not.
 * So: take the device anew, once; load the model again; let the session that met the loss, if it was not loading that did,
 * read its tokens again. Its siblings do so at their next step. Where that fails, the user's choice: stop, or the same on
 * the CPU. */
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

/* What of the model is placed anew, and who waits for it. */
struct place {
    pith_model *model;
    pith_session *session;     /* NULL: the model is being loaded */
    pith_progress_fn progress; /* NULL: none */
    void *user;
};

static pith_status to_same_device(const struct place *p)
{
    pith_model *model = p->model;
    pith_log(PITH_LOG_WARNING, "%s; taking it anew", pith_last_error());
    model->rebuilt = true;
    drop_all(model);
    PITH_TRY(model->backend->fns->rebuild(model->backend));
    return pith_model_place(model, model->backend, p->progress, p->user);
}

/* The memory plan that the user saw was the lost device's. */
static pith_status cpu_room(const pith_model *model, const pith_session_params *params)
{
    pith_memory_plan plan;
    PITH_TRY(pith_memory_plan_make(model, model->fallback, params, &plan));
    uint64_t need = plan.total - plan.other - (model->store ? plan.weights : 0);
    if (plan.available && need > plan.available)
        return pith_fail(PITH_ERROR_NO_MEMORY, "going on on the CPU needs %llu MiB and %llu MiB are free", (unsigned long long)(need >> 20),
                         (unsigned long long)(plan.available >> 20));
    return PITH_OK;
}

pith_status pith_session_room(const pith_session *s)
{
    return s->backend == s->model->fallback ? cpu_room(s->model, &s->shape.params) : PITH_OK;
}

static pith_status to_cpu(const struct place *p)
{
    pith_model *model = p->model;
    pith_log(PITH_LOG_WARNING, "%s; going on on the CPU", pith_last_error());
    drop_all(model);
    pith_backend_params cpu = model->backend->params;
    cpu.device = "cpu";
    PITH_TRY(pith_backend_create(&cpu, &model->fallback));
    pith_session_params least = pith_session_params_default(model); /* a session checks for itself when it is made */
    least.context = 1;
    PITH_TRY(cpu_room(model, p->session ? &p->session->shape.params : &least));
    return pith_model_place(model, model->fallback, p->progress, p->user);
}

static bool may_rebuild(const pith_model *m) { return !m->rebuilt && !m->fallback && m->backend->fns->rebuild; }
static bool may_fall_back(const pith_model *m) { return !m->fallback && m->backend->params.on_loss == PITH_ON_LOSS_CPU; }

static pith_status place_anew(const struct place *p)
{
    pith_model *model = p->model;
    int64_t n = p->session ? p->session->position : 0;
    pith_status status = PITH_ERROR_DEVICE;
    char why[768];
    snprintf(why, sizeof why, "%s", pith_last_error());
    while (may_rebuild(model) || may_fall_back(model)) {
        status = may_rebuild(model) ? to_same_device(p) : to_cpu(p);
        if (status == PITH_OK && p->session)
            status = read_again(p->session, n);
        if (status == PITH_OK || status == PITH_ERROR_CANCELLED)
            return status;
        snprintf(why, sizeof why, "%s", pith_last_error());
    }
    drop_all(model); /* says more about the lost device, but not why */
    if (p->session)
        p->session->position = 0;
    return pith_fail(status, "%s%s", model->rebuilt ? "taking the device anew did not help: " : "", why);
}

pith_status pith_session_recover(pith_session *s)
{
    return place_anew(&(struct place){.model = s->model, .session = s});
}

pith_status pith_model_recover(pith_model *model, pith_progress_fn progress, void *user)
{
    return place_anew(&(struct place){.model = model, .progress = progress, .user = user});
}

pith_status pith_session_reread(pith_session *s)
{
    if (!s->model->store)
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "session: its device was lost, and with it all that it held");
    return read_again(s, s->position);
}
