/* SPDX-License-Identifier: MIT */
/* The scalar matrix kernels and the packed layouts against the meaning of the types: products of dequantised weights in
 * double, within what quantising the activations may cost; rows that come back exactly. */
#include "matmul_dictionary.h"

#include "matmul_case.h"
#include "matmul_layout.h"

#include "harness/compare.h"
#include "harness/guard.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check_dictionary(pith_dtype type, int64_t rows, int64_t cols, pith_gen_kind kind)
{
    enum { N = 2 };
    mm_case c;
    mm_case_make(&c, mm_case_seed("dictionary", type, rows, cols, N, kind), type, rows, cols, N, kind, false);
    pith_cpu_kernels k;
    mm_table(&k, 0);
    float *y = pith_guard_alloc((size_t)(N * rows) * sizeof(float), 0), *w = mm_weights(&c);
    double *a = malloc((size_t)cols * sizeof *a), *e = malloc((size_t)cols * sizeof *e);
    assert_non_null(a);
    assert_non_null(e);
    assert_true(mm_case_run(&c, &k, 0, N, 0, rows, NULL, false, y, rows));
    pith_compare cmp;
    pith_compare_init(&cmp);
    for (int64_t t = 0; t < N; t++) {
        double overflow;
        mm_act_values(&c, t, a, e, &overflow);
        for (int64_t r = 0; r < rows && isfinite(overflow); r++) {
            double want = 0.0, bound = 1e-37, magnitude = 0.0;
            for (int64_t i = 0; i < cols; i++) {
                double wi = (double)w[r * cols + i];
                want += wi * (double)c.x[t * cols + i];
                magnitude += fabs(wi) * (fabs((double)c.x[t * cols + i]) + e[i]);
                bound += fabs(wi) * e[i];
            }
            /* Mins of *_1 meet s, a half of its own: at most 2^-11 of each block's sum, on weights up to 32 steps away. */
            if (pith_mm_format_get(type)->min_at && c.m.act == PITH_ACT_Q8_32)
                for (int64_t i = 0; i < cols; i++)
                    bound += 0.25 * (fabs(a[i]) * 0x1p-10 + e[i] + 0x1p-25);
            if (isfinite(bound)) /* else an activation overflowed its half */
                pith_compare_add(&cmp, (size_t)(t * rows + r), (double)y[t * rows + r], want, bound + 0x1p-23 * magnitude);
        }
    }
    char what[128];
    snprintf(what, sizeof what, "dictionary %s %lldx%lld %s", mm_type_name(type), (long long)rows, (long long)cols, pith_gen_name(kind));
    assert_true(pith_compare_ok(&cmp, what));
    pith_guard_free(y);
    pith_guard_free(w);
    free(a);
    free(e);
    mm_case_free(&c);
}

void mm_test_dictionary(void **state)
{
    (void)state;
    for (int i = 0; i < mm_n_types; i++)
        for (int kind = 0; kind < PITH_GEN_END; kind++)
            check_dictionary(mm_types[i], 17, 512, (pith_gen_kind)kind);
}

void mm_test_row(void **state) /* a packed matrix gives its rows back, exactly */
{
    (void)state;
    for (int i = 0; i < mm_n_types; i++) {
        for (int extreme = 0; extreme < 2; extreme++) {
            int64_t cols = pith_dtype_get((uint32_t)mm_types[i]).block_elems == 1 ? 37 : pith_dtype_get((uint32_t)mm_types[i]).block_elems * 3;
            mm_case c;
            mm_case_make(&c, mm_case_seed("row", mm_types[i], 33, cols, 1, 0), mm_types[i], 33, cols, 1, PITH_GEN_NORMAL, extreme);
            float *w = mm_weights(&c), *row = pith_guard_alloc((size_t)cols * sizeof(float), 4);
            for (int64_t r = 0; r < c.rows; r++) {
                pith_cpu_matrix_row(&c.m, r, row);
                assert_true(pith_guard_check(row, "row"));
                for (int64_t k = 0; k < cols; k++)
                    if (!(row[k] == w[r * cols + k]) && !(isnan(row[k]) && isnan(w[r * cols + k])))
                        fail_msg("%s row %d column %d: %.9g, expected %.9g", mm_type_name(mm_types[i]), (int)r, (int)k, (double)row[k],
                                 (double)w[r * cols + k]);
            }
            pith_guard_free(w);
            pith_guard_free(row);
            mm_case_free(&c);
        }
    }
}
