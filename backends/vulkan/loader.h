/* SPDX-License-Identifier: MIT */
/* The Vulkan loader, found at run time: nothing links to it, and a machine without it simply has no devices. One
 * instance serves the whole process and is counted. */
#ifndef PITH_VK_LOADER_H
#define PITH_VK_LOADER_H

#include "base/status.h"

#include <stdbool.h>
#include <volk.h>

/* The process's instance, made on first use. NULL *out with PITH_OK: no loader or no driver. Thread-safe. With
 * PITH_VK_VALIDATION=1 in the environment the validation layer watches, synchronisation included (=core: without), and its
 * messages are logged as errors and counted. */
pith_status pith_vk_instance_acquire(VkInstance *out);
void pith_vk_instance_release(void);
/* Messages of the validation layer so far. */
int pith_vk_validation_messages(void);
/* "ERROR_DEVICE_LOST" and the like; static. */
const char *pith_vk_result_name(VkResult result);
/* PITH_OK, or a recorded failure: NO_MEMORY or DEVICE. */
pith_status pith_vk_check(VkResult result, const char *what);

#define PITH_VK_TRY(expr, what) PITH_TRY(pith_vk_check((expr), (what)))
#define PITH_VK_TRY_GOTO(expr, what) PITH_TRY_GOTO(pith_vk_check((expr), (what)))

#endif
