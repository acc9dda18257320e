/* SPDX-License-Identifier: MIT */
#include "cache.h"
#include "base/os.h"
#include "pith_spv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A number that changes with the shaders of this build. */
static uint64_t build_hash(void)
{
    uint64_t h = 1469598103934665603u;
    for (int i = 0; i < PITH_SPV_COUNT; i++)
        for (size_t w = 0; w < pith_vk_spv[i].bytes / 4; w++)
            h = (h ^ pith_vk_spv[i].code[w]) * 1099511628211u;
    return h;
}

void pith_vk_cache_path(const pith_vk_physical *physical, const char *suffix, char *path, size_t size)
{
    path[0] = '\0';
    const char *off = getenv("PITH_VK_CACHE"), *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if ((off && strcmp(off, "0") == 0) || (!base && !home))
        return;
    char dir[384];
    int n = snprintf(dir, sizeof dir, "%s%s/pith", base ? base : home, base ? "" : "/.cache");
    if (n < 0 || (size_t)n >= sizeof dir)
        return;
    char *slash = strrchr(dir, '/');
    *slash = '\0';
    bool there = pith_os_folder_make(dir);
    *slash = '/';
    if (!there || !pith_os_folder_make(dir))
        return;
    const VkPhysicalDeviceProperties *d = &physical->properties;
    n = snprintf(path, size, "%s/vulkan-%04x-%04x-%08x-%016llx%s", dir, d->vendorID, d->deviceID, d->driverVersion,
                 (unsigned long long)build_hash(), suffix);
    if (n < 0 || (size_t)n >= size)
        path[0] = '\0';
}

void *pith_vk_cache_read(const char *path, size_t most, size_t *size)
{
    *size = 0;
    FILE *f = *path ? fopen(path, "rbe") : NULL;
    if (!f)
        return NULL;
    char *data = NULL;
    long n = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : 0;
    if (n > 0 && (unsigned long)n <= most && fseek(f, 0, SEEK_SET) == 0 && (data = malloc((size_t)n + 1))) {
        *size = fread(data, 1, (size_t)n, f);
        data[*size] = '\0';
    }
    fclose(f);
    return data;
}

bool pith_vk_cache_write(const char *path, const void *data, size_t size)
{
    char name[560];
    int n = *path ? snprintf(name, sizeof name, "%s.%llx", path, (unsigned long long)pith_os_now_ns()) : -1;
    FILE *f = n > 0 && (size_t)n < sizeof name ? fopen(name, "wbe") : NULL;
    if (!f)
        return false;
    bool whole = fwrite(data, 1, size, f) == size;
    whole = fclose(f) == 0 && whole;
    if (whole && rename(name, path) == 0)
        return true;
    (void)remove(name);
    return false;
}
