/* SPDX-License-Identifier: MIT */
/* How much of each heap is free, and the plan of what goes where: the same pieces, sizes and order of heaps that
 * creation then takes. A budget is a hint and other programs move, so some of every heap is kept clear. */
#include "vulkan.h"
#include "base/mem.h"
#include "base/os.h"

#include <stdlib.h>
#include <string.h>

#define MIB ((uint64_t)1 << 20)

static uint64_t less(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

/* Kept clear of a heap on the device: a display and the driver live there too. */
static uint64_t headroom_of(const pith_vk_physical *p, const VkMemoryHeap *heap)
{
    if (!(heap->flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) || p->properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU)
        return 0;
    uint64_t share = heap->size / 32, most = heap->size / 8;
    share = share < 128 * MIB ? 128 * MIB : share > 1024 * MIB ? 1024 * MIB : share;
    return share < most ? share : most;
}

uint32_t pith_vk_heaps(const pith_vk_physical *p, const pith_vk_ledger *ledger, pith_memory_heap *out)
{
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
    VkPhysicalDeviceMemoryProperties2 memory = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2, .pNext = &budget};
    if (p->budget)
        vkGetPhysicalDeviceMemoryProperties2(p->handle, &memory);
    uint64_t host = pith_os_memory_available_bytes();
    for (uint32_t i = 0; i < p->memory.memoryHeapCount; i++) {
        const VkMemoryHeap *heap = &p->memory.memoryHeaps[i];
        bool local = heap->flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT;
        out[i] = (pith_memory_heap){.size = heap->size, .on_device = local, .headroom = headroom_of(p, heap)};
        out[i].free = p->budget ? less(budget.heapBudget[i], budget.heapUsage[i]) : less(heap->size, ledger ? ledger->heap[i] : 0);
        bool software = p->properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU; /* its heap's size is a number of the driver's */
        if ((!local || !pith_vk_own_memory(p)) && host && (host < out[i].free || software))
            out[i].free = host;
    }
    return p->memory.memoryHeapCount;
}

uint64_t pith_vk_memory_free(const pith_vk_physical *p, const pith_vk_ledger *ledger)
{
    pith_memory_heap heaps[VK_MAX_MEMORY_HEAPS];
    uint32_t n = pith_vk_heaps(p, ledger, heaps);
    uint64_t total = 0, host = pith_os_memory_available_bytes();
    for (uint32_t i = 0; i < n; i++)
        if (heaps[i].on_device || p->properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU)
            total += less(heaps[i].free, heaps[i].headroom);
    return !pith_vk_own_memory(p) && host && host < total ? host : total;
}

/* A plan being made. */
struct placing {
    const pith_vk_device *device;
    pith_memory_heap heaps[VK_MAX_MEMORY_HEAPS];
    bool fits;
};

/* One buffer into the first heap with room; *sum grows by what it takes. */
static pith_status place(struct placing *p, uint64_t bytes, pith_vk_usage usage, uint64_t *sum)
{
    uint64_t taken;
    uint32_t order[VK_MAX_MEMORY_HEAPS], n, i = 0;
    PITH_TRY(pith_vk_buffer_need(p->device, bytes, usage, &taken, order, &n));
    if (n == 0)
        return pith_fail(PITH_ERROR_DEVICE, "vulkan: %s has no memory for a buffer", p->device->physical.properties.deviceName);
    while (i < n && p->heaps[order[i]].planned + taken > less(p->heaps[order[i]].free, p->heaps[order[i]].headroom))
        i++;
    if (i == n) {
        p->fits = false;
        i = 0;
    }
    p->heaps[order[i]].planned += taken;
    *sum += taken;
    return PITH_OK;
}

pith_status pith_vk_memory_plan(const pith_backend *b, const pith_memory_need *need, pith_memory_plan *out)
{
    const pith_vk_backend *vk = pith_vk_of_const(b);
    const pith_vk_physical *physical = &vk->device.physical;
    struct placing p = {.device = &vk->device, .fits = true};
    uint32_t n_heaps = pith_vk_heaps(physical, vk->device.ledger, p.heaps);
    uint64_t kv = 0;
    size_t weights;
    out->weights = out->scratch = 0;
    PITH_TRY(pith_vk_weights_bytes(b, need->weights, need->n_weights, &weights));
    if (need->loaded)
        out->weights = weights;
    for (uint64_t left = need->loaded ? 0 : weights; left > 0;) { /* full arenas and a rest, as weights.c cuts them */
        uint64_t piece = left < PITH_VK_ARENA_MAX ? left : PITH_VK_ARENA_MAX;
        PITH_TRY(place(&p, piece, PITH_VK_DEVICE, &out->weights));
        left -= piece;
    }
    for (int32_t l = 0; l < need->n_layers; l++)
        PITH_TRY(place(&p, ((uint64_t)need->kv[l] + 3) / 4 * 4, PITH_VK_DEVICE, &kv));
    pith_vk_piece pieces[PITH_VK_EXEC_BUFFERS];
    PITH_TRY(pith_vk_exec_pieces(vk, need->plan, pieces));
    for (int i = 0; i < PITH_VK_EXEC_BUFFERS; i++)
        PITH_TRY(place(&p, pieces[i].bytes, pieces[i].usage, &out->scratch));
    out->staging = pith_vk_transfer_bytes(&vk->transfer); /* taken already */

    uint64_t shared = 0, host = pith_os_memory_available_bytes();
    out->n_heaps = (int32_t)n_heaps;
    for (uint32_t i = 0; i < n_heaps; i++) {
        out->heaps[i] = p.heaps[i];
        out->headroom += p.heaps[i].headroom;
        if (!p.heaps[i].on_device || !pith_vk_own_memory(physical))
            shared += p.heaps[i].planned;
    }
    out->available = pith_vk_memory_free(physical, vk->device.ledger);
    out->own_memory = pith_vk_own_memory(physical);
    out->fits = p.fits && (host == 0 || shared <= host);
    return PITH_OK;
}

void pith_vk_memory_used(const pith_backend *b, uint64_t *now, uint64_t *peak)
{
    const pith_vk_ledger *l = pith_vk_of_const(b)->device.ledger;
    *now = l->now;
    *peak = l->peak;
}
