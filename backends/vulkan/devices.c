/* SPDX-License-Identifier: MIT */
/* The Vulkan devices of this machine, as the program lists them, and choosing one by what a user wrote. */
#include "vulkan.h"
#include "base/mem.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEVICES_MAX 32

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

/* Better ones first: discrete, integrated, virtual, other; software last. */
static int rank(const pith_vk_physical *p)
{
    switch (p->properties.deviceType) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return 0;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return 1;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return 2;
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return 4;
    default: return 3;
    }
}

/* Devices by rank, then in the driver's order; *n of them. NULL when there is none. The caller frees. */
static pith_vk_physical *list(VkInstance instance, size_t *n)
{
    pith_vk_physical *all = pith_calloc(DEVICES_MAX, sizeof *all), *sorted = pith_calloc(DEVICES_MAX, sizeof *sorted);
    size_t count = all && sorted ? pith_vk_physical_list(instance, all, DEVICES_MAX) : 0;
    count = count < DEVICES_MAX ? count : DEVICES_MAX;
    *n = 0;
    for (int r = 0; r <= 4; r++)
        for (size_t i = 0; i < count; i++)
            if (rank(&all[i]) == r)
                sorted[(*n)++] = all[i];
    free(all);
    return sorted;
}

static void describe(const pith_vk_physical *p, size_t index, pith_device_info *out)
{
    const VkPhysicalDeviceProperties *d = &p->properties;
    *out = (pith_device_info){.memory_bytes = pith_vk_memory_free(p)};
    snprintf(out->id, sizeof out->id, "%zu", index);
    snprintf(out->name, sizeof out->name, "%.127s", d->deviceName);
    snprintf(out->type, sizeof out->type, "%s", type_name(d->deviceType));
    char caps[128];
    pith_vk_caps_describe(p->caps, caps, sizeof caps);
    snprintf(out->features, sizeof out->features, "vulkan %u.%u,%.30s %.40s,%s%ssubgroup %u..%u,shared %u KiB,%s",
             VK_API_VERSION_MAJOR(d->apiVersion), VK_API_VERSION_MINOR(d->apiVersion), p->driver.driverName, p->driver.driverInfo, p->pci,
             p->pci[0] ? "," : "", p->subgroup_min, p->subgroup_max, d->limits.maxComputeSharedMemorySize / 1024, caps);
}

size_t pith_vk_device_list(size_t first_index, pith_device_info *out, size_t cap)
{
    VkInstance instance;
    if (pith_vk_instance_acquire(&instance) != PITH_OK || !instance)
        return 0;
    size_t n;
    pith_vk_physical *devices = list(instance, &n);
    for (size_t i = 0; i < n && i < cap; i++)
        describe(&devices[i], first_index + i, &out[i]);
    free(devices);
    pith_vk_instance_release();
    return n;
}

/* Case-insensitive search, ASCII. */
static bool contains(const char *text, const char *part)
{
    size_t n = strlen(part);
    for (; *text; text++)
        if (strncasecmp(text, part, n) == 0)
            return true;
    return false;
}

static bool is_number(const char *s)
{
    const char *p = s;
    while (isdigit((unsigned char)*p))
        p++;
    return p > s && !*p;
}

/* "1: NVIDIA H200 (0000:01:00.0); 2: ..." */
static void names(const pith_vk_physical *devices, size_t n, size_t first_index, char *text, size_t size)
{
    size_t at = 0;
    snprintf(text, size, "no Vulkan device");
    for (size_t i = 0; i < n && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%zu: %s%s%s", i ? "; " : "", first_index + i, devices[i].properties.deviceName,
                               devices[i].pci[0] ? " " : "", devices[i].pci);
}

/* Index into devices, or n with a recorded failure. */
static size_t choose(const pith_vk_physical *devices, size_t n, size_t first_index, const char *device)
{
    char all[512];
    names(devices, n, first_index, all, sizeof all);
    if (strcasecmp(device, "gpu") == 0) {
        if (n > 0 && rank(&devices[0]) < 4)
            return 0;
        pith_fail(PITH_ERROR_NOT_FOUND, "device: no GPU here (cpu; %s); a software device must be named", all);
        return n;
    }
    if (is_number(device)) {
        unsigned long i = strtoul(device, NULL, 10);
        if (i >= first_index && i - first_index < n)
            return i - first_index;
    }
    for (size_t i = 0; i < n; i++)
        if (devices[i].pci[0] && (strcasecmp(devices[i].pci, device) == 0 || strcasecmp(devices[i].pci + 5, device) == 0))
            return i;
    size_t found = n, matches = 0;
    for (size_t i = 0; i < n && !is_number(device); i++) {
        if (contains(devices[i].properties.deviceName, device)) {
            found = matches ? found : i;
            matches++;
        }
    }
    if (matches == 1)
        return found;
    if (matches > 1)
        pith_fail(PITH_ERROR_NOT_FOUND, "device: '%s' fits %zu devices (%s); their index or PCI id tells them apart", device, matches, all);
    else
        pith_fail(PITH_ERROR_NOT_FOUND, "device: expected one that `pith devices` lists (cpu; %s), got '%s'", all, device);
    return n;
}

pith_status pith_vk_backend_create(const char *device, size_t first_index, const pith_backend_params *params, pith_backend **out)
{
    *out = NULL;
    VkInstance instance;
    PITH_TRY(pith_vk_instance_acquire(&instance));
    if (!instance)
        return pith_fail(PITH_ERROR_NOT_FOUND, "device: expected cpu (no Vulkan loader or driver on this machine), got '%s'", device);
    size_t n;
    pith_vk_physical *devices = list(instance, &n);
    size_t i = choose(devices, n, first_index, device);
    pith_status status = PITH_ERROR_NOT_FOUND;
    if (i < n) {
        const pith_vk_backend_params vk = {.threads = params->threads};
        status = pith_vk_backend_create_on(&devices[i], &vk, out);
    }
    free(devices);
    pith_vk_instance_release();
    return status;
}
