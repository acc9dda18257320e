/* SPDX-License-Identifier: MIT */
/* Append and attend of one layer as a graph, chunk by chunk with rows that slide, against the definition by brute force
 * and bounds from rounding (tests/kernels/attn_case.h): full attention and CCA, every store type, sizes around tiles and
 * groups, hostile values. Bytes of the store that a chunk has no business with stay as they are, each one. */
#include "vk_attn.h"

#include <stdlib.h>
#include <string.h>

static pith_vk_physical physical;
static bool step; /* tokens one by one as one dispatch too: unless PITH_VK_STEP=0 */

static void check(attn_case c) { vk_attn_check(vk_shared(&physical, NULL), c, step, NULL); }

/* A software device compiles each combination of store type, width, group and norms for seconds: they are few here, and
 * meet everything that costs nothing. */
static const attn_case base_case = {.n_tokens = 70, .n_head = 4, .n_kv = 2, .dim = 64, .dtype = PITH_DTYPE_F32, .group = 4,
                                    .window = 16, .sinks = 4, .bias = true, .seed = 1};
static const pith_dtype types[3] = {PITH_DTYPE_F32, PITH_DTYPE_F16, PITH_DTYPE_Q8_0};

/* Numbers of tokens around tiles, groups and the window's edge; all at once, in sevens, one by one. */
static void test_lengths(void **state)
{
    (void)state;
    static const int counts[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 20, 21, 24, 31, 32, 33, 63, 64, 65, 70};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        for (int full = 0; full < 2; full++) {
            attn_case c = base_case;
            c.n_tokens = counts[i], c.chunk = (int[]){0, 7, 1}[i % 3], c.seed = i;
            c.dtype = full ? PITH_DTYPE_F16 : types[i / 3 % 3], c.group = full ? 0 : 4;
            check(c);
        }
}

static bool wide; /* the last width alone: the matrix kernel at 128 takes a software device minutes to compile */

/* Head widths with their store type, numbers of query heads per KV head; one token and many. */
static void test_shapes(void **state)
{
    (void)state;
    static const struct { int dim; pith_dtype dtype; bool norm; } widths[] = {
        {16, PITH_DTYPE_F32, false}, {40, PITH_DTYPE_F32, true}, {80, PITH_DTYPE_F16, true}, {256, PITH_DTYPE_F16, true},
        {96, PITH_DTYPE_Q8_0, true}, {128, PITH_DTYPE_Q8_0, false}};
    static const int shares[] = {1, 2, 3, 4, 7, 8, 12};
    const size_t n = sizeof widths / sizeof widths[0];
    for (size_t d = wide ? n - 1 : 0; d < (wide ? n : n - 1); d++)
        for (size_t s = 0; s < 3; s++) {
            attn_case c = base_case;
            int share = shares[(2 * d + s) % 7];
            c.dim = widths[d].dim, c.dtype = widths[d].dtype, c.qk_norm = widths[d].norm, c.n_kv = (int)s + 1, c.n_head = c.n_kv * share;
            c.seed = d * 8 + s, c.rope_half = s % 2, c.n_tokens = 45 + share, c.chunk = s == 1 ? 19 : 0;
            check(c);
            c.n_tokens = 23, c.chunk = 1;
            check(c);
        }
}

/* Groups, windows, sinks, cores per query head, positions of cores, partial rotation. */
static void test_policies(void **state)
{
    (void)state;
    static const int groups[] = {1, 2, 8, 32}, sinks[] = {0, 3, 8, 17};
    for (size_t g = 0; g < 4; g++)
        for (size_t s = 0; s < 4; s++) {
            attn_case c = base_case;
            c.group = groups[g], c.window = groups[g] * (1 + (int)(s % 3)), c.sinks = sinks[s] < c.window ? sinks[s] : c.window;
            c.n_tokens = 90 + (int)g * 13, c.chunk = (int[]){0, 1, 7, 64}[(s + g) % 4], c.bias = s % 2;
            c.per_query = (s / 2 + g) % 2, c.position = (pith_cca_position)((s + g) % 4), c.rope_half = g % 2;
            c.n_rot = s % 2 ? 8 : 0, c.magnitude = s % 3 ? 0 : 1.2f, c.dtype = types[g % 3], c.seed = g * 8 + s;
            check(c);
        }
}

/* Parts of the keys of a case's tokens, if there are keys enough. */
static uint64_t parts_of(const attn_case *c)
{
    pith_kv_layout l = {.dtype = c->dtype, .n_kv = c->n_kv, .head_dim = c->dim, .raw_rows = c->n_tokens};
    pith_node node = {.op = PITH_OP_ATTEND};
    node.u.attend.n_head = c->n_head;
    node.u.attend.layout = &l;
    return pith_vk_attend_part_bytes(&pith_vk_of(vk_shared(&physical, NULL))->device, &node) / (uint64_t)(c->n_head * (c->dim + 2) * 4);
}

/* Parts that are joined: of a workgroup with one head, with two; of several workgroups of a KV head, the last with one. */
static void test_parts(void **state)
{
    (void)state;
    static const int heads[][2] = {{1, 1}, {4, 1}, {3, 1}, {6, 2}};
    for (size_t h = 0; h < sizeof heads / sizeof heads[0]; h++)
        for (int chunk = 1; chunk <= 4; chunk += 3) {
            attn_case c = base_case;
            c.n_head = heads[h][0], c.n_kv = heads[h][1], c.dtype = PITH_DTYPE_F16, c.seed = h;
            c.n_tokens = 210, c.chunk = chunk, c.group = h == 2 ? 4 : 0, c.window = 128;
            assert_true(parts_of(&c) > 2); /* a part has 64 or 96 keys */
            check(c);
        }
}

/* Several tiles of queries and parts of keys, rows that slide many times. */
static void test_long(void **state)
{
    (void)state;
    for (int t = 0; t < 4; t++) {
        attn_case c = base_case;
        c.n_tokens = 500, c.chunk = t == 3 ? 0 : 130 + t, c.n_head = 6, c.group = t == 3 ? 0 : 4, c.window = 64;
        c.dtype = t == 3 ? PITH_DTYPE_F16 : types[t], c.seed = (uint64_t)t;
        check(c);
    }
}

/* All keys alike, one that takes all, logits of 1e5. */
static void test_values(void **state)
{
    (void)state;
    for (int v = ATTN_EQUAL; v <= ATTN_HUGE; v++)
        for (int t = 0; t < 3; t++)
            for (int chunk = 0; chunk < 2; chunk++) {
                attn_case c = base_case;
                c.values = (attn_values)v, c.n_tokens = 90, c.chunk = chunk, c.dtype = types[t], c.seed = (uint64_t)v;
                check(c);
            }
}

/* -wide: see there. */
int main(int argc, char **argv)
{
    wide = argc > 1 && strcmp(argv[1], "-wide") == 0;
    const char *text = getenv("PITH_VK_STEP");
    step = !text || strcmp(text, "0") != 0;
    physical = vk_test_device();
    vk_test_cores(&physical);
    const struct CMUnitTest all[] = {cmocka_unit_test(test_lengths), cmocka_unit_test(test_policies), cmocka_unit_test(test_parts),
                                     cmocka_unit_test(test_long), cmocka_unit_test(test_values), cmocka_unit_test(test_shapes),
                                     cmocka_unit_test(vk_shared_close), cmocka_unit_test(vk_test_silent)};
    const struct CMUnitTest last[] = {cmocka_unit_test(test_shapes), cmocka_unit_test(vk_shared_close), cmocka_unit_test(vk_test_silent)};
    return wide ? cmocka_run_group_tests(last, NULL, NULL) : cmocka_run_group_tests(all, NULL, NULL);
}
