/* SPDX-License-Identifier: MIT */
/* Compute pipelines, made when first asked for and kept: one per shader module and set of specialisation constants.
 * All share one layout: PITH_VK_BINDINGS storage buffers and 128 bytes of push constants. A cache on disk, keyed by
 * device, driver and build, keeps the driver's compiled code between runs. */
#ifndef PITH_VK_PIPELINE_H
#define PITH_VK_PIPELINE_H

#include "device.h"
#include "pith_spv.h"

#define PITH_VK_BINDINGS 12
#define PITH_VK_SPECS 12
#define PITH_VK_PUSH_BYTES 128
#define PITH_VK_RAN_WORDS ((PITH_SPV_COUNT + 63) / 64)

typedef struct pith_vk_pipeline {
    uint32_t spec[PITH_VK_SPECS]; /* constant id i; 0: the workgroup's size */
    VkPipeline handle;
} pith_vk_pipeline;

typedef struct pith_vk_pipelines {
    const pith_vk_device *device;
    VkDescriptorSetLayout set_layout;
    VkPipelineLayout layout;
    VkPipelineCache cache;
    bool cache_changed;
    char cache_path[512]; /* "": none */
    VkShaderModule modules[PITH_SPV_COUNT];
    struct { pith_vk_pipeline *list; int n, cap; } of[PITH_SPV_COUNT];
    uint64_t ran[PITH_VK_RAN_WORDS]; /* bit v: variant v was in a submission; tests ask which never was */
} pith_vk_pipelines;

pith_status pith_vk_pipelines_init(pith_vk_pipelines *p, const pith_vk_device *device);
void pith_vk_pipelines_fini(pith_vk_pipelines *p); /* writes the cache when it grew */
/* spec[PITH_VK_SPECS]. Errors: UNSUPPORTED (left out of this build), NO_MEMORY, DEVICE. */
pith_status pith_vk_pipeline_get(pith_vk_pipelines *p, pith_spv variant, const uint32_t *spec, VkPipeline *out);

#endif
