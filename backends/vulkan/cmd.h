/* SPDX-License-Identifier: MIT */
/* Command buffers. Barriers are derived: a recording remembers which ranges were read and written since its last
 * barrier, and puts one in front of a command that would meet them. The first failure sticks; the rest are no-ops.
 *
 * Dispatches that know how (call.link_at) form a chain where they follow each other: each waits in its shader for what it
 * reads, which is cheaper than a barrier and lets it begin early (shaders/lib/link.glsl). What links write must lie where
 * nothing else is since the last barrier, and be filled with PITH_VK_LINK_NOTHING before; else there is a barrier. */
#ifndef PITH_VK_CMD_H
#define PITH_VK_CMD_H

#include "memory.h"
#include "pace.h"
#include "pipeline.h"

#include "../../shaders/push/link.h"

typedef struct pith_vk_access {
    VkBuffer buffer;
    uint64_t begin, end;
    bool write;
} pith_vk_access;

typedef struct pith_vk_cmd {
    const pith_vk_device *device;
    pith_vk_pipelines *pipelines;
    VkCommandPool pool;
    VkCommandBuffer handle;
    VkDescriptorPool *sets;  /* [n_sets], SETS each */
    int n_sets, used;        /* used: descriptor sets taken, over all pools */
    pith_vk_access *accesses;
    int n_accesses, cap_accesses;
    bool chains;             /* pith_vk_cmd_chain */
    uint32_t mark;
    bool mixed;              /* something else than links came since the last barrier */
    VkPipeline bound;
    pith_status status;
    double flop[PITH_VK_WORKS]; /* of what it holds */
    uint64_t ran[PITH_VK_RAN_WORDS]; /* variants dispatched in it, as in pith_vk_pipelines */
    uint64_t value;          /* of the timeline when its last submission is done; 0: never submitted */
} pith_vk_cmd;

/* A range that a dispatch binds. `buffer` NULL: the binding stays empty. */
typedef struct pith_vk_bind {
    const pith_vk_buffer *buffer;
    uint64_t offset, bytes;  /* offset: a multiple of the device's alignment */
    bool write;              /* written, maybe read too */
} pith_vk_bind;

typedef struct pith_vk_call {
    pith_spv variant;
    uint32_t spec[PITH_VK_SPECS];
    pith_vk_bind bind[PITH_VK_BINDINGS];
    const void *push;
    uint32_t push_bytes;
    uint32_t link_at;        /* byte of `push` where its struct pith_vk_push_link is; 0: knows no chains. Constant 11: in one? */
    uint32_t link_shares;    /* bindings, a bit each, that links may write one behind another: their order does not matter, or follows from the values */
    uint64_t groups[3];      /* x may exceed the device's limit: it then folds into y, which must be 1 */
} pith_vk_call;

pith_status pith_vk_cmd_init(pith_vk_cmd *cmd, const pith_vk_device *device, pith_vk_pipelines *pipelines);
void pith_vk_cmd_fini(pith_vk_cmd *cmd);
/* Begins anew; the last submission must be over. */
void pith_vk_cmd_begin(pith_vk_cmd *cmd);
/* Dispatches from here on may chain; word `mark` of what they bind at 9, 0 before, tells that a wait was given up. */
void pith_vk_cmd_chain(pith_vk_cmd *cmd, uint32_t mark);
void pith_vk_cmd_dispatch(pith_vk_cmd *cmd, const pith_vk_call *call);
void pith_vk_cmd_copy(pith_vk_cmd *cmd, const pith_vk_buffer *dst, uint64_t to, const pith_vk_buffer *src, uint64_t from, uint64_t bytes);
void pith_vk_cmd_fill(pith_vk_cmd *cmd, const pith_vk_buffer *dst, uint64_t to, uint64_t bytes, uint32_t word);
/* Everything before is done and seen by everything after, the host included. */
void pith_vk_cmd_barrier(pith_vk_cmd *cmd);
void pith_vk_cmd_timestamp(pith_vk_cmd *cmd, VkQueryPool pool, uint32_t query);
/* Ends the recording; returns the first failure. */
pith_status pith_vk_cmd_end(pith_vk_cmd *cmd);

#endif
