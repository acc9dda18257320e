/* SPDX-License-Identifier: MIT */
#include "vk_attn.h"

#include "tune.h"

#include <stdlib.h>
#include <string.h>

/* Marks rows [row, row + n) of a plane. */
static void plane_mark(const pith_kv_layout *l, const pith_kv_plane *p, int32_t head, int64_t row, int64_t n, bool *written)
{
    uint64_t at = p->offset + (uint64_t)head * p->head_bytes + (uint64_t)row * p->row_bytes;
    memset(written + at, 1, (size_t)n * p->row_bytes);
    if (l->dtype == PITH_DTYPE_Q8_0)
        memset(written + p->scale_offset + (uint64_t)head * p->scale_head_bytes + 2ull * (uint64_t)(row * (l->head_dim / 32)), 1,
               (size_t)(2 * n * (l->head_dim / 32)));
}

/* Only rows of positions [pos, pos + n) and cores of groups that they complete may differ. */
static void store_check(const attn_case *c, const attn_result *r, const pith_kv_layout *l, int64_t base, int64_t pos, int64_t n,
                        const uint8_t *before, const uint8_t *after)
{
    bool *written = calloc((size_t)l->bytes, sizeof *written);
    assert_non_null(written);
    for (int64_t p = pos; p < pos + n; p++)
        for (int32_t h = 0; h < l->n_kv; h++) {
            plane_mark(l, &l->raw_k, h, pith_kv_raw_row(l, base, p), 1, written);
            plane_mark(l, &l->raw_v, h, pith_kv_raw_row(l, base, p), 1, written);
        }
    for (int64_t j = c->group ? pos / c->group : 0; c->group && (j + 1) * c->group <= pos + n; j++)
        for (int32_t h = 0; h < r->core_heads && (j + 1) * c->group > c->sinks; h++) {
            plane_mark(l, &l->core_k, h, j, 1, written);
            plane_mark(l, &l->core_v, h, j, 1, written);
            memset(written + l->bias_offset + (uint64_t)h * l->bias_head_bytes + 2 * (uint64_t)j, 1, 2);
        }
    for (uint64_t i = 0; i < l->bytes; i++)
        if (!written[i] && before[i] != after[i])
            fail_msg("byte %llu of %llu of the store changed in the chunk at %lld", (unsigned long long)i, (unsigned long long)l->bytes, (long long)pos);
    free(written);
}

enum { W_QKV, W_NORM_Q, W_NORM_K, W_COUNT };

struct layer {
    pith_weight_desc weights[W_COUNT];
    pith_graph graph;
    int32_t qkv, out;
};

/* ids -> rows of qkv -> append -> attend. */
static void layer_make(const attn_case *c, attn_result *r, const pith_kv_layout *l, struct layer *a)
{
    int32_t ld = (c->n_head + 2 * c->n_kv) * c->dim;
    a->weights[W_QKV] = (pith_weight_desc){PITH_WEIGHT_LOOKUP, 1, {{"qkv", PITH_DTYPE_F32, c->n_tokens, ld, r->qkv}}};
    a->weights[W_NORM_Q] = (pith_weight_desc){PITH_WEIGHT_VECTOR, 1, {{"q norm", PITH_DTYPE_F32, 1, c->dim, r->norm[0]}}};
    a->weights[W_NORM_K] = (pith_weight_desc){PITH_WEIGHT_VECTOR, 1, {{"k norm", PITH_DTYPE_F32, 1, c->dim, r->norm[1]}}};
    pith_graph_init(&a->graph, a->weights, W_COUNT);
    int32_t ids = pith_graph_input(&a->graph, "ids", PITH_DTYPE_I32, PITH_ROWS_TOKENS, 1);
    int32_t given = pith_graph_value(&a->graph, "qkv", PITH_DTYPE_F32, PITH_ROWS_TOKENS, ld);
    pith_node node = {.op = PITH_OP_EMBED, .src = ids, .dst = given, .layer = -1};
    node.u.embed.weight = W_QKV;
    assert_ok(pith_graph_add(&a->graph, &node));
    a->qkv = pith_graph_alias(&a->graph, "turned", given);
    node = (pith_node){.op = PITH_OP_KV_APPEND, .src = given, .dst = a->qkv, .layer = 0};
    node.u.append.n_head = c->n_head;
    node.u.append.q_norm = c->qk_norm ? W_NORM_Q : -1;
    node.u.append.k_norm = c->qk_norm ? W_NORM_K : -1;
    node.u.append.norm_eps = 1e-6f;
    node.u.append.scale = r->scale;
    node.u.append.rope = (pith_rope){r->freq, c->magnitude > 0 ? c->magnitude : 1, r->n_rot, c->rope_half};
    node.u.append.layout = l;
    node.u.append.group = c->group;
    node.u.append.n_sinks = c->sinks;
    node.u.append.position = c->position;
    assert_ok(pith_graph_add(&a->graph, &node));
    a->out = pith_graph_value(&a->graph, "out", PITH_DTYPE_F32, PITH_ROWS_TOKENS, c->n_head * c->dim);
    node = (pith_node){.op = PITH_OP_ATTEND, .src = a->qkv, .dst = a->out, .layer = 0};
    node.u.attend.n_head = c->n_head;
    node.u.attend.scale = r->scale;
    node.u.attend.layout = l;
    node.u.attend.n_segments = attn_segments_make(c, node.u.attend.segments);
    assert_ok(pith_graph_add(&a->graph, &node));
}

/* The layer chunk by chunk; turned [T][ld]: values q, k, v after the append. As one dispatch per token the append leaves
 * them alone: they are then those of the run before, whose rows these are. */
static bool run(const attn_case *c, attn_result *r, pith_backend *vk, bool one_dispatch, float *turned)
{
    char name[256];
    attn_case_name(c, name, sizeof name - 16);
    strcat(name, one_dispatch ? ", one dispatch" : "");
    int64_t chunk = c->chunk ? c->chunk : c->n_tokens, ld = (int64_t)(c->n_head + 2 * c->n_kv) * c->dim;
    const pith_kv_layout l = attn_layout_make(c, r);
    struct layer a;
    layer_make(c, r, &l, &a);
    assert_int_equal(setenv("PITH_VK_STEP", one_dispatch ? "1" : "0", 1), 0);
    pith_buf *kv;
    assert_ok(vk->fns->buf_create(vk, (size_t)l.bytes, &kv));
    uint8_t *before = malloc((size_t)l.bytes), *after = malloc((size_t)l.bytes);
    int32_t *ids = malloc((size_t)chunk * sizeof *ids);
    assert_true(before && after && ids);
    memset(before, 0xff, (size_t)l.bytes);
    assert_ok(vk->fns->buf_write(kv, 0, before, (size_t)l.bytes));
    vk_op op;
    vk_op_begin(&op, vk, &a.graph, (int32_t)chunk, 1, &kv, 1);
    int64_t base = l.n_fixed;
    for (int64_t pos = 0; pos < c->n_tokens; pos += chunk) {
        int64_t n = c->n_tokens - pos < chunk ? c->n_tokens - pos : chunk, keep = attn_visible_cores(c, pos) * c->group;
        if (pos + n - base > l.raw_rows - l.n_fixed && keep > base) {
            attn_slide(&l, before, keep - base, pos - keep);
            assert_ok(vk->fns->buf_write(kv, 0, before, (size_t)l.bytes));
            base = keep;
        }
        for (int64_t t = 0; t < n; t++)
            ids[t] = (int32_t)(pos + t);
        vk_op_run(&op, &(pith_step){.stage = PITH_STAGE_TRUNK, .n_tokens = (int32_t)n, .tokens = ids, .pos0 = pos, .raw_base = {base, base}});
        if (!one_dispatch)
            vk_op_read(&op, a.qkv, (int32_t)n, turned + pos * ld);
        vk_op_read(&op, a.out, (int32_t)n, r->out + pos * c->n_head * c->dim);
        assert_ok(vk->fns->buf_read(kv, 0, after, (size_t)l.bytes));
        store_check(c, r, &l, base, pos, n, before, after);
        memcpy(before, after, (size_t)l.bytes);
        attn_rows_read(c, r, &l, after, base, turned + pos * ld, pos, n);
    }
    attn_cores_read(c, r, &l, after);
    vk_op_end(&op);
    vk->fns->buf_destroy(&kv);
    bool ok = attn_check_rows(c, r, name);
    ok = attn_check_cores(c, r, name) && ok;
    ok = attn_check_out(c, r, name) && ok;
    pith_graph_fini(&a.graph);
    free(before);
    free(after);
    free(ids);
    return ok;
}

void vk_attn_check(pith_backend *vk, attn_case c, bool step, float *out)
{
    bool one_by_one = (c.chunk ? c.chunk : c.n_tokens) == 1;
    c.halves = c.dtype != PITH_DTYPE_F32 && !one_by_one && pith_vk_attend_choose(&pith_vk_of(vk)->device, (uint32_t)c.dim).subs > 0;
    c.turn_error = 8; /* a rotation by pos0 times one by t, each rounded, and their product */
    attn_result *r = attn_result_make(&c);
    float *turned = malloc((size_t)(c.n_tokens * (c.n_head + 2 * c.n_kv) * c.dim) * sizeof *turned);
    assert_non_null(turned);
    bool ok = run(&c, r, vk, false, turned);
    ok = (!one_by_one || !step || run(&c, r, vk, true, turned)) && ok;
    if (out)
        memcpy(out, r->out, sizeof *out * (size_t)(c.n_tokens * c.n_head * c.dim));
    attn_result_free(r);
    free(turned);
    if (!ok)
        fail();
}
