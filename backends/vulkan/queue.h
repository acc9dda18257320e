/* SPDX-License-Identifier: MIT */
/* The one queue: submissions in order, counted by a timeline semaphore. */
#ifndef PITH_VK_QUEUE_H
#define PITH_VK_QUEUE_H

#include "cmd.h"

typedef struct pith_vk_queue {
    const pith_vk_device *device;
    VkSemaphore timeline;
    uint64_t submitted, done; /* values of the timeline */
    bool lost;
} pith_vk_queue;

pith_status pith_vk_queue_init(pith_vk_queue *q, const pith_vk_device *device);
void pith_vk_queue_fini(pith_vk_queue *q);
/* Submits ended recordings as one submission and sets their `value`. Does not wait. */
pith_status pith_vk_queue_submit(pith_vk_queue *q, pith_vk_cmd *const *cmds, int n);
/* Waits until `value` is done; 0 returns at once. Errors: DEVICE (lost, or no sign of life for a minute). */
pith_status pith_vk_queue_wait(pith_vk_queue *q, uint64_t value);

#endif
