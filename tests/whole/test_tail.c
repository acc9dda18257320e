/* SPDX-License-Identifier: MIT */
/* The end of the last layer is left out for tokens whose logits nobody asks for: which nodes run, by the trace backend; that
 * logits which are asked for, and those of every later token, are as if nothing had been left out. */
#include "tiny.h"

#include "harness/tail.h"

#define N 150

/* ---- which nodes run ---- */

/* The lines of one trunk as the trace writes them, behind its first; whether that ends as it should. */
static void expect_trunk(const char **at, int32_t n_layer, int32_t n, int32_t skip)
{
    char head[64], end[64];
    snprintf(head, sizeof head, "trunk tokens %d ", n);
    snprintf(end, sizeof end, " skip %d\n", skip);
    const char *line = strchr(*at, '\n');
    assert_non_null(line);
    assert_memory_equal(*at, head, strlen(head));
    assert_memory_equal(line + 1 - strlen(end), end, strlen(end));
    char want[4096] = "embed -1 from 0\n";
    for (int32_t l = 0; l < n_layer; l++) {
        int32_t from = l == n_layer - 1 ? skip : 0;
        size_t used = strlen(want);
        used += (size_t)snprintf(want + used, sizeof want - used, "matmul %d from 0\nkv_append %d from 0\n", l, l);
        if (from < n)
            snprintf(want + used, sizeof want - used, "attend %d from %d\nmatmul %d from %d\nmatmul %d from %d\nmatmul %d from %d\n", l, from, l, from, l,
                     from, l, from);
    }
    assert_memory_equal(line + 1, want, strlen(want));
    *at = line + 1 + strlen(want);
}

static void expect_head(const char **at, int32_t rows)
{
    char end[64];
    snprintf(end, sizeof end, " rows %d skip 0\nrows -1 from 0\nmatmul -1 from 0\n", rows);
    assert_memory_equal(*at, "head ", 5);
    const char *line = strstr(*at, " rows ");
    assert_non_null(line);
    assert_memory_equal(line, end, strlen(end));
    *at = line + strlen(end);
}

static void skipped_nodes_do_not_run(void **state)
{
    (void)state;
    char path[1024];
    snprintf(path, sizeof path, "%s/llama-q8_0.gguf", tiny_dir);
    struct tiny t;
    assert_ok(pith_trace_backend_create(&t.backend));
    assert_ok(pith_model_open(path, NULL, &t.model));
    assert_ok(pith_model_load(t.model, t.backend, NULL, NULL));
    pith_model_get_info(t.model, &t.info);
    pith_session *s = tiny_session(&t, PITH_ATTN_FULL, 0, 0, 0, 64, 8, PITH_KV_F16);
    const int32_t L = t.info.n_layer, tokens[20] = {0};
    pith_trace_backend_take(t.backend);

    assert_ok(pith_session_step(s, tokens, 20, NULL)); /* logits of the last */
    const char *text = pith_trace_backend_take(t.backend);
    expect_trunk(&text, L, 8, 8);
    expect_trunk(&text, L, 8, 8);
    expect_trunk(&text, L, 4, 3);
    expect_head(&text, 1);
    assert_string_equal(text, "");

    assert_ok(pith_session_step(s, tokens, 1, NULL));
    text = pith_trace_backend_take(t.backend);
    expect_trunk(&text, L, 1, 0);
    expect_head(&text, 1);
    assert_string_equal(text, "");

    assert_ok(pith_session_step(s, tokens, 9, &(pith_step_hooks){.want = PITH_WANT_NONE}));
    text = pith_trace_backend_take(t.backend);
    expect_trunk(&text, L, 8, 8);
    expect_trunk(&text, L, 1, 1);
    assert_string_equal(text, "");

    assert_ok(pith_session_step(s, tokens, 11, &(pith_step_hooks){.want = PITH_WANT_ALL}));
    text = pith_trace_backend_take(t.backend);
    expect_trunk(&text, L, 8, 0);
    expect_head(&text, 8);
    expect_trunk(&text, L, 3, 0);
    expect_head(&text, 3);
    assert_string_equal(text, "");

    /* The trace refuses a head that asks for what was left out. */
    const int32_t rows[] = {2};
    assert_ok(t.backend->fns->run(s->exec, &(pith_step){.stage = PITH_STAGE_TRUNK, .n_tokens = 4, .tokens = tokens, .n_skip = 3}));
    assert_int_equal(t.backend->fns->run(s->exec, &(pith_step){.stage = PITH_STAGE_HEAD, .n_rows = 1, .rows = rows}), PITH_ERROR_INVALID_ARGUMENT);
    pith_session_destroy(&s);
    tiny_close(&t);
}

/* ---- logits ---- */

/* Of a prompt of N tokens, read in chunks, and of 3 tokens behind it. */
struct texts { float *prompt, *next; };

static bool keep_last(int32_t position, const float *logits, int32_t n_vocab, void *user)
{
    if (position == N - 1)
        memcpy(user, logits, (size_t)n_vocab * sizeof *logits);
    return true;
}

static struct texts read_text(const struct tiny *t, pith_attn_method method, int32_t chunk, pith_want want)
{
    size_t n_vocab = (size_t)t->info.n_vocab;
    struct texts l = {calloc(n_vocab, sizeof(float)), calloc(3 * n_vocab, sizeof(float))};
    assert_true(l.prompt && l.next);
    int32_t tokens[N + 3];
    for (int32_t i = 0; i < N + 3; i++)
        tokens[i] = tiny_token(t, i);
    pith_session *s = tiny_session(t, method, 4, 16, 2, N + 3, chunk, PITH_KV_F16);
    assert_ok(pith_session_step(s, tokens, N, &(pith_step_hooks){.want = want, .logits = keep_last, .user = l.prompt}));
    if (want == PITH_WANT_LAST)
        memcpy(l.prompt, pith_session_logits(s), n_vocab * sizeof(float));
    for (size_t i = 0; i < 3; i++) {
        assert_ok(pith_session_step(s, tokens + N + i, 1, NULL));
        memcpy(l.next + i * n_vocab, pith_session_logits(s), n_vocab * sizeof(float));
    }
    pith_session_destroy(&s);
    return l;
}

/* Largest difference over the standard deviation of `a`. */
static double distance(const float *a, const float *b, int32_t n)
{
    double sum = 0, squares = 0, most = 0;
    for (int32_t i = 0; i < n; i++) {
        sum += a[i];
        squares += (double)a[i] * a[i];
        double d = fabs((double)a[i] - b[i]);
        most = !(d <= most) ? d : most;
    }
    return most / sqrt(squares / n - sum / n * (sum / n));
}

static void logits_do_not_change(void **state)
{
    (void)state;
    static const char *const models[] = {"llama-f32", "llama-q4_0", "qwen2-q8_0", "mixed-q4_k"};
    static const int32_t chunks[] = {1, 7, 64, N - 1};
    for (size_t m = 0; m < sizeof models / sizeof models[0]; m++)
        for (int method = 0; method < 2; method++) {
            struct tiny t = tiny_open(models[m], 2, UINT32_MAX);
            size_t bytes = (size_t)t.info.n_vocab * sizeof(float);
            for (size_t c = 0; c < sizeof chunks / sizeof chunks[0]; c++) {
                struct texts all = read_text(&t, (pith_attn_method)method, chunks[c], PITH_WANT_ALL);
                struct texts last = read_text(&t, (pith_attn_method)method, chunks[c], PITH_WANT_LAST);
                struct texts none = read_text(&t, (pith_attn_method)method, chunks[c], PITH_WANT_NONE);
                /* A single token at the end goes through the same kernels either way. Otherwise it is alone where it was one
                 * of many: sums in another order, and roundings of activations that flip with it. */
                double d = distance(all.prompt, last.prompt, t.info.n_vocab), bound = strstr(models[m], "f32") ? 2e-4 : 0.1;
                bound = N % chunks[c] == 1 || chunks[c] == 1 ? 0 : bound;
                printf("  %-10s method %d chunk %3d: %.2e\n", models[m], method, chunks[c], d);
                if (!(d <= bound))
                    fail_msg("%s method %d chunk %d: distance %g > %g", models[m], method, chunks[c], d, bound);
                assert_memory_equal(all.next, last.next, 3 * bytes); /* the store is the same to the bit */
                assert_memory_equal(all.next, none.next, 3 * bytes);
                float *lists[] = {all.prompt, all.next, last.prompt, last.next, none.prompt, none.next};
                for (int i = 0; i < 6; i++)
                    free(lists[i]);
            }
            tiny_close(&t);
        }
}

/* Any number of tokens may be left out, for any instruction set. */
static void rows_are_left_alone(void **state)
{
    (void)state;
    static const uint32_t masks[] = {PITH_CPU_SCALAR, PITH_CPU_AVX2, UINT32_MAX};
    enum { SHORT = 50 };
    static const int32_t skips[] = {1, 20, 33, 47, 49, 50};
    int32_t tokens[SHORT];
    for (size_t k = 0; k < sizeof masks / sizeof masks[0]; k++)
        for (int method = 0; method < 2; method++) {
            struct tiny t = tiny_open("llama-f32", 1, masks[k]);
            pith_session *s = tiny_session(&t, (pith_attn_method)method, 4, 16, 2, SHORT, SHORT, PITH_KV_F32);
            for (int32_t i = 0; i < SHORT; i++)
                tokens[i] = tiny_token(&t, i);
            int32_t where = -1;
            double d = tail_distance(s, tokens, SHORT, skips, sizeof skips / sizeof skips[0], &where);
            if (!(d <= 1e-4))
                fail_msg("mask %#x method %d skip %d: %g", masks[k], method, where, d);
            pith_session_destroy(&s);
            tiny_close(&t);
        }
}

int main(int argc, char **argv)
{
    tiny_dir = argc > 1 ? argv[1] : PITH_TINY_DIR;
    const struct CMUnitTest tests[] = {cmocka_unit_test(skipped_nodes_do_not_run), cmocka_unit_test(logits_do_not_change),
                                       cmocka_unit_test(rows_are_left_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
