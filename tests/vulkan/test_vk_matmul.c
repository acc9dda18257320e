/* SPDX-License-Identifier: MIT */
/* Products and table lookup as graphs of a few nodes, on every tensor type, epilogue and number of tokens, against the
 * dequantised weights multiplied in double. The bound of an element follows from rounding: f32 sums of K terms, and
 * where the tile kernels run (many tokens, weights that are not f32) operands rounded to f16; the mat-vec in halves rounds
 * x, products and sums of eight of them. Where the device multiplies bytes (PITH_VK_INT8=1), x is rounded to bytes here too
 * (vk_bytes.h), and what is left is the bound of f32 sums. */
#include "vk_bytes.h"
#include "vk_op.h"

#include "tune.h"

#include "harness/compare.h"
#include "harness/gen.h"

#include <math.h>

static pith_vk_physical physical;
static pith_vk_backend_params params = {.threads = 2};
static bool odd; /* x has units that are zero, tiny, huge, not finite */
static bool asked; /* for products of bytes */
static double scale = 0.05; /* of blocks of codes */

static const pith_dtype types[] = {PITH_DTYPE_F32, PITH_DTYPE_F16, PITH_DTYPE_BF16, PITH_DTYPE_Q4_0, PITH_DTYPE_Q4_1,
                                   PITH_DTYPE_Q5_0, PITH_DTYPE_Q5_1, PITH_DTYPE_Q8_0, PITH_DTYPE_Q2_K, PITH_DTYPE_Q3_K,
                                   PITH_DTYPE_Q4_K, PITH_DTYPE_Q5_K, PITH_DTYPE_Q6_K, PITH_DTYPE_IQ4_NL, PITH_DTYPE_IQ4_XS};

struct matmul_case {
    int32_t n_parts;
    pith_dtype part_type[3];
    int64_t part_rows[3];
    int64_t cols;
    int32_t tokens;
    bool norm, bias;
    pith_epilogue epilogue;
};

struct matrix {
    void *bytes;
    float *values; /* [rows][cols] */
};

static struct matrix matrix_make(pith_rng *rng, pith_dtype type, int64_t rows, int64_t cols)
{
    size_t n = (size_t)(rows * cols);
    struct matrix m = {malloc(pith_dtype_row_bytes(type, (size_t)cols) * (size_t)rows), malloc(n * sizeof(float))};
    assert_true(m.bytes && m.values);
    if (type == PITH_DTYPE_F32)
        pith_gen_f32(rng, PITH_GEN_NORMAL, m.bytes, n);
    else
        pith_gen_blocks(rng, type, scale, false, m.bytes, n);
    for (int64_t r = 0; r < rows; r++)
        pith_dequantize(type, (uint8_t *)m.bytes + (size_t)r * pith_dtype_row_bytes(type, (size_t)cols), m.values + r * cols, (size_t)cols);
    return m;
}

static void matrix_free(struct matrix *m)
{
    free(m->bytes);
    free(m->values);
}

enum { W_X, W_Y, W_MATRIX, W_NORM, W_BIAS, W_COUNT };

static double silu(double x) { return x / (1 + exp(-x)); }

/* One output row's product before its epilogue, and how far the device may be off. */
struct product {
    double value, error;
};

/* A token's activations as they are multiplied; as bytes: and how far each may be off because its code is the neighbour. */
struct token {
    double *x, *doubt; /* [cols] */
};

static struct token token_make(int64_t cols)
{
    struct token t = {calloc((size_t)cols, sizeof (double)), calloc((size_t)cols, sizeof (double))};
    assert_true(t.x && t.doubt);
    return t;
}

static void token_take(struct token *t, const struct matmul_case *c, const float *x, const float *norm, bool bytes)
{
    double squares = 0;
    for (int64_t k = 0; k < c->cols; k++)
        squares += (double)x[k] * x[k];
    double rms = norm ? 1 / sqrt(squares / (double)c->cols + 1e-5) : 1;
    for (int64_t k = 0; k < c->cols; k++)
        t->x[k] = x[k] * (norm ? norm[k] * rms : 1);
    if (bytes)
        vk_bytes_round(t->x, c->cols, t->x, t->doubt);
}

static void token_free(struct token *t)
{
    free(t->x);
    free(t->doubt);
}

static struct product dot(const struct matmul_case *c, const float *w, const struct token *t, float bias, double halves, size_t terms)
{
    double sum = 0, magnitude = 0, doubt = 0;
    for (int64_t k = 0; k < c->cols; k++) {
        double term = w[k] * t->x[k];
        sum += term;
        magnitude += fabs(term);
        doubt += fabs(w[k] * t->doubt[k]);
    }
    struct product p = {sum + bias, pith_bound_f32(terms + 4, magnitude + fabs(bias)) + doubt};
    double even = (double)c->cols / (odd ? 32 : 1); /* terms that share the magnitude: one of a unit may have it all */
    if (halves > 0) /* x and w rounded to 11 bits each; halves below 2^-14 lose more */
        p.error += halves * (magnitude * 0x1p-10 / sqrt(even) * 4 + 1e-6 * sqrt((double)c->cols));
    return p;
}

/* By turns: a unit of zeros; all below what has a code; beyond a half; one element of a unit far beyond the others; one that
 * is not finite; ordinary. */
static void make_odd(const struct matmul_case *c, float *x)
{
    for (int32_t t = 0; t < c->tokens; t++, x += c->cols) {
        for (int64_t k = 0; k < c->cols; k++)
            x[k] *= t % 6 == 0 && k < 32 ? 0.0f : t % 6 == 1 ? 1e-38f : t % 6 == 2 ? 1e20f : t % 6 == 3 && k % 32 == t ? 400.0f : 1.0f;
        if (t % 6 == 4)
            x[t % c->cols] = t % 4 ? INFINITY : NAN;
    }
}

static void run_case(const struct matmul_case *c, uint64_t seed)
{
    pith_rng rng;
    pith_rng_init(&rng, seed);
    int64_t total = 0;
    struct matrix parts[3];
    for (int32_t p = 0; p < c->n_parts; p++) {
        parts[p] = matrix_make(&rng, c->part_type[p], c->part_rows[p], c->cols);
        total += c->part_rows[p];
    }
    bool gated = c->epilogue == PITH_EPILOGUE_SWIGLU;
    int64_t out = gated ? total / 2 : total;
    struct matrix x = matrix_make(&rng, PITH_DTYPE_F32, c->tokens, c->cols), y = matrix_make(&rng, PITH_DTYPE_F32, c->tokens, out);
    struct matrix norm = matrix_make(&rng, PITH_DTYPE_F32, 1, c->cols), bias = matrix_make(&rng, PITH_DTYPE_F32, 1, total);
    if (odd) {
        make_odd(c, x.values);
        memcpy(x.bytes, x.values, (size_t)(c->tokens * c->cols) * sizeof (float));
    }

    pith_weight_desc w[W_COUNT] = {0};
    w[W_X] = (pith_weight_desc){PITH_WEIGHT_LOOKUP, 1, {{"x", PITH_DTYPE_F32, c->tokens, c->cols, x.bytes}}};
    w[W_Y] = (pith_weight_desc){PITH_WEIGHT_LOOKUP, 1, {{"y", PITH_DTYPE_F32, c->tokens, out, y.bytes}}};
    w[W_MATRIX] = (pith_weight_desc){PITH_WEIGHT_MATRIX, c->n_parts, {{0}}};
    for (int32_t p = 0; p < c->n_parts; p++)
        w[W_MATRIX].parts[p] = (pith_weight_part){"w", c->part_type[p], c->part_rows[p], c->cols, parts[p].bytes};
    w[W_NORM] = (pith_weight_desc){PITH_WEIGHT_VECTOR, 1, {{"norm", PITH_DTYPE_F32, 1, c->cols, norm.bytes}}};
    w[W_BIAS] = (pith_weight_desc){PITH_WEIGHT_VECTOR, 1, {{"bias", PITH_DTYPE_F32, 1, total, bias.bytes}}};

    pith_graph graph;
    pith_graph_init(&graph, w, W_COUNT);
    int32_t ids = pith_graph_input(&graph, "ids", PITH_DTYPE_I32, PITH_ROWS_TOKENS, 1);
    int32_t vx = pith_graph_value(&graph, "x", PITH_DTYPE_F32, PITH_ROWS_TOKENS, (int32_t)c->cols);
    int32_t vy = pith_graph_value(&graph, "y", PITH_DTYPE_F32, PITH_ROWS_TOKENS, (int32_t)out);
    pith_node node = {.op = PITH_OP_EMBED, .src = ids, .dst = vx, .layer = -1};
    node.u.embed.weight = W_X;
    assert_ok(pith_graph_add(&graph, &node));
    node.dst = vy;
    node.u.embed.weight = W_Y;
    assert_ok(pith_graph_add(&graph, &node));
    node = (pith_node){.op = PITH_OP_MATMUL, .src = vx, .dst = vy, .layer = 0};
    node.u.matmul.weight = W_MATRIX;
    node.u.matmul.norm = c->norm ? W_NORM : -1;
    node.u.matmul.bias = c->bias ? W_BIAS : -1;
    node.u.matmul.norm_eps = 1e-5f;
    node.u.matmul.epilogue = c->epilogue;
    assert_ok(pith_graph_add(&graph, &node));
    vk_op op;
    vk_op_begin(&op, vk_shared(&physical, &params), &graph, c->tokens, 1, NULL, 0);
    int32_t *tokens = malloc((size_t)c->tokens * sizeof *tokens);
    float *got = malloc((size_t)c->tokens * (size_t)out * sizeof *got);
    for (int32_t t = 0; t < c->tokens; t++)
        tokens[t] = c->tokens - 1 - t;
    vk_op_run(&op, &(pith_step){.stage = PITH_STAGE_TRUNK, .n_tokens = c->tokens, .tokens = tokens});
    vk_op_read(&op, vy, c->tokens, got);

    pith_compare cmp;
    pith_compare_init(&cmp);
    bool floats = false, codes = false, all_codes = true;
    for (int32_t p = 0; p < c->n_parts; p++) {
        bool quantised = pith_vk_format_of(c->part_type[p]) >= PITH_VK_FORMAT_Q4_0;
        floats = floats || c->part_type[p] == PITH_DTYPE_F32;
        codes = codes || quantised;
        all_codes = all_codes && quantised;
    }
    const pith_vk_device *device = &pith_vk_of(op.vk)->device;
    bool vectors = c->tokens <= 4 && codes && pith_vk_has_half_vectors(device);
    bool bytes = c->tokens > 4 && all_codes && pith_vk_has_int8(device);
    double halves = vectors ? 2 : c->tokens > 4 && !floats && !bytes ? 1 : 0;
    size_t terms = (size_t)(bytes ? c->cols / 32 : c->cols); /* sums of 32 bytes are exact */
    struct token token = token_make(c->cols);
    for (int32_t t = 0; t < c->tokens; t++) {
        const float *before = y.values + (int64_t)tokens[t] * out;
        token_take(&token, c, x.values + (int64_t)tokens[t] * c->cols, c->norm ? norm.values : NULL, bytes);
        for (int32_t p = 0, col = 0; p < (gated ? 1 : c->n_parts); p++)
            for (int64_t r = 0; r < c->part_rows[p]; r++, col++) {
                struct product a = dot(c, parts[p].values + r * c->cols, &token, c->bias ? bias.values[col] : 0, halves, terms);
                if (gated) {
                    struct product b = dot(c, parts[1].values + r * c->cols, &token, c->bias ? bias.values[out + col] : 0, halves, terms);
                    double g = silu(a.value);
                    a.error = a.error * 1.1 * fabs(b.value) + b.error * fabs(g) + a.error * b.error + 1e-6 * fabs(g * b.value) + 1e-7;
                    a.value = g * b.value;
                } else if (c->epilogue == PITH_EPILOGUE_ADD) {
                    a.value += before[col];
                    a.error += fabs(a.value) * 0x1p-23;
                }
                pith_compare_add(&cmp, (size_t)t * (size_t)out + (size_t)col, got[(size_t)t * (size_t)out + (size_t)col], a.value, a.error + 1e-6);
            }
    }
    char what[160];
    snprintf(what, sizeof what, "%s%s%s x %lld, %d tokens, norm %d bias %d epilogue %d", pith_dtype_get((uint32_t)c->part_type[0]).name,
             c->n_parts > 1 ? " " : "", c->n_parts > 1 ? pith_dtype_get((uint32_t)c->part_type[c->n_parts - 1]).name : "", (long long)c->cols,
             c->tokens, c->norm, c->bias, (int)c->epilogue);
    bool ok = pith_compare_ok(&cmp, what);
    token_free(&token);
    free(tokens);
    free(got);
    vk_op_end(&op);
    pith_graph_fini(&graph);
    for (int32_t p = 0; p < c->n_parts; p++)
        matrix_free(&parts[p]);
    struct matrix *rest[] = {&x, &y, &norm, &bias};
    for (int i = 0; i < 4; i++)
        matrix_free(rest[i]);
    if (!ok)
        fail();
}

/* Every type, few tokens and many, with a width that leaves a part of a tile. */
static void test_types(void **state)
{
    (void)state;
    static const int32_t counts[] = {1, 3, 70};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        for (size_t n = 0; n < 3; n++)
            run_case(&(struct matmul_case){1, {types[i]}, {37}, 512, counts[n], n == 1, n == 2, PITH_EPILOGUE_STORE}, i);
}

/* Stacked parts, of one type and of several; gated ones; sums onto what is there. */
static void test_parts(void **state)
{
    (void)state;
    static const int32_t counts[] = {1, 33};
    const pith_dtype k4 = PITH_DTYPE_Q4_K, k6 = PITH_DTYPE_Q6_K, q8 = PITH_DTYPE_Q8_0, f32 = PITH_DTYPE_F32;
    for (size_t n = 0; n < 2; n++) {
        int32_t t = counts[n];
        run_case(&(struct matmul_case){3, {k4, k4, k6}, {48, 16, 16}, 256, t, true, true, PITH_EPILOGUE_STORE}, 100);
        run_case(&(struct matmul_case){3, {q8, q8, q8}, {35, 18, 18}, 96, t, true, false, PITH_EPILOGUE_STORE}, 101);
        run_case(&(struct matmul_case){2, {k4, k4}, {70, 70}, 256, t, true, true, PITH_EPILOGUE_SWIGLU}, 102);
        run_case(&(struct matmul_case){2, {k4, k6}, {70, 70}, 256, t, true, true, PITH_EPILOGUE_SWIGLU}, 103);
        run_case(&(struct matmul_case){2, {f32, q8}, {33, 33}, 64, t, false, false, PITH_EPILOGUE_SWIGLU}, 104);
        run_case(&(struct matmul_case){2, {q8, q8}, {40, 40}, 64, t, false, true, PITH_EPILOGUE_STORE}, 105);
        run_case(&(struct matmul_case){1, {q8}, {65}, 320, t, false, true, PITH_EPILOGUE_ADD}, 106);
        run_case(&(struct matmul_case){2, {q8, k4}, {65, 3}, 256, t, false, false, PITH_EPILOGUE_ADD}, 107);
    }
}

/* Widths that are not multiples of a unit, nor of four; one column, one row. */
static void test_ragged(void **state)
{
    (void)state;
    static const int64_t widths[] = {1, 5, 31, 33, 67, 132};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
        for (int32_t t = 1; t <= 9; t += 4) {
            run_case(&(struct matmul_case){1, {PITH_DTYPE_F32}, {7}, widths[i], t, true, false, PITH_EPILOGUE_STORE}, 200 + i);
            run_case(&(struct matmul_case){1, {PITH_DTYPE_F16}, {1}, widths[i], t, false, false, PITH_EPILOGUE_ADD}, 300 + i);
        }
}

/* Wider than what shared memory holds of x at once. */
static void test_wide(void **state)
{
    (void)state;
    run_case(&(struct matmul_case){1, {PITH_DTYPE_Q4_0}, {9}, 14336, 1, true, true, PITH_EPILOGUE_STORE}, 500);
    run_case(&(struct matmul_case){1, {PITH_DTYPE_F16}, {5}, 5440, 2, true, true, PITH_EPILOGUE_ADD}, 501);
}

/* Slabs and scratch so small that every matrix is cut: rows of tables and products come from several bindings. */
static void test_slabs(void **state)
{
    (void)state;
    params.slab_max = 16 << 10;
    params.scratch_max = 256 << 10;
    run_case(&(struct matmul_case){1, {PITH_DTYPE_Q4_0}, {301}, 512, 1, true, false, PITH_EPILOGUE_STORE}, 400);
    run_case(&(struct matmul_case){1, {PITH_DTYPE_Q4_0}, {701}, 256, 40, true, false, PITH_EPILOGUE_STORE}, 401);
    run_case(&(struct matmul_case){2, {PITH_DTYPE_Q8_0, PITH_DTYPE_Q8_0}, {150, 150}, 256, 1, true, true, PITH_EPILOGUE_SWIGLU}, 402);
    run_case(&(struct matmul_case){2, {PITH_DTYPE_Q8_0, PITH_DTYPE_Q8_0}, {400, 400}, 256, 40, true, true, PITH_EPILOGUE_SWIGLU}, 403);
}

/* Every tile that a device would choose (of a software device's, the one), whole ones and parts: stored, added, behind
 * another group, in columns that no vector of four begins at. */
static void test_tiles(void **state)
{
    (void)state;
    const pith_vk_device *device = &pith_vk_of(vk_shared(&physical, &params))->device;
    const pith_dtype f16 = PITH_DTYPE_F16, q4 = PITH_DTYPE_Q4_0, k6 = PITH_DTYPE_Q6_K;
    int n;
    const pith_vk_tile *tiles = pith_vk_tile_list(&n);
    for (int i = physical.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU ? n - 1 : 0; i < n; i++) {
        pith_vk_tile t = tiles[i];
        char text[64];
        if (pith_vk_has_coopmat(device) && !pith_vk_tile_fits(device, 256, &t))
            continue;
        snprintf(text, sizeof text, "%u,%u,%u,%u,%u,%u", t.bm, t.bn, t.bk, t.wm, t.wn, t.stages);
        setenv("PITH_VK_TILE", text, 1);
        run_case(&(struct matmul_case){1, {q4}, {t.bn + 20}, 256, 2 * (int32_t)t.bm + 5, true, false, PITH_EPILOGUE_STORE}, 900);
        run_case(&(struct matmul_case){2, {k6, q4}, {t.bn + 4, 2 * t.bn}, 256, (int32_t)t.bm, false, false, PITH_EPILOGUE_ADD}, 901);
        run_case(&(struct matmul_case){2, {f16, q4}, {t.bn + 6, t.bn + 2}, 256, (int32_t)t.bm, false, false, PITH_EPILOGUE_ADD}, 902);
        run_case(&(struct matmul_case){2, {q4, q4}, {t.bn, t.bn}, 256, (int32_t)t.bm + 1, true, false, PITH_EPILOGUE_SWIGLU}, 903);
    }
}

/* Scales on both sides of the least normal half, which no device may take for zero. */
static void test_tiny(void **state)
{
    (void)state;
    scale = 6e-5;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (pith_vk_format_of(types[i]) >= PITH_VK_FORMAT_Q4_0)
            run_case(&(struct matmul_case){1, {types[i]}, {37}, 512, 20, false, false, PITH_EPILOGUE_STORE}, 1000 + i);
}

static bool multiplies_bytes(void) { return pith_vk_has_int8(&pith_vk_of(vk_shared(&physical, &params))->device); }

/* Every tile for bytes, which a software device would not choose, with parts of it, of a step and of a pair. */
static void test_byte_tiles(void **state)
{
    (void)state;
    static const char *const tiles[] = {"128,64,32,4,8,1", "64,64,64,4,8,1", "32,32,64,4,4,1", "8,6,256,2,2,1"};
    const pith_dtype q4 = PITH_DTYPE_Q4_0, k4 = PITH_DTYPE_Q4_K, k6 = PITH_DTYPE_Q6_K;
    for (size_t i = 0; multiplies_bytes() && i < sizeof tiles / sizeof tiles[0]; i++) {
        setenv("PITH_VK_TILE", tiles[i], 1);
        run_case(&(struct matmul_case){1, {k6}, {77}, 256, 131, true, true, PITH_EPILOGUE_ADD}, 600);
        run_case(&(struct matmul_case){2, {q4, q4}, {67, 67}, 96, 70, false, true, PITH_EPILOGUE_SWIGLU}, 601);
        run_case(&(struct matmul_case){2, {q4, k4}, {33, 33}, 256, 5, true, false, PITH_EPILOGUE_SWIGLU}, 602);
    }
}

static void test_odd_bytes(void **state)
{
    (void)state;
    odd = true;
    for (size_t i = 0; multiplies_bytes() && i < sizeof types / sizeof types[0]; i++)
        if (pith_vk_format_of(types[i]) >= PITH_VK_FORMAT_Q4_0)
            run_case(&(struct matmul_case){1, {types[i]}, {37}, 512, 20, false, i % 2, PITH_EPILOGUE_STORE}, 700 + i);
}

/* One token by one: units that are zero, tiny, huge or of one large element, as halves that are scaled unit by unit. */
static void test_odd_vectors(void **state)
{
    (void)state;
    odd = true;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (pith_vk_format_of(types[i]) >= PITH_VK_FORMAT_Q4_0)
            run_case(&(struct matmul_case){1, {types[i]}, {37}, 512, 4, false, i % 2, PITH_EPILOGUE_STORE}, 900 + i);
}

/* PITH_VK_INT8=1 does as it says; whoever wants exact products, or hides such dot products, gets no bytes all the same: what
 * comes is within the bound of halves. */
static void test_fallback(void **state)
{
    (void)state;
    const char *hide = getenv("PITH_VK_HIDE");
    if (asked && !(hide && *hide))
        assert_true(multiplies_bytes());
    for (int i = 0; i < 2; i++) {
        params.exact = i == 0;
        params.hide = i == 0 ? NULL : "intdot";
        assert_false(multiplies_bytes());
        run_case(&(struct matmul_case){1, {PITH_DTYPE_Q4_0}, {301}, 512, 40, true, false, PITH_EPILOGUE_STORE}, 800);
    }
}

/* What a test set, also one that failed. */
static int undo(void **state)
{
    (void)state;
    params = (pith_vk_backend_params){.threads = 2};
    odd = false;
    scale = 0.05;
    return unsetenv("PITH_VK_TILE");
}

int main(void)
{
    physical = vk_test_device();
    asked = vk_test_set("PITH_VK_INT8");
    if (asked && !(physical.caps & PITH_VK_CAP(INTDOT) && pith_vk_spv[PITH_SPV_ACT_INT8].code)) {
        pith_fail(PITH_ERROR_NOT_FOUND, "the compiler or the device lacks them");
        vk_test_absent("packed dot products");
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_types), cmocka_unit_test(test_parts), cmocka_unit_test(test_ragged), cmocka_unit_test(test_wide),
                                       cmocka_unit_test_teardown(test_slabs, undo), cmocka_unit_test_teardown(test_tiles, undo),
                                       cmocka_unit_test_teardown(test_tiny, undo), cmocka_unit_test_teardown(test_byte_tiles, undo),
                                       cmocka_unit_test_teardown(test_odd_bytes, undo), cmocka_unit_test_teardown(test_odd_vectors, undo),
                                       cmocka_unit_test_teardown(test_fallback, undo), cmocka_unit_test(vk_shared_close),
                                       cmocka_unit_test(vk_test_silent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
