/* SPDX-License-Identifier: MIT */
/* From logits to the next token. The order is fixed: repeat, frequency and presence penalties; logit bias; then greedy
 * if the temperature is 0, else top-k, top-p (on what top-k left), min-p, temperature, one draw. Ties go to the lower
 * id everywhere. NaN logits and banned tokens are never chosen; when nothing else is left the answer is -1.
 * The vocabulary is never sorted: a heap is built in O(V) and only the tokens that survive are popped from it. */
#include "base/mem.h"
#include "base/rng.h"
#include "base/status.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PENALTY_LAST_MAX (1 << 24)

typedef struct candidate { float logit; int32_t token; } candidate;

struct pith_sampler {
    pith_sample_params params;
    int32_t n_vocab;
    bool penalties;
    pith_rng rng;
    float *logits;      /* [n_vocab] after penalties and bias */
    candidate *heap;    /* [n_vocab] */
    candidate *kept;    /* [n_vocab] survivors, best first */
    int32_t *counts;    /* [n_vocab] occurrences among the tokens looked back at; NULL without penalties */
    int32_t *recent;    /* ring [penalty_last_n]; NULL when all tokens count */
    int32_t n_recent, i_recent;
};

pith_sample_params pith_sample_params_default(void)
{
    return (pith_sample_params){.temperature = 0.0f, .top_p = 1.0f, .repeat_penalty = 1.0f, .penalty_last_n = 64};
}

static pith_status params_check(const pith_sample_params *p, int32_t n_vocab)
{
    if (n_vocab < 1)
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "sampler: n_vocab: expected at least 1, got %d", n_vocab);
    if (!(p->temperature >= 0.0f) || isinf(p->temperature))
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "sampler: temperature: expected a finite number >= 0, got %g",
                         (double)p->temperature);
    if (p->top_k < 0)
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "sampler: top_k: expected 0 (off) or more, got %d", p->top_k);
    if (!(p->top_p > 0.0f && p->top_p <= 1.0f))
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "sampler: top_p: expected a number in (0, 1], got %g", (double)p->top_p);
    if (!(p->min_p >= 0.0f && p->min_p < 1.0f))
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "sampler: min_p: expected a number in [0, 1), got %g", (double)p->min_p);
    if (!(p->repeat_penalty > 0.0f) || isinf(p->repeat_penalty))
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "sampler: repeat_penalty: expected a finite number > 0, got %g",
                         (double)p->repeat_penalty);
    if (!isfinite(p->presence_penalty) || !isfinite(p->frequency_penalty))
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "sampler: presence_penalty, frequency_penalty: expected finite "
                         "numbers, got %g, %g", (double)p->presence_penalty, (double)p->frequency_penalty);
    if (p->penalty_last_n < -1 || p->penalty_last_n > PENALTY_LAST_MAX)
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "sampler: penalty_last_n: expected -1 (all) to %d, got %d",
                         PENALTY_LAST_MAX, p->penalty_last_n);
    for (size_t i = 0; i < p->n_logit_bias; i++) {
        const pith_logit_bias *b = &p->logit_bias[i];
        if (b->token < 0 || b->token >= n_vocab)
            return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "sampler: logit_bias[%zu]: expected a token from 0 to %d, got %d",
                             i, n_vocab - 1, b->token);
        if (isnan(b->bias) || b->bias == INFINITY)
            return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "sampler: logit_bias[%zu]: expected a finite bias or -infinity, "
                             "got %g", i, (double)b->bias);
    }
    return PITH_OK;
}

pith_status pith_sampler_create(const pith_sample_params *params, int32_t n_vocab, pith_sampler **out)
{
    *out = NULL;
    pith_sample_params p = params ? *params : pith_sample_params_default();
    PITH_TRY(params_check(&p, n_vocab));
    pith_sampler *s = pith_calloc(1, sizeof *s);
    if (!s)
        goto fail;
    s->params = p;
    s->n_vocab = n_vocab;
    s->penalties = p.penalty_last_n != 0
                   && (p.repeat_penalty != 1.0f || p.presence_penalty != 0.0f || p.frequency_penalty != 0.0f);
    pith_rng_init(&s->rng, p.seed);
    size_t n = (size_t)n_vocab;
    s->logits = pith_calloc(n, sizeof *s->logits);
    if (!s->logits)
        goto fail;
    if (p.temperature > 0.0f) {
        s->heap = pith_calloc(n, sizeof *s->heap);
        s->kept = pith_calloc(n, sizeof *s->kept);
        if (!s->heap || !s->kept)
            goto fail;
    }
    if (s->penalties) {
        s->counts = pith_calloc(n, sizeof *s->counts);
        if (!s->counts)
            goto fail;
        if (p.penalty_last_n > 0) {
            s->recent = pith_calloc((size_t)p.penalty_last_n, sizeof *s->recent);
            if (!s->recent)
                goto fail;
        }
    }
    *out = s;
    return PITH_OK;
fail:
    pith_sampler_destroy(&s);
    return pith_fail(PITH_ERROR_NO_MEMORY, "sampler: no memory for a vocabulary of %d", n_vocab);
}

void pith_sampler_destroy(pith_sampler **sampler)
{
    if (!sampler || !*sampler)
        return;
    pith_sampler *s = *sampler;
    free(s->logits);
    free(s->heap);
    free(s->kept);
    free(s->counts);
    free(s->recent);
    free(s);
    *sampler = NULL;
}

void pith_sampler_accept(pith_sampler *s, int32_t token)
{
    if (!s->penalties || token < 0 || token >= s->n_vocab)
        return;
    s->counts[token]++;
    if (!s->recent)
        return;
    if (s->n_recent == s->params.penalty_last_n)
        s->counts[s->recent[s->i_recent]]--;
    else
        s->n_recent++;
    s->recent[s->i_recent] = token;
    s->i_recent = (s->i_recent + 1) % s->params.penalty_last_n;
}

static void logits_adjust(pith_sampler *s, const float *logits)
{
    const pith_sample_params *p = &s->params;
    memcpy(s->logits, logits, (size_t)s->n_vocab * sizeof *logits);
    if (s->penalties)
        for (int32_t i = 0; i < s->n_vocab; i++)
            if (s->counts[i] > 0) {
                float l = s->logits[i];
                l = l > 0.0f ? l / p->repeat_penalty : l * p->repeat_penalty;
                s->logits[i] = l - (float)s->counts[i] * p->frequency_penalty - p->presence_penalty;
            }
    for (size_t i = 0; i < p->n_logit_bias; i++)
        s->logits[p->logit_bias[i].token] += p->logit_bias[i].bias;
}

/* NaN fails the first comparison, so it never becomes the best. */
static int32_t argmax(const float *logits, int32_t n)
{
    int32_t best = -1;
    float best_logit = -INFINITY;
    for (int32_t i = 0; i < n; i++)
        if (logits[i] > best_logit) {
            best_logit = logits[i];
            best = i;
        }
    return best;
}

static bool better(candidate a, candidate b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

static void sift_down(candidate *heap, size_t n, size_t i)
{
    candidate c = heap[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && better(heap[child + 1], heap[child]))
            child++;
        if (!better(heap[child], c))
            break;
        heap[i] = heap[child];
    }
    heap[i] = c;
}

static candidate heap_pop(candidate *heap, size_t *n)
{
    candidate top = heap[0];
    heap[0] = heap[--*n];
    if (*n > 0)
        sift_down(heap, *n, 0);
    return top;
}

/* exp((logit - best) / temperature), 1 for the best itself even if it is infinite. */
static double weight(float logit, float best, double temperature)
{
    return logit == best ? 1.0 : exp(((double)logit - (double)best) / temperature);
}

/* Fills s->kept with what top-k and top-p leave, and returns how many: a prefix of the best-first order. */
static size_t kept_best_first(pith_sampler *s, size_t n, float best)
{
    const pith_sample_params *p = &s->params;
    for (size_t i = n / 2; i-- > 0;)
        sift_down(s->heap, n, i);
    size_t limit = p->top_k > 0 && (size_t)p->top_k < n ? (size_t)p->top_k : n, n_kept = 0;
    if (limit < n) { /* top-p sees only what top-k left */
        while (n_kept < limit)
            s->kept[n_kept++] = heap_pop(s->heap, &n);
        if (p->top_p >= 1.0f)
            return n_kept;
        double total = 0.0, sum = 0.0;
        for (size_t i = 0; i < n_kept; i++)
            total += weight(s->kept[i].logit, best, 1.0);
        for (size_t i = 0; i < n_kept; i++) {
            sum += weight(s->kept[i].logit, best, 1.0);
            if (sum >= (double)p->top_p * total)
                return i + 1;
        }
        return n_kept;
    }
    double total = 0.0, sum = 0.0;
    for (size_t i = 0; i < n; i++)
        total += weight(s->heap[i].logit, best, 1.0);
    while (n > 0 && sum < (double)p->top_p * total) {
        s->kept[n_kept] = heap_pop(s->heap, &n);
        sum += weight(s->kept[n_kept++].logit, best, 1.0);
    }
    return n_kept;
}

int32_t pith_sampler_next(pith_sampler *s, const float *logits)
{
    const pith_sample_params *p = &s->params;
    logits_adjust(s, logits);
    int32_t best_token = argmax(s->logits, s->n_vocab);
    if (best_token < 0 || p->temperature == 0.0f)
        return best_token;
    float best = s->logits[best_token];
    size_t n = 0;
    for (int32_t i = 0; i < s->n_vocab; i++)
        if (s->logits[i] > -INFINITY)
            s->heap[n++] = (candidate){s->logits[i], i};
    candidate *c = s->heap;
    if ((p->top_k > 0 && (size_t)p->top_k < n) || p->top_p < 1.0f) {
        n = kept_best_first(s, n, best);
        c = s->kept;
    }
    double total = 0.0;
    for (size_t i = 0; i < n; i++)
        if (weight(c[i].logit, best, 1.0) >= (double)p->min_p)
            total += weight(c[i].logit, best, (double)p->temperature);
    double u = pith_rng_unit(&s->rng) * total, sum = 0.0;
    int32_t last = best_token;
    for (size_t i = 0; i < n; i++) {
        double w = weight(c[i].logit, best, (double)p->temperature);
        if (weight(c[i].logit, best, 1.0) < (double)p->min_p || w == 0.0)
            continue;
        last = c[i].token;
        sum += w;
        if (sum > u)
            break;
    }
    return last;
}

/* NaN logits count as -infinity. A token outside the vocabulary gives NaN; entries of `top` beyond the vocabulary are
 * token -1. Terms are single-precision exponentials, summed in double, in the order of the ids. */
float pith_logprobs(const float *logits, int32_t n_vocab, int32_t token, pith_token_logprob *top, int32_t n_top)
{
    int32_t best_token = argmax(logits, n_vocab), n = 0;
    float best = best_token < 0 ? 0.0f : logits[best_token];
    double sum = 0.0;
    for (int32_t i = 0; i < n_vocab; i++)
        if (!isnan(logits[i]))
            sum += logits[i] == best ? 1.0 : (double)expf(logits[i] - best);
    double log_sum = log(sum);
    for (int32_t i = 0; i < n_vocab && n_top > 0; i++) {
        float l = isnan(logits[i]) ? -INFINITY : logits[i];
        if (n == n_top && !(l > top[n - 1].logprob))
            continue;
        int32_t j = n < n_top ? n++ : n - 1;
        for (; j > 0 && l > top[j - 1].logprob; j--)
            top[j] = top[j - 1];
        top[j] = (pith_token_logprob){i, l};
    }
    for (int32_t i = 0; i < n_top; i++)
        top[i] = i < n ? (pith_token_logprob){top[i].token, (float)((double)top[i].logprob - (double)best - log_sum)}
                       : (pith_token_logprob){-1, -INFINITY};
    if (token < 0 || token >= n_vocab)
        return NAN;
    return isnan(logits[token]) ? -INFINITY : (float)((double)logits[token] - (double)best - log_sum);
}
