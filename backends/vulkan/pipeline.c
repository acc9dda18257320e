/* SPDX-License-Identifier: MIT */
#include "pipeline.h"
#include "base/mem.h"
#include "cache.h"

#include <stdlib.h>
#include <string.h>

#define CACHE_MAX ((size_t)64 << 20)

static void cache_write(const pith_vk_pipelines *p)
{
    size_t size = 0;
    if (!*p->cache_path || !p->cache_changed ||
        p->device->fn.vkGetPipelineCacheData(p->device->handle, p->cache, &size, NULL) != VK_SUCCESS || size == 0)
        return;
    void *data = malloc(size);
    if (data && p->device->fn.vkGetPipelineCacheData(p->device->handle, p->cache, &size, data) == VK_SUCCESS)
        (void)pith_vk_cache_write(p->cache_path, data, size);
    free(data);
}

pith_status pith_vk_pipelines_init(pith_vk_pipelines *p, const pith_vk_device *device)
{
    *p = (pith_vk_pipelines){.device = device};
    VkDescriptorSetLayoutBinding bindings[PITH_VK_BINDINGS];
    for (uint32_t i = 0; i < PITH_VK_BINDINGS; i++)
        bindings[i] = (VkDescriptorSetLayoutBinding){.binding = i, .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, .descriptorCount = 1,
                                                     .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
    const VkDescriptorSetLayoutCreateInfo set = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
                                                 .bindingCount = PITH_VK_BINDINGS, .pBindings = bindings};
    PITH_VK_TRY(device->fn.vkCreateDescriptorSetLayout(device->handle, &set, NULL, &p->set_layout), "making a descriptor layout");
    const VkPushConstantRange push = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = PITH_VK_PUSH_BYTES};
    const VkPipelineLayoutCreateInfo layout = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO, .setLayoutCount = 1,
                                               .pSetLayouts = &p->set_layout, .pushConstantRangeCount = 1, .pPushConstantRanges = &push};
    PITH_VK_TRY(device->fn.vkCreatePipelineLayout(device->handle, &layout, NULL, &p->layout), "making a pipeline layout");
    pith_vk_cache_path(&device->physical, "", p->cache_path, sizeof p->cache_path);
    size_t size;
    void *data = pith_vk_cache_read(p->cache_path, CACHE_MAX, &size);
    VkPipelineCacheCreateInfo cache = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO, .initialDataSize = size, .pInitialData = data};
    VkResult result = device->fn.vkCreatePipelineCache(device->handle, &cache, NULL, &p->cache);
    if (result != VK_SUCCESS) { /* a stale file is no reason to stop */
        cache.initialDataSize = 0;
        result = device->fn.vkCreatePipelineCache(device->handle, &cache, NULL, &p->cache);
    }
    free(data);
    return pith_vk_check(result, "making a pipeline cache");
}

void pith_vk_pipelines_fini(pith_vk_pipelines *p)
{
    const pith_vk_device *d = p->device;
    if (!d)
        return;
    for (int v = 0; v < PITH_SPV_COUNT; v++) {
        for (int i = 0; i < p->of[v].n; i++)
            d->fn.vkDestroyPipeline(d->handle, p->of[v].list[i].handle, NULL);
        free(p->of[v].list);
        if (p->modules[v])
            d->fn.vkDestroyShaderModule(d->handle, p->modules[v], NULL);
    }
    if (p->cache) {
        cache_write(p);
        d->fn.vkDestroyPipelineCache(d->handle, p->cache, NULL);
    }
    if (p->layout)
        d->fn.vkDestroyPipelineLayout(d->handle, p->layout, NULL);
    if (p->set_layout)
        d->fn.vkDestroyDescriptorSetLayout(d->handle, p->set_layout, NULL);
    *p = (pith_vk_pipelines){0};
}

static pith_status make(pith_vk_pipelines *p, pith_spv variant, const uint32_t *spec, VkPipeline *out)
{
    const pith_vk_device *d = p->device;
    const pith_vk_spv_module *m = &pith_vk_spv[variant];
    if (!m->code)
        return pith_fail(PITH_ERROR_UNSUPPORTED, "vulkan: shader %s is not part of this build", m->name);
    if (!p->modules[variant]) {
        const VkShaderModuleCreateInfo info = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = m->bytes, .pCode = m->code};
        PITH_VK_TRY(d->fn.vkCreateShaderModule(d->handle, &info, NULL, &p->modules[variant]), m->name);
    }
    VkSpecializationMapEntry map[PITH_VK_SPECS];
    for (uint32_t i = 0; i < PITH_VK_SPECS; i++)
        map[i] = (VkSpecializationMapEntry){.constantID = i, .offset = 4 * i, .size = 4};
    const VkSpecializationInfo constants = {.mapEntryCount = PITH_VK_SPECS, .pMapEntries = map, .dataSize = 4 * PITH_VK_SPECS, .pData = spec};
    /* Kernels number lanes by subgroup: every subgroup full, and of the size that the host counts on. */
    bool whole = spec[0] % d->physical.subgroup_max == 0 && spec[0] > 0;
    const VkPipelineShaderStageRequiredSubgroupSizeCreateInfo size = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO, .requiredSubgroupSize = d->physical.subgroup};
    bool require = d->subgroup_control && d->physical.subgroup_min < d->physical.subgroup_max && whole;
    const VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .flags = d->physical.statistics ? VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR : 0,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .pNext = require ? &size : NULL,
                  .flags = d->full_subgroups && whole ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT : 0,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = p->modules[variant],
                  .pName = "main",
                  .pSpecializationInfo = &constants},
        .layout = p->layout};
    PITH_VK_TRY(d->fn.vkCreateComputePipelines(d->handle, p->cache, 1, &info, NULL, out), m->name);
    p->cache_changed = true;
    return PITH_OK;
}

pith_status pith_vk_pipeline_get(pith_vk_pipelines *p, pith_spv variant, const uint32_t *spec, VkPipeline *out)
{
    for (int i = 0; i < p->of[variant].n; i++) {
        if (memcmp(p->of[variant].list[i].spec, spec, 4 * PITH_VK_SPECS) == 0) {
            *out = p->of[variant].list[i].handle;
            return PITH_OK;
        }
    }
    if (p->of[variant].n == p->of[variant].cap) {
        int cap = p->of[variant].cap ? 2 * p->of[variant].cap : 8;
        pith_vk_pipeline *bigger = realloc(p->of[variant].list, (size_t)cap * sizeof *bigger);
        if (!bigger)
            return pith_fail(PITH_ERROR_NO_MEMORY, "vulkan: no memory for a pipeline");
        p->of[variant].list = bigger;
        p->of[variant].cap = cap;
    }
    pith_vk_pipeline *entry = &p->of[variant].list[p->of[variant].n];
    memcpy(entry->spec, spec, 4 * PITH_VK_SPECS);
    PITH_TRY(make(p, variant, spec, &entry->handle));
    p->of[variant].n++;
    *out = entry->handle;
    return PITH_OK;
}
