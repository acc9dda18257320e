/* SPDX-License-Identifier: MIT */
/* One attention layer on a Vulkan backend, chunk by chunk with rows that slide, against the definition by brute force. */
#ifndef PITH_TESTS_VK_ATTN_H
#define PITH_TESTS_VK_ATTN_H

#include "vk_op.h"

#include "kernels/attn_case.h"

/* Fails the test when a result is beyond its bound or a byte of the store changed that had no business to.
 * step: tokens one by one then as one dispatch each, too. out: NULL, or where the last result goes, [T][H E]. */
void vk_attn_check(pith_backend *vk, attn_case c, bool step, float *out);

#endif
