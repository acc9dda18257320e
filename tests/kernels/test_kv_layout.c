/* SPDX-License-Identifier: MIT */
/* Planes of the KV layout: aligned, in order, disjoint, large enough; refusals and overflow. */
#include "graph/kv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const pith_kv_layout base = {.dtype = PITH_DTYPE_F16, .n_kv = 3, .core_heads = 9, .head_dim = 64, .n_fixed = 4,
                                    .raw_rows = 1111, .core_rows = 77};

/* Checks one plane that should begin at or after `end`; returns where it ends. */
static uint64_t plane_check(const pith_kv_layout *l, const pith_kv_plane *p, uint64_t heads, uint64_t rows, uint64_t end)
{
    uint32_t element = l->dtype == PITH_DTYPE_F32 ? 4 : l->dtype == PITH_DTYPE_F16 ? 2 : 1;
    assert_int_equal(p->row_bytes, element * (uint32_t)l->head_dim);
    assert_true(p->offset >= end && p->offset % 64 == 0 && p->head_bytes % 64 == 0);
    assert_true(p->head_bytes >= rows * p->row_bytes && p->head_bytes < rows * p->row_bytes + 64);
    end = p->offset + heads * p->head_bytes;
    if (l->dtype == PITH_DTYPE_Q8_0) {
        assert_true(p->scale_offset >= end && p->scale_offset % 64 == 0 && p->scale_head_bytes % 64 == 0);
        assert_true(p->scale_head_bytes >= rows * (uint64_t)l->head_dim / 16);
        end = p->scale_offset + heads * p->scale_head_bytes;
    } else {
        assert_true(p->scale_offset == 0 && p->scale_head_bytes == 0);
    }
    return end;
}

static void test_planes(void **state)
{
    (void)state;
    static const pith_dtype types[] = {PITH_DTYPE_F32, PITH_DTYPE_F16, PITH_DTYPE_Q8_0};
    for (int t = 0; t < 3; t++) {
        for (int cores = 0; cores < 2; cores++) {
            pith_kv_layout l = base;
            l.dtype = types[t];
            l.core_heads = cores ? 9 : 0;
            assert_true(pith_kv_layout_fill(&l));
            uint64_t end = plane_check(&l, &l.raw_k, 3, 1111, 0);
            end = plane_check(&l, &l.raw_v, 3, 1111, end);
            assert_int_equal(l.raw_bytes, end);
            if (cores) {
                end = plane_check(&l, &l.core_k, 9, 77, end);
                end = plane_check(&l, &l.core_v, 9, 77, end);
                assert_true(l.bias_offset >= end && l.bias_offset % 64 == 0 && l.bias_head_bytes >= 2 * 77);
                end = l.bias_offset + 9 * l.bias_head_bytes;
            }
            assert_int_equal(l.bytes, end);
        }
    }
}

static void test_refused(void **state)
{
    (void)state;
    pith_kv_layout l = base;
    l.dtype = PITH_DTYPE_Q4_0;
    assert_false(pith_kv_layout_fill(&l));
    l = base, l.dtype = PITH_DTYPE_Q8_0, l.head_dim = 40;
    assert_false(pith_kv_layout_fill(&l));
    l = base, l.n_fixed = 2000;
    assert_false(pith_kv_layout_fill(&l));
    l = base, l.n_kv = 0;
    assert_false(pith_kv_layout_fill(&l));
    l = base, l.core_rows = -1;
    assert_false(pith_kv_layout_fill(&l));
    l = base, l.raw_rows = INT64_MAX; /* overflows in a head */
    assert_false(pith_kv_layout_fill(&l));
    l = base, l.raw_rows = INT64_MAX / 128 / 2, l.dtype = PITH_DTYPE_F16; /* in the sum of heads */
    assert_false(pith_kv_layout_fill(&l));
    l = base, l.core_rows = INT64_MAX / 256; /* in a later plane */
    assert_false(pith_kv_layout_fill(&l));
    l = base, l.raw_rows = (int64_t)1 << 27; /* 2^27 positions do fit */
    assert_true(pith_kv_layout_fill(&l) && l.bytes > (uint64_t)1 << 36);
}

static void test_rows(void **state)
{
    (void)state;
    pith_kv_layout l = base; /* fixed rows 0..3, then positions from 100 on */
    assert_int_equal(pith_kv_raw_row(&l, 100, 0), 0);
    assert_int_equal(pith_kv_raw_row(&l, 100, 3), 3);
    assert_int_equal(pith_kv_raw_row(&l, 100, 100), 4);
    assert_int_equal(pith_kv_raw_row(&l, 100, 1206), 1110);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_planes), cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
