/* SPDX-License-Identifier: MIT */
/* The self-test's attention, over all keys and over cores: many tokens, few, then one by one, so that every kernel of
 * append, pooling and attention runs; the same ones both times, as compiling takes the longest. What is right, after
 * docs/MODEL.md, in double, with keys rounded as the store rounds. */
#include "base/half.h"
#include "base/mem.h"
#include "base/rng.h"
#include "rig.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HEADS 6
#define KV 2
#define WIDTH 64
#define PAIRS (WIDTH / 2)
#define QKV ((HEADS + 2 * KV) * WIDTH)
#define GROUP 8
#define WINDOW 8      /* a core is seen soon after it is made */
#define SINKS 3       /* in the middle of a group */
#define MANY 67       /* tokens of the first run: parts of a tile, of a group */
#define FEW 3         /* of the second */
#define LENGTH 84     /* in all: a group that is completed by a single token is seen as a core by another */
#define CORES (LENGTH / GROUP)
#define EPS 1e-6f

struct attention {
    bool cores;                      /* queries see them; they are made in any case */
    pith_kv_layout layout;
    float table[LENGTH][QKV];        /* q, k and v of each position, as a product makes them */
    float norm[2][WIDTH];            /* of q, of k */
    double freq[PAIRS];
    double q[LENGTH][HEADS][WIDTH];  /* ready for use */
    double k[LENGTH + CORES][KV][WIDTH], v[LENGTH + CORES][KV][WIDTH]; /* rows as stored, cores behind them */
    double bias[CORES][KV];
    float got[MANY][HEADS][WIDTH];
};

static double stored(double x) { return (double)pith_f16_to_f32(pith_f32_to_f16((float)x)); }

/* ---- what is right ---------------------------------------------------------------------------------------------------- */

/* Head norm and rotation of a vector at position t. */
static void turned(const struct attention *a, const float *x, const float *norm, int t, double *out)
{
    double squares = 0;
    for (int e = 0; e < WIDTH; e++)
        squares += (double)x[e] * x[e];
    for (int e = 0; e < WIDTH; e++)
        out[e] = x[e] / sqrt(squares / WIDTH + EPS) * norm[e];
    for (int i = 0; i < PAIRS; i++) {
        double c = cos(t * a->freq[i]), s = sin(t * a->freq[i]), x0 = out[i], x1 = out[i + PAIRS];
        out[i] = x0 * c - x1 * s;
        out[i + PAIRS] = x0 * s + x1 * c;
    }
}

static double dot(const double *x, const double *y)
{
    double sum = 0;
    for (int e = 0; e < WIDTH; e++)
        sum += x[e] * y[e];
    return sum;
}

/* z[0..n) becomes its softmax; returns the entropy. */
static double softmax(double *z, int n)
{
    double most = z[0], total = 0, entropy = 0;
    for (int i = 1; i < n; i++)
        most = fmax(most, z[i]);
    for (int i = 0; i < n; i++)
        total += exp(z[i] - most);
    for (int i = 0; i < n; i++) {
        z[i] = exp(z[i] - most) / total;
        entropy -= z[i] > 0 ? z[i] * log(z[i]) : 0;
    }
    return entropy;
}

/* The core of group j, its members weighed by the mean of the heads' queries at its end. */
static void pool(struct attention *a, int j, int kv)
{
    int end = (j + 1) * GROUP - 1, from = j * GROUP < SINKS ? SINKS : j * GROUP, n = end - from + 1, share = HEADS / KV;
    double mean[WIDTH] = {0}, z[GROUP];
    for (int h = 0; h < share; h++)
        for (int e = 0; e < WIDTH; e++)
            mean[e] += a->q[end][kv * share + h][e] / share;
    for (int i = 0; i < n; i++)
        z[i] = dot(mean, a->k[from + i][kv]) / sqrt(WIDTH);
    a->bias[j][kv] = stored(softmax(z, n));
    for (int e = 0; e < WIDTH; e++) {
        double k = 0, v = 0;
        for (int i = 0; i < n; i++) {
            k += z[i] * a->k[from + i][kv][e];
            v += z[i] * a->v[from + i][kv][e];
        }
        a->k[LENGTH + j][kv][e] = stored(k);
        a->v[LENGTH + j][kv][e] = stored(v);
    }
}

static void fill(struct attention *a, bool cores)
{
    pith_rng rng;
    pith_rng_init(&rng, 21);
    a->cores = cores;
    for (int i = 0; i < LENGTH * QKV; i++)
        a->table[i / QKV][i % QKV] = pith_rng_normal(&rng);
    for (int t = 3; t < LENGTH; t += 4) /* attention that sits on one key, beside attention that is spread */
        for (int h = 0; h < HEADS; h++)
            memcpy(&a->table[t][h * WIDTH], &a->table[t / 2][(HEADS + h / (HEADS / KV)) * WIDTH], WIDTH * sizeof a->table[0][0]);
    for (int i = 0; i < 2 * WIDTH; i++)
        a->norm[i / WIDTH][i % WIDTH] = 1.2f + 0.3f * pith_rng_normal(&rng);
    for (int i = 0; i < PAIRS; i++)
        a->freq[i] = pow(1e4, -(double)i / PAIRS);
    for (int t = 0; t < LENGTH; t++) {
        for (int h = 0; h < HEADS; h++)
            turned(a, &a->table[t][h * WIDTH], a->norm[0], t, a->q[t][h]);
        for (int kv = 0; kv < KV; kv++) {
            turned(a, &a->table[t][(HEADS + kv) * WIDTH], a->norm[1], t, a->k[t][kv]);
            for (int e = 0; e < WIDTH; e++) {
                a->k[t][kv][e] = stored(a->k[t][kv][e]);
                a->v[t][kv][e] = stored((double)a->table[t][(HEADS + KV + kv) * WIDTH + e]);
            }
        }
    }
    for (int j = 0; j < CORES; j++)
        for (int kv = 0; kv < KV; kv++)
            pool(a, j, kv);
}

/* Query t of head h: one softmax over the sinks, the cores that are far enough back and the rows behind them. */
static bool query_right(const struct attention *a, int t, int h, const float *got)
{
    int rows[LENGTH + CORES], n = 0, kv = h / (HEADS / KV), seen = a->cores && t + 1 >= WINDOW ? (t + 1 - WINDOW) / GROUP : 0;
    double z[LENGTH + CORES];
    for (int p = 0; p <= t; p++)
        if (p >= seen * GROUP || p < SINKS)
            rows[n++] = p;
    for (int j = 0; j < seen; j++)
        rows[n++] = LENGTH + j;
    for (int i = 0; i < n; i++)
        z[i] = dot(a->q[t][h], a->k[rows[i]][kv]) / sqrt(WIDTH) + (rows[i] >= LENGTH ? a->bias[rows[i] - LENGTH][kv] : 0);
    softmax(z, n);
    for (int e = 0; e < WIDTH; e++) {
        double sum = 0;
        for (int i = 0; i < n; i++)
            sum += z[i] * a->v[rows[i]][kv][e];
        if (!(fabs(got[e] - sum) <= 0.02))
            return false;
    }
    return true;
}

/* ---- the graph -------------------------------------------------------------------------------------------------------- */

static void segments_fill(const struct attention *a, pith_node *node)
{
    const pith_bound upto = {.max = INT64_MAX, .mul = 1, .group = 1};
    pith_segment *s = node->u.attend.segments;
    if (!a->cores) {
        *s++ = (pith_segment){.source = PITH_SEGMENT_RAW, .lo = pith_bound_const(0), .hi = upto, .list_value = -1};
    } else {
        *s++ = (pith_segment){.source = PITH_SEGMENT_RAW, .lo = pith_bound_const(0), .hi = {.max = SINKS, .mul = 1, .group = 1}, .list_value = -1};
        *s++ = (pith_segment){.source = PITH_SEGMENT_CORE, .lo = pith_bound_const(SINKS / GROUP), .bias = true, .list_value = -1,
                              .hi = {.max = INT64_MAX, .shift = WINDOW, .mul = 1, .group = GROUP}};
        *s++ = (pith_segment){.source = PITH_SEGMENT_RAW, .hi = upto, .list_value = -1,
                              .lo = {.min = SINKS, .max = INT64_MAX, .shift = WINDOW, .mul = GROUP, .group = GROUP}};
    }
    node->u.attend.n_segments = (int32_t)(s - node->u.attend.segments);
}

static pith_status graph_make(pith_vk_rig *r, pith_weight_desc *weights, const struct attention *a, int32_t *result)
{
    weights[0] = (pith_weight_desc){PITH_WEIGHT_LOOKUP, 1, {{"qkv", PITH_DTYPE_F32, LENGTH, QKV, a->table}}};
    weights[1] = (pith_weight_desc){PITH_WEIGHT_VECTOR, 1, {{"q_norm", PITH_DTYPE_F32, 1, WIDTH, a->norm[0]}}};
    weights[2] = (pith_weight_desc){PITH_WEIGHT_VECTOR, 1, {{"k_norm", PITH_DTYPE_F32, 1, WIDTH, a->norm[1]}}};
    pith_graph_init(&r->graph, weights, 3);
    int32_t ids = pith_graph_input(&r->graph, "ids", PITH_DTYPE_I32, PITH_ROWS_TOKENS, 1);
    int32_t qkv = pith_graph_value(&r->graph, "qkv", PITH_DTYPE_F32, PITH_ROWS_TOKENS, QKV);
    *result = pith_graph_value(&r->graph, "att", PITH_DTYPE_F32, PITH_ROWS_TOKENS, HEADS * WIDTH);
    pith_node node = {.op = PITH_OP_EMBED, .src = ids, .dst = qkv, .layer = -1};
    PITH_TRY(pith_graph_add(&r->graph, &node));
    node = (pith_node){.op = PITH_OP_KV_APPEND, .src = qkv, .dst = qkv, .layer = 0};
    node.u.append.n_head = HEADS;
    node.u.append.q_norm = 1;
    node.u.append.k_norm = 2;
    node.u.append.norm_eps = EPS;
    node.u.append.scale = 1 / sqrtf(WIDTH);
    node.u.append.rope = (pith_rope){.freq = a->freq, .magnitude = 1, .n_rot = WIDTH, .half = true};
    node.u.append.layout = &a->layout;
    node.u.append.group = GROUP;
    node.u.append.n_sinks = SINKS;
    PITH_TRY(pith_graph_add(&r->graph, &node));
    node = (pith_node){.op = PITH_OP_ATTEND, .src = qkv, .dst = *result, .layer = 0};
    node.u.attend.n_head = HEADS;
    node.u.attend.scale = 1 / sqrtf(WIDTH);
    node.u.attend.layout = &a->layout;
    segments_fill(a, &node);
    return pith_graph_add(&r->graph, &node);
}

static pith_status run(pith_vk_backend *vk, struct attention *a, bool *good)
{
    pith_vk_rig r = {.vk = vk};
    pith_weight_desc weights[3];
    int32_t result;
    a->layout = (pith_kv_layout){.dtype = PITH_DTYPE_F16, .n_kv = KV, .core_heads = KV, .head_dim = WIDTH, .n_fixed = SINKS,
                                 .raw_rows = LENGTH, .core_rows = CORES};
    pith_kv_layout_fill(&a->layout);
    pith_status status = graph_make(&r, weights, a, &result);
    if (status == PITH_OK)
        status = pith_vk_rig_take(&r, weights, 3, MANY, 1, &a->layout);
    *good = true;
    for (int32_t first = 0, n = MANY; first < LENGTH && status == PITH_OK; first += n, n = n == MANY ? FEW : 1) {
        status = pith_vk_rig_run(&r, first, n, a->layout.n_fixed);
        if (status == PITH_OK)
            status = pith_vk_read(r.exec, result, 0, n, a->got[0][0]);
        for (int32_t t = 0; t < n && status == PITH_OK; t++)
            for (int h = 0; h < HEADS; h++)
                *good = *good && query_right(a, first + t, h, a->got[t][h]);
    }
    pith_vk_rig_fini(&r);
    return status;
}

/* Whatever is known of the device's pace: all keys in one dispatch, and in as many as there can be, which other modules do. */
static void pace_fix(pith_vk_pace *pace, bool cut)
{
    pace->target = cut ? 1e-12 : 1e3;
    for (int w = 0; w < PITH_VK_WORKS; w++)
        pace->seconds_per_flop[w] = cut ? 1 : 1e-15;
}

static pith_status check(pith_vk_backend *vk, bool cores, bool *good)
{
    const pith_vk_pace pace = vk->pace;
    struct attention *a = pith_calloc(1, sizeof *a);
    if (!a)
        return pith_fail(PITH_ERROR_NO_MEMORY, "vulkan: no memory for the self-test");
    fill(a, cores);
    pith_status status = PITH_OK;
    *good = true;
    for (int cut = 0; cut < (cores ? 1 : 2) && status == PITH_OK && *good; cut++) {
        pace_fix(&vk->pace, cut);
        status = run(vk, a, good);
    }
    vk->pace = pace;
    free(a);
    return status;
}

pith_status pith_vk_probe_attention(pith_vk_backend *vk, bool *good) { return check(vk, false, good); }
pith_status pith_vk_probe_cores(pith_vk_backend *vk, bool *good) { return check(vk, true, good); }
