/* SPDX-License-Identifier: MIT */
/* Times of ops on the device's clock, through the public functions: every op of every pass has one, the trunk's survive
 * the head that follows, and none is longer than its run. What the device does at best. Argument: folder of models. */
#include "vk_test.h"

#include "base/os.h"

static const char *folder;
static pith_vk_physical physical;

static void test_session(void **state)
{
    (void)state;
    char path[1024];
    snprintf(path, sizeof path, "%s/llama-q8_0.gguf", folder);
    pith_backend *b = vk_test_backend(&physical, NULL);
    pith_model *model;
    pith_session *session;
    assert_ok(pith_model_open(path, NULL, &model));
    assert_ok(pith_model_load(model, b, NULL, NULL));
    pith_session_params p = pith_session_params_default(model);
    p.context = 128;
    p.chunk = 16;
    assert_ok(pith_session_create(model, &p, &session));
    assert_int_equal(pith_session_profile_get(session, NULL, 0), 0);
    pith_status status = pith_session_profile(session, true);
    if (!(pith_vk_of(b)->device.caps & PITH_VK_CAP(TIMESTAMPS))) {
        assert_int_equal(status, PITH_ERROR_UNSUPPORTED);
        assert_int_equal(pith_session_profile_get(session, NULL, 0), 0);
    } else {
        assert_ok(status);
        pith_model_info info;
        pith_model_get_info(model, &info);
        int32_t tokens[40] = {0};
        for (int round = 0; round < 2; round++) { /* recorded, replayed */
            assert_ok(pith_session_profile(session, true)); /* from zero again */
            pith_session_clear(session);
            uint64_t begin = pith_os_now_ns();
            assert_ok(pith_session_step(session, tokens, 40, NULL)); /* 16 + 16 + 8, then one row of logits */
            double wall = (double)(pith_os_now_ns() - begin) * 1e-9, sum = 0;
            pith_op_profile ops[32];
            size_t n = pith_session_profile_get(session, ops, 32);
            assert_int_equal(n, 9);
            for (size_t i = 0; i < n; i++) {
                bool head = strstr(ops[i].name, "-> y") || strstr(ops[i].name, "logits"), once = strncmp(ops[i].name, "embed", 5) == 0;
                bool every = strstr(ops[i].name, "-> qkv") || strncmp(ops[i].name, "kv_append", 9) == 0; /* in the last layer, too */
                int32_t layers = every ? 3 * info.n_layer : 3 * (info.n_layer - 1) + 1;
                assert_int_equal(ops[i].calls, head ? 1 : once ? 3 : layers);
                assert_true(ops[i].seconds > 0 && ops[i].bytes > 0);
                sum += ops[i].seconds;
            }
            assert_true(sum <= wall);
        }
        assert_ok(pith_session_profile(session, false));
        assert_int_equal(pith_session_profile_get(session, NULL, 0), 0);
        assert_ok(pith_session_step(session, tokens, 1, NULL));
    }
    pith_session_destroy(&session);
    pith_model_destroy(&model);
    pith_backend_destroy(&b);
}

static void test_ceilings(void **state)
{
    (void)state;
    pith_backend *b = vk_test_backend(&physical, NULL);
    pith_ceilings c;
    assert_ok(pith_backend_measure(b, &c));
    assert_true(c.memory_bytes_per_second > 1e6 && c.flop_per_second > 1e6);
    assert_non_null(strstr(c.memory_how, "MiB"));
    assert_non_null(strstr(c.flop_how, "gemm_"));
    const pith_device_info *info = pith_backend_device(b);
    assert_string_equal(info->name, physical.properties.deviceName);
    pith_backend_destroy(&b);
}

int main(int argc, char **argv)
{
    physical = vk_test_device();
    folder = argc > 1 ? argv[1] : PITH_TINY_DIR;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_session), cmocka_unit_test(test_ceilings), cmocka_unit_test(vk_test_silent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
