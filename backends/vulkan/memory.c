/* SPDX-License-Identifier: MIT */
#include "memory.h"

static int type_find(const pith_vk_device *d, uint32_t allowed, VkMemoryPropertyFlags wanted, VkMemoryPropertyFlags unwanted)
{
    const VkPhysicalDeviceMemoryProperties *m = &d->physical.memory;
    int best = -1;
    for (uint32_t i = 0; i < m->memoryTypeCount; i++) {
        VkMemoryPropertyFlags flags = m->memoryTypes[i].propertyFlags;
        if (!(allowed >> i & 1) || (flags & wanted) != wanted || (flags & unwanted))
            continue;
        /* Of several heaps the largest: some devices show a small window beside it. */
        if (best < 0 || m->memoryHeaps[m->memoryTypes[i].heapIndex].size > m->memoryHeaps[m->memoryTypes[best].heapIndex].size)
            best = (int)i;
    }
    return best;
}

static int type_choose(const pith_vk_device *d, uint32_t allowed, pith_vk_usage usage)
{
    const VkMemoryPropertyFlags local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, host = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                                                                   VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    bool discrete = d->physical.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
    int type = -1;
    if (usage == PITH_VK_READBACK)
        type = type_find(d, allowed, host | VK_MEMORY_PROPERTY_HOST_CACHED_BIT, 0);
    if (usage == PITH_VK_STATE)
        type = type_find(d, allowed, local | host, 0);
    if (usage == PITH_VK_DEVICE && !discrete && (d->caps & PITH_VK_CAP(HOSTVISIBLE)))
        type = type_find(d, allowed, local | host, 0);
    if (type < 0 && usage == PITH_VK_DEVICE)
        type = type_find(d, allowed, local, discrete ? VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT : 0);
    if (type < 0 && usage == PITH_VK_DEVICE)
        type = type_find(d, allowed, local, 0);
    if (type < 0 && usage != PITH_VK_DEVICE)
        type = type_find(d, allowed, host, 0);
    return type >= 0 ? type : type_find(d, allowed, 0, 0);
}

pith_status pith_vk_buffer_create(const pith_vk_device *d, uint64_t bytes, pith_vk_usage usage, pith_vk_buffer *out)
{
    *out = (pith_vk_buffer){.bytes = bytes ? bytes : 4};
    if (d->physical.max_buffer && out->bytes > d->physical.max_buffer)
        return pith_fail(PITH_ERROR_NO_MEMORY, "vulkan: a buffer of %llu bytes: %s allows %llu", (unsigned long long)out->bytes,
                         d->physical.properties.deviceName, (unsigned long long)d->physical.max_buffer);
    const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = out->bytes,
                                     .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                              VK_BUFFER_USAGE_TRANSFER_DST_BIT};
    pith_status status = pith_vk_check(d->fn.vkCreateBuffer(d->handle, &info, NULL, &out->handle), "making a buffer");
    if (status != PITH_OK) {
        *out = (pith_vk_buffer){0};
        return status;
    }
    VkMemoryRequirements need;
    d->fn.vkGetBufferMemoryRequirements(d->handle, out->handle, &need);
    int type = type_choose(d, need.memoryTypeBits, usage);
    const VkMemoryAllocateInfo alloc = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .allocationSize = need.size,
                                        .memoryTypeIndex = type < 0 ? 0 : (uint32_t)type};
    VkResult result = type < 0 ? VK_ERROR_OUT_OF_DEVICE_MEMORY : d->fn.vkAllocateMemory(d->handle, &alloc, NULL, &out->memory);
    if (result == VK_SUCCESS)
        result = d->fn.vkBindBufferMemory(d->handle, out->handle, out->memory, 0);
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
    if (buffer->memory)
        d->fn.vkFreeMemory(d->handle, buffer->memory, NULL);
    *buffer = (pith_vk_buffer){0};
}
