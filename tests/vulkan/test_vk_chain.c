/* SPDX-License-Identifier: MIT */
/* Dispatches of a token that wait for each other in the shader (shaders/lib/link.glsl): the same logits, to the bit, as with
 * barriers between them; and where one waits in vain, the values are not taken and barriers come back. Run with
 * PITH_VK_FORCE=1 on software devices. Argument: folder of models. */
#include "vk_test.h"

#include "fault.h"
#include "run/session.h"
#include "rig.h"

#include <stdlib.h>

static const char *folder;
static pith_vk_physical physical;

#define TOKENS 90
#define WINDOW 72 /* and more keys than a part has at least (lib/split.glsl) */

/* Reads TOKENS tokens one by one; logits of each, *n in all, owned by the caller. *recorded: dispatches until the session
 * was made. */
static float *logits_of(pith_backend *backend, const char *name, size_t *n, int *recorded, bool *rebuilt)
{
    char path[1024];
    pith_model *model;
    pith_session *session;
    snprintf(path, sizeof path, "%s/%s.gguf", folder, name);
    backend->params = pith_backend_params_default();
    assert_ok(pith_model_open(path, NULL, &model));
    assert_ok(pith_model_load(model, backend, NULL, NULL));
    pith_session_params p = pith_session_params_default(model);
    p.attn.group = 8;
    p.attn.window = WINDOW;
    p.context = 2 * TOKENS;
    p.chunk = 16;
    assert_ok(pith_session_create(model, &p, &session));
    *recorded = fault.n_dispatch;
    size_t width = (size_t)model->config.n_vocab;
    *n = TOKENS * width;
    float *all = malloc(*n * sizeof *all);
    assert_non_null(all);
    for (int32_t i = 0; i < TOKENS; i++) {
        const int32_t token = (i * 37 + 11) % 499;
        assert_ok(pith_session_step(session, &token, 1, NULL));
        memcpy(all + (size_t)i * width, pith_session_logits(session), width * sizeof *all);
    }
    *rebuilt = model->rebuilt;
    pith_session_destroy(&session);
    pith_model_destroy(&model);
    return all;
}

static bool chains(pith_backend *b) { return pith_vk_of(b)->device.caps & PITH_VK_CAP(CHAIN); }

static const char *const models[] = {"llama-q4_0", "qwen3-f32", "mixed-q4_k"}; /* q8_0 in the last; norms of heads, products without links */

static void test_same(void **state)
{
    (void)state;
    for (size_t m = 0; m < sizeof models / sizeof models[0]; m++) {
        float *logits[2];
        size_t n;
        int recorded;
        bool rebuilt;
        for (int hide = 0; hide < 2; hide++) {
            pith_backend *b = vk_test_backend(&physical, &(pith_vk_backend_params){.threads = 1, .hide = hide ? "chain" : NULL});
            assert_true(chains(b) != hide);
            logits[hide] = logits_of(b, models[m], &n, &recorded, &rebuilt);
            assert_false(rebuilt);
            pith_backend_destroy(&b);
        }
        for (size_t i = 0; i < n; i++)
            if (logits[0][i] != logits[1][i])
                fail_msg("%s: logit %zu is %g in a chain, %g with barriers", models[m], i, (double)logits[0][i], (double)logits[1][i]);
        free(logits[0]);
        free(logits[1]);
    }
}

static void test_probe(void **state)
{
    (void)state;
    pith_backend *b = vk_test_backend(&physical, NULL);
    bool good = false;
    assert_true(chains(b));
    assert_ok(pith_vk_probe_chain(pith_vk_of(b), &good));
    assert_true(good);
    pith_backend_destroy(&b);
}

/* The last dispatch but one of the token's recording is not there: what follows it waits, gives up, and says so. */
static void test_in_vain(void **state)
{
    (void)state;
    size_t n;
    int recorded, again;
    bool rebuilt;
    vk_fault_set(&(vk_fault){0});
    pith_backend *b = vk_test_backend(&physical, NULL);
    float *right = logits_of(b, models[0], &n, &recorded, &rebuilt);
    assert_false(rebuilt);
    pith_backend_destroy(&b);

    const int head = 2; /* recorded last: rows, logits */
    vk_fault_set(&(vk_fault){.drop = recorded - head - 1});
    b = vk_test_backend(&physical, NULL);
    float *logits = logits_of(b, models[0], &n, &again, &rebuilt);
    assert_int_equal(again, recorded);
    assert_true(rebuilt);
    assert_false(chains(b));
    assert_memory_equal(logits, right, n * sizeof *right);
    pith_backend_destroy(&b);
    vk_fault_set(&(vk_fault){0});
    assert_int_equal(fault.alive, 0);
    free(logits);
    free(right);
}

/* What is found out in use is remembered, in a folder of the test's own, and the self-test that finds it there runs nothing. */
static void test_remembered(void **state)
{
    (void)state;
    char folder_[] = "/tmp/pith-chain-XXXXXX", command[64];
    assert_non_null(mkdtemp(folder_));
    setenv("XDG_CACHE_HOME", folder_, 1);
    setenv("PITH_VK_TEST", "1", 1);
    unsetenv("PITH_VK_CACHE");
    pith_backend *b = vk_test_backend(&physical, NULL);
    pith_vk_of(b)->testing = true; /* not during the self-test, which comes to its own verdict */
    pith_vk_selftest_condemn(pith_vk_of(b), PITH_VK_CAP(CHAIN));
    assert_int_equal(pith_vk_of(b)->caps_off, 0);
    pith_vk_of(b)->testing = false;
    pith_vk_selftest_condemn(pith_vk_of(b), PITH_VK_CAP(CHAIN));
    assert_int_equal(pith_vk_of(b)->caps_off, PITH_VK_CAP(CHAIN));
    pith_backend_destroy(&b);
    b = vk_test_backend(&physical, &(pith_vk_backend_params){.threads = 1, .selftest = true});
    assert_false(chains(b));
    assert_true(pith_vk_of(b)->device.caps & PITH_VK_CAP(SUBNORMAL));
    pith_backend_destroy(&b);
    setenv("PITH_VK_CACHE", "0", 1);
    unsetenv("PITH_VK_TEST");
    snprintf(command, sizeof command, "rm -rf '%s'", folder_);
    assert_int_equal(system(command), 0);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    setenv("PITH_VK_CACHE", "0", 1); /* a verdict of this test is none of the user's */
    folder = argv[1];
    physical = vk_test_device();
    vk_test_cores(&physical);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same), cmocka_unit_test(test_probe), cmocka_unit_test(test_in_vain), cmocka_unit_test(test_remembered),
                                       cmocka_unit_test(vk_test_silent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
