/* SPDX-License-Identifier: MIT */
/* How long submissions are: cut finer, results stay the same to the bit; a rate that is far off is learnt from the
 * device's own clock, upwards at once and downwards by and by; a cancelled step stops between submissions.
 * Argument: folder of models. */
#include "vk_test.h"

#include "run/session.h"

static const char *folder;
static pith_vk_physical physical;

struct subject {
    pith_backend *backend;
    pith_model *model;
    pith_session *session;
};

static struct subject subject_open_as(pith_attn_method method, const char *hide, const double rate, const double target)
{
    struct subject s;
    char path[1024];
    const pith_vk_backend_params params = {.hide = hide, .threads = 1};
    snprintf(path, sizeof path, "%s/llama-f32.gguf", folder);
    s.backend = vk_test_backend(&physical, &params);
    pith_vk_pace *pace = &pith_vk_of(s.backend)->pace;
    for (int w = 0; w < PITH_VK_WORKS && rate > 0; w++)
        pace->seconds_per_flop[w] = rate;
    pace->target = target > 0 ? target : pace->target;
    assert_ok(pith_model_open(path, NULL, &s.model));
    assert_ok(pith_model_load(s.model, s.backend, NULL, NULL));
    pith_session_params p = pith_session_params_default(s.model);
    p.attn.method = method;
    p.attn.window = 128;
    p.attn.group = 8;
    p.context = 512;
    p.chunk = 128;
    assert_ok(pith_session_create(s.model, &p, &s.session));
    return s;
}

static struct subject subject_open(const char *hide, const double rate, const double target)
{
    return subject_open_as(PITH_ATTN_FULL, hide, rate, target);
}

static void subject_close(struct subject *s)
{
    pith_session_destroy(&s->session);
    pith_model_destroy(&s->model);
    pith_backend_destroy(&s->backend);
}

static int cmds_of(const struct subject *s, int32_t n)
{
    for (int i = 0; i < PITH_VK_RECORDINGS; i++) {
        const pith_vk_recording *r = &s->session->exec->recordings[i];
        if (r->used && r->stage == PITH_STAGE_TRUNK && r->n == n)
            return r->n_cmds;
    }
    return 0;
}

static void step(struct subject *s, int32_t n, float *logits)
{
    int32_t tokens[512];
    for (int32_t i = 0; i < n; i++)
        tokens[i] = (i * 71 + 3) % 499;
    assert_ok(pith_session_step(s->session, tokens, (size_t)n, NULL));
    if (logits)
        memcpy(logits, pith_session_logits(s->session), 499 * sizeof *logits);
}

/* From one submission a chunk to as many as there are dispatches; also with products cut in rows, attention in tiles, their
 * keys in ranges, and a token's attention in parts. */
static void same_results(pith_attn_method method)
{
    static const double rates[] = {1e-15, 1e-9, 1.0};
    float first[499], logits[499];
    int before = 0;
    for (int i = 0; i < 3; i += method == PITH_ATTN_FULL ? 1 : 2) {
        struct subject s = subject_open_as(method, "timestamps", rates[i], 0); /* no clock: the cut stays */
        int cmds = cmds_of(&s, 128), few = cmds_of(&s, 1);
        step(&s, method == PITH_ATTN_FULL ? 300 : 140, NULL);
        for (int t = 0; t < 3; t++)
            step(&s, 1, logits);
        printf("  %g s per FLOP: %d submissions a chunk, %d a token\n", rates[i], cmds, few);
        assert_true(cmds > before);
        assert_true(i > 0 || (cmds == 1 && few == 1));
        if (i == 0)
            memcpy(first, logits, sizeof first);
        assert_memory_equal(first, logits, sizeof first);
        before = cmds;
        subject_close(&s);
    }
}

static void test_same_results(void **state)
{
    (void)state;
    same_results(PITH_ATTN_FULL);
    same_results(PITH_ATTN_CCA);
}

static void test_learning(void **state)
{
    (void)state;
    if (!(physical.caps & PITH_VK_CAP(TIMESTAMPS)))
        skip();
    /* Far too quick a guess, and a target that no chunk on this device meets: pieces become small. */
    struct subject s = subject_open("", 1e-15, 1e-2);
    assert_int_equal(cmds_of(&s, 128), 1);
    step(&s, 512, NULL);
    int many = cmds_of(&s, 128);
    printf("  too quick a guess: %d submissions a chunk after 4 chunks\n", many);
    assert_true(many > 5);
    subject_close(&s);
    /* Far too slow a guess: they become fewer. */
    s = subject_open("", 1e-6, 10);
    int slow = cmds_of(&s, 128);
    for (int i = 0; i < 2; i++) {
        step(&s, 512, NULL);
        pith_session_clear(s.session);
    }
    printf("  too slow a guess: %d submissions a chunk, then %d\n", slow, cmds_of(&s, 128));
    assert_true(slow > 10 && cmds_of(&s, 128) < slow / 2);
    subject_close(&s);
}

/* Tokens one by one, timed by the host alone: cut when they take too long. */
static void test_tokens(void **state)
{
    (void)state;
    struct subject s = subject_open("", 1e-15, 1e-5);
    int32_t token = 5;
    assert_int_equal(cmds_of(&s, 1), 1);
    for (int i = 0; i < 3; i++)
        assert_ok(pith_session_step(s.session, &token, 1, NULL));
    printf("  %d submissions a token\n", cmds_of(&s, 1));
    assert_true(cmds_of(&s, 1) > 1);
    subject_close(&s);
}

static void test_cancel(void **state)
{
    (void)state;
    struct subject s = subject_open("timestamps", 1.0, 0); /* "hours": the queue is full after each submission */
    int32_t tokens[128];
    float first[499], again[499];
    for (int32_t i = 0; i < 128; i++)
        tokens[i] = i;
    step(&s, 200, NULL);
    step(&s, 1, first);
    pith_session_clear(s.session);
    /* As between two dispatches of one attention, whose workgroups count who finishes last. */
    const pith_vk_buffer *arrivals = &s.session->exec->arrivals;
    assert_ok(pith_vk_transfer_fill(&pith_vk_of(s.backend)->transfer, arrivals, 0, arrivals->bytes, 1));
    pith_kv_store *kv = &s.session->kv;
    atomic_bool cancel;
    atomic_init(&cancel, true);
    const pith_step run = {.stage = PITH_STAGE_TRUNK, .n_tokens = 128, .tokens = tokens, .raw_base = {kv->base[0], kv->base[1]}, .cancel = &cancel};
    assert_int_equal(s.backend->fns->run(s.session->exec, &run), PITH_ERROR_CANCELLED);
    step(&s, 200, NULL); /* and the session goes on */
    step(&s, 1, again);
    assert_memory_equal(first, again, sizeof first);
    subject_close(&s);
}

static void test_safe(void **state)
{
    (void)state;
    const pith_vk_backend_params params = {.hide = "", .threads = 1, .safe = true};
    pith_backend *b = vk_test_backend(&physical, &params);
    assert_int_equal(pith_vk_of(b)->device.caps, 0);
    assert_true(pith_vk_of(b)->pace.target <= 0.05);
    pith_backend_destroy(&b);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    folder = argv[1];
    physical = vk_test_device();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_results), cmocka_unit_test(test_learning), cmocka_unit_test(test_tokens),
                                       cmocka_unit_test(test_cancel), cmocka_unit_test(test_safe), cmocka_unit_test(vk_test_silent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
