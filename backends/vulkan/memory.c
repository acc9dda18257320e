/* SPDX-License-Identifier: MIT */
#include "memory.h"
#include "base/mem.h"

#define TYPES_MAX VK_MAX_MEMORY_TYPES

/* Memory types in order of preference. */
struct types {
    uint32_t list[TYPES_MAX], n;
};

/* Adds the types that have all of `wanted` and nothing of `unwanted`, those of the largest heap first: some devices show
 * a small window beside it. */
static void types_add(struct types *t, const pith_vk_device *d, uint32_t allowed, VkMemoryPropertyFlags wanted, VkMemoryPropertyFlags unwanted)
{
    const VkPhysicalDeviceMemoryProperties *m = &d->physical.memory;
    uint32_t begin = t->n;
    for (uint32_t i = 0; i < m->memoryTypeCount; i++) {
        VkMemoryPropertyFlags flags = m->memoryTypes[i].propertyFlags;
        bool known = false;
        for (uint32_t k = 0; k < t->n; k++)
            known = known || t->list[k] == i;
        if (known || !(allowed >> i & 1) || (flags & wanted) != wanted || (flags & unwanted))
            continue;
        uint32_t at = t->n++;
        for (; at > begin && m->memoryHeaps[m->memoryTypes[t->list[at - 1]].heapIndex].size < m->memoryHeaps[m->memoryTypes[i].heapIndex].size; at--)
            t->list[at] = t->list[at - 1];
        t->list[at] = i;
    }
}

bool pith_vk_own_memory(const pith_vk_physical *p)
{
    return p->properties.deviceType != VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU && p->properties.deviceType != VK_PHYSICAL_DEVICE_TYPE_CPU;
}

static struct types types_for(const pith_vk_device *d, uint32_t allowed, pith_vk_usage usage)
{
    const VkMemoryPropertyFlags local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, host = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                                                                   VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    bool own = pith_vk_own_memory(&d->physical);
    struct types t = {.n = 0};
    if (usage == PITH_VK_DEVICE) {
        if (!own && (d->caps & PITH_VK_CAP(HOSTVISIBLE)))
            types_add(&t, d, allowed, local | host, 0);
        types_add(&t, d, allowed, local, own ? VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT : 0);
        types_add(&t, d, allowed, local, 0);
        if (!own || t.n == 0) /* the same memory under another name; else it would be a silent spill */
            types_add(&t, d, allowed, 0, 0);
        return t;
    }
    if (usage == PITH_VK_READBACK)
        types_add(&t, d, allowed, host | VK_MEMORY_PROPERTY_HOST_CACHED_BIT, 0);
    if (usage == PITH_VK_STATE)
        types_add(&t, d, allowed, local | host, 0);
    types_add(&t, d, allowed, host, 0);
    return t;
}

static pith_status buffer_handle(const pith_vk_device *d, uint64_t bytes, VkBuffer *out)
{
    *out = VK_NULL_HANDLE;
    if (d->physical.max_buffer && bytes > d->physical.max_buffer)
        return pith_fail(PITH_ERROR_NO_MEMORY, "vulkan: a buffer of %llu bytes: %s allows %llu", (unsigned long long)bytes,
                         d->physical.properties.deviceName, (unsigned long long)d->physical.max_buffer);
    const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = bytes,
                                     .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                              VK_BUFFER_USAGE_TRANSFER_DST_BIT};
    VkResult result = d->fn.vkCreateBuffer(d->handle, &info, NULL, out);
    if (result != VK_SUCCESS)
        *out = VK_NULL_HANDLE;
    return pith_vk_check(result, "making a buffer");
}

static uint32_t heap_of(const pith_vk_device *d, uint32_t type) { return d->physical.memory.memoryTypes[type].heapIndex; }

static void took(const pith_vk_device *d, uint32_t heap, uint64_t bytes)
{
    pith_vk_ledger *l = d->ledger;
    l->heap[heap] += bytes;
    l->now += bytes;
    l->peak = l->now > l->peak ? l->now : l->peak;
    l->n++;
}

/* Memory from the first heap that has room; a budget is a hint, so those that seem full are asked too, at last. */
static VkResult memory_take(const pith_vk_device *d, const struct types *t, uint64_t bytes, uint32_t *type, VkDeviceMemory *out)
{
    pith_memory_heap heaps[VK_MAX_MEMORY_HEAPS];
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    pith_vk_heaps(&d->physical, d->ledger, heaps);
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < t->n; i++) {
            if ((heaps[heap_of(d, t->list[i])].free >= bytes) != (round == 0))
                continue;
            const VkMemoryAllocateInfo alloc = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .allocationSize = bytes,
                                                .memoryTypeIndex = t->list[i]};
            *type = t->list[i];
            result = d->fn.vkAllocateMemory(d->handle, &alloc, NULL, out);
            if (result != VK_ERROR_OUT_OF_DEVICE_MEMORY)
                return result;
        }
    return result;
}

pith_status pith_vk_buffer_create(const pith_vk_device *d, uint64_t bytes, pith_vk_usage usage, pith_vk_buffer *out)
{
    *out = (pith_vk_buffer){.bytes = bytes ? bytes : 4};
    pith_status status = buffer_handle(d, out->bytes, &out->handle);
    if (status != PITH_OK) {
        *out = (pith_vk_buffer){0};
        return status;
    }
    VkMemoryRequirements need;
    d->fn.vkGetBufferMemoryRequirements(d->handle, out->handle, &need);
    const struct types types = types_for(d, need.memoryTypeBits, usage);
    uint32_t type = 0;
    VkResult result = memory_take(d, &types, need.size, &type, &out->memory);
    if (result == VK_SUCCESS) {
        out->taken = need.size;
        out->heap = heap_of(d, type);
        took(d, out->heap, out->taken);
        result = d->fn.vkBindBufferMemory(d->handle, out->handle, out->memory, 0);
    } else {
        out->memory = VK_NULL_HANDLE;
    }
    if (result == VK_SUCCESS) {
        VkMemoryPropertyFlags flags = d->physical.memory.memoryTypes[type].propertyFlags;
        bool coherent = (flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) && (flags & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT);
        bool direct = coherent && (usage != PITH_VK_DEVICE || (d->caps & PITH_VK_CAP(HOSTVISIBLE)));
        if (direct)
            result = d->fn.vkMapMemory(d->handle, out->memory, 0, VK_WHOLE_SIZE, 0, &out->mapped);
    }
    if (result != VK_SUCCESS) {
        uint64_t asked = out->bytes;
        pith_vk_buffer_destroy(d, out);
        status = pith_vk_check(result, "allocating device memory");
        return pith_fail_in(status, "%s: %llu bytes", d->physical.properties.deviceName, (unsigned long long)asked);
    }
    return PITH_OK;
}

void pith_vk_buffer_destroy(const pith_vk_device *d, pith_vk_buffer *buffer)
{
    if (buffer->handle)
        d->fn.vkDestroyBuffer(d->handle, buffer->handle, NULL);
    if (buffer->memory) {
        d->fn.vkFreeMemory(d->handle, buffer->memory, NULL);
        d->ledger->heap[buffer->heap] -= buffer->taken;
        d->ledger->now -= buffer->taken;
        d->ledger->n--;
    }
    *buffer = (pith_vk_buffer){0};
}

pith_status pith_vk_buffer_need(const pith_vk_device *d, uint64_t bytes, pith_vk_usage usage, uint64_t *taken, uint32_t *heaps, uint32_t *n_heaps)
{
    VkBuffer handle;
    VkMemoryRequirements need;
    PITH_TRY(buffer_handle(d, bytes ? bytes : 4, &handle));
    d->fn.vkGetBufferMemoryRequirements(d->handle, handle, &need);
    d->fn.vkDestroyBuffer(d->handle, handle, NULL);
    const struct types types = types_for(d, need.memoryTypeBits, usage);
    *taken = need.size;
    *n_heaps = 0;
    for (uint32_t i = 0; i < types.n; i++) {
        bool known = false;
        for (uint32_t k = 0; k < *n_heaps; k++)
            known = known || heaps[k] == heap_of(d, types.list[i]);
        if (!known)
            heaps[(*n_heaps)++] = heap_of(d, types.list[i]);
    }
    return PITH_OK;
}
