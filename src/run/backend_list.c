/* SPDX-License-Identifier: MIT */
/* The devices of this build, and choosing one by name. */
#include "run/backend.h"

#include <string.h>
#include <strings.h>


const char *pith_version(void)
{
    return PITH_VERSION;
}

pith_backend_params pith_backend_params_default(void)
{
    return (pith_backend_params){.device = NULL, .threads = 0, .cpu_mask = UINT32_MAX};
}

size_t pith_device_list(pith_device_info *out, size_t cap)
{
    if (cap > 0)
        pith_cpu_device_info(&out[0]);
    size_t n = 1;
#ifdef PITH_HAVE_VULKAN
    n += pith_vk_device_list(1, cap > 1 ? out + 1 : NULL, cap > 1 ? cap - 1 : 0);
#endif
    return n;
}

/* Case-insensitive search, ASCII. */
static bool contains(const char *text, const char *part)
{
    size_t n = strlen(part);
    for (; *text; text++)
        if (strncasecmp(text, part, n) == 0)
            return true;
    return n == 0;
}

static pith_status create(const pith_backend_params *params, pith_backend **out)
{
    if (params->threads < 0 || params->threads > 1024)
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "threads: expected 0 to 1024, got %d", params->threads);
    const char *device = params->device ? params->device : "cpu";
    pith_device_info cpu;
    pith_cpu_device_info(&cpu); /* asking for the CPU must not wake the GPUs' drivers */
    if (*device && (strcasecmp(device, "cpu") == 0 || strcmp(device, "0") == 0))
        return pith_cpu_backend_create(params, out);
    bool named = *device && contains(cpu.name, device);
#ifdef PITH_HAVE_VULKAN
    if (named) { /* "amd" may mean the processor or the card */
        pith_device_info all[16];
        size_t n = pith_vk_device_list(1, all, 16);
        for (size_t i = 0; i < n && i < 16; i++)
            if (contains(all[i].name, device) && strcasecmp(cpu.name, device) != 0)
                return pith_fail(PITH_ERROR_NOT_FOUND, "device: '%s' fits the processor (cpu: %s) and %s: %s; use cpu, the index or the PCI id",
                                 device, cpu.name, all[i].id, all[i].name);
    }
    if (*device && !named)
        return pith_vk_backend_create(device, 1, params, out);
#endif
    if (named)
        return pith_cpu_backend_create(params, out);
    return pith_fail(PITH_ERROR_NOT_FOUND, "device: expected one that `pith devices` lists (cpu: %s), got '%s'", cpu.name, device);
}

pith_status pith_backend_create(const pith_backend_params *params, pith_backend **out)
{
    *out = NULL;
    pith_backend_params p = params ? *params : pith_backend_params_default();
    PITH_TRY(create(&p, out));
    p.device = NULL;
    (*out)->params = p;
    return PITH_OK;
}

void pith_backend_destroy(pith_backend **backend)
{
    if (*backend)
        (*backend)->fns->destroy(*backend);
    *backend = NULL;
}

const char *pith_backend_describe(const pith_backend *backend)
{
    return backend->describe;
}

const pith_device_info *pith_backend_device(const pith_backend *backend)
{
    return &backend->info;
}

pith_status pith_backend_measure(pith_backend *backend, pith_ceilings *out)
{
    *out = (pith_ceilings){0};
    if (!backend->fns->ceilings)
        return pith_fail(PITH_ERROR_UNSUPPORTED, "%s: its ceilings cannot be measured", backend->describe);
    return backend->fns->ceilings(backend, out);
}

bool pith_backend_memory_used(const pith_backend *backend, uint64_t *now, uint64_t *peak)
{
    *now = *peak = 0;
    if (backend->fns->memory_used)
        backend->fns->memory_used(backend, now, peak);
    return backend->fns->memory_used != NULL;
}
