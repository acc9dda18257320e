/* SPDX-License-Identifier: MIT */
/* The sampler against known answers: each filter alone, the order of the filters, penalties over a sliding window, bans,
 * NaN, ties, reproducibility by seed, and drawn frequencies against the exact distribution (five standard errors). */
#include <pith/pith.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static pith_sampler *sampler(pith_sample_params p, int32_t n_vocab)
{
    pith_sampler *s = NULL;
    assert_int_equal(pith_sampler_create(&p, n_vocab, &s), PITH_OK);
    return s;
}

static int32_t next_once(pith_sample_params p, const float *logits, int32_t n_vocab)
{
    pith_sampler *s = sampler(p, n_vocab);
    int32_t token = pith_sampler_next(s, logits);
    pith_sampler_destroy(&s);
    assert_null(s);
    return token;
}

static void test_greedy(void **state)
{
    (void)state;
    pith_sample_params p = pith_sample_params_default();
    assert_int_equal(next_once(p, (float[]){1, 3, 2}, 3), 1);
    assert_int_equal(next_once(p, (float[]){1, 3, 3}, 3), 1);             /* tie: the lower id */
    assert_int_equal(next_once(p, (float[]){NAN, -5, NAN}, 3), 1);        /* NaN is never chosen */
    assert_int_equal(next_once(p, (float[]){-INFINITY, -1e30f}, 2), 1);
    assert_int_equal(next_once(p, (float[]){NAN, -INFINITY}, 2), -1);     /* nothing left */
    assert_int_equal(next_once(p, (float[]){0}, 1), 0);
    pith_sampler *s = NULL;
    assert_int_equal(pith_sampler_create(NULL, 2, &s), PITH_OK);
    assert_int_equal(pith_sampler_next(s, (float[]){0, 1}), 1);
    pith_sampler_destroy(&s);
    pith_sampler_destroy(&s);
    pith_sampler_destroy(NULL);
}

static void test_bias(void **state)
{
    (void)state;
    pith_logit_bias bias[] = {{1, -INFINITY}, {0, 1.5f}};
    pith_sample_params p = pith_sample_params_default();
    p.logit_bias = bias;
    p.n_logit_bias = 2;
    assert_int_equal(next_once(p, (float[]){1, 30, 2}, 3), 0);
    assert_int_equal(next_once(p, (float[]){1, INFINITY, 2}, 3), 0); /* inf - inf is NaN: still banned */
    p.temperature = 5.0f;
    for (uint64_t seed = 0; seed < 200; seed++) {
        p.seed = seed;
        assert_int_not_equal(next_once(p, (float[]){1, 30, 2}, 3), 1);
    }
}

static void test_penalties(void **state)
{
    (void)state;
    pith_sample_params p = pith_sample_params_default();
    p.repeat_penalty = 2.0f;
    p.penalty_last_n = 2;
    pith_sampler *s = sampler(p, 3);
    const float logits[] = {3, 2, -1};
    assert_int_equal(pith_sampler_next(s, logits), 0);
    pith_sampler_accept(s, 0);
    assert_int_equal(pith_sampler_next(s, logits), 1); /* 1.5, 2, -1 */
    pith_sampler_accept(s, 1);
    assert_int_equal(pith_sampler_next(s, logits), 0); /* 1.5, 1, -1 */
    pith_sampler_accept(s, 1);                         /* 0 leaves the window, 1 is in it twice */
    assert_int_equal(pith_sampler_next(s, (float[]){1.1f, 2, -1}), 0);
    pith_sampler_accept(s, 2);
    pith_sampler_accept(s, 2);                         /* only 2 is left: -1 becomes -2 */
    assert_int_equal(pith_sampler_next(s, (float[]){-1.5f, -1.6f, -1}), 0);
    pith_sampler_accept(s, -1);                        /* ignored */
    pith_sampler_accept(s, 3);
    pith_sampler_destroy(&s);

    p = pith_sample_params_default();
    p.frequency_penalty = 1.0f;
    p.presence_penalty = 0.5f;
    p.penalty_last_n = -1;
    s = sampler(p, 2);
    pith_sampler_accept(s, 0);
    pith_sampler_accept(s, 0);
    assert_int_equal(pith_sampler_next(s, (float[]){4.4f, 2}), 1); /* 4.4 - 2 - 0.5 */
    assert_int_equal(pith_sampler_next(s, (float[]){4.6f, 2}), 0);
    for (int i = 0; i < 1000; i++)
        pith_sampler_accept(s, 1);
    assert_int_equal(pith_sampler_next(s, (float[]){4.6f, 1000}), 0); /* all of them count */
    pith_sampler_destroy(&s);

    p.penalty_last_n = 0; /* off */
    s = sampler(p, 2);
    pith_sampler_accept(s, 0);
    assert_int_equal(pith_sampler_next(s, (float[]){2, 1.9f}), 0);
    pith_sampler_destroy(&s);
}

/* Draws `n` times and returns how often each token came. */
static void draw(pith_sample_params p, const float *logits, int32_t n_vocab, int n, int *hits)
{
    memset(hits, 0, (size_t)n_vocab * sizeof *hits);
    pith_sampler *s = sampler(p, n_vocab);
    for (int i = 0; i < n; i++) {
        int32_t token = pith_sampler_next(s, logits);
        assert_in_range(token, 0, n_vocab - 1);
        hits[token]++;
    }
    pith_sampler_destroy(&s);
}

#define DRAWS 20000

static void expect_distribution(pith_sample_params p, const float *logits, int32_t n_vocab, const double *weights)
{
    int hits[8];
    assert_true(n_vocab <= 8);
    double total = 0.0;
    for (int32_t i = 0; i < n_vocab; i++)
        total += weights[i];
    for (p.seed = 1; p.seed <= 3; p.seed++) {
        draw(p, logits, n_vocab, DRAWS, hits);
        for (int32_t i = 0; i < n_vocab; i++) {
            double q = weights[i] / total, error = sqrt(q * (1.0 - q) * DRAWS);
            if (fabs(hits[i] - q * DRAWS) > 5.0 * error)
                fail_msg("token %d: expected %g +- %g of %d draws, got %d", i, q * DRAWS, error, DRAWS, hits[i]);
        }
    }
}

static void test_distribution(void **state)
{
    (void)state;
    const float logits[] = {logf(1), logf(4), logf(2), logf(2), logf(1)}; /* tenths: 1 4 2 2 1 */
    pith_sample_params p = pith_sample_params_default();
    p.temperature = 1.0f;
    expect_distribution(p, logits, 5, (double[]){1, 4, 2, 2, 1});
    p.temperature = 0.5f;
    expect_distribution(p, logits, 5, (double[]){1, 16, 4, 4, 1});
    p.temperature = 1.0f;
    p.top_k = 2; /* the tie between 2 and 3 goes to 2 */
    expect_distribution(p, logits, 5, (double[]){0, 4, 2, 0, 0});
    p.top_k = 1;
    expect_distribution(p, logits, 5, (double[]){0, 1, 0, 0, 0});
    p.top_k = 99;
    expect_distribution(p, logits, 5, (double[]){1, 4, 2, 2, 1});
    p.top_k = 0;
    p.top_p = 0.59f; /* 0.4, then 0.6 */
    expect_distribution(p, logits, 5, (double[]){0, 4, 2, 0, 0});
    p.top_p = 0.61f;
    expect_distribution(p, logits, 5, (double[]){0, 4, 2, 2, 0});
    p.top_p = 1e-6f; /* the best always stays */
    expect_distribution(p, logits, 5, (double[]){0, 1, 0, 0, 0});
    p.top_k = 2;
    p.top_p = 0.66f; /* of what top-k left 4/6 is enough */
    expect_distribution(p, logits, 5, (double[]){0, 1, 0, 0, 0});
    p.top_k = 0;
    p.top_p = 1.0f;
    p.min_p = 0.3f; /* 0.3 of the best, whatever the temperature */
    p.temperature = 2.0f;
    expect_distribution(p, logits, 5, (double[]){0, 2, sqrt(2), sqrt(2), 0});
    p.top_k = 2;
    expect_distribution(p, logits, 5, (double[]){0, 2, sqrt(2), 0, 0});
    p = pith_sample_params_default();
    p.temperature = 1e-3f;
    expect_distribution(p, logits, 5, (double[]){0, 1, 0, 0, 0});
    p.temperature = 1.0f;
    expect_distribution(p, (float[]){INFINITY, 3, INFINITY, NAN, -INFINITY}, 5, (double[]){1, 0, 1, 0, 0});
}

/* The partial selection against a full sort, on many values with ties. */
static void test_top_k_large(void **state)
{
    (void)state;
    enum { N = 5000, K = 40 };
    float *logits = malloc(N * sizeof *logits);
    assert_non_null(logits);
    uint32_t x = 12345;
    for (int i = 0; i < N; i++) {
        x = x * 1664525u + 1013904223u;
        logits[i] = (float)(x >> 24) / 16.0f;
    }
    pith_sample_params p = pith_sample_params_default();
    p.temperature = 1e6f; /* flat: every survivor is drawn */
    p.top_k = K;
    int *hits = calloc(N, sizeof *hits);
    assert_non_null(hits);
    draw(p, logits, N, 20000, hits);
    int survivors = 0;
    for (int i = 0; i < N; i++) {
        int before = 0;
        for (int j = 0; j < N; j++)
            before += logits[j] > logits[i] || (logits[j] == logits[i] && j < i);
        assert_int_equal(hits[i] > 0, before < K);
        survivors += hits[i] > 0;
    }
    assert_int_equal(survivors, K);
    free(hits);
    free(logits);
}

static void test_seed(void **state)
{
    (void)state;
    float logits[64] = {0};
    pith_sample_params p = pith_sample_params_default();
    p.temperature = 1.0f;
    p.seed = 42;
    pith_sampler *a = sampler(p, 64), *b = sampler(p, 64);
    p.seed = 43;
    pith_sampler *c = sampler(p, 64);
    int differs = 0;
    for (int i = 0; i < 100; i++) {
        int32_t t = pith_sampler_next(a, logits);
        assert_int_equal(pith_sampler_next(b, logits), t);
        differs += pith_sampler_next(c, logits) != t;
    }
    assert_true(differs > 50);
    pith_sampler_destroy(&a);
    pith_sampler_destroy(&b);
    pith_sampler_destroy(&c);
}

static void expect_invalid(pith_sample_params p, const char *name)
{
    pith_sampler *s = (pith_sampler *)&p;
    assert_int_equal(pith_sampler_create(&p, 10, &s), PITH_ERROR_INVALID_ARGUMENT);
    assert_null(s);
    assert_non_null(strstr(pith_last_error(), name));
}

static void test_invalid(void **state)
{
    (void)state;
#define INVALID(field, value)                                    \
    do {                                                         \
        pith_sample_params p = pith_sample_params_default();     \
        p.field = value;                                         \
        expect_invalid(p, #field);                               \
    } while (0)
    INVALID(temperature, -0.1f);
    INVALID(temperature, NAN);
    INVALID(temperature, INFINITY);
    INVALID(top_k, -1);
    INVALID(top_p, 0.0f);
    INVALID(top_p, 1.1f);
    INVALID(top_p, NAN);
    INVALID(min_p, 1.0f);
    INVALID(min_p, -0.1f);
    INVALID(repeat_penalty, 0.0f);
    INVALID(repeat_penalty, INFINITY);
    INVALID(presence_penalty, NAN);
    INVALID(frequency_penalty, INFINITY);
    INVALID(penalty_last_n, -2);
    pith_logit_bias bad[] = {{10, 1.0f}, {-1, 1.0f}, {0, NAN}, {0, INFINITY}};
    for (int i = 0; i < 4; i++) {
        pith_sample_params p = pith_sample_params_default();
        p.logit_bias = &bad[i];
        p.n_logit_bias = 1;
        expect_invalid(p, "logit_bias");
    }
    pith_sampler *s = NULL;
    assert_int_equal(pith_sampler_create(NULL, 0, &s), PITH_ERROR_INVALID_ARGUMENT);
}

static void test_logprobs(void **state)
{
    (void)state;
    const float logits[] = {logf(1) + 50, logf(4) + 50, logf(2) + 50, logf(2) + 50, NAN, -INFINITY, logf(1) + 50};
    pith_token_logprob top[9];
    float l = pith_logprobs(logits, 7, 0, top, 9);
    assert_true(fabsf(l - logf(0.1f)) < 1e-6f * 50);
    const int32_t order[] = {1, 2, 3, 0, 6, 4, 5, -1, -1};
    for (int i = 0; i < 9; i++)
        assert_int_equal(top[i].token, order[i]);
    assert_true(fabsf(top[0].logprob - logf(0.4f)) < 5e-6f);
    assert_true(top[3].logprob == l); /* the same number by both ways */
    assert_true(isinf(top[5].logprob) && isinf(top[6].logprob) && isinf(top[8].logprob));
    pith_logprobs(logits, 7, 0, top, 2); /* ties at the border: the lower id */
    assert_int_equal(top[0].token, 1);
    assert_int_equal(top[1].token, 2);
    assert_true(isnan(pith_logprobs(logits, 7, 7, NULL, 0)));
    assert_true(isnan(pith_logprobs(logits, 7, -1, NULL, 0)));
    assert_true(isinf(pith_logprobs(logits, 7, 4, NULL, 0)));
    double sum = 0.0;
    float big[1000];
    for (int i = 0; i < 1000; i++)
        big[i] = (float)((i * 7919) % 1000) * 0.03f;
    for (int i = 0; i < 1000; i++)
        sum += exp((double)pith_logprobs(big, 1000, i, NULL, 0));
    assert_true(fabs(sum - 1.0) < 1e-5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greedy),      cmocka_unit_test(test_bias),        cmocka_unit_test(test_penalties),
        cmocka_unit_test(test_distribution), cmocka_unit_test(test_top_k_large), cmocka_unit_test(test_seed),
        cmocka_unit_test(test_invalid),     cmocka_unit_test(test_logprobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
