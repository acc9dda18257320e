/* SPDX-License-Identifier: MIT */
/* Made for ThreadSanitizer: whole steps on a pool with more members than processors, two sessions of two backends at the
 * same time, and a cancel that comes from another thread. Small enough to run there; results are compared too. */
#include "tiny.h"

#include <pthread.h>

enum { N_PROMPT = 90, N_DECODE = 4 };

static void make_tokens(int32_t *tokens, int32_t n, int32_t n_vocab)
{
    uint32_t x = 12345;
    for (int32_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        tokens[i] = (int32_t)(x >> 8) % n_vocab;
    }
}

/* One thread's life: a model, a session, a prompt in chunks, single steps. */
struct life {
    const char *model;
    int threads;
    float *logits; /* [n_vocab] after the last step, owned */
    int32_t n_vocab;
};

static void *live(void *user)
{
    struct life *life = user;
    struct tiny t = tiny_open(life->model, life->threads, UINT32_MAX);
    pith_session *s = tiny_session(&t, PITH_ATTN_CCA, 4, 16, 2, 128, 32, PITH_KV_F16);
    int32_t tokens[N_PROMPT + N_DECODE];
    make_tokens(tokens, N_PROMPT + N_DECODE, t.info.n_vocab);
    assert_ok(pith_session_step(s, tokens, N_PROMPT, NULL));
    for (int32_t i = 0; i < N_DECODE; i++)
        assert_ok(pith_session_step(s, tokens + N_PROMPT + i, 1, NULL));
    size_t bytes = (size_t)t.info.n_vocab * sizeof(float);
    life->n_vocab = t.info.n_vocab;
    life->logits = malloc(bytes);
    assert_non_null(life->logits);
    memcpy(life->logits, pith_session_logits(s), bytes);
    pith_session_destroy(&s);
    tiny_close(&t);
    return NULL;
}

static void sessions_side_by_side(void **state)
{
    (void)state;
    struct life lives[] = {{.model = "llama-q8_0", .threads = 3}, {.model = "llama-q8_0", .threads = 2}, {.model = "llama-q8_0", .threads = 1}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, live, &lives[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    live(&lives[2]);
    for (int i = 0; i < 2; i++)
        assert_memory_equal(lives[i].logits, lives[2].logits, (size_t)lives[2].n_vocab * sizeof(float));
    for (int i = 0; i < 3; i++)
        free(lives[i].logits);
}

static void weight_types_and_architectures(void **state)
{
    (void)state;
    static const char *const names[] = {"llama-f32", "llama-q4_k", "qwen2-q8_0", "qwen3-f32"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct life life = {.model = names[i], .threads = 3};
        live(&life);
        free(life.logits);
    }
}

/* The first pass done, another thread asks to stop; the pass after it is not begun. */
struct stopper {
    pith_session *session;
    pthread_t thread;
    bool started;
};

static void *stop(void *user)
{
    pith_session_cancel(((struct stopper *)user)->session);
    return NULL;
}

static void on_progress(uint64_t done, uint64_t total, void *user)
{
    (void)total;
    struct stopper *stopper = user;
    if (done == 16) {
        assert_int_equal(pthread_create(&stopper->thread, NULL, stop, stopper), 0);
        pthread_join(stopper->thread, NULL);
        stopper->started = true;
    }
}

static void cancel_from_another_thread(void **state)
{
    (void)state;
    struct tiny t = tiny_open("llama-q8_0", 2, UINT32_MAX);
    struct stopper stopper = {.session = tiny_session(&t, PITH_ATTN_CCA, 4, 16, 2, 128, 16, PITH_KV_F16)};
    int32_t tokens[N_PROMPT];
    make_tokens(tokens, N_PROMPT, t.info.n_vocab);
    pith_step_hooks hooks = {.want = PITH_WANT_LAST, .progress = on_progress, .user = &stopper};
    assert_int_equal(pith_session_step(stopper.session, tokens, N_PROMPT, &hooks), PITH_ERROR_CANCELLED);
    assert_true(stopper.started);
    assert_int_equal(pith_session_position(stopper.session), 16);
    assert_ok(pith_session_step(stopper.session, tokens + 16, N_PROMPT - 16, NULL)); /* and it can go on */
    pith_session_destroy(&stopper.session);
    tiny_close(&t);
}

int main(int argc, char **argv)
{
    tiny_dir = argc > 1 ? argv[1] : ".";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_side_by_side),
        cmocka_unit_test(weight_types_and_architectures),
        cmocka_unit_test(cancel_from_another_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
