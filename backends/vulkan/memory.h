/* SPDX-License-Identifier: MIT */
/* Device memory: which type to take, buffers with memory of their own. */
#ifndef PITH_VK_MEMORY_H
#define PITH_VK_MEMORY_H

#include "device.h"

typedef enum pith_vk_usage {
    PITH_VK_DEVICE,   /* on the device; mapped only where that costs nothing */
    PITH_VK_UPLOAD,   /* written by the host, read by the device once */
    PITH_VK_STATE,    /* small; written by the host, read by every workgroup: near the device where both can reach */
    PITH_VK_READBACK, /* written by the device, read by the host */
} pith_vk_usage;

typedef struct pith_vk_buffer {
    VkBuffer handle;
    VkDeviceMemory memory;
    uint64_t bytes;
    void *mapped; /* coherent, or NULL */
} pith_vk_buffer;

/* At most what the device allows. Contents undefined. Errors: NO_MEMORY, DEVICE. */
pith_status pith_vk_buffer_create(const pith_vk_device *device, uint64_t bytes, pith_vk_usage usage, pith_vk_buffer *out);
void pith_vk_buffer_destroy(const pith_vk_device *device, pith_vk_buffer *buffer); /* zeroed is fine */

/* Weights lie in buffers of at most so many bytes. */
#define PITH_VK_ARENA_MAX ((uint64_t)1 << 30)

#endif
