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
    uint64_t taken; /* bytes of its memory: at least `bytes` */
    uint32_t heap;
    void *mapped; /* coherent, or NULL */
} pith_vk_buffer;

/* At most what the device allows; on the next best heap when the best one is full, never in host memory when the device
 * has its own. Contents undefined. Errors: NO_MEMORY, DEVICE. */
pith_status pith_vk_buffer_create(const pith_vk_device *device, uint64_t bytes, pith_vk_usage usage, pith_vk_buffer *out);
void pith_vk_buffer_destroy(const pith_vk_device *device, pith_vk_buffer *buffer); /* zeroed is fine */

/* What creating a buffer would take, for plans: bytes with the driver's rounding, and its heaps, best first, in
 * heaps[VK_MAX_MEMORY_HEAPS]; *n_heaps of them. Takes no memory. */
pith_status pith_vk_buffer_need(const pith_vk_device *device, uint64_t bytes, pith_vk_usage usage, uint64_t *taken, uint32_t *heaps, uint32_t *n_heaps);

/* Heaps as they are now; returns their number. `free` is what the driver's budget leaves, or what this ledger leaves of
 * the size; at most the system's free memory where it lies in there. `ledger` NULL: nothing taken. */
uint32_t pith_vk_heaps(const pith_vk_physical *physical, const pith_vk_ledger *ledger, pith_memory_heap *out);
/* Does the device compute in memory of its own? */
bool pith_vk_own_memory(const pith_vk_physical *physical);
/* Free bytes of all heaps that weights may lie in, headroom off. */
uint64_t pith_vk_memory_free(const pith_vk_physical *physical, const pith_vk_ledger *ledger);

/* Weights lie in buffers of at most so many bytes. */
#define PITH_VK_ARENA_MAX ((uint64_t)1 << 30)

#endif
