/* SPDX-License-Identifier: MIT */
#include "cmd.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SETS 128

pith_status pith_vk_cmd_init(pith_vk_cmd *c, const pith_vk_device *device, pith_vk_pipelines *pipelines)
{
    *c = (pith_vk_cmd){.device = device, .pipelines = pipelines};
    const VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO, .queueFamilyIndex = device->physical.family};
    PITH_VK_TRY(device->fn.vkCreateCommandPool(device->handle, &pool, NULL, &c->pool), "making a command pool");
    const VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO, .commandPool = c->pool,
                                              .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY, .commandBufferCount = 1};
    return pith_vk_check(device->fn.vkAllocateCommandBuffers(device->handle, &info, &c->handle), "making a command buffer");
}

void pith_vk_cmd_fini(pith_vk_cmd *c)
{
    const pith_vk_device *d = c->device;
    if (!d)
        return;
    for (int i = 0; i < c->n_sets; i++)
        d->fn.vkDestroyDescriptorPool(d->handle, c->sets[i], NULL);
    if (c->pool)
        d->fn.vkDestroyCommandPool(d->handle, c->pool, NULL);
    free(c->sets);
    free(c->accesses);
    *c = (pith_vk_cmd){0};
}

void pith_vk_cmd_begin(pith_vk_cmd *c)
{
    const pith_vk_device *d = c->device;
    c->status = pith_vk_check(d->fn.vkResetCommandPool(d->handle, c->pool, 0), "resetting a command pool");
    for (int i = 0; i < c->n_sets && c->used; i++)
        d->fn.vkResetDescriptorPool(d->handle, c->sets[i], 0);
    c->used = 0;
    c->bound = VK_NULL_HANDLE;
    memset(c->ran, 0, sizeof c->ran);
    c->chains = false;
    const VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    if (c->status == PITH_OK)
        c->status = pith_vk_check(d->fn.vkBeginCommandBuffer(c->handle, &info), "beginning a command buffer");
    pith_vk_cmd_barrier(c); /* what was submitted before */
}

void pith_vk_cmd_barrier(pith_vk_cmd *c)
{
    c->n_accesses = 0;
    c->mixed = false;
    if (c->status != PITH_OK)
        return;
    const VkPipelineStageFlags stages = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
    const VkMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT};
    c->device->fn.vkCmdPipelineBarrier(c->handle, stages, stages, 0, 1, &barrier, 0, NULL, 0, NULL);
}

static bool meet(const pith_vk_access *a, const pith_vk_access *b)
{
    return a->buffer == b->buffer && a->begin < b->end && b->begin < a->end;
}

/* Puts a barrier in front of what follows if it would meet an access since the last one, then remembers it. A link waits
 * itself for what it reads; `shared`: it may write there, too. Returns whether there is a barrier now. */
static bool order(pith_vk_cmd *c, const pith_vk_access *a, int n, bool link, uint32_t shared)
{
    bool clash = false;
    for (int i = 0; i < n && !clash; i++) {
        if (link && (!a[i].write || shared >> i & 1))
            continue;
        for (int j = 0; j < c->n_accesses && !clash; j++)
            clash = meet(&a[i], &c->accesses[j]) && (a[i].write || c->accesses[j].write);
    }
    if (clash)
        pith_vk_cmd_barrier(c);
    if (c->n_accesses + n > c->cap_accesses) {
        int cap = c->cap_accesses ? 2 * c->cap_accesses : 64;
        pith_vk_access *bigger = realloc(c->accesses, (size_t)cap * sizeof *bigger);
        if (!bigger) {
            c->status = pith_fail(PITH_ERROR_NO_MEMORY, "vulkan: no memory for the list of accesses");
            return clash;
        }
        c->accesses = bigger;
        c->cap_accesses = cap;
    }
    for (int i = 0; i < n; i++)
        c->accesses[c->n_accesses++] = a[i];
    return clash;
}

static VkDescriptorSet set_take(pith_vk_cmd *c)
{
    const pith_vk_device *d = c->device;
    if (c->used == c->n_sets * SETS) {
        const VkDescriptorPoolSize size = {.type = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, .descriptorCount = SETS * PITH_VK_BINDINGS};
        const VkDescriptorPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO, .maxSets = SETS, .poolSizeCount = 1,
                                                 .pPoolSizes = &size};
        VkDescriptorPool *bigger = realloc(c->sets, (size_t)(c->n_sets + 1) * sizeof *bigger);
        if (!bigger) {
            c->status = pith_fail(PITH_ERROR_NO_MEMORY, "vulkan: no memory for descriptor pools");
            return VK_NULL_HANDLE;
        }
        c->sets = bigger;
        c->status = pith_vk_check(d->fn.vkCreateDescriptorPool(d->handle, &info, NULL, &c->sets[c->n_sets]), "making a descriptor pool");
        if (c->status != PITH_OK)
            return VK_NULL_HANDLE;
        c->n_sets++;
    }
    VkDescriptorSet set = VK_NULL_HANDLE;
    const VkDescriptorSetAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO, .descriptorPool = c->sets[c->used / SETS],
                                              .descriptorSetCount = 1, .pSetLayouts = &c->pipelines->set_layout};
    c->status = pith_vk_check(d->fn.vkAllocateDescriptorSets(d->handle, &info, &set), "taking a descriptor set");
    c->used++;
    return set;
}

void pith_vk_cmd_chain(pith_vk_cmd *c, uint32_t mark)
{
    c->chains = true;
    c->mark = mark;
}

/* The ranges, a bit each, that are read and were written since the last barrier. */
static uint32_t new_reads(const pith_vk_cmd *c, const pith_vk_access *a, int n)
{
    uint32_t reads = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < c->n_accesses && !a[i].write; j++)
            if (c->accesses[j].write && meet(&a[i], &c->accesses[j]))
                reads |= 1u << i;
    return reads;
}

/* The call as a link, or as it is: after everything since the last barrier. Copies what it changes. */
static void link_in(pith_vk_cmd *c, pith_vk_call *call, uint8_t *push, const pith_vk_access *accesses, int n)
{
    bool may = call->link_at && c->chains;
    uint32_t reads = may && !c->mixed ? new_reads(c, accesses, n) : 0;
    if (order(c, accesses, n, may && !c->mixed, call->link_shares))
        reads = 0;
    bool link = may && !c->mixed;
    if (call->push_bytes)
        memcpy(push, call->push, call->push_bytes);
    if (link) {
        const struct pith_vk_push_link fields = {.mark = c->mark, .reads = reads};
        memcpy(push + call->link_at, &fields, sizeof fields);
        call->spec[PITH_VK_SPECS - 1] = true;
    } else {
        c->mixed = true;
    }
    call->push = push;
}

void pith_vk_cmd_dispatch(pith_vk_cmd *c, const pith_vk_call *given)
{
    const pith_vk_device *d = c->device;
    pith_vk_call copy = *given, *call = &copy;
    uint8_t push[PITH_VK_PUSH_BYTES];
    if (c->status != PITH_OK)
        return;
    pith_vk_access accesses[PITH_VK_BINDINGS];
    VkDescriptorBufferInfo infos[PITH_VK_BINDINGS];
    VkWriteDescriptorSet writes[PITH_VK_BINDINGS];
    int n = 0;
    for (uint32_t i = 0; i < PITH_VK_BINDINGS; i++) {
        /* What a specialised shader never reads must still be bound: to its first range. */
        const pith_vk_bind *b = call->bind[i].buffer ? &call->bind[i] : &call->bind[0];
        assert(b->offset % d->align == 0 && b->offset + b->bytes <= b->buffer->bytes && b->bytes <= d->range_max && b->bytes > 0);
        infos[n] = (VkDescriptorBufferInfo){.buffer = b->buffer->handle, .offset = b->offset, .range = b->bytes};
        writes[n] = (VkWriteDescriptorSet){.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET, .dstBinding = i, .descriptorCount = 1,
                                           .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, .pBufferInfo = &infos[n]};
        accesses[n++] = (pith_vk_access){b->buffer->handle, b->offset, b->offset + b->bytes, b->write};
    }
    link_in(c, call, push, accesses, n);
    VkPipeline pipeline;
    c->status = c->status == PITH_OK ? pith_vk_pipeline_get(c->pipelines, call->variant, call->spec, &pipeline) : c->status;
    VkDescriptorSet set = c->status == PITH_OK ? set_take(c) : VK_NULL_HANDLE;
    if (c->status != PITH_OK)
        return;
    for (int i = 0; i < n; i++)
        writes[i].dstSet = set;
    d->fn.vkUpdateDescriptorSets(d->handle, (uint32_t)n, writes, 0, NULL);
    if (c->bound != pipeline)
        d->fn.vkCmdBindPipeline(c->handle, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
    c->bound = pipeline;
    d->fn.vkCmdBindDescriptorSets(c->handle, VK_PIPELINE_BIND_POINT_COMPUTE, c->pipelines->layout, 0, 1, &set, 0, NULL);
    if (call->push_bytes)
        d->fn.vkCmdPushConstants(c->handle, c->pipelines->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, call->push_bytes, call->push);
    uint64_t x = call->groups[0], y = call->groups[1] ? call->groups[1] : 1, z = call->groups[2] ? call->groups[2] : 1;
    const uint32_t *most = d->physical.properties.limits.maxComputeWorkGroupCount;
    if (x > most[0] && y == 1) {
        y = (x + most[0] - 1) / most[0];
        x = (x + y - 1) / y;
    }
    if (x > most[0] || y > most[1] || z > most[2]) {
        c->status = pith_fail(PITH_ERROR_UNSUPPORTED, "vulkan: %s: a grid of %llu x %llu x %llu workgroups", pith_vk_spv[call->variant].name,
                              (unsigned long long)x, (unsigned long long)y, (unsigned long long)z);
        return;
    }
    if (x && y && z) {
        d->fn.vkCmdDispatch(c->handle, (uint32_t)x, (uint32_t)y, (uint32_t)z);
        c->ran[call->variant / 64] |= 1ull << (call->variant % 64);
    }
}

void pith_vk_cmd_copy(pith_vk_cmd *c, const pith_vk_buffer *dst, uint64_t to, const pith_vk_buffer *src, uint64_t from, uint64_t bytes)
{
    if (c->status != PITH_OK || bytes == 0)
        return;
    const pith_vk_access accesses[] = {{src->handle, from, from + bytes, false}, {dst->handle, to, to + bytes, true}};
    order(c, accesses, 2, false, 0);
    c->mixed = true;
    const VkBufferCopy region = {.srcOffset = from, .dstOffset = to, .size = bytes};
    if (c->status == PITH_OK)
        c->device->fn.vkCmdCopyBuffer(c->handle, src->handle, dst->handle, 1, &region);
}

void pith_vk_cmd_fill(pith_vk_cmd *c, const pith_vk_buffer *dst, uint64_t to, uint64_t bytes, uint32_t word)
{
    if (c->status != PITH_OK || bytes == 0)
        return;
    const pith_vk_access access = {dst->handle, to, to + bytes, true};
    order(c, &access, 1, false, 0);
    c->mixed = true;
    if (c->status == PITH_OK)
        c->device->fn.vkCmdFillBuffer(c->handle, dst->handle, to, bytes % 4 ? VK_WHOLE_SIZE : bytes, word);
}

void pith_vk_cmd_timestamp(pith_vk_cmd *c, VkQueryPool pool, uint32_t query)
{
    if (c->status == PITH_OK)
        c->device->fn.vkCmdWriteTimestamp(c->handle, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, pool, query);
}

pith_status pith_vk_cmd_end(pith_vk_cmd *c)
{
    const VkMemoryBarrier host = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                  .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
                                  .dstAccessMask = VK_ACCESS_HOST_READ_BIT | VK_ACCESS_HOST_WRITE_BIT};
    if (c->status == PITH_OK)
        c->device->fn.vkCmdPipelineBarrier(c->handle, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
                                           VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &host, 0, NULL, 0, NULL);
    VkResult result = c->device->fn.vkEndCommandBuffer(c->handle);
    return c->status != PITH_OK ? c->status : pith_vk_check(result, "ending a command buffer");
}
