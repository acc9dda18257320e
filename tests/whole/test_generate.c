/* SPDX-License-Identifier: MIT */
/* pith_generate: greedy equals the arg-max of the logits step by step, limits, stop strings, the caller's stop, seeds,
 * log-probabilities that add up, continuation without a prompt. */
#include "tiny.h"

#include <math.h>

/* What the callback saw. */
struct seen {
    char text[4096];
    size_t n;
    int32_t tokens[256];
    int32_t n_tokens;
    int32_t stop_after; /* tokens; 0: never */
    double worst_sum;   /* of top probabilities */
};

static bool see(const pith_piece *piece, void *user)
{
    struct seen *s = user;
    assert_true(s->n + piece->n_bytes < sizeof s->text);
    memcpy(s->text + s->n, piece->text, piece->n_bytes);
    s->n += piece->n_bytes;
    s->text[s->n] = '\0';
    if (piece->token >= 0)
        s->tokens[s->n_tokens++] = piece->token;
    double sum = 0;
    for (int32_t i = 0; i < piece->n_top; i++) {
        sum += exp((double)piece->top[i].logprob);
        if (i > 0)
            assert_true(piece->top[i].logprob <= piece->top[i - 1].logprob);
        if (piece->top[i].token == piece->token)
            assert_true(piece->top[i].logprob == piece->logprob);
    }
    s->worst_sum = fmax(s->worst_sum, sum);
    return s->stop_after == 0 || s->n_tokens < s->stop_after;
}

static struct seen generate(const struct tiny *t, const pith_generate_params *params, pith_generate_result *result)
{
    static const char text[] = "It was a dark and stormy night";
    struct seen seen = {0};
    pith_tokens tokens;
    assert_ok(pith_tokenize(t->model, text, sizeof text - 1, 0, &tokens));
    pith_session *s = tiny_session(t, PITH_ATTN_CCA, 4, 16, 2, 200, 32, PITH_KV_F32);
    assert_ok(pith_generate(s, tokens.ids, tokens.n, params, see, &seen, result));
    assert_int_equal(result->n_prompt, tokens.n);
    pith_session_destroy(&s);
    pith_tokens_free(&tokens);
    return seen;
}

static void greedy_is_arg_max(void **state)
{
    (void)state;
    struct tiny t = tiny_open("llama-q8_0", 2, UINT32_MAX);
    pith_generate_params p = pith_generate_params_default();
    pith_generate_result result;
    p.max_tokens = 30;
    p.ignore_end = true;
    p.top_logprobs = 5;
    struct seen a = generate(&t, &p, &result);
    assert_int_equal(result.n_generated, 30);
    assert_int_equal(result.finish, PITH_FINISH_LENGTH);
    assert_int_equal(a.n_tokens, 30);
    assert_true(a.worst_sum > 0 && a.worst_sum <= 1.0001);

    pith_tokens tokens;
    assert_ok(pith_tokenize(t.model, "It was a dark and stormy night", 30, 0, &tokens));
    pith_session *s = tiny_session(&t, PITH_ATTN_CCA, 4, 16, 2, 200, 32, PITH_KV_F32);
    assert_ok(pith_session_step(s, tokens.ids, tokens.n, NULL));
    for (int i = 0; i < 30; i++) {
        const float *logits = pith_session_logits(s);
        int32_t best = 0;
        for (int32_t v = 1; v < t.info.n_vocab; v++)
            best = logits[v] > logits[best] ? v : best;
        assert_int_equal(best, a.tokens[i]);
        assert_ok(pith_session_step(s, &best, 1, NULL));
    }
    pith_session_destroy(&s);
    pith_tokens_free(&tokens);
    tiny_close(&t);
}

static void stops_where_it_should(void **state)
{
    (void)state;
    struct tiny t = tiny_open("llama-q8_0", 1, UINT32_MAX);
    pith_generate_params p = pith_generate_params_default();
    pith_generate_result result;
    p.ignore_end = true;
    p.max_tokens = 0;
    assert_int_equal(generate(&t, &p, &result).n_tokens, 0);
    p.max_tokens = -1; /* until the context is full */
    p.sample.temperature = 1;
    struct seen all = generate(&t, &p, &result);
    assert_int_equal(result.finish, PITH_FINISH_LENGTH);
    assert_in_range(result.n_prompt + result.n_generated, 200, 201);
    /* A string from the middle of what came out stops the second run before it. */
    assert_true(all.n > 40);
    char stop[16];
    size_t at = all.n / 2;
    while ((all.text[at] & 0xc0) == 0x80)
        at++;
    size_t end = at + 3;
    while (end < all.n && (all.text[end] & 0xc0) == 0x80)
        end++;
    snprintf(stop, sizeof stop, "%.*s", (int)(end - at), all.text + at);
    const char *stops[] = {"never to be found", stop};
    p.stop = stops;
    p.n_stop = 2;
    struct seen cut = generate(&t, &p, &result);
    assert_int_equal(result.finish, PITH_FINISH_STOP);
    const char *first = strstr(all.text, stop);
    assert_int_equal(cut.n, (size_t)(first - all.text));
    assert_memory_equal(cut.text, all.text, cut.n);
    p.n_stop = 0;
    p.max_tokens = 50;
    struct seen other = generate(&t, &p, &result);
    assert_int_equal(other.n_tokens, 50);
    p.sample.seed = 99;
    struct seen seeded = generate(&t, &p, &result);
    assert_memory_not_equal(other.tokens, seeded.tokens, 50 * sizeof(int32_t));
    tiny_close(&t);
}

static bool two_only(const pith_piece *piece, void *user)
{
    int32_t *n = user;
    if (piece->token >= 0)
        ++*n;
    return *n < 2;
}

static void the_caller_can_stop_and_go_on(void **state)
{
    (void)state;
    struct tiny t = tiny_open("qwen2-q8_0", 1, UINT32_MAX);
    pith_session *s = tiny_session(&t, PITH_ATTN_FULL, 4, 16, 2, 200, 32, PITH_KV_F32);
    pith_generate_params p = pith_generate_params_default();
    pith_generate_result result;
    p.ignore_end = true;
    assert_int_equal(pith_generate(s, NULL, 0, &p, two_only, NULL, &result), PITH_ERROR_INVALID_ARGUMENT);
    int32_t prompt[] = {5, 6, 7}, n = 0;
    assert_ok(pith_generate(s, prompt, 3, &p, two_only, &n, &result));
    assert_int_equal(result.finish, PITH_FINISH_CANCELLED);
    assert_int_equal(n, 2);
    n = 0;
    p.max_tokens = 1;
    assert_ok(pith_generate(s, NULL, 0, &p, two_only, &n, &result)); /* its logits are still there */
    assert_int_equal(n, 1);
    p.top_logprobs = 21;
    assert_int_equal(pith_generate(s, prompt, 3, &p, two_only, &n, &result), PITH_ERROR_INVALID_ARGUMENT);
    const char *empty[] = {""};
    p.top_logprobs = 0;
    p.stop = empty;
    p.n_stop = 1;
    assert_int_equal(pith_generate(s, prompt, 3, &p, two_only, &n, &result), PITH_ERROR_INVALID_ARGUMENT);
    pith_session_destroy(&s);
    tiny_close(&t);
}

int main(int argc, char **argv)
{
    tiny_dir = argc > 1 ? argv[1] : ".";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_is_arg_max),
        cmocka_unit_test(stops_where_it_should),
        cmocka_unit_test(the_caller_can_stop_and_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
