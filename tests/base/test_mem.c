/* SPDX-License-Identifier: MIT */
/* Size arithmetic at its edges against 128-bit arithmetic; aligned blocks: alignment, readable zeroed padding, refusal. */
#include "base/mem.h"
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const size_t edges[] = {
    0, 1, 2, 3, 63, 64, 65, UINT32_MAX - 1u, UINT32_MAX, (size_t)UINT32_MAX + 1, (size_t)1 << 42, ((size_t)1 << 42) + 1,
    SIZE_MAX / 3, SIZE_MAX / 2, SIZE_MAX / 2 + 1, SIZE_MAX - 64, SIZE_MAX - 63, SIZE_MAX - 1, SIZE_MAX,
};
enum { N_EDGES = sizeof edges / sizeof *edges };

__extension__ typedef unsigned __int128 wide;

static void check_pair(size_t a, size_t b)
{
    size_t out = 12345;
    wide product = (wide)a * b, sum = (wide)a + b;
    assert_true(pith_size_mul(a, b, &out) == (product <= SIZE_MAX));
    assert_true(out == (product <= SIZE_MAX ? (size_t)product : 12345));
    out = 12345;
    assert_true(pith_size_add(a, b, &out) == (sum <= SIZE_MAX));
    assert_true(out == (sum <= SIZE_MAX ? (size_t)sum : 12345));
}

static void mul_and_add(void **state)
{
    (void)state;
    for (int i = 0; i < N_EDGES; i++)
        for (int j = 0; j < N_EDGES; j++)
            check_pair(edges[i], edges[j]);
    pith_rng rng;
    pith_rng_init(&rng, 1);
    for (int i = 0; i < 10000; i++) /* operands of every length */
        check_pair((size_t)pith_rng_u64(&rng) >> pith_rng_u64(&rng) % 64, (size_t)pith_rng_u64(&rng) >> pith_rng_u64(&rng) % 64);
}

static void align(void **state)
{
    (void)state;
    for (int i = 0; i < N_EDGES; i++)
        for (size_t a = 1; a <= 4096; a *= 2) {
            size_t out = 12345;
            wide expected = ((wide)edges[i] + a - 1) / a * a;
            if (pith_size_align(edges[i], a, &out)) {
                assert_true((wide)out == expected);
            } else {
                assert_true((wide)edges[i] + a - 1 > SIZE_MAX); /* refused only when the sum overflows */
                assert_true(out == 12345);
            }
        }
}

static void min_max(void **state)
{
    (void)state;
    assert_true(pith_min_size(3, 2) == 2 && pith_min_size(0, SIZE_MAX) == 0);
    assert_true(pith_min_i64(INT64_MIN, INT64_MAX) == INT64_MIN && pith_max_i64(INT64_MIN, -1) == -1);
}

static void calloc_is_checked_and_zeroed(void **state)
{
    (void)state;
    assert_null(pith_calloc(SIZE_MAX / 2, 3));
    assert_null(pith_calloc(SIZE_MAX, SIZE_MAX));
    unsigned char *p = pith_calloc(1000, 3);
    assert_non_null(p);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(p[i], 0);
    free(p);
    p = pith_calloc(0, 8); /* an empty array is not a failure */
    assert_non_null(p);
    free(p);
}

static void aligned_blocks(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 63, 64, 65, 4095, 1 << 20, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, 5 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *p = pith_aligned_alloc(sizes[i]);
        assert_non_null(p);
        assert_true((uintptr_t)p % PITH_ALIGN == 0);
        memset(p, 0x5a, sizes[i]);
        for (size_t j = 0; j < PITH_PAD_BYTES; j++)
            assert_int_equal(p[sizes[i] + j], 0);
        pith_aligned_free(p);
    }
    pith_aligned_free(NULL);
}

static void aligned_refuses_what_overflows(void **state)
{
    (void)state;
    for (size_t short_by = 0; short_by <= 3 * PITH_ALIGN; short_by++)
        assert_null(pith_aligned_alloc(SIZE_MAX - short_by));
}

#ifndef NDEBUG
static void fresh_memory_screams(void **state)
{
    (void)state;
    float *p = pith_aligned_alloc(1000 * sizeof *p);
    assert_non_null(p);
    for (int i = 0; i < 1000; i++)
        assert_true(p[i] != p[i]);
    pith_aligned_free(p);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mul_and_add),
        cmocka_unit_test(align),
        cmocka_unit_test(min_max),
        cmocka_unit_test(calloc_is_checked_and_zeroed),
        cmocka_unit_test(aligned_blocks),
        cmocka_unit_test(aligned_refuses_what_overflows),
#ifndef NDEBUG
        cmocka_unit_test(fresh_memory_screams),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
