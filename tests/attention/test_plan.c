/* SPDX-License-Identifier: MIT */
/* Plans: values that live at the same time never share a byte, in-place ops share all, inputs take none; and the checks
 * of pith_graph_add refuse what does not fit. */
#include "base/mem.h"
#include "base/rng.h"
#include "graph/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Square matrices of width 8 between the values of a random graph. */
static pith_weight_desc square = {.kind = PITH_WEIGHT_MATRIX, .n_parts = 1,
                                  .parts = {{.name = "w", .dtype = PITH_DTYPE_F32, .rows = 8, .cols = 8}}};

static pith_status add(pith_graph *g, int32_t src, int32_t dst, pith_stage stage)
{
    pith_node node = {.op = PITH_OP_MATMUL, .stage = stage, .src = src, .dst = dst, .layer = 0};
    node.u.matmul.bias = node.u.matmul.norm = -1;
    return pith_graph_add(g, &node);
}

static void live_values_do_not_overlap(void **state)
{
    (void)state;
    pith_rng rng;
    pith_rng_init(&rng, 7);
    for (int round = 0; round < 50; round++) {
        pith_graph g;
        pith_graph_init(&g, &square, 1);
        int32_t n = 3 + (int32_t)(pith_rng_u64(&rng) % 12);
        for (int32_t i = 0; i < n; i++)
            assert_int_equal(pith_graph_value(&g, "v", PITH_DTYPE_F32, PITH_ROWS_TOKENS, 8), i);
        for (int k = 0; k < 30; k++)
            assert_int_equal(add(&g, (int32_t)(pith_rng_u64(&rng) % (uint64_t)n), (int32_t)(pith_rng_u64(&rng) % (uint64_t)n),
                                 k < 25 ? PITH_STAGE_TRUNK : PITH_STAGE_HEAD), PITH_OK);
        pith_plan plan;
        assert_int_equal(pith_plan_make(&g, 1 + (int32_t)(pith_rng_u64(&rng) % 100), 4, &plan), PITH_OK);
        for (int32_t a = 0; a < n; a++) {
            for (int32_t b = 0; b < a; b++) {
                int first[2] = {-1, -1}, last[2] = {-1, -1};
                for (int k = 0; k < 30; k++) {
                    for (int w = 0; w < 2; w++) {
                        int32_t v = w ? b : a;
                        if (g.nodes[k].src != v && g.nodes[k].dst != v)
                            continue;
                        first[w] = first[w] < 0 ? k : first[w];
                        last[w] = g.nodes[k].stage == PITH_STAGE_HEAD ? 1000 : k > last[w] ? k : last[w];
                    }
                }
                if (first[0] < 0 || first[1] < 0 || first[0] > last[1] || first[1] > last[0])
                    continue;
                size_t bytes = pith_plan_value_bytes(&plan, a);
                assert_true(plan.offset[a] + bytes <= plan.offset[b] || plan.offset[b] + bytes <= plan.offset[a]);
                assert_true(plan.offset[a] + bytes <= plan.arena_bytes);
                assert_int_equal(plan.offset[a] % PITH_ALIGN, 0);
            }
        }
        pith_plan_fini(&plan);
        pith_graph_fini(&g);
    }
}

static void chains_reuse_memory(void **state)
{
    (void)state;
    pith_graph g;
    pith_graph_init(&g, &square, 1);
    for (int i = 0; i < 20; i++)
        pith_graph_value(&g, "v", PITH_DTYPE_F32, PITH_ROWS_TOKENS, 8);
    for (int i = 0; i + 1 < 20; i++)
        assert_int_equal(add(&g, i, i + 1, PITH_STAGE_TRUNK), PITH_OK);
    int32_t alias = pith_graph_alias(&g, "again", 3);
    int32_t input = pith_graph_input(&g, "ids", PITH_DTYPE_I32, PITH_ROWS_TOKENS, 1);
    pith_plan plan;
    assert_int_equal(pith_plan_make(&g, 64, 1, &plan), PITH_OK);
    assert_int_equal(plan.arena_bytes, 2 * pith_plan_value_bytes(&plan, 0)); /* a chain needs two */
    assert_int_equal(plan.offset[alias], plan.offset[3]);
    assert_true(plan.offset[input] == SIZE_MAX);
    pith_plan_fini(&plan);
    pith_graph_fini(&g);
}

static void wrong_shapes_are_refused(void **state)
{
    (void)state;
    pith_graph g;
    pith_graph_init(&g, &square, 1);
    int32_t a = pith_graph_value(&g, "a", PITH_DTYPE_F32, PITH_ROWS_TOKENS, 8);
    int32_t narrow = pith_graph_value(&g, "narrow", PITH_DTYPE_F32, PITH_ROWS_TOKENS, 7);
    int32_t wanted = pith_graph_value(&g, "wanted", PITH_DTYPE_F32, PITH_ROWS_WANTED, 8);
    assert_int_equal(add(&g, a, narrow, PITH_STAGE_TRUNK), PITH_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(pith_last_error(), "expected 8, got 7"));
    assert_int_equal(add(&g, narrow, a, PITH_STAGE_TRUNK), PITH_ERROR_INVALID_ARGUMENT);
    assert_int_equal(add(&g, a, wanted, PITH_STAGE_TRUNK), PITH_ERROR_INVALID_ARGUMENT);
    assert_int_equal(add(&g, a, 99, PITH_STAGE_TRUNK), PITH_ERROR_INVALID_ARGUMENT);
    assert_int_equal(add(&g, -1, a, PITH_STAGE_TRUNK), PITH_ERROR_INVALID_ARGUMENT);
    pith_node node = {.op = PITH_OP_MATMUL, .src = a, .dst = a, .layer = 4};
    node.u.matmul.weight = 5;
    assert_int_equal(pith_graph_add(&g, &node), PITH_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(pith_last_error(), "layer 4"));
    node.u.matmul.weight = 0;
    node.u.matmul.norm = node.u.matmul.bias = -1;
    node.u.matmul.epilogue = PITH_EPILOGUE_SWIGLU;
    assert_int_equal(pith_graph_add(&g, &node), PITH_ERROR_INVALID_ARGUMENT); /* one part is no gate and up */
    assert_int_equal(g.n_nodes, 0);
    char text[256];
    assert_int_equal(add(&g, a, a, PITH_STAGE_TRUNK), PITH_OK);
    size_t length = pith_graph_dump(&g, text, sizeof text);
    assert_int_equal(length, strlen(text));
    assert_non_null(strstr(text, "matmul"));
    node = (pith_node){.op = PITH_OP_MATMUL, .src = a, .dst = a, .layer = 7, .tail = true};
    node.u.matmul.norm = node.u.matmul.bias = -1;
    node.stage = PITH_STAGE_HEAD;
    assert_int_equal(pith_graph_add(&g, &node), PITH_ERROR_INVALID_ARGUMENT);
    node.stage = PITH_STAGE_TRUNK;
    assert_int_equal(pith_graph_add(&g, &node), PITH_OK);
    pith_graph_dump(&g, text, sizeof text);
    assert_non_null(strstr(text, "layer 7 tail"));
    assert_int_equal(add(&g, a, a, PITH_STAGE_TRUNK), PITH_ERROR_INVALID_ARGUMENT); /* every token would need it */
    assert_int_equal(add(&g, a, a, PITH_STAGE_HEAD), PITH_OK);
    pith_graph_fini(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_values_do_not_overlap),
        cmocka_unit_test(chains_reuse_memory),
        cmocka_unit_test(wrong_shapes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
