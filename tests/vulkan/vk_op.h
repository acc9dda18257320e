/* SPDX-License-Identifier: MIT */
/* A small graph made ready on a Vulkan backend, with guards: the values of its arena lie apart, each with a margin behind
 * it, and share nothing. Before a trunk runs the whole arena and the scratch are filled with NaNs, so that what is read
 * before it was written shows; behind every run the margins must be as they were, and counters of arrivals zero again. */
#ifndef PITH_TESTS_VK_OP_H
#define PITH_TESTS_VK_OP_H

#include "vk_shared.h"

typedef struct vk_op {
    pith_backend *vk;        /* borrowed, as the graph */
    pith_plan plan;
    pith_weight_store *store;
    pith_exec *exec;
} vk_op;

/* Asserts that the backend supports every node. kv: one buffer per layer. */
void vk_op_begin(vk_op *op, pith_backend *vk, const pith_graph *graph, int32_t n_tokens, int32_t n_rows, pith_buf *const *kv, int32_t n_layers);
void vk_op_run(vk_op *op, const pith_step *step);
void vk_op_read(vk_op *op, int32_t value, int32_t n_rows, float *dst);
void vk_op_end(vk_op *op);

#endif
