/* SPDX-License-Identifier: MIT */
/* A model as the API hands it out: the file, what was read from it, and, once loaded, its weights in a backend. */
#ifndef PITH_RUN_MODEL_H
#define PITH_RUN_MODEL_H

#include "model/net.h"
#include "run/backend.h"
#include "text/chat.h"

struct pith_model {
    pith_gguf *gguf;
    pith_config config;
    pith_weights weights;
    pith_weight_desc *table; /* [n_table], the graph's weights */
    int32_t n_table;
    pith_vocab *vocab;       /* NULL: the file has none */
    const pith_chat_format *chat; /* NULL: not recognised */
    bool check_tensors;
    pith_backend *backend;   /* borrowed, NULL before loading; or `fallback` */
    pith_weight_store *store; /* owned by us, made by the backend; NULL after a loss that was not recovered */
    pith_session *sessions;  /* alive, linked by `next` */
    bool rebuilt;            /* its device was lost and taken anew: that happens once */
    pith_backend *fallback;  /* owned; where a lost device's work goes on */
};

/* Weights into `backend`, without the checks of a first loading. */
pith_status pith_model_place(pith_model *model, pith_backend *backend, pith_progress_fn progress, void *user);
/* After DEVICE from that while loading: to a device that works (recover.c). Errors: DEVICE, NO_MEMORY. */
pith_status pith_model_recover(pith_model *model, pith_progress_fn progress, void *user);

#endif
