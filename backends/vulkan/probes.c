/* SPDX-License-Identifier: MIT */
/* The self-test's checks, as graphs of a few nodes: the code that real models run, with its choice of kernels, against
 * sums in double. Bounds are some times what rounding of the path's operands explains; one that is broken misses them by far. */
#include "base/half.h"
#include "base/mem.h"
#include "base/rng.h"
#include "rig.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TYPES 6
#define PARTS 3       /* types of one weight, each a launch of its own */
#define ROWS 97       /* of each type; leaves parts of every tile */
#define COLS 512
#define MANY 70       /* tokens that take the tile kernels */

/* The quantised ones from the second on. */
static const pith_dtype types[TYPES] = {PITH_DTYPE_F16, PITH_DTYPE_Q4_0, PITH_DTYPE_Q8_0, PITH_DTYPE_Q4_K, PITH_DTYPE_Q6_K, PITH_DTYPE_IQ4_NL};

struct products {
    float x[MANY][COLS], meant[MANY][COLS]; /* activations, and what the path makes of them */
    double loss;                            /* of each product: what the path rounds off */
    uint8_t bytes[TYPES][ROWS * COLS * 2];
    float values[TYPES][ROWS][COLS];
    float got[MANY * PARTS * ROWS];
};

/* Random codes with scales of about 1/16, some of them large; f16 elements alike. */
static void matrix_fill(pith_rng *rng, pith_dtype type, uint8_t *bytes, float (*values)[COLS])
{
    pith_dtype_info info = pith_dtype_get((uint32_t)type);
    size_t row_bytes = pith_dtype_row_bytes(type, COLS);
    for (size_t i = 0; i < ROWS * row_bytes; i++)
        bytes[i] = (uint8_t)pith_rng_u64(rng);
    for (size_t at = 0; at < ROWS * row_bytes; at += info.block_bytes) {
        uint16_t scale = pith_f32_to_f16(pith_rng_normal(rng) * (pith_rng_u64(rng) % 64 ? 0.0625f : 2.0f));
        memcpy(bytes + at + (type == PITH_DTYPE_Q6_K ? 208 : 0), &scale, 2);
        if (type == PITH_DTYPE_Q4_K)
            memcpy(bytes + at + 2, &scale, 2);
    }
    for (size_t r = 0; r < ROWS; r++)
        pith_dequantize(type, bytes + r * row_bytes, values[r], COLS);
}

/* Exact integers beside ordinary and large values. */
static void halves_fill(struct products *p, pith_rng *rng)
{
    p->loss = 0x1p-10; /* halves in both factors, with room for another order of sums and for halves in the middle */
    for (int32_t t = 0; t < MANY; t++)
        for (int32_t k = 0; k < COLS; k++)
            p->meant[t][k] = p->x[t][k] = t % 3 == 0 ? (float)(k % 17 - 8) : pith_rng_normal(rng) * (t % 3 == 1 ? 1.0f : 30.0f);
}

/* Values whose codes are known: whole steps, the largest of a unit 127, and beside the others a part of a step that rounding
 * to the nearest drops. */
static void bytes_fill(struct products *p, pith_rng *rng)
{
    p->loss = 0x1p-18; /* codes and sums of a unit are exact: f32 scales and sums of COLS / 32 units */
    for (int32_t t = 0; t < MANY; t++)
        for (int32_t k = 0; k < COLS; k++) {
            bool most = k % 32 == t % 32;
            float step = ldexpf(1, t % 12 - 8), code = most ? 127.0f : (float)(pith_rng_u64(rng) % 253) - 126.0f;
            p->meant[t][k] = (t & 32 ? -code : code) * step;
            p->x[t][k] = p->meant[t][k] + (most ? 0.0f : ((float)(pith_rng_u64(rng) % 801) - 400.0f) * 1e-3f * step);
        }
}

static struct products *products_make(void (*fill)(struct products *, pith_rng *))
{
    struct products *p = pith_calloc(1, sizeof *p);
    pith_rng rng;
    pith_rng_init(&rng, 20);
    if (p)
        fill(p, &rng);
    for (int i = 0; p && i < TYPES; i++)
        matrix_fill(&rng, types[i], p->bytes[i], p->values[i]);
    if (!p)
        pith_fail(PITH_ERROR_NO_MEMORY, "vulkan: no memory for the self-test");
    return p;
}

/* Element by element. */
static bool products_right(const struct products *p, int type, int part, int parts, int32_t first, int32_t n)
{
    for (int32_t t = 0; t < n; t++)
        for (int32_t r = 0; r < ROWS; r++) {
            double sum = 0, magnitude = 0;
            for (int32_t k = 0; k < COLS; k++) {
                double term = (double)p->values[type][r][k] * p->meant[first + t][k];
                sum += term;
                magnitude += fabs(term);
            }
            if (!(fabs(p->got[(t * parts + part) * ROWS + r] - sum) <= magnitude * p->loss + 1e-5))
                return false;
        }
    return true;
}

static pith_status products_graph(pith_vk_rig *r, const struct products *p, int type0, int parts, pith_weight_desc *weights, int32_t *result)
{
    weights[0] = (pith_weight_desc){PITH_WEIGHT_LOOKUP, 1, {{"x", PITH_DTYPE_F32, MANY, COLS, p->x}}};
    weights[1] = (pith_weight_desc){PITH_WEIGHT_MATRIX, parts, {{0}}};
    for (int i = 0; i < parts; i++)
        weights[1].parts[i] = (pith_weight_part){"w", types[type0 + i], ROWS, COLS, p->bytes[type0 + i]};
    pith_graph_init(&r->graph, weights, 2);
    int32_t ids = pith_graph_input(&r->graph, "ids", PITH_DTYPE_I32, PITH_ROWS_TOKENS, 1);
    int32_t x = pith_graph_value(&r->graph, "x", PITH_DTYPE_F32, PITH_ROWS_TOKENS, COLS);
    *result = pith_graph_value(&r->graph, "y", PITH_DTYPE_F32, PITH_ROWS_TOKENS, parts * ROWS);
    pith_node node = {.op = PITH_OP_EMBED, .src = ids, .dst = x, .layer = -1};
    PITH_TRY(pith_graph_add(&r->graph, &node));
    node = (pith_node){.op = PITH_OP_MATMUL, .src = x, .dst = *result, .layer = 0};
    node.u.matmul.weight = 1;
    node.u.matmul.norm = node.u.matmul.bias = -1;
    return pith_graph_add(&r->graph, &node);
}

/* Chunks of n tokens from the first `runs` positions on, with types [type0, end). */
static pith_status products_run(pith_vk_backend *vk, struct products *p, int type0, int end, int32_t n, int32_t runs, bool *good)
{
    pith_status status = PITH_OK;
    for (; type0 < end && status == PITH_OK && *good; type0 += PARTS) {
        pith_vk_rig r = {.vk = vk};
        pith_weight_desc weights[2] = {0};
        int32_t result;
        int parts = end - type0 < PARTS ? end - type0 : PARTS;
        status = products_graph(&r, p, type0, parts, weights, &result);
        if (status == PITH_OK)
            status = pith_vk_rig_take(&r, weights, 2, n, 0, NULL);
        for (int32_t first = 0; first < runs && status == PITH_OK; first++) {
            status = pith_vk_rig_run(&r, first, n, 0);
            if (status == PITH_OK)
                status = pith_vk_read(r.exec, result, 0, n, p->got);
            for (int i = 0; i < parts && status == PITH_OK; i++)
                *good = *good && products_right(p, type0 + i, i, parts, first, n);
        }
        pith_vk_rig_fini(&r);
    }
    return status;
}

static pith_status vector_check(pith_vk_backend *vk, bool *good)
{
    struct products *p = products_make(halves_fill);
    if (!p)
        return PITH_ERROR_NO_MEMORY;
    *good = true;
    pith_status status = products_run(vk, p, 0, TYPES, 1, 3, good);
    free(p);
    return status;
}

static bool software(const pith_vk_backend *vk) { return vk->physical.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU; }

/* Many tokens, no bytes: all types with one tile, one type with the other tiles that the device has. Software, which takes
 * minutes to compile them, with the smallest alone. */
static pith_status matrix_check(pith_vk_backend *vk, bool *good)
{
    const pith_vk_tuned before = vk->device.tuned;
    const bool exact = vk->device.exact;
    int n = 1;
    const pith_vk_tile *tiles = pith_vk_tile_list(&n);
    struct products *p = products_make(halves_fill);
    if (!p)
        return PITH_ERROR_NO_MEMORY;
    pith_status status = PITH_OK;
    *good = vk->device.exact = true;
    bool all = true;
    for (int i = software(vk) ? n - 1 : 0; i < n && *good && status == PITH_OK; i++) {
        pith_vk_tile tile = tiles[i];
        if (pith_vk_has_coopmat(&vk->device) && !pith_vk_tile_fits(&vk->device, COLS, &tile))
            continue;
        for (int c = 0; c < PITH_VK_TUNED_M * PITH_VK_TUNED_N; c++)
            vk->device.tuned.tile[c / PITH_VK_TUNED_N][c % PITH_VK_TUNED_N] = i + 1;
        status = products_run(vk, p, 0, all ? TYPES : 1, MANY, 1, good);
        all = false;
        if (!pith_vk_has_coopmat(&vk->device))
            break;
    }
    vk->device.tuned = before;
    vk->device.exact = exact;
    free(p);
    return status;
}

/* Many tokens as bytes, on devices that would use them, whatever this user asks for: the verdict is kept for others. Tiles
 * as above. */
static pith_status bytes_check(pith_vk_backend *vk, bool *good)
{
    const bool exact = vk->device.exact;
    int n;
    const pith_vk_tile *tiles = pith_vk_byte_tile_list(&n);
    pith_status status = PITH_OK;
    struct products *p = NULL;
    *good = true;
    vk->device.exact = false;
    if (pith_vk_has_int8(&vk->device) && !(p = products_make(bytes_fill)))
        status = PITH_ERROR_NO_MEMORY;
    bool all = true;
    for (int i = software(vk) ? n - 1 : 0; p && i < n && *good && status == PITH_OK; i++) {
        pith_vk_tile tile = tiles[i];
        if (!pith_vk_tile_fits(&vk->device, COLS, &tile))
            continue;
        vk->device.byte_tile = i + 1;
        status = products_run(vk, p, 1, all ? TYPES : 2, MANY, 1, good);
        all = false;
    }
    vk->device.byte_tile = 0;
    vk->device.exact = exact;
    free(p);
    return status;
}

/* Bytes last: whether they are used depends on what the others hide. */
const pith_vk_probe pith_vk_probes[] = {{"a product of one token", vector_check},
                                        {"a product of many tokens", matrix_check},
                                        {"attention", pith_vk_probe_attention},
                                        {"attention over cores", pith_vk_probe_cores},
                                        {"a chain of dispatches", pith_vk_probe_chain},
                                        {"a product of bytes", bytes_check}};
const int pith_vk_n_probes = (int)(sizeof pith_vk_probes / sizeof pith_vk_probes[0]);
