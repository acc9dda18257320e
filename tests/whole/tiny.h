/* SPDX-License-Identifier: MIT */
/* Opens the tiny models for tests of whole sessions. */
#ifndef PITH_TESTS_TINY_H
#define PITH_TESTS_TINY_H

#include <pith/pith.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *tiny_dir;

/* A model loaded on a CPU backend of its own. */
struct tiny {
    pith_backend *backend;
    pith_model *model;
    pith_model_info info;
};

#define assert_ok(expr)                                                                       \
    do {                                                                                      \
        pith_status status_ = (expr);                                                         \
        if (status_ != PITH_OK)                                                               \
            fail_msg("%s: %s: %s", #expr, pith_status_name(status_), pith_last_error());      \
    } while (0)

static inline struct tiny tiny_open(const char *name, int threads, uint32_t mask)
{
    struct tiny t;
    char path[1024];
    snprintf(path, sizeof path, "%s/%s.gguf", tiny_dir, name);
    pith_backend_params params = pith_backend_params_default();
    params.threads = threads;
    params.cpu_mask = mask;
    assert_ok(pith_backend_create(&params, &t.backend));
    assert_ok(pith_model_open(path, NULL, &t.model));
    assert_ok(pith_model_load(t.model, t.backend, NULL, NULL));
    pith_model_get_info(t.model, &t.info);
    return t;
}

static inline void tiny_close(struct tiny *t)
{
    pith_model_destroy(&t->model);
    pith_backend_destroy(&t->backend);
}

/* A session with small CCA groups, so that short texts have cores. */
static inline pith_session *tiny_session(const struct tiny *t, pith_attn_method method, int32_t group, int32_t window, int32_t sinks,
                                         int32_t context, int32_t chunk, pith_kv_type kv)
{
    pith_session_params p = pith_session_params_default(t->model);
    p.attn.method = method;
    p.attn.group = group;
    p.attn.window = window;
    p.attn.sinks = sinks;
    p.context = context;
    p.chunk = chunk;
    p.kv_type = kv;
    pith_session *s;
    assert_ok(pith_session_create(t->model, &p, &s));
    return s;
}

/* The i-th token of a fixed pseudo-random text. */
static inline int32_t tiny_token(const struct tiny *t, int32_t i)
{
    uint32_t x = (uint32_t)i * 2654435761u + 12345u;
    x ^= x >> 15;
    return (int32_t)(x % (uint32_t)t->info.n_vocab);
}

#endif
