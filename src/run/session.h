/* SPDX-License-Identifier: MIT */
/* What a session is made of. It belongs to one model and one backend and holds everything that changes. */
#ifndef PITH_RUN_SESSION_H
#define PITH_RUN_SESSION_H

#include "attention/kv_store.h"
#include "run/model.h"
#include "run/profile.h"

#include <stdatomic.h>

#define PITH_HEAD_ROWS 16 /* rows of logits computed at a time when every token's are wanted */

/* What memory planning and creation share: everything but memory that holds data. */
typedef struct pith_session_shape {
    pith_session_params params; /* resolved: no zeros */
    pith_layer_attn *layers;    /* [n_layer], owned */
    pith_net net;
    pith_plan plan;
} pith_session_shape;

/* Checks the parameters and builds layers, graph and plan. Release with fini (also after a failure). */
pith_status pith_session_shape_init(pith_session_shape *shape, const pith_model *model, const pith_backend *backend,
                                    const pith_session_params *params);
void pith_session_shape_fini(pith_session_shape *shape);

struct pith_session {
    pith_model *model;
    pith_backend *backend;
    pith_session_shape shape;
    pith_kv_store kv;
    pith_exec *exec;
    float *logits;       /* [PITH_HEAD_ROWS][V] */
    float *last;         /* row of `logits` that follows the last token; NULL: none wanted */
    int64_t position;    /* tokens appended */
    int32_t *tokens;     /* [context], those: what a device that was lost must read again */
    int64_t shown;       /* rows before this position were handed to the caller's callback */
    pith_session *next;  /* of the same model */
    atomic_bool cancel;
    pith_profile *profile; /* NULL: not measured */
};

/* Takes the session's memory on its backend: KV store and executor. */
pith_status pith_session_take(pith_session *s);
/* Gives it back. */
void pith_session_drop(pith_session *s);
/* Computes n tokens behind s->position, at most a chunk; `final`: the last of a step. */
pith_status pith_session_pass(pith_session *s, const int32_t *tokens, int32_t n, bool final, const pith_step_hooks *hooks);
/* After DEVICE: brings model and session to a device that works, with the session as it was (recover.c). Errors: DEVICE,
 * NO_MEMORY (nothing works), CANCELLED (position says how far the reading came). */
pith_status pith_session_recover(pith_session *s);
/* Is there room for it on the CPU, if that is where a lost device's work goes on? Errors: NO_MEMORY. */
pith_status pith_session_room(const pith_session *s);
/* As recover, for a session whose device was replaced when another session of its model met the loss. */
pith_status pith_session_reread(pith_session *s);

#endif
