/* SPDX-License-Identifier: MIT */
#include "radv_layer.h"

#include <math.h>

#define TOKENS 512

/* One layer between a table and a head, all weights of one type. */
struct shape {
    pith_dtype dtype;
    int32_t d, n_head, n_kv, head_dim, ffn;
    pith_dtype kv;
    int32_t group;          /* 0: full attention */
    bool qk_norm, bias;
};

enum { W_EMBED, W_NORM, W_QKV, W_QKV_BIAS, W_HEAD_NORM, W_OUT, W_GATE_UP, W_DOWN, W_COUNT };

static const void *zeros; /* the content of every weight */

static pith_weight_desc matrix(pith_dtype dtype, int32_t n_parts, const int64_t *rows, int64_t cols)
{
    pith_weight_desc w = {PITH_WEIGHT_MATRIX, n_parts, {{0}}};
    for (int32_t p = 0; p < n_parts; p++)
        w.parts[p] = (pith_weight_part){"w", dtype, rows[p], cols, zeros};
    return w;
}

static pith_weight_desc vector(int64_t cols)
{
    return (pith_weight_desc){PITH_WEIGHT_VECTOR, 1, {{"v", PITH_DTYPE_F32, 1, cols, zeros}}};
}

static int32_t product(pith_graph *g, pith_stage stage, int32_t src, int32_t dst, int32_t weight, int32_t norm, int32_t bias, pith_epilogue epilogue)
{
    pith_node node = {.op = PITH_OP_MATMUL, .stage = stage, .src = src, .dst = dst, .layer = stage == PITH_STAGE_TRUNK ? 0 : -1};
    node.u.matmul.weight = weight;
    node.u.matmul.norm = norm;
    node.u.matmul.bias = bias;
    node.u.matmul.norm_eps = 1e-5f;
    node.u.matmul.epilogue = epilogue;
    assert_ok(pith_graph_add(g, &node));
    return dst;
}

static pith_kv_layout layout_of(const struct shape *s)
{
    pith_kv_layout l = {.dtype = s->kv, .n_kv = s->n_kv, .head_dim = s->head_dim, .raw_rows = 4096};
    l.core_heads = s->group ? s->n_kv : 0;
    l.core_rows = s->group ? 1024 : 0;
    assert_true(pith_kv_layout_fill(&l));
    return l;
}

static void attention(pith_graph *g, const struct shape *s, const pith_kv_layout *l, const double *freq, int32_t qkv, int32_t out)
{
    const int64_t far = (int64_t)1 << 40;
    int32_t qkv2 = pith_graph_alias(g, "qkv2", qkv);
    pith_node node = {.op = PITH_OP_KV_APPEND, .src = qkv, .dst = qkv2, .layer = 0};
    node.u.append.n_head = s->n_head;
    node.u.append.q_norm = node.u.append.k_norm = s->qk_norm ? W_HEAD_NORM : -1;
    node.u.append.norm_eps = 1e-5f;
    node.u.append.scale = 1 / sqrtf((float)s->head_dim);
    node.u.append.rope = (pith_rope){freq, 1, s->head_dim, true};
    node.u.append.layout = l;
    node.u.append.group = s->group;
    assert_ok(pith_graph_add(g, &node));
    node = (pith_node){.op = PITH_OP_ATTEND, .src = qkv2, .dst = out, .layer = 0};
    node.u.attend.n_head = s->n_head;
    node.u.attend.scale = 1 / sqrtf((float)s->head_dim);
    node.u.attend.layout = l;
    const pith_bound upto = {.max = far, .mul = 1, .group = 1}, cores = {.max = far, .shift = 1024, .mul = 1, .group = s->group ? s->group : 1};
    pith_segment *seg = node.u.attend.segments;
    if (s->group)
        seg[node.u.attend.n_segments++] = (pith_segment){.source = PITH_SEGMENT_CORE, .lo = pith_bound_const(0), .hi = cores, .bias = true};
    seg[node.u.attend.n_segments++] = (pith_segment){.source = PITH_SEGMENT_RAW, .lo = pith_bound_const(0), .hi = upto};
    assert_ok(pith_graph_add(g, &node));
}

static void layer_prepare(pith_backend *b, const struct shape *s)
{
    int64_t q = (int64_t)s->n_head * s->head_dim, k = (int64_t)s->n_kv * s->head_dim, d = s->d;
    pith_weight_desc w[W_COUNT];
    w[W_EMBED] = (pith_weight_desc){PITH_WEIGHT_LOOKUP, 1, {{"embed", s->dtype, 64, d, zeros}}};
    w[W_NORM] = vector(d);
    w[W_QKV] = matrix(s->dtype, 3, (const int64_t[]){q, k, k}, d);
    w[W_QKV_BIAS] = vector(q + 2 * k);
    w[W_HEAD_NORM] = vector(s->head_dim);
    w[W_OUT] = matrix(s->dtype, 1, &d, q);
    w[W_GATE_UP] = matrix(s->dtype, 2, (const int64_t[]){s->ffn, s->ffn}, d);
    w[W_DOWN] = matrix(s->dtype, 1, &d, s->ffn);
    double freq[128];
    for (int i = 0; i < s->head_dim / 2; i++)
        freq[i] = pow(10000, -2.0 * i / s->head_dim);
    const pith_kv_layout layout = layout_of(s);

    pith_graph g;
    pith_graph_init(&g, w, W_COUNT);
    int32_t ids = pith_graph_input(&g, "ids", PITH_DTYPE_I32, PITH_ROWS_TOKENS, 1);
    int32_t x = pith_graph_value(&g, "x", PITH_DTYPE_F32, PITH_ROWS_TOKENS, s->d);
    pith_node node = {.op = PITH_OP_EMBED, .src = ids, .dst = x, .layer = -1};
    node.u.embed.weight = W_EMBED;
    assert_ok(pith_graph_add(&g, &node));
    int32_t qkv = pith_graph_value(&g, "qkv", PITH_DTYPE_F32, PITH_ROWS_TOKENS, (int32_t)(q + 2 * k));
    int32_t heads = pith_graph_value(&g, "heads", PITH_DTYPE_F32, PITH_ROWS_TOKENS, (int32_t)q);
    int32_t h = pith_graph_value(&g, "h", PITH_DTYPE_F32, PITH_ROWS_TOKENS, s->ffn);
    product(&g, PITH_STAGE_TRUNK, x, qkv, W_QKV, W_NORM, s->bias ? W_QKV_BIAS : -1, PITH_EPILOGUE_STORE);
    attention(&g, s, &layout, freq, qkv, heads);
    x = product(&g, PITH_STAGE_TRUNK, heads, pith_graph_alias(&g, "x2", x), W_OUT, -1, -1, PITH_EPILOGUE_ADD);
    product(&g, PITH_STAGE_TRUNK, x, h, W_GATE_UP, W_NORM, -1, PITH_EPILOGUE_SWIGLU);
    x = product(&g, PITH_STAGE_TRUNK, h, pith_graph_alias(&g, "x3", x), W_DOWN, -1, -1, PITH_EPILOGUE_ADD);
    int32_t row = pith_graph_value(&g, "row", PITH_DTYPE_F32, PITH_ROWS_WANTED, s->d);
    node = (pith_node){.op = PITH_OP_ROWS, .stage = PITH_STAGE_HEAD, .src = x, .dst = row, .layer = -1};
    assert_ok(pith_graph_add(&g, &node));
    int32_t logits = pith_graph_value(&g, "logits", PITH_DTYPE_F32, PITH_ROWS_WANTED, (int32_t)(q + 2 * k));
    product(&g, PITH_STAGE_HEAD, row, logits, W_QKV, W_NORM, -1, PITH_EPILOGUE_STORE);

    pith_plan plan;
    pith_buf *kv;
    pith_weight_store *store;
    pith_exec *exec;
    assert_ok(pith_plan_make(&g, TOKENS, 1, &plan));
    assert_ok(b->fns->buf_create(b, layout.bytes, &kv));
    assert_ok(b->fns->weights_create(b, w, W_COUNT, NULL, NULL, NULL, &store));
    assert_ok(b->fns->prepare(b, &(pith_exec_params){.plan = &plan, .weights = store, .kv = &kv, .n_layers = 1}, &exec));
    pith_vk_recording *two; /* tokens: prepare() made those of one and of all */
    assert_ok(pith_vk_recording_get(exec, PITH_STAGE_TRUNK, 2, 0, &two));
    b->fns->exec_destroy(&exec);
    b->fns->weights_destroy(&store);
    b->fns->buf_destroy(&kv);
    pith_plan_fini(&plan);
    pith_graph_fini(&g);
}

static const pith_dtype types[] = {PITH_DTYPE_F32, PITH_DTYPE_F16, PITH_DTYPE_BF16, PITH_DTYPE_Q4_0, PITH_DTYPE_Q4_1,
                                   PITH_DTYPE_Q5_0, PITH_DTYPE_Q5_1, PITH_DTYPE_Q8_0, PITH_DTYPE_Q2_K, PITH_DTYPE_Q3_K,
                                   PITH_DTYPE_Q4_K, PITH_DTYPE_Q5_K, PITH_DTYPE_Q6_K, PITH_DTYPE_IQ4_NL, PITH_DTYPE_IQ4_XS};

void radv_layers(const pith_vk_physical *physical, const char *family, struct cell *row,
                 void (*read)(pith_backend *b, const char *family, struct cell *row))
{
    pith_vk_physical p = *physical;
    p.statistics = true;
    p.cores = 8; /* few: the matrices below then count as long ones, and as short ones */
    p.properties.limits.maxComputeSharedMemorySize = RADV_SHARED_BYTES;
    p.memory = (VkPhysicalDeviceMemoryProperties){ /* the null hardware has none */
        .memoryTypeCount = 2, .memoryTypes = {{VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, 0},
                                              {VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT, 1}},
        .memoryHeapCount = 2, .memoryHeaps = {{(VkDeviceSize)8 << 30, VK_MEMORY_HEAP_DEVICE_LOCAL_BIT}, {(VkDeviceSize)8 << 30, 0}}};
    void *data = calloc(1, (size_t)2048 * 4096 * 4);
    assert_non_null(data);
    zeros = data;
    static const char *const hides[] = {"", "fp16", "subgroup"};
    static const pith_dtype stores[] = {PITH_DTYPE_F32, PITH_DTYPE_F16, PITH_DTYPE_Q8_0};
    for (size_t h = 0; h < sizeof hides / sizeof hides[0]; h++) {
        pith_backend *b = vk_test_backend(&p, &(pith_vk_backend_params){.hide = hides[h], .threads = 2});
        for (size_t t = 0; t < sizeof types / sizeof types[0]; t++)
            layer_prepare(b, &(struct shape){types[t], 1024, 16, 4, 64, 256, PITH_DTYPE_F16, 16, false, false});
        for (int k = 0; k < 3; k++) {
            layer_prepare(b, &(struct shape){PITH_DTYPE_Q4_0, 4096, 8, 8, 128, 1024, stores[k], 16, false, false});
            layer_prepare(b, &(struct shape){PITH_DTYPE_Q4_K, 2048, 16, 4, 128, 512, stores[k], 0, true, true});
            layer_prepare(b, &(struct shape){PITH_DTYPE_Q8_0, 576, 9, 3, 64, 1536, stores[k], 16, false, false});
            layer_prepare(b, &(struct shape){PITH_DTYPE_F16, 1024, 4, 1, 256, 256, stores[k], 8, false, true});
        }
        /* Attention of a device so slow that keys are read in ranges. */
        pith_vk_of(b)->pace.seconds_per_flop[PITH_VK_WORK_ATTEND] = 1e-9;
        for (int k = 0; k < 3; k++)
            for (int32_t dim = 64; dim <= 256; dim *= 2)
                layer_prepare(b, &(struct shape){PITH_DTYPE_Q4_0, 1024, 8, 4, dim, 256, stores[k], 16, false, false});
        read(b, family, row);
        pith_backend_destroy(&b);
    }
    /* Products of bytes, also on chips whose dot products are not fast. */
    setenv("PITH_VK_INT8", "1", 1);
    pith_backend *b = vk_test_backend(&p, &(pith_vk_backend_params){.threads = 2});
    int n_tiles;
    (void)pith_vk_byte_tile_list(&n_tiles);
    for (int i = 0; i < n_tiles; i++) {
        pith_vk_of(b)->device.byte_tile = i + 1;
        for (size_t t = 0; t < sizeof types / sizeof types[0]; t++)
            layer_prepare(b, &(struct shape){types[t], 1024, 16, 4, 64, 256, PITH_DTYPE_F16, 16, false, i == 0});
    }
    read(b, family, row);
    pith_backend_destroy(&b);
    unsetenv("PITH_VK_INT8");
    free(data);
}
