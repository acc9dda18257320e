/* SPDX-License-Identifier: MIT */
#ifndef PITH_TESTS_MATMUL_BENCH_H
#define PITH_TESTS_MATMUL_BENCH_H

/* Speed of every tier and type on the shapes of real models, one thread, to stdout. only: a type's name ("Q4_0"), or a
 * tier's ("avx2"), or NULL. Returns 0. */
int mm_bench(const char *only);

#endif
