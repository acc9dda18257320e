/* SPDX-License-Identifier: MIT */
#ifndef PITH_TESTS_MATMUL_DICTIONARY_H
#define PITH_TESTS_MATMUL_DICTIONARY_H

void mm_test_dictionary(void **state); /* scalar products against dequantised weights, every type and kind of values */
void mm_test_row(void **state);        /* a packed matrix gives its rows back, exactly */

#endif
