/* SPDX-License-Identifier: MIT */
/* Policies as data: every token seen exactly once, CCA equal to full below s + g, rows kept as long as they are seen,
 * and the size that CCA is for. The expected sets are written from the rule, not from the segments. */
#include "request.h"
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* How often the segments of `layer` show each token 0..i to the query at i; a core shows all its members. */
static void count_seen(const pith_layer_attn *layer, int64_t g, int64_t sinks, int64_t i, int *seen)
{
    memset(seen, 0, (size_t)(i + 1) * sizeof *seen);
    for (int32_t k = 0; k < layer->n_segments; k++) {
        const pith_segment *seg = &layer->segments[k];
        for (int64_t key = pith_bound_at(&seg->lo, i); key < pith_bound_at(&seg->hi, i); key++) {
            if (seg->source == PITH_SEGMENT_RAW) {
                assert_in_range(key, 0, i);
                seen[key]++;
                continue;
            }
            for (int64_t t = key * g; t < key * g + g; t++) {
                assert_in_range(t, 0, i);
                if (t >= sinks)
                    seen[t]++;
            }
        }
    }
}

static void every_token_is_seen_once(void **state)
{
    (void)state;
    pith_config config = request_config();
    pith_rng rng;
    pith_rng_init(&rng, 20260);
    for (int round = 0; round < 60; round++) {
        int32_t g = 1 + (int32_t)(pith_rng_u64(&rng) % 20);
        int32_t s = g * (1 + (int32_t)(pith_rng_u64(&rng) % 6));
        int32_t sinks = (int32_t)(pith_rng_u64(&rng) % (uint64_t)(s + 1));
        int64_t n = 1 + (int64_t)(pith_rng_u64(&rng) % 400);
        pith_attn_request request = request_cca(&config, g, s, sinks, n, 7);
        pith_layer_attn *layers;
        assert_int_equal(pith_policy_layers(&request, &layers), PITH_OK);
        int *seen = malloc((size_t)n * sizeof *seen);
        for (int64_t i = 0; i < n; i++) {
            count_seen(&layers[0], g, sinks, i, seen);
            for (int64_t t = 0; t <= i; t++)
                assert_int_equal(seen[t], 1);
            /* The authors' rule: J(n) groups are pooled, the rest is raw. */
            int64_t groups = i + 1 >= s + g ? (i + 1 - s) / g : 0;
            const pith_segment *cores = &layers[0].segments[sinks > 0 ? 1 : 0];
            assert_int_equal(pith_bound_at(&cores->hi, i), groups);
        }
        free(seen);
        free(layers);
    }
}

static void cca_is_full_below_window_and_group(void **state)
{
    (void)state;
    pith_config config = request_config();
    pith_attn_request request = request_cca(&config, 16, 64, 0, 1000, 100);
    pith_layer_attn *layers;
    assert_int_equal(pith_policy_layers(&request, &layers), PITH_OK);
    const pith_segment *cores = &layers[0].segments[0], *raw = &layers[0].segments[1];
    for (int64_t n = 1; n < 64 + 16; n++) {
        assert_int_equal(pith_bound_at(&cores->hi, n - 1), 0);
        assert_int_equal(pith_bound_at(&raw->lo, n - 1), 0);
        assert_int_equal(pith_bound_at(&raw->hi, n - 1), n);
    }
    assert_int_equal(pith_bound_at(&cores->hi, 64 + 16 - 1), 1);
    free(layers);
}

static void rows_are_kept_while_seen(void **state)
{
    (void)state;
    pith_config config = request_config();
    for (int32_t sinks = 0; sinks <= 20; sinks += 5) {
        pith_attn_request request = request_cca(&config, 8, 32, sinks, 600, 50);
        pith_layer_attn *layers;
        assert_int_equal(pith_policy_layers(&request, &layers), PITH_OK);
        for (int64_t from = 0; from < 500; from += 3) {
            int64_t keep = pith_layer_keep_from(&layers[0], from);
            for (int64_t i = from; i < from + 60; i++) {
                const pith_segment *raw = &layers[0].segments[layers[0].n_segments - 1];
                assert_true(pith_bound_at(&raw->lo, i) >= keep);
            }
            assert_true(from / 8 * 8 >= keep || keep == sinks); /* the open group */
            /* What must stay and a whole chunk fit into the sliding rows. */
            if (from > keep)
                assert_true(sinks + (from - keep) + 50 <= layers[0].layout.raw_rows);
        }
        free(layers);
    }
}

static void store_is_a_fourteenth_at_128k(void **state)
{
    (void)state;
    pith_config config = request_config();
    config.head_dim = 64;
    pith_attn_request request = request_cca(&config, 16, 1024, 4, 131072, 512);
    pith_layer_attn *cca, *full;
    assert_int_equal(pith_policy_layers(&request, &cca), PITH_OK);
    request.params.method = PITH_ATTN_FULL;
    assert_int_equal(pith_policy_layers(&request, &full), PITH_OK);
    double share = (double)cca[0].layout.bytes / (double)full[0].layout.bytes;
    assert_true(share > 0.06 && share <= 0.075);
    free(cca);
    free(full);
}

static void dense_layers_keep_everything(void **state)
{
    (void)state;
    pith_config config = request_config();
    const int32_t dense[] = {0, 2};
    pith_attn_request request = request_cca(&config, 16, 64, 4, 1000, 100);
    request.params.dense_layers = dense;
    request.params.n_dense_layers = 2;
    pith_layer_attn *layers;
    assert_int_equal(pith_policy_layers(&request, &layers), PITH_OK);
    assert_int_equal(layers[0].layout.raw_rows, 1000);
    assert_int_equal(layers[0].group, 0);
    assert_int_equal(layers[1].group, 16);
    assert_int_equal(layers[2].layout.core_heads, 0);
    free(layers);
}

static void bad_parameters_are_named(void **state)
{
    (void)state;
    pith_config config = request_config();
    static const struct { int32_t g, s, sinks; const char *word; } cases[] = {
        {0, 16, 0, "group"}, {-4, 16, 0, "group"}, {16, 8, 0, "window"}, {16, 24, 0, "window"}, {16, 0, 0, "window"},
        {16, 32, -1, "sinks"}, {16, 32, 33, "sinks"}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        pith_attn_request request = request_cca(&config, cases[c].g, cases[c].s, cases[c].sinks, 100, 10);
        pith_layer_attn *layers = (pith_layer_attn *)&config;
        assert_int_equal(pith_policy_layers(&request, &layers), PITH_ERROR_INVALID_ARGUMENT);
        assert_null(layers);
        assert_non_null(strstr(pith_last_error(), cases[c].word));
    }
    const int32_t dense[] = {3};
    pith_attn_request request = request_cca(&config, 16, 32, 0, 100, 10);
    request.params.dense_layers = dense;
    request.params.n_dense_layers = 1;
    pith_layer_attn *layers;
    assert_int_equal(pith_policy_layers(&request, &layers), PITH_ERROR_INVALID_ARGUMENT);
    config.head_dim = 40;
    request.params.n_dense_layers = 0;
    request.kv_dtype = PITH_DTYPE_Q8_0;
    assert_int_equal(pith_policy_layers(&request, &layers), PITH_ERROR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_token_is_seen_once),
        cmocka_unit_test(cca_is_full_below_window_and_group),
        cmocka_unit_test(rows_are_kept_while_seen),
        cmocka_unit_test(store_is_a_fourteenth_at_128k),
        cmocka_unit_test(dense_layers_keep_everything),
        cmocka_unit_test(bad_parameters_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
