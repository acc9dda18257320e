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
#define RANK_SOFTWARE 4

/* Better ones first: discrete, integrated, virtual, other; software last. */
static int rank(const pith_vk_physical *p)
{
    switch (p->properties.deviceType) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return 0;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return 1;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return 2;
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return RANK_SOFTWARE;
    default: return 3;
    }
}

void pith_vk_physical_sort(pith_vk_physical *devices, size_t n)
{
    for (size_t i = 1; i < n; i++) { /* insertion keeps the driver's order among equals; a few devices */
        pith_vk_physical p = devices[i];
        size_t k = i;
        for (; k > 0 && rank(&devices[k - 1]) > rank(&p); k--)
            devices[k] = devices[k - 1];
        devices[k] = p;
    }
}

/* Sorted devices; *n of them. NULL when there is none. The caller frees. */
static pith_vk_physical *list(VkInstance instance, size_t *n)
{
    pith_vk_physical *all = pith_calloc(DEVICES_MAX, sizeof *all);
    size_t count = all ? pith_vk_physical_list(instance, all, DEVICES_MAX) : 0;
    *n = count < DEVICES_MAX ? count : DEVICES_MAX;
    pith_vk_physical_sort(all, *n);
    return all;
}

size_t pith_vk_device_list(size_t first_index, pith_device_info *out, size_t cap)
{
    VkInstance instance;
    if (pith_vk_instance_acquire(&instance) != PITH_OK || !instance)
        return 0;
    size_t n;
    pith_vk_physical *devices = list(instance, &n);
    for (size_t i = 0; i < n && i < cap; i++) {
        pith_vk_describe(&devices[i], devices[i].caps, &out[i]);
        snprintf(out[i].id, sizeof out[i].id, "%zu", first_index + i);
    }
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

size_t pith_vk_physical_choose(const pith_vk_physical *devices, size_t n, size_t first_index, const char *device)
{
    char all[512];
    names(devices, n, first_index, all, sizeof all);
    if (strcasecmp(device, "gpu") == 0) {
        if (n > 0 && rank(&devices[0]) < RANK_SOFTWARE)
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
    /* A whole name goes before a part of one: "NVIDIA H100" beside "NVIDIA H100 NVL". */
    size_t found = n, matches = 0;
    for (int whole = 1; whole >= 0 && matches == 0 && !is_number(device); whole--)
        for (size_t i = 0; i < n; i++)
            if (whole ? strcasecmp(devices[i].properties.deviceName, device) == 0 : contains(devices[i].properties.deviceName, device)) {
                found = matches ? found : i;
                matches++;
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
    size_t i = pith_vk_physical_choose(devices, n, first_index, device);
    pith_status status = PITH_ERROR_NOT_FOUND;
    if (i < n) {
        const pith_vk_backend_params vk = {.threads = params->threads, .selftest = true, .safe = params->safe, .hide = params->vk_hide, .retune = params->retune,
                                             .exact = params->exact};
        status = pith_vk_backend_create_on(&devices[i], &vk, out);
        if (status == PITH_OK)
            snprintf((*out)->info.id, sizeof (*out)->info.id, "%zu", first_index + i);
    }
    free(devices);
    pith_vk_instance_release();
    return status;
}
