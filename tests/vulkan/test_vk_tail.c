/* SPDX-License-Identifier: MIT */
/* Nodes of the tail, for any number of tokens that they skip: products whose rows begin where the device cannot bind, in
 * plain C beside; attention, all of a layer and keys read in ranges, by whole trunks of the same session; which recordings are
 * ready beforehand, and that what was left out counts as no work. Argument: folder of models. */
#include "vk_op.h"

#include "base/rng.h"
#include "harness/tail.h"

static const char *folder;
static pith_vk_physical physical;

/* ---- products ---- */

enum { IDS = 64, X = 40, Y = 24, TOKENS = 37 }; /* rows of 160 and 96 bytes: no offset of an odd row may be bound */

static void product_check(vk_op *op, int32_t y, int32_t n, int32_t skip, const float *table, const float *matrix)
{
    int32_t ids[TOKENS], from = skip < n ? skip - skip % op->exec->skip_unit : n;
    for (int32_t t = 0; t < n; t++)
        ids[t] = t * 29 % IDS;
    vk_op_run(op, &(pith_step){.stage = PITH_STAGE_TRUNK, .n_tokens = n, .tokens = ids, .n_skip = skip});
    float got[TOKENS * Y];
    vk_op_read(op, y, n, got);
    for (int32_t t = 0; t < n; t++)
        for (int32_t r = 0; r < Y; r++) {
            double sum = 0, size = 0, value = got[t * Y + r];
            for (int32_t k = 0; k < X; k++) {
                double p = (double)table[ids[t] * X + k] * matrix[r * X + k];
                sum += p;
                size += fabs(p);
            }
            if (t < from ? value == value : !(fabs(value - sum) <= 1e-5 * size)) /* not touched: still no number */
                fail_msg("%d tokens, %d skipped, token %d row %d: got %g, expected %g", n, skip, t, r, value, t < from ? NAN : sum);
        }
}

static void test_products(void **state)
{
    (void)state;
    float table[IDS * X], matrix[Y * X];
    pith_rng rng;
    pith_rng_init(&rng, 3);
    for (int i = 0; i < IDS * X; i++)
        table[i] = (float)(pith_rng_u64(&rng) % 2001) / 1000 - 1;
    for (int i = 0; i < Y * X; i++)
        matrix[i] = (float)(pith_rng_u64(&rng) % 2001) / 1000 - 1;
    const pith_weight_desc w[] = {{PITH_WEIGHT_LOOKUP, 1, {{"table", PITH_DTYPE_F32, IDS, X, table}}},
                                  {PITH_WEIGHT_MATRIX, 1, {{"matrix", PITH_DTYPE_F32, Y, X, matrix}}}};
    pith_graph graph;
    pith_graph_init(&graph, w, 2);
    int32_t ids = pith_graph_input(&graph, "ids", PITH_DTYPE_I32, PITH_ROWS_TOKENS, 1);
    int32_t x = pith_graph_value(&graph, "x", PITH_DTYPE_F32, PITH_ROWS_TOKENS, X);
    int32_t y = pith_graph_value(&graph, "y", PITH_DTYPE_F32, PITH_ROWS_TOKENS, Y);
    pith_node node = {.op = PITH_OP_EMBED, .src = ids, .dst = x, .layer = -1};
    assert_ok(pith_graph_add(&graph, &node));
    node = (pith_node){.op = PITH_OP_MATMUL, .src = x, .dst = y, .layer = 0, .tail = true};
    node.u.matmul.weight = 1;
    node.u.matmul.bias = node.u.matmul.norm = -1;
    assert_ok(pith_graph_add(&graph, &node));
    vk_op op;
    vk_op_begin(&op, vk_shared(&physical, NULL), &graph, TOKENS, 1, NULL, 0);
    assert_true(op.exec->skip_unit > 1);
    assert_int_equal(op.exec->skip_unit * X * 4 % (int32_t)pith_vk_of(op.vk)->device.align, 0);
    for (int32_t skip = 0; skip <= TOKENS; skip++)
        product_check(&op, y, TOKENS, skip, table, matrix);
    product_check(&op, y, 1, 0, table, matrix);
    product_check(&op, y, 1, 1, table, matrix);
    product_check(&op, y, 5, 4, table, matrix);
    vk_op_end(&op);
    pith_graph_fini(&graph);
}

/* ---- sessions ---- */

struct subject {
    pith_backend *backend; /* shared */
    pith_model *model;
    pith_session *session;
};

/* Takes 93 tokens at once; `cut`: every dispatch is a submission, and attention reads its keys in ranges. */
static struct subject subject_open(pith_attn_method method, bool cut)
{
    struct subject s;
    char path[1024];
    snprintf(path, sizeof path, "%s/llama-f32.gguf", folder);
    s.backend = vk_shared(&physical, NULL);
    pith_vk_pace *pace = &pith_vk_of(s.backend)->pace;
    for (int w = 0; w < PITH_VK_WORKS; w++)
        pace->seconds_per_flop[w] = cut ? 1 : 1e-15;
    pace->target = cut ? 1e-12 : 1e3; /* what is learnt on the way changes neither */
    assert_ok(pith_model_open(path, NULL, &s.model));
    assert_ok(pith_model_load(s.model, s.backend, NULL, NULL));
    pith_session_params p = pith_session_params_default(s.model);
    p.attn.method = method;
    p.attn.window = 24;
    p.attn.group = 8;
    p.attn.sinks = 3;
    p.context = 128;
    p.chunk = 93;
    p.kv_type = PITH_KV_F16;
    assert_ok(pith_session_create(s.model, &p, &s.session));
    return s;
}

static void subject_close(struct subject *s)
{
    pith_session_destroy(&s->session);
    pith_model_destroy(&s->model);
}

static void test_layers(void **state)
{
    (void)state;
    static const int32_t skips[] = {1, 50, 88, 89, 91, 92};
    int32_t tokens[93];
    for (int32_t i = 0; i < 93; i++)
        tokens[i] = (i * 71 + 3) % 499;
    for (int method = 0; method < 2; method++)
        for (int cut = 0; cut < 2; cut++) {
            struct subject s = subject_open((pith_attn_method)method, cut);
            int32_t where = -1;
            double d = tail_distance(s.session, tokens, 93, skips, sizeof skips / sizeof skips[0], &where);
            printf("  method %d, %s: %.2e, %d skipped\n", method, cut ? "cut" : "whole", d, where);
            assert_true(d <= 2e-3); /* halves beside floats */
            subject_close(&s);
        }
}

/* ---- recordings ---- */

static const pith_vk_recording *recording_of(const pith_session *s, int32_t n, int32_t skip)
{
    for (int i = 0; i < PITH_VK_RECORDINGS; i++) {
        const pith_vk_recording *r = &s->exec->recordings[i];
        if (r->used && r->stage == PITH_STAGE_TRUNK && r->n == n && r->skip == skip)
            return r;
    }
    return NULL;
}

static double flop_of(const pith_vk_recording *r)
{
    double sum = 0;
    for (int32_t i = 0; i < r->n_cmds; i++)
        for (int w = 0; w < PITH_VK_WORKS; w++)
            sum += r->cmds[i].flop[w];
    return sum;
}

static void test_recordings(void **state)
{
    (void)state;
    struct subject s = subject_open(PITH_ATTN_FULL, false);
    int32_t tokens[93] = {0};
    const pith_vk_recording *none = recording_of(s.session, 93, 93), *last = recording_of(s.session, 93, 92);
    assert_true(none && last && recording_of(s.session, 1, 0) && !recording_of(s.session, 93, 0));
    const double without = flop_of(none), with_one = flop_of(last);
    uint64_t used = none->used;
    assert_ok(pith_session_step(s.session, tokens, 93, &(pith_step_hooks){.want = PITH_WANT_NONE}));
    assert_true(none->used > used && none == recording_of(s.session, 93, 93));
    pith_session_clear(s.session);
    assert_ok(pith_session_step(s.session, tokens, 93, &(pith_step_hooks){.want = PITH_WANT_ALL}));
    assert_non_null(recording_of(s.session, 93, 0));
    const double whole = flop_of(recording_of(s.session, 93, 0));
    pith_model_info m;
    pith_model_get_info(s.model, &m);
    double tail = 2.0 * m.n_embd * (m.n_head * m.head_dim + 3.0 * m.n_ff) + 4.0 * m.n_head * m.head_dim * 93;
    printf("  %.4g FLOP, %.4g with one token's tail, %.4g without\n", whole, with_one, without);
    assert_true(whole - with_one >= 92 * tail);
    assert_true(with_one - without >= tail && with_one - without <= 2 * tail);
    subject_close(&s);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    folder = argv[1];
    physical = vk_test_device();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_products), cmocka_unit_test(test_layers), cmocka_unit_test(test_recordings),
                                       cmocka_unit_test(vk_shared_close), cmocka_unit_test(vk_test_silent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
