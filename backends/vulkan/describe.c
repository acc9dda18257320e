/* SPDX-License-Identifier: MIT */
/* A Vulkan device in the words of the public header. */
#include "selftest.h"
#include "tuner.h"

#include <stdio.h>

static const char *type_name(VkPhysicalDeviceType type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return "discrete";
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return "integrated";
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return "virtual";
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return "software";
    default: return "other";
    }
}

static void vendor_name(uint32_t id, char *text, size_t size)
{
    static const struct { uint32_t id; const char *name; } vendors[] = {
        {0x1002, "AMD"}, {0x10DE, "NVIDIA"}, {0x8086, "Intel"}, {0x13B5, "ARM"}, {0x5143, "Qualcomm"}, {0x106B, "Apple"},
        {0x1010, "Imagination"}, {0x14E4, "Broadcom"}, {0x144D, "Samsung"}, {0x1414, "Microsoft"}, {0x10005, "Mesa"}};
    snprintf(text, size, "0x%04x", id);
    for (size_t i = 0; i < sizeof vendors / sizeof vendors[0]; i++)
        if (vendors[i].id == id)
            snprintf(text, size, "%s", vendors[i].name);
}

static void heaps_fill(const VkPhysicalDeviceMemoryProperties *m, pith_device_info *out)
{
    out->n_heaps = (int32_t)(m->memoryHeapCount < PITH_DEVICE_HEAPS ? m->memoryHeapCount : PITH_DEVICE_HEAPS);
    for (int32_t i = 0; i < out->n_heaps; i++)
        out->heaps[i] = (pith_device_heap){.bytes = m->memoryHeaps[i].size,
                                           .device_local = m->memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT};
    for (uint32_t i = 0; i < m->memoryTypeCount; i++)
        if (m->memoryTypes[i].heapIndex < (uint32_t)out->n_heaps && (m->memoryTypes[i].propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT))
            out->heaps[m->memoryTypes[i].heapIndex].host_visible = true;
}

void pith_vk_describe(const pith_vk_physical *p, uint32_t caps, pith_device_info *out)
{
    const VkPhysicalDeviceProperties *d = &p->properties;
    const VkPhysicalDeviceLimits *l = &d->limits;
    *out = (pith_device_info){.cores = (int32_t)p->cores, .subgroup = (int32_t)p->subgroup, .subgroup_min = (int32_t)p->subgroup_min,
                              .subgroup_max = (int32_t)p->subgroup_max, .workgroup_max = (int32_t)l->maxComputeWorkGroupInvocations,
                              .shared_bytes = l->maxComputeSharedMemorySize, .binding_max_bytes = l->maxStorageBufferRange,
                              .buffer_max_bytes = p->max_buffer, .memory_bytes = pith_vk_memory_free(p, NULL)};
    snprintf(out->name, sizeof out->name, "%.127s", d->deviceName);
    snprintf(out->type, sizeof out->type, "%s", type_name(d->deviceType));
    vendor_name(d->vendorID, out->vendor, sizeof out->vendor);
    if (p->driver.driverInfo[0])
        snprintf(out->driver, sizeof out->driver, "%.40s %.80s", p->driver.driverName, p->driver.driverInfo);
    else
        snprintf(out->driver, sizeof out->driver, "%.40s %u.%u.%u", p->driver.driverName, VK_API_VERSION_MAJOR(d->driverVersion),
                 VK_API_VERSION_MINOR(d->driverVersion), VK_API_VERSION_PATCH(d->driverVersion));
    snprintf(out->api, sizeof out->api, "Vulkan %u.%u.%u", VK_API_VERSION_MAJOR(d->apiVersion), VK_API_VERSION_MINOR(d->apiVersion),
             VK_API_VERSION_PATCH(d->apiVersion));
    snprintf(out->pci, sizeof out->pci, "%s", p->pci);
    pith_vk_caps_describe(caps, out->features, sizeof out->features);
    if (caps & PITH_VK_CAP(COOPMAT))
        snprintf(out->matrix, sizeof out->matrix, "%ux%ux%u", p->matrix[0], p->matrix[1], p->matrix[2]);
    pith_vk_selftest_describe(p, p->caps, out->self_test, sizeof out->self_test);
    heaps_fill(&p->memory, out);
    pith_vk_tuned tuned;
    pith_vk_tuner_load(p, &tuned);
    pith_vk_tuned_describe(&tuned, out->tiles, sizeof out->tiles);
}
