/* SPDX-License-Identifier: MIT */
/* Functions put before the driver's, so that it fails where a test wants it to: memory that runs out, objects that cannot
 * be made, a device that is lost, a submission that never ends or is reported done and never ran, a shader that computes
 * something else, memory in two heaps. One device at a time. */
#ifndef PITH_TESTS_VK_FAULT_H
#define PITH_TESTS_VK_FAULT_H

#include "device.h"
#include "pith_spv.h"

/* What goes wrong; counts begin at 1 and go on over devices, 0: never. */
typedef struct vk_fault {
    int alloc;          /* this allocation of device memory fails */
    int create;         /* this creation of a buffer, pool, layout, module or pipeline fails */
    int lose[3];        /* these submissions lose the device */
    int skip;           /* this submission is reported done and never ran */
    int hang;           /* this submission never ends */
    int drop;           /* this dispatch is not recorded */
    int swap, by;       /* module pith_spv `swap` is made of the code of `by`; both 0: none */
    int bend, from, to; /* in module pith_spv `bend` the GLSL.std.450 instruction `from` is `to` instead; both 0: none */
    uint64_t heap[2];   /* sizes of two heaps over the device's memory type 0; zeros: as they are */
    /* seen */
    int n_alloc, n_create, n_submit, n_dispatch;
    int alive;          /* allocations not freed */
    bool made[PITH_SPV_COUNT]; /* modules */
    uint64_t now[2], peak; /* bytes in the two heaps */
} vk_fault;

extern vk_fault fault;

enum { VK_FAULT_ROUND_EVEN = 2, VK_FAULT_TRUNC = 3, VK_FAULT_EXP = 27, VK_FAULT_EXP2 = 29 }; /* GLSL.std.450 */

/* Forgets counts, sets what goes wrong, and puts the functions before those of every device made from now on. */
void vk_fault_set(const vk_fault *f);
/* A physical device that shows the two heaps of `fault`. */
pith_vk_physical vk_fault_heaps(const pith_vk_physical *physical);

#endif
