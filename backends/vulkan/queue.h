/* SPDX-License-Identifier: MIT */
/* The one queue: submissions in order, counted by a timeline semaphore. A device that the driver calls lost, or that
 * shows no sign of life, is lost for good: every later call fails at once and nothing waits for it any more. */
#ifndef PITH_VK_QUEUE_H
#define PITH_VK_QUEUE_H

#include "cmd.h"

typedef struct pith_vk_queue {
    pith_vk_device *device;   /* abandoned when it hangs */
    VkSemaphore timeline;
    uint64_t submitted, done; /* values of the timeline */
    bool lost;
    char reason[160];         /* why */
    uint64_t patience_ns;     /* without progress until the device counts as hung */
    uint64_t usual_ns;        /* what recent waits of a few milliseconds took; 0: none yet */
} pith_vk_queue;

/* patience_ns 0: one minute, ten for software. */
pith_status pith_vk_queue_init(pith_vk_queue *q, pith_vk_device *device, uint64_t patience_ns);
void pith_vk_queue_fini(pith_vk_queue *q);
/* Submits ended recordings as one submission and sets their `value`. Does not wait. */
pith_status pith_vk_queue_submit(pith_vk_queue *q, pith_vk_cmd *const *cmds, int n);
/* Waits until `value` is done; 0 returns at once. Errors: DEVICE (lost, or no progress for patience_ns). */
pith_status pith_vk_queue_wait(pith_vk_queue *q, uint64_t value);
/* Marks the device as lost: what it reported is not what it did. Returns DEVICE with the first reason. */
pith_status pith_vk_queue_lose(pith_vk_queue *q, const char *reason);

#endif
