/* SPDX-License-Identifier: MIT */
/* Attention whose keys are read in several dispatches, as a slow device must: against brute force, and to the bit what one
 * dispatch gives; every policy and store type, ranges that end inside segments and groups, that no row or only some rows
 * of a tile see, that are empty. No submission is expected to be longer than its target, at any depth and pace. */
#include "vk_attn.h"

#include "tune.h"

static pith_vk_physical physical;

/* Submissions as short as they can be, or one for all. */
static pith_backend *paced(bool cut)
{
    pith_backend *vk = vk_shared(&physical, NULL);
    pith_vk_pace *pace = &pith_vk_of(vk)->pace;
    for (int w = 0; w < PITH_VK_WORKS; w++)
        pace->seconds_per_flop[w] = cut ? 1 : 1e-15;
    pace->target = cut ? 1e-12 : 1e3; /* what is learnt on the way changes neither */
    return vk;
}

static void compare(attn_case c, bool step)
{
    size_t bytes = sizeof(float) * (size_t)(c.n_tokens * c.n_head * c.dim);
    float *whole = malloc(bytes), *cut = malloc(bytes);
    assert_true(whole && cut);
    vk_attn_check(paced(false), c, step, whole);
    vk_attn_check(paced(true), c, step, cut);
    char name[256];
    attn_case_name(&c, name, sizeof name);
    if (memcmp(whole, cut, bytes) != 0)
        fail_msg("%s: not the bits of one dispatch", name);
    free(whole);
    free(cut);
}

static const attn_case base_case = {.n_head = 4, .n_kv = 2, .bias = true, .group = 4, .window = 16, .sinks = 4};

/* Store types with a width each, for a software device compiles every pair for seconds; with matrices for longer, and
 * there ranges do not know of the types that matrices take. */
static bool kind_set(attn_case *c, int kind)
{
    static const struct { pith_dtype dtype; int dim; } kinds[] = {{PITH_DTYPE_F16, 16}, {PITH_DTYPE_F32, 40}, {PITH_DTYPE_Q8_0, 32}};
    c->dtype = kinds[kind].dtype, c->dim = kinds[kind].dim;
    return kind < 2 || pith_vk_attend_choose(&pith_vk_of(vk_shared(&physical, NULL))->device, 16).subs == 0;
}

static void test_many(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        attn_case c = base_case;
        c.group = i < 3 ? 4 : 0, c.seed = (uint64_t)i;
        c.n_tokens = (i % 3 ? 180 : 400) + i, c.chunk = (int[]){110, 0, 67}[i % 3], c.per_query = i == 2;
        c.window = (int[]){160, 96, 16}[i % 3], c.sinks = (int[]){70, 37, 4}[i % 3]; /* segments of more than one block */
        if (kind_set(&c, i % 3))
            compare(c, false);
    }
}

/* All keys alike, one that takes all, logits of 1e5: the running maximum goes through every range. */
static void test_values(void **state)
{
    (void)state;
    for (int v = ATTN_EQUAL; v <= ATTN_HUGE; v++)
        for (int t = 0; t < 2; t++) {
            attn_case c = base_case;
            c.values = (attn_values)v, c.n_tokens = 110, c.chunk = 70, c.group = (v + t) % 2 ? 4 : 0, c.seed = (uint64_t)v;
            if (kind_set(&c, t))
                compare(c, false);
        }
}

/* One token and four at a time: parts of the keys in dispatches of their own. */
static void test_few(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        attn_case c = base_case;
        kind_set(&c, 0);
        c.group = i < 2 ? 4 : 0, c.seed = (uint64_t)i, c.n_tokens = i % 2 ? 35 : 140, c.chunk = i % 2 ? 1 : 4;
        compare(c, false);
        if (c.chunk == 1)
            compare(c, true);
    }
}

/* ---- lengths ---------------------------------------------------------------------------------------------------------- */

/* Append and attention of `keys` raw rows, recorded and not run: the longest of its submissions by the pace's own word. */
static double longest(double flops, int64_t keys, int32_t n_tokens, int *n_cmds)
{
    pith_vk_physical p = physical;
    p.cores = 8; /* an integrated device */
    pith_backend *vk = vk_test_backend(&p, NULL);
    pith_vk_pace *pace = &pith_vk_of(vk)->pace;
    for (int w = 0; w < PITH_VK_WORKS; w++)
        pace->seconds_per_flop[w] = 1 / flops;
    pace->target = 0.1;
    const int32_t n_head = 32, n_kv = 4, dim = 64;
    pith_kv_layout l = {.dtype = PITH_DTYPE_F16, .n_kv = n_kv, .head_dim = dim, .raw_rows = keys};
    assert_true(pith_kv_layout_fill(&l));
    pith_graph g;
    float zeros[64 * 40] = {0};
    double freq[32] = {0};
    const int32_t ld = (n_head + 2 * n_kv) * dim;
    pith_weight_desc weight = {PITH_WEIGHT_LOOKUP, 1, {{"qkv", PITH_DTYPE_F32, 1, ld, zeros}}};
    pith_graph_init(&g, &weight, 1);
    int32_t ids = pith_graph_input(&g, "ids", PITH_DTYPE_I32, PITH_ROWS_TOKENS, 1);
    int32_t qkv = pith_graph_value(&g, "qkv", PITH_DTYPE_F32, PITH_ROWS_TOKENS, ld);
    pith_node node = {.op = PITH_OP_EMBED, .src = ids, .dst = qkv, .layer = -1};
    assert_ok(pith_graph_add(&g, &node));
    node = (pith_node){.op = PITH_OP_KV_APPEND, .src = qkv, .dst = pith_graph_alias(&g, "turned", qkv), .layer = 0};
    qkv = node.dst;
    node.u.append.n_head = n_head;
    node.u.append.q_norm = node.u.append.k_norm = -1;
    node.u.append.scale = 0.125f;
    node.u.append.rope = (pith_rope){freq, 1, dim, true};
    node.u.append.layout = &l;
    assert_ok(pith_graph_add(&g, &node));
    int32_t out = pith_graph_value(&g, "out", PITH_DTYPE_F32, PITH_ROWS_TOKENS, n_head * dim);
    node = (pith_node){.op = PITH_OP_ATTEND, .src = qkv, .dst = out, .layer = 0};
    node.u.attend.n_head = n_head;
    node.u.attend.scale = 0.125f;
    node.u.attend.layout = &l;
    node.u.attend.n_segments = 1;
    node.u.attend.segments[0] = (pith_segment){.source = PITH_SEGMENT_RAW, .lo = pith_bound_const(0), .hi = {.max = INT64_MAX, .mul = 1, .group = 1}};
    assert_ok(pith_graph_add(&g, &node));
    assert_true(pith_vk_step_fits(&pith_vk_of(vk)->device, &g, 1)); /* one token: as one node, in as many dispatches */
    pith_plan plan;
    pith_weight_store *store;
    pith_exec *exec;
    pith_buf *kv;
    assert_ok(pith_plan_make(&g, n_tokens, 1, &plan));
    assert_ok(vk->fns->buf_create(vk, (size_t)l.bytes, &kv));
    assert_ok(vk->fns->weights_create(vk, &weight, 1, NULL, NULL, NULL, &store));
    assert_ok(vk->fns->prepare(vk, &(pith_exec_params){.plan = &plan, .weights = store, .kv = &kv, .n_layers = 1}, &exec));
    double most = 0, total = 0;
    for (int i = 0; i < PITH_VK_RECORDINGS; i++) {
        const pith_vk_recording *r = &exec->recordings[i];
        for (int c = 0; r->used && r->n == n_tokens && c < r->n_cmds; c++) {
            double seconds = pith_vk_pace_seconds(pace, r->cmds[c].flop);
            most = seconds > most ? seconds : most;
            total += seconds;
            *n_cmds = r->n_cmds;
        }
    }
    assert_true(total * flops >= 4.0 * n_head * dim * (double)keys * n_tokens); /* all of it is there */
    vk->fns->exec_destroy(&exec);
    vk->fns->weights_destroy(&store);
    vk->fns->buf_destroy(&kv);
    pith_plan_fini(&plan);
    pith_graph_fini(&g);
    pith_backend_destroy(&vk);
    return most;
}

static void test_lengths(void **state)
{
    (void)state;
    static const struct { double flops; int64_t keys; int32_t n_tokens; } cases[] = {
        {20e9, 131072, 64}, {20e9, 131072, 1}, {4e9, 131072, 4}, {4e9, 131072, 1}, {4e9, 131072, 32}, {20e9, 4096, 64}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int n = 0;
        double most = longest(cases[i].flops, cases[i].keys, cases[i].n_tokens, &n);
        printf("  %g FLOP/s, %lld keys, %d tokens: %d submissions, the longest %.1f ms\n", cases[i].flops, (long long)cases[i].keys,
               cases[i].n_tokens, n, 1e3 * most);
        assert_true(most <= 0.1 * (1 + 1e-9));
    }
}

int main(void)
{
    physical = vk_test_device();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_many),    cmocka_unit_test(test_values), cmocka_unit_test(test_few),
                                       cmocka_unit_test(test_lengths), cmocka_unit_test(vk_shared_close),
                                       cmocka_unit_test(vk_test_silent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
