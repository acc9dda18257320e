/* SPDX-License-Identifier: MIT */
/* What a profile adds up, against sums made by hand: calls, bytes and products of every op, in prefill by chunks and in
 * decode; and a device without a clock. */
#include "tiny.h"

#include "run/model.h"
#include "run/profile.h"

static pith_op_profile find(const pith_session *s, const char *name)
{
    pith_op_profile ops[32];
    size_t n = pith_session_profile_get(s, ops, 32);
    assert_in_range(n, 1, 32);
    for (size_t i = 0; i < n; i++)
        if (strcmp(ops[i].name, name) == 0)
            return ops[i];
    fail_msg("no op '%s' in the profile", name);
    return (pith_op_profile){0};
}

static void step(pith_session *s, int32_t n, pith_want want)
{
    int32_t tokens[64] = {0};
    pith_step_hooks hooks = {.want = want};
    assert_ok(pith_session_step(s, tokens, (size_t)n, &hooks));
}

static void assert_near(double got, double want)
{
    if (!(got >= want * (1 - 1e-12) && got <= want * (1 + 1e-12)))
        fail_msg("got %.17g, expected %.17g", got, want);
}

/* 20 tokens in chunks of 8 (8 + 8 + 4) with logits of the last, then one more: 4 passes, 2 heads, and in the last layer
 * attention and what follows it for two tokens. */
static void test_full(void **state)
{
    (void)state;
    struct tiny t = tiny_open("llama-q8_0", 2, UINT32_MAX);
    const pith_model_info *m = &t.info;
    pith_session *s = tiny_session(&t, PITH_ATTN_FULL, 0, 0, 0, 64, 8, PITH_KV_F16);
    assert_int_equal(pith_session_profile_get(s, NULL, 0), 0);
    assert_ok(pith_session_profile(s, true));
    step(s, 20, PITH_WANT_LAST);
    step(s, 1, PITH_WANT_LAST);
    double L = m->n_layer, D = m->n_embd, F = m->n_ff, H = m->n_head, K = m->n_head_kv, E = m->head_dim, V = m->n_vocab;
    double q8 = 34.0 / 32, T = 21, passes = 4;
    /* Over all layers, of what has a tail: tokens, passes, keys of every query, rows in view of each pass. */
    double rows = T * (L - 1) + 2, times = passes * (L - 1) + 2, keys = 21 * 22 / 2 * (L - 1) + 20 + 21,
           read = (8 + 16 + 20 + 21) * (L - 1) + 20 + 21;

    pith_op_profile p = find(s, "matmul x -> qkv");
    assert_int_equal(p.calls, (uint64_t)(passes * L));
    assert_near(p.flop, 2 * T * L * D * (H + 2 * K) * E);
    assert_near(p.bytes, L * (passes * D * (H + 2 * K) * E * q8 + 4 * T * (D + (H + 2 * K) * E)));
    p = find(s, "matmul x -> ffn"); /* gate and up */
    assert_int_equal(p.calls, (uint64_t)times);
    assert_near(p.flop, 2 * rows * D * 2 * F);
    assert_near(p.bytes, times * 2 * D * F * q8 + 4 * rows * (D + F));
    p = find(s, "matmul ffn -> x"); /* reads what it adds to */
    assert_near(p.bytes, times * D * F * q8 + 4 * rows * (F + 2 * D));
    p = find(s, "attend qkv -> att");
    assert_int_equal(p.calls, (uint64_t)times);
    assert_near(p.flop, 4 * keys * H * E);
    assert_near(p.bytes, read * K * E * 2 * 2 + 8 * rows * H * E);
    p = find(s, "kv_append qkv");
    assert_near(p.bytes, L * T * (8 * (H + 2 * K) * E + K * E * 2 * 2));
    p = find(s, "matmul y -> logits");
    assert_int_equal(p.calls, 2);
    assert_near(p.flop, 2 * 2 * D * V);
    p = find(s, "rows x -> y");
    assert_near(p.bytes, 2 * 8 * D);
    p = find(s, "embed ids -> x");
    assert_int_equal(p.calls, 4);
    assert_true(p.seconds > 0 && p.flop == 0);

    assert_ok(pith_session_profile(s, true)); /* begins anew */
    step(s, 1, PITH_WANT_NONE);
    assert_int_equal(find(s, "embed ids -> x").calls, 1);
    assert_int_equal(find(s, "attend qkv -> att").calls, (uint64_t)L - 1);
    assert_int_equal(find(s, "matmul y -> logits").calls, 0);
    assert_ok(pith_session_profile(s, false));
    assert_int_equal(pith_session_profile_get(s, NULL, 0), 0);
    step(s, 1, PITH_WANT_LAST);
    pith_session_destroy(&s);
    tiny_close(&t);
}

/* CCA: what each query sees, counted position by position. */
static void test_cca(void **state)
{
    (void)state;
    struct tiny t = tiny_open("llama-q8_0", 1, 0);
    const pith_model_info *m = &t.info;
    const int64_t g = 4, w = 8, sinks = 2;
    static const pith_kv_type types[] = {PITH_KV_F16, PITH_KV_Q8_0};
    for (int k = 0; k < 2; k++) {
        pith_session *s = tiny_session(&t, PITH_ATTN_CCA, (int32_t)g, (int32_t)w, (int32_t)sinks, 64, 16, types[k]);
        assert_ok(pith_session_profile(s, true));
        double keys = 0, raw = 0, cores = 0;
        for (int64_t i = 0; i < 40; i++) { /* decode: every key that is seen is read */
            step(s, 1, PITH_WANT_LAST);
            int64_t J = i + 1 - w > 0 ? (i + 1 - w) / g : 0, oldest = J * g > sinks ? J * g : sinks;
            int64_t fixed = i + 1 < sinks ? i + 1 : sinks, slid = i + 1 > oldest ? i + 1 - oldest : 0;
            cores += (double)J;
            raw += (double)(fixed + slid);
            keys += (double)(J + fixed + slid);
        }
        double row = m->n_head_kv * m->head_dim * 2 * (types[k] == PITH_KV_F16 ? 2 : 34.0 / 32);
        pith_op_profile p = find(s, "attend qkv -> att");
        assert_near(p.flop, 4 * keys * m->n_layer * m->n_head * m->head_dim);
        assert_near(p.bytes, m->n_layer * ((raw + cores) * row + 40.0 * 8 * m->n_head * m->head_dim));
        pith_session_destroy(&s);
    }
    tiny_close(&t);
}

static void test_no_clock(void **state)
{
    (void)state;
    char path[1024];
    snprintf(path, sizeof path, "%s/llama-q8_0.gguf", tiny_dir);
    pith_backend *b;
    pith_model *model;
    pith_session *s;
    assert_ok(pith_trace_backend_create(&b));
    assert_ok(pith_model_open(path, NULL, &model));
    assert_ok(pith_model_load(model, b, NULL, NULL));
    assert_ok(pith_session_create(model, NULL, &s));
    assert_int_equal(pith_session_profile(s, true), PITH_ERROR_UNSUPPORTED);
    assert_int_equal(pith_session_profile_get(s, NULL, 0), 0);
    pith_ceilings c;
    assert_int_equal(pith_backend_measure(b, &c), PITH_ERROR_UNSUPPORTED);
    pith_session_destroy(&s);
    pith_model_destroy(&model);
    pith_backend_destroy(&b);
}

static void test_ceilings(void **state)
{
    (void)state;
    static const uint32_t masks[] = {0, UINT32_MAX};
    for (int k = 0; k < 2; k++) {
        pith_backend_params params = pith_backend_params_default();
        params.cpu_mask = masks[k];
        params.threads = 2;
        pith_backend *b;
        pith_ceilings c;
        assert_ok(pith_backend_create(&params, &b));
        assert_ok(pith_backend_measure(b, &c));
        assert_true(c.memory_bytes_per_second > 1e8 && c.flop_per_second > 1e7);
        assert_true(strstr(c.memory_how, "reading") && strstr(c.flop_how, "2048 x 2048"));
        assert_int_equal(pith_backend_device(b)->threads, 2);
        if (k == 0)
            assert_string_equal(pith_backend_device(b)->features, "scalar");
        pith_backend_destroy(&b);
    }
}

int main(int argc, char **argv)
{
    tiny_dir = argc > 1 ? argv[1] : PITH_TINY_DIR;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_full), cmocka_unit_test(test_cca), cmocka_unit_test(test_no_clock),
                                       cmocka_unit_test(test_ceilings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
