/* SPDX-License-Identifier: MIT */
/* The self-test: passes on a device that is right and is then remembered; with one module's code replaced by another's, or
 * with another exponential or rounding, finds the capability to hide, and the model computes the same through the fallback;
 * refuses a device that is wrong even without; survives a device that is lost meanwhile. Argument: folder of models. */
#include "vk_test.h"

#include "fault.h"

#include <math.h>

static const char *folder;
static char home[64];
static pith_vk_physical physical;
static char warnings[4096];

static void on_log(pith_log_level level, const char *line, void *user)
{
    (void)user;
    if (level >= PITH_LOG_WARNING && strstr(line, "self-test"))
        snprintf(warnings + strlen(warnings), sizeof warnings - strlen(warnings), "%s\n", line);
    if (strstr(line, "validation"))
        fprintf(stderr, "%s\n", line);
}

static pith_status create(const char *hide, const vk_fault *f, pith_backend **out)
{
    /* Bytes only where a test asks for them: models are compared more closely than they allow. */
    const pith_vk_backend_params params = {.hide = hide, .threads = 2, .selftest = true, .exact = !getenv("PITH_VK_INT8")};
    vk_fault_set(f);
    warnings[0] = '\0';
    return pith_vk_backend_create_on(&physical, &params, out);
}

static uint32_t caps_of(pith_backend *b) { return pith_vk_of(b)->device.caps; }

/* Logits of a text of 40 tokens and one more. */
static void logits_of(pith_backend *b, float *out)
{
    char path[1024];
    pith_model *model;
    pith_session *session;
    int32_t tokens[41];
    for (int32_t i = 0; i < 41; i++)
        tokens[i] = (i * 53 + 7) % 499;
    snprintf(path, sizeof path, "%s/llama-q4_0.gguf", folder);
    assert_ok(pith_model_open(path, NULL, &model));
    assert_ok(pith_model_load(model, b, NULL, NULL));
    pith_session_params p = pith_session_params_default(model);
    p.context = 64;
    p.chunk = 40;
    assert_ok(pith_session_create(model, &p, &session));
    assert_ok(pith_session_step(session, tokens, 40, NULL));
    assert_ok(pith_session_step(session, tokens + 40, 1, NULL));
    memcpy(out, pith_session_logits(session), 499 * sizeof *out);
    pith_session_destroy(&session);
    pith_model_destroy(&model);
}

static void same(const float *a, const float *b)
{
    double squares = 0, most = 0;
    for (int i = 0; i < 499; i++) {
        squares += (double)a[i] * a[i];
        most = fmax(most, fabs((double)a[i] - b[i]));
    }
    assert_true(most <= 0.03 * sqrt(squares / 499));
}

static float right[499];

static void test_passes(void **state)
{
    (void)state;
    pith_backend *b;
    assert_ok(create("", &(vk_fault){0}, &b));
    assert_int_equal(caps_of(b), physical.caps);
    assert_string_equal(warnings, "");
    int first = fault.n_submit;
    assert_true(first > 10);
    logits_of(b, right);
    pith_backend_destroy(&b);
    assert_int_equal(fault.alive, 0);
    pith_device_info info;
    pith_vk_describe(&physical, physical.caps, &info);
    assert_string_equal(info.self_test, "passed");
    assert_ok(create("", &(vk_fault){0}, &b)); /* remembered */
    assert_int_equal(fault.n_submit, 0);
    assert_int_equal(caps_of(b), physical.caps);
    pith_backend_destroy(&b);
}

/* A module that computes something else: its capability goes, everything else stays, and results are right. */
static void faulty(const char *hide, const vk_fault *f, int module, uint32_t cap, const char *name)
{
    pith_vk_device d;
    assert_ok(pith_vk_device_create(&physical, hide, &d));
    uint32_t caps = d.caps;
    pith_vk_device_destroy(&d);
    if (!(caps & cap) || !pith_vk_spv[module].code) {
        printf("  %s: not on this device\n", name);
        return;
    }
    pith_backend *b;
    float got[499];
    char expected[64];
    snprintf(expected, sizeof expected, "with %s", name);
    for (int again = 0; again < 2; again++) { /* the second time from the verdict that was kept */
        assert_ok(create(hide, f, &b));
        assert_int_equal(caps_of(b), pith_vk_caps_close(caps & ~cap));
        if (again)
            assert_string_equal(warnings, "");
        else
            assert_non_null(strstr(warnings, expected));
        if (!again)
            logits_of(b, got);
        pith_backend_destroy(&b);
        assert_int_equal(fault.alive, 0);
    }
    same(right, got);
    printf("  %s wrong: hidden\n", name);
}

static void swapped(const char *hide, pith_spv swap, pith_spv by, uint32_t cap, const char *name)
{
    faulty(hide, &(vk_fault){.swap = (int)swap, .by = (int)by}, (int)swap, cap, name);
}

static void bent(const char *hide, pith_spv module, int from, int to, uint32_t cap, const char *name)
{
    faulty(hide, &(vk_fault){.bend = (int)module, .from = from, .to = to}, (int)module, cap, name);
}

static void test_half(void **state)
{
    (void)state;
    swapped("hostvisible", PITH_SPV_MATVEC_HALF_Q4_0, PITH_SPV_MATVEC_HALF_IQ4_NL, PITH_VK_CAP(HALF), "half");
}

static void test_subgroup(void **state)
{
    (void)state;
    swapped("half", PITH_SPV_MATVEC_SG_Q4_0, PITH_SPV_MATVEC_SG_IQ4_NL, PITH_VK_CAP(SUBGROUP), "subgroup");
}

static void test_coopmat(void **state)
{
    (void)state;
    swapped("timestamps", PITH_SPV_GEMM_COOPMAT, PITH_SPV_ROWS, PITH_VK_CAP(COOPMAT), "coopmat");
}

/* Attention of few tokens, of many: the softmax's exponential. */
static void test_attention(void **state)
{
    (void)state;
    bent("int8", PITH_SPV_ATTN_SPLIT_SG, VK_FAULT_EXP2, VK_FAULT_EXP, PITH_VK_CAP(SUBGROUP), "subgroup");
    bent("int8,intdot", PITH_SPV_ATTN_MATRIX, VK_FAULT_EXP2, VK_FAULT_EXP, PITH_VK_CAP(COOPMAT), "coopmat");
    bent("intdot", PITH_SPV_ATTN_MATRIX_RANGES, VK_FAULT_EXP2, VK_FAULT_EXP, PITH_VK_CAP(COOPMAT), "coopmat");
}

/* Only the weights that pool the core which a single token completes. */
static void test_cores(void **state)
{
    (void)state;
    bent("timestamps,int8", PITH_SPV_ATTN_STEP, VK_FAULT_EXP, VK_FAULT_EXP2, PITH_VK_CAP(STEP), "step");
}

/* Products of bytes, where a user asks for them: right; with another type's codes; with activations that are cut off. */
static void test_bytes(void **state)
{
    (void)state;
    pith_backend *b;
    setenv("PITH_VK_INT8", "1", 1);
    assert_ok(create("coopmat", &(vk_fault){0}, &b));
    assert_string_equal(warnings, "");
    assert_int_equal(caps_of(b), physical.caps & ~PITH_VK_CAP(COOPMAT));
    bool there = physical.caps & PITH_VK_CAP(INTDOT) && pith_vk_spv[PITH_SPV_ACT_INT8].code;
    assert_int_equal(fault.made[PITH_SPV_ACT_INT8], there);
    assert_int_equal(fault.made[PITH_SPV_GEMM_INT8_Q6_K], there);
    pith_backend_destroy(&b);
    swapped("coopmat,timestamps", PITH_SPV_GEMM_INT8_Q4_0, PITH_SPV_GEMM_INT8_IQ4_NL, PITH_VK_CAP(INTDOT), "intdot");
    bent("coopmat,int8", PITH_SPV_ACT_INT8, VK_FAULT_ROUND_EVEN, VK_FAULT_TRUNC, PITH_VK_CAP(INTDOT), "intdot");
    unsetenv("PITH_VK_INT8");
}

static void test_refused(void **state)
{
    (void)state;
    static const struct { vk_fault f; const char *what; } cases[] = {
        {{.swap = PITH_SPV_MATVEC_Q4_0, .by = PITH_SPV_MATVEC_IQ4_NL}, "a product of one token is wrong"},
        {{.bend = PITH_SPV_ATTN_TILE, .from = VK_FAULT_EXP2, .to = VK_FAULT_EXP}, "attention is wrong"},
        {{.bend = PITH_SPV_ATTN_TILE_RANGES, .from = VK_FAULT_EXP2, .to = VK_FAULT_EXP}, "attention is wrong"},
        {{.bend = PITH_SPV_ATTN_SPLIT, .from = VK_FAULT_EXP2, .to = VK_FAULT_EXP}, "attention is wrong"},
        {{.bend = PITH_SPV_APPEND, .from = VK_FAULT_EXP, .to = VK_FAULT_EXP2}, "attention over cores is wrong"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pith_backend *b;
        assert_int_equal(create("all", &cases[i].f, &b), PITH_ERROR_DEVICE);
        assert_null(b);
        assert_non_null(strstr(pith_last_error(), "every feature off"));
        assert_non_null(strstr(pith_last_error(), cases[i].what));
        assert_int_equal(fault.alive, 0);
    }
}

static void test_lost(void **state)
{
    (void)state;
    pith_backend *b;
    assert_ok(create("all", &(vk_fault){.lose = {4}}, &b));
    assert_non_null(strstr(warnings, "was lost"));
    assert_int_equal(caps_of(b), 0);
    pith_backend_destroy(&b);
    assert_int_equal(fault.alive, 0);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    folder = argv[1];
    physical = vk_test_device();
    snprintf(home, sizeof home, "vk-selftest-XXXXXX");
    assert_non_null(mkdtemp(home));
    setenv("XDG_CACHE_HOME", home, 1);
    setenv("PITH_VK_TEST", "1", 1);
    unsetenv("PITH_VK_CACHE");
    unsetenv("PITH_VK_HIDE");
    unsetenv("PITH_VK_INT8");
    pith_log_set(on_log, NULL);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_passes), cmocka_unit_test(test_half), cmocka_unit_test(test_subgroup),
                                       cmocka_unit_test(test_coopmat), cmocka_unit_test(test_attention), cmocka_unit_test(test_cores),
                                       cmocka_unit_test(test_bytes), cmocka_unit_test(test_refused), cmocka_unit_test(test_lost), cmocka_unit_test(vk_test_silent)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", home);
    return failed || system(command) != 0;
}
