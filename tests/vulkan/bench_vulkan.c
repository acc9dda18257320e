/* SPDX-License-Identifier: MIT */
/* What a device does with each kind of work, in its own units, beside what it can do at best: dispatch cost, copy
 * bandwidth, tile products per tile size, whole products per tensor type, attention at depth.
 *
 *     bench_vulkan [DEVICE-NAME-PART] [all|dispatch|copy|tiles|vectors|products|attention]
 *
 * Times are the device's own (timestamps around a node) or, for raw dispatches, the wall clock of one submission that
 * repeats the work; best of several. Needs a GPU to mean anything. */
#include "base/mem.h"
#include "base/os.h"
#include "tune.h"
#include "vulkan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pith_vk_backend *vk;

#define CHECK(expr)                                                                          \
    do {                                                                                     \
        if ((expr) != PITH_OK) {                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, pith_last_error());           \
            exit(1);                                                                         \
        }                                                                                    \
    } while (0)

/* Seconds of one submission of `repeat` times what `record` puts into a command buffer; best of 5. */
static double seconds(void (*record)(pith_vk_cmd *cmd, void *user), void *user, int repeat)
{
    pith_vk_cmd cmd;
    double best = 1e30;
    CHECK(pith_vk_cmd_init(&cmd, &vk->device, &vk->pipelines));
    pith_vk_cmd_begin(&cmd);
    for (int i = 0; i < repeat; i++)
        record(&cmd, user);
    CHECK(pith_vk_cmd_end(&cmd));
    for (int i = 0; i < 6; i++) {
        pith_vk_cmd *p = &cmd;
        uint64_t begin = pith_os_now_ns();
        CHECK(pith_vk_queue_submit(&vk->queue, &p, 1));
        CHECK(pith_vk_queue_wait(&vk->queue, cmd.value));
        double s = (double)(pith_os_now_ns() - begin) * 1e-9;
        best = i > 0 && s < best ? s : best;
    }
    pith_vk_cmd_fini(&cmd);
    return best;
}

static pith_vk_buffer buffer(uint64_t bytes, uint32_t word)
{
    pith_vk_buffer b;
    CHECK(pith_vk_buffer_create(&vk->device, bytes, PITH_VK_DEVICE, &b));
    CHECK(pith_vk_transfer_fill(&vk->transfer, &b, 0, b.bytes, word));
    CHECK(pith_vk_transfer_flush(&vk->transfer));
    CHECK(pith_vk_queue_wait(&vk->queue, vk->queue.submitted));
    return b;
}

/* ---- dispatch, copy ------------------------------------------------------------------------------------------------- */

struct small {
    pith_vk_buffer a, b;
    bool dependent;
};

static void record_small(pith_vk_cmd *cmd, void *user)
{
    const struct small *s = user;
    const struct pith_vk_push_rows push = {.cols = 64, .list = 0};
    const pith_vk_call call = {.variant = PITH_SPV_ROWS,
                               .spec = {64},
                               .bind = {pith_vk_bind_all(&s->a, false), pith_vk_bind_all(&s->b, s->dependent), pith_vk_bind_all(&s->a, false)},
                               .push = &push,
                               .push_bytes = sizeof push,
                               .groups = {1}};
    pith_vk_cmd_dispatch(cmd, &call);
}

static void bench_dispatch(void)
{
    struct small s = {buffer(4096, 0), buffer(4096, 0), true};
    double chained = seconds(record_small, &s, 2000), one = seconds(record_small, &s, 1);
    s.dependent = false;
    double free_ = seconds(record_small, &s, 2000);
    printf("dispatch: %.2f us behind a barrier, %.2f us without; a submission with one: %.1f us\n", (chained - one) / 2e-3, (free_ - one) / 2e-3,
           one * 1e6);
    pith_vk_buffer_destroy(&vk->device, &s.a);
    pith_vk_buffer_destroy(&vk->device, &s.b);
}

static void record_copy(pith_vk_cmd *cmd, void *user)
{
    const struct small *s = user;
    pith_vk_cmd_copy(cmd, &s->b, 0, &s->a, 0, s->a.bytes);
}

static void bench_copy(void)
{
    struct small s = {buffer((uint64_t)256 << 20, 1), buffer((uint64_t)256 << 20, 2), true};
    double t = seconds(record_copy, &s, 10);
    printf("copy: %.0f GB/s (read + write)\n", 20.0 * (double)s.a.bytes / t * 1e-9);
    pith_vk_buffer_destroy(&vk->device, &s.a);
    pith_vk_buffer_destroy(&vk->device, &s.b);
}

/* ---- tiles ---------------------------------------------------------------------------------------------------------- */

struct tiles {
    pith_vk_buffer x, w, y;
    pith_vk_tile tile;
    uint32_t m, n, k;
};

static void record_tiles(pith_vk_cmd *cmd, void *user)
{
    const struct tiles *t = user;
    const struct pith_vk_push_gemm push = {.m = t->m, .n = t->n, .k = t->k, .group_rows = t->n, .ldy = t->n};
    pith_vk_call call = {.variant = t->tile.variant,
                         .bind = {pith_vk_bind_all(&t->x, false), pith_vk_bind_all(&t->w, false), pith_vk_bind_all(&t->y, true)},
                         .push = &push,
                         .push_bytes = sizeof push,
                         .groups = {(t->n + t->tile.bn - 1) / t->tile.bn, (t->m + t->tile.bm - 1) / t->tile.bm}};
    pith_vk_tile_spec(&vk->device, &t->tile, PITH_VK_HALVES, 0, call.spec);
    pith_vk_cmd_dispatch(cmd, &call);
}

static void bench_tiles(bool small)
{
    static const char *const tiles[] = {
        "128,128,32,64,32,2", "128,128,32,64,64,2", "128,128,32,64,64,1", "128,128,32,64,32,1", "256,128,32,64,64,1", "128,256,32,64,64,1",
        "256,128,16,64,64,2", "128,256,16,64,64,2", "128,128,64,64,64,1", "128,128,64,64,32,1", "256,128,32,128,32,1", "256,128,32,64,32,1", "128,128,32,128,32,1",
        "128,128,16,64,64,2", "128,64,32,64,32,2", "128,64,32,32,64,2", "128,64,64,64,32,1", "64,128,32,32,64,2", "64,128,32,64,32,2", "64,64,32,32,32,2", "64,64,64,32,32,1"};
    static const uint32_t shapes[][3] = {{4096, 4096, 4096}, {4096, 22016, 4096}, {4096, 4096, 11008}, {512, 4096, 4096}, {512, 22016, 4096}};
    printf("tiles (bm,bn,bk,wm,wn,stages), TFLOP/s at m x n x k:\n");
    for (size_t s = 0; s < (small ? 1 : sizeof shapes / sizeof shapes[0]); s++) {
        struct tiles t = {.m = shapes[s][0] >> (small ? 4 : 0), .n = shapes[s][1] >> (small ? 4 : 0), .k = shapes[s][2] >> (small ? 4 : 0)};
        t.x = buffer(2ull * t.m * t.k, 0x2E662E66);
        t.w = buffer(2ull * t.n * t.k, 0x2A662A66);
        t.y = buffer(4ull * t.m * t.n, 0);
        double flop = 2.0 * t.m * t.n * t.k;
        for (int i = -1; i < (int)(sizeof tiles / sizeof tiles[0]); i++) {
            if (i >= 0)
                setenv("PITH_VK_TILE", tiles[i], 1);
            t.tile = pith_vk_tile_choose(&vk->device, t.m, t.n, t.k, i < 0 ? PITH_VK_FLOATS : PITH_VK_HALVES);
            char got[64];
            snprintf(got, sizeof got, "%u,%u,%u,%u,%u,%u", t.tile.bm, t.tile.bn, t.tile.bk, t.tile.wm, t.tile.wn, t.tile.stages);
            if (i >= 0 && strcmp(got, tiles[i]) != 0)
                continue; /* does not fit */
            if (i < 0) /* plain arithmetic on halves */
                t.tile.variant = PITH_SPV_GEMM_TILE;
            int repeat = small ? 1 : i < 0 ? 2 : 10;
            printf("  %5u x %5u x %5u  %-17s %-14s %8.2f\n", t.m, t.n, t.k, got, pith_vk_spv[t.tile.variant].name,
                   flop * repeat / seconds(record_tiles, &t, repeat) * 1e-12);
            fflush(stdout);
        }
        unsetenv("PITH_VK_TILE");
        pith_vk_buffer_destroy(&vk->device, &t.x);
        pith_vk_buffer_destroy(&vk->device, &t.w);
        pith_vk_buffer_destroy(&vk->device, &t.y);
    }
}

/* An idle device takes a while of hard work to raise its clock. */
static void warm(void)
{
    static struct tiles t;
    if (!t.m) {
        t = (struct tiles){.m = 2048, .n = 2048, .k = 2048};
        t.x = buffer(2ull * t.m * t.k, 0x2E662E66);
        t.w = buffer(2ull * t.n * t.k, 0x2A662A66);
        t.y = buffer(4ull * t.m * t.n, 0);
        t.tile = pith_vk_tile_choose(&vk->device, t.m, t.n, t.k, PITH_VK_HALVES);
    }
    bool software = vk->device.physical.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
    for (uint64_t begin = pith_os_now_ns(); !software && pith_os_now_ns() - begin < 100000000;)
        (void)seconds(record_tiles, &t, 10);
}

/* ---- nodes of a graph, by the device's timestamps -------------------------------------------------------------------- */

/* Nanoseconds of node `node` of a graph, best of some runs. */
static uint64_t node_ns(const pith_graph *graph, const pith_weight_store *store, pith_buf *const *kv, int32_t n_tokens, int64_t pos0,
                        int64_t raw_base, int32_t node)
{
    pith_plan plan;
    pith_exec *e;
    CHECK(pith_plan_make(graph, n_tokens, 1, &plan));
    CHECK(vk->base.fns->prepare(&vk->base, &(pith_exec_params){.plan = &plan, .weights = store, .kv = kv, .n_layers = 1}, &e));
    int32_t *tokens = calloc((size_t)n_tokens, sizeof *tokens);
    pith_timing t[8] = {{0}};
    vk->base.fns->timings_set(e, true);
    warm();
    uint64_t best = UINT64_MAX, begin = pith_os_now_ns();
    for (int i = 0; i < 8 || pith_os_now_ns() - begin < 60000000; i++) {
        CHECK(vk->base.fns->run(e, &(pith_step){.stage = PITH_STAGE_TRUNK, .n_tokens = n_tokens, .tokens = tokens, .pos0 = pos0,
                                                .raw_base = {raw_base, raw_base}}));
        vk->base.fns->timings(e, t, 8);
        best = i > 1 && t[node].ns < best ? t[node].ns : best;
    }
    free(tokens);
    vk->base.fns->exec_destroy(&e);
    pith_plan_fini(&plan);
    return best;
}

static void fill(void *p, size_t n)
{
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        ((uint8_t *)p)[i] = (uint8_t)((x >> 32) & 0x3B);
    }
}

/* A product of one weight of this type at each of these numbers of tokens, in nanoseconds; returns the bytes of the weight. */
static size_t product(pith_dtype type, int64_t rows, int64_t cols, const int32_t *tokens, int n, double *ns)
{
    size_t bytes = pith_dtype_row_bytes(type, (size_t)cols) * (size_t)rows;
    void *data = malloc(bytes), *table = calloc((size_t)cols, 4);
    fill(data, bytes);
    const pith_weight_desc w[] = {{PITH_WEIGHT_LOOKUP, 1, {{"x", PITH_DTYPE_F32, 1, cols, table}}},
                                  {PITH_WEIGHT_MATRIX, 1, {{"w", type, rows, cols, data}}}};
    pith_weight_store *store;
    CHECK(vk->base.fns->weights_create(&vk->base, w, 2, NULL, NULL, NULL, &store));
    pith_graph g;
    pith_graph_init(&g, w, 2);
    int32_t ids = pith_graph_input(&g, "ids", PITH_DTYPE_I32, PITH_ROWS_TOKENS, 1);
    int32_t x = pith_graph_value(&g, "x", PITH_DTYPE_F32, PITH_ROWS_TOKENS, (int32_t)cols);
    int32_t y = pith_graph_value(&g, "y", PITH_DTYPE_F32, PITH_ROWS_TOKENS, (int32_t)rows);
    pith_node node = {.op = PITH_OP_EMBED, .src = ids, .dst = x, .layer = -1};
    CHECK(pith_graph_add(&g, &node));
    node = (pith_node){.op = PITH_OP_MATMUL, .src = x, .dst = y, .layer = 0};
    node.u.matmul.weight = 1;
    node.u.matmul.bias = node.u.matmul.norm = -1;
    CHECK(pith_graph_add(&g, &node));
    for (int i = 0; i < n; i++)
        ns[i] = (double)node_ns(&g, store, NULL, tokens[i], 0, 0, 1);
    pith_graph_fini(&g);
    vk->base.fns->weights_destroy(&store);
    free(data);
    free(table);
    return bytes;
}

static void bench_products(bool small)
{
    static const pith_dtype types[] = {PITH_DTYPE_F16, PITH_DTYPE_Q4_0, PITH_DTYPE_Q4_1, PITH_DTYPE_Q5_0, PITH_DTYPE_Q8_0, PITH_DTYPE_Q2_K,
                                       PITH_DTYPE_Q3_K, PITH_DTYPE_Q4_K, PITH_DTYPE_Q5_K, PITH_DTYPE_Q6_K, PITH_DTYPE_IQ4_NL, PITH_DTYPE_IQ4_XS};
    const int64_t rows = small ? 512 : 22016, cols = small ? 1024 : 4096;
    const int32_t tokens[] = {1, small ? 64 : 512, small ? 128 : 4096};
    printf("products with %lld x %lld weights: one token GB/s of weights; %d and %d tokens TFLOP/s, unpacking included\n", (long long)rows,
           (long long)cols, tokens[1], tokens[2]);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        double ns[3], flop = 2e-3 * (double)rows * (double)cols;
        double bytes = (double)product(types[i], rows, cols, tokens, 3, ns);
        printf("  %-8s %8.1f us %8.0f GB/s    %8.2f %8.2f TFLOP/s\n", pith_dtype_get((uint32_t)types[i]).name, ns[0] * 1e-3, bytes / ns[0],
               flop * tokens[1] / ns[1], flop * tokens[2] / ns[2]);
        fflush(stdout);
    }
}

/* One token: shapes of a 7B model against sizes of matvec_half.comp. */
static void bench_vectors(bool small)
{
    static const pith_dtype types[] = {PITH_DTYPE_Q4_0, PITH_DTYPE_Q4_K, PITH_DTYPE_Q6_K, PITH_DTYPE_Q8_0};
    static const int64_t shapes[][2] = {{22016, 4096}, {4096, 4096}, {4096, 11008}};
    static const char *const sizes[] = {"0", "128,2,8", "256,2,4", "256,2,64", "256,4,4", "256,4,3", "512,2,2", "256,2,8", "128,4,6", "512,4,1"};
    const int32_t one = 1;
    printf("one token, GB/s of weights, by invocations, rows, workgroups per core (0: products in floats)\n");
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++)
        for (size_t s = 0; s < (t == 0 ? 3 : 1); s++) {
            printf("  %-5s %5lld x %5lld", pith_dtype_get((uint32_t)types[t]).name, (long long)shapes[s][0], (long long)shapes[s][1]);
            for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
                double ns;
                setenv("PITH_VK_HALF", sizes[i], 1);
                double bytes = (double)product(types[t], shapes[s][0] / (small ? 16 : 1), shapes[s][1] / (small ? 4 : 1), &one, 1, &ns);
                printf("  %s: %.0f", sizes[i], bytes / ns);
                fflush(stdout);
            }
            printf("\n");
        }
    unsetenv("PITH_VK_HALF");
}

static void attention(int32_t n_head, int32_t n_kv, int64_t depth, bool cca, int32_t n_tokens, pith_dtype dtype)
{
    const int32_t dim = 128;
    const int64_t g = 16, s = 1024;
    static double freq[64];
    pith_kv_layout l = {.dtype = dtype, .n_kv = n_kv, .core_heads = cca ? n_kv : 0, .head_dim = dim,
                        .raw_rows = cca ? s + g + n_tokens : depth + n_tokens, .core_rows = cca ? (depth + n_tokens) / g + 1 : 0};
    if (!pith_kv_layout_fill(&l))
        exit(1);
    const int32_t cols = (n_head + 2 * n_kv) * dim;
    float *table = calloc((size_t)cols, 4);
    for (int32_t i = 0; i < cols; i++)
        table[i] = (float)(i % 7) * 0.1f;
    const pith_weight_desc w[] = {{PITH_WEIGHT_LOOKUP, 1, {{"x", PITH_DTYPE_F32, 1, cols, table}}}};
    pith_weight_store *store;
    CHECK(vk->base.fns->weights_create(&vk->base, w, 1, NULL, NULL, NULL, &store));
    pith_graph graph;
    pith_graph_init(&graph, w, 1);
    int32_t ids = pith_graph_input(&graph, "ids", PITH_DTYPE_I32, PITH_ROWS_TOKENS, 1);
    int32_t qkv = pith_graph_value(&graph, "qkv", PITH_DTYPE_F32, PITH_ROWS_TOKENS, cols);
    int32_t out = pith_graph_value(&graph, "out", PITH_DTYPE_F32, PITH_ROWS_TOKENS, n_head * dim);
    pith_node node = {.op = PITH_OP_EMBED, .src = ids, .dst = qkv, .layer = -1};
    CHECK(pith_graph_add(&graph, &node));
    node = (pith_node){.op = PITH_OP_KV_APPEND, .src = qkv, .dst = qkv, .layer = 0};
    node.u.append.n_head = n_head;
    node.u.append.q_norm = node.u.append.k_norm = -1;
    node.u.append.scale = 0.088f;
    node.u.append.rope = (pith_rope){.freq = freq, .magnitude = 1, .n_rot = dim, .half = true};
    node.u.append.layout = &l;
    node.u.append.group = cca ? (int32_t)g : 0;
    CHECK(pith_graph_add(&graph, &node));
    const pith_bound upto = {.min = 0, .max = INT64_MAX, .shift = 0, .mul = 1, .group = 1};
    node = (pith_node){.op = PITH_OP_ATTEND, .src = qkv, .dst = out, .layer = 0};
    node.u.attend.n_head = n_head;
    node.u.attend.scale = 0.088f;
    node.u.attend.layout = &l;
    if (cca)
        node.u.attend.segments[node.u.attend.n_segments++] = (pith_segment){
            .source = PITH_SEGMENT_CORE, .lo = pith_bound_const(0), .hi = {.min = 0, .max = INT64_MAX, .shift = s, .mul = 1, .group = (int32_t)g},
            .bias = true, .list_value = -1};
    node.u.attend.segments[node.u.attend.n_segments++] =
        (pith_segment){.source = PITH_SEGMENT_RAW, .lo = cca ? (pith_bound){.min = 0, .max = INT64_MAX, .shift = s, .mul = (int32_t)g, .group = (int32_t)g}
                                                             : pith_bound_const(0), .hi = upto, .list_value = -1};
    CHECK(pith_graph_add(&graph, &node));
    pith_buf *kv;
    CHECK(vk->base.fns->buf_create(&vk->base, l.bytes, &kv));
    int64_t oldest = cca ? (depth + 1 - s > 0 ? (depth + 1 - s) / g * g : 0) : 0;
    double append = (double)node_ns(&graph, store, &kv, n_tokens, depth, oldest, 1);
    double ns = (double)node_ns(&graph, store, &kv, n_tokens, depth, oldest, 2);
    double keys = cca ? (double)((depth + n_tokens / 2 - s) / g) + (double)s : (double)depth + n_tokens / 2.0;
    double bytes = keys * n_kv * (double)(2 * l.raw_k.row_bytes);
    printf("  %2d/%2d heads, depth %6lld, %-4s %-4s %4d tokens: %9.1f us %8.0f GB/s %8.2f TFLOP/s; append %.1f us\n", n_head, n_kv, (long long)depth,
           cca ? "cca" : "full", pith_dtype_get((uint32_t)dtype).name, n_tokens, ns * 1e-3, n_tokens == 1 ? bytes / ns : 0,
           4e-3 * keys * n_head * dim * n_tokens / ns, append * 1e-3);
    fflush(stdout);
    vk->base.fns->buf_destroy(&kv);
    vk->base.fns->weights_destroy(&store);
    pith_graph_fini(&graph);
    free(table);
}

static void bench_attention(bool small)
{
    printf("attention, head width 128:\n");
    if (small) {
        attention(4, 2, 2048, true, 1, PITH_DTYPE_F16);
        attention(4, 2, 2048, true, 32, PITH_DTYPE_F16);
        return;
    }
    for (int h = 0; h < 2; h++) {
        attention(32, h ? 8 : 32, 131072 - 4096, true, 1, PITH_DTYPE_F16);
        attention(32, h ? 8 : 32, 131072 - 4096, true, 1, PITH_DTYPE_Q8_0);
        attention(32, h ? 8 : 32, 32768, false, 1, PITH_DTYPE_F16);
        attention(32, h ? 8 : 32, 1024, true, 1, PITH_DTYPE_F16);
        attention(32, h ? 8 : 32, 131072 - 4096, true, 4096, PITH_DTYPE_F16);
        attention(32, h ? 8 : 32, 4096, false, 4096, PITH_DTYPE_F16);
        attention(32, h ? 8 : 32, 4096, true, 512, PITH_DTYPE_F16);
    }
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "", *what = argc > 2 ? argv[2] : "all";
    VkInstance instance;
    pith_vk_physical all[16];
    CHECK(pith_vk_instance_acquire(&instance));
    size_t n = pith_vk_physical_list(instance, all, 16), i = 0;
    while (i < n && !strstr(all[i].properties.deviceName, name))
        i++;
    if (i >= n) {
        fprintf(stderr, "no Vulkan device named %s among %zu\n", name, n);
        return 77;
    }
    const pith_vk_backend_params params = {0};
    pith_backend *b;
    CHECK(pith_vk_backend_create_on(&all[i], &params, &b));
    vk = pith_vk_of(b);
    bool small = all[i].properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU, every = strcmp(what, "all") == 0;
    printf("%s\nsubgroup %u (%u..%u), shared %u bytes, binding %llu bytes, about %u cores\n", b->describe, all[i].subgroup,
           all[i].subgroup_min, all[i].subgroup_max, vk->device.shared_bytes, (unsigned long long)vk->device.range_max, vk->device.cores);
    if (every || strcmp(what, "dispatch") == 0)
        bench_dispatch();
    if (every || strcmp(what, "copy") == 0)
        bench_copy();
    if (every || strcmp(what, "tiles") == 0)
        bench_tiles(small);
    if (every || strcmp(what, "vectors") == 0)
        bench_vectors(small);
    if (every || strcmp(what, "products") == 0)
        bench_products(small);
    if (every || strcmp(what, "attention") == 0)
        bench_attention(small);
    b->fns->destroy(b);
    pith_vk_instance_release();
    return 0;
}
