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
    atomic_bool cancel;
    pith_profile *profile; /* NULL: not measured */
};

#endif
