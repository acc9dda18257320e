/* SPDX-License-Identifier: MIT */
/* Trunks whose tail is left out for some tokens, beside whole ones: for sessions on any backend. */
#ifndef PITH_TESTS_TAIL_H
#define PITH_TESTS_TAIL_H

#include "run/session.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The residual stream [n][D] behind a trunk of n tokens at position 0 that skipped the tail of the first `skip`. */
static inline pith_status tail_run(pith_session *s, const int32_t *tokens, int32_t n, int32_t skip, float *x)
{
    const pith_graph *graph = &s->shape.net.graph;
    pith_step step = {.stage = PITH_STAGE_TRUNK, .n_tokens = n, .tokens = tokens, .n_skip = skip, .raw_base = {s->kv.base[0], s->kv.base[1]}};
    PITH_TRY(s->backend->fns->run(s->exec, &step));
    for (int32_t i = 0; i < graph->n_nodes; i++)
        if (graph->nodes[i].op == PITH_OP_ROWS)
            return s->backend->fns->read(s->exec, graph->nodes[i].src, 0, n, x);
    return PITH_ERROR_NOT_FOUND;
}

/* Of an empty session that takes n tokens in one chunk, trunks that skip the tail of each of a list's numbers of tokens, in
 * turn: rows without a tail are to the bit what the layers before the last left, the others what a whole trunk makes. Returns
 * how far they are off at most, in units of a row's largest element, INFINITY for one that should have been left alone;
 * *where: the number of the list. */
static inline double tail_distance(pith_session *s, const int32_t *tokens, int32_t n, const int32_t *skips, size_t n_skips, int32_t *where)
{
    int32_t cols = s->model->config.n_embd;
    size_t row = (size_t)cols * sizeof(float);
    float *all = malloc(row * (size_t)n), *none = malloc(row * (size_t)n), *some = malloc(row * (size_t)n);
    bool ok = all && none && some && tail_run(s, tokens, n, 0, all) == PITH_OK && tail_run(s, tokens, n, n, none) == PITH_OK &&
              memcmp(all, none, row) != 0;
    double worst = ok ? 0 : INFINITY;
    for (size_t k = 0; ok && k < n_skips; k++) {
        double before = worst;
        ok = tail_run(s, tokens, n, skips[k], some) == PITH_OK && memcmp(some, none, row * (size_t)skips[k]) == 0;
        worst = ok ? worst : INFINITY;
        for (int64_t t = skips[k]; ok && t < n; t++) {
            double most = 0, diff = 0;
            for (int64_t i = t * cols; i < (t + 1) * cols; i++) {
                double d = fabs((double)all[i] - some[i]);
                most = fmax(most, fabs((double)all[i]));
                diff = !(d <= diff) ? d : diff;
            }
            worst = !(diff / most <= worst) ? diff / most : worst;
        }
        *where = worst != before ? skips[k] : *where;
    }
    free(all);
    free(none);
    free(some);
    return worst;
}

#endif
