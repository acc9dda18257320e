/* SPDX-License-Identifier: MIT */
#include "fault.h"

#include <stdlib.h>

vk_fault fault;

static struct VolkDeviceTable real;
static bool lost;           /* the device fails from now on */
static uint64_t hung_value; /* values of the timeline from here on never come; 0: none */

#define MEMORIES 4096
static struct { VkDeviceMemory handle; uint64_t bytes; int heap; } memories[MEMORIES];

static VKAPI_ATTR VkResult VKAPI_CALL allocate(VkDevice d, const VkMemoryAllocateInfo *info, const VkAllocationCallbacks *a, VkDeviceMemory *out)
{
    VkMemoryAllocateInfo mine = *info;
    int heap = (int)info->memoryTypeIndex;
    if (++fault.n_alloc == fault.alloc)
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    if (fault.heap[0]) {
        if (fault.now[heap] + info->allocationSize > fault.heap[heap])
            return VK_ERROR_OUT_OF_DEVICE_MEMORY;
        mine.memoryTypeIndex = 0;
    }
    VkResult result = real.vkAllocateMemory(d, &mine, a, out);
    for (int i = 0; i < MEMORIES && result == VK_SUCCESS; i++) {
        if (memories[i].handle)
            continue;
        memories[i].handle = *out;
        memories[i].bytes = info->allocationSize;
        memories[i].heap = fault.heap[0] ? heap : 0;
        fault.now[memories[i].heap] += info->allocationSize;
        fault.peak = fault.now[0] + fault.now[1] > fault.peak ? fault.now[0] + fault.now[1] : fault.peak;
        fault.alive++;
        break;
    }
    return result;
}

static VKAPI_ATTR void VKAPI_CALL release(VkDevice d, VkDeviceMemory memory, const VkAllocationCallbacks *a)
{
    for (int i = 0; i < MEMORIES && memory; i++) {
        if (memories[i].handle == memory) {
            memories[i].handle = VK_NULL_HANDLE;
            fault.now[memories[i].heap] -= memories[i].bytes;
            fault.alive--;
            break;
        }
    }
    real.vkFreeMemory(d, memory, a);
}

static VKAPI_ATTR void VKAPI_CALL requirements(VkDevice d, VkBuffer buffer, VkMemoryRequirements *need)
{
    real.vkGetBufferMemoryRequirements(d, buffer, need);
    if (fault.heap[0])
        need->memoryTypeBits = 3;
}

/* CREATE(name, type of the description, type of the object): counted, and the chosen one fails. */
#define CREATE(name, info_type, object)                                                                                                \
    static VKAPI_ATTR VkResult VKAPI_CALL mine_##name(VkDevice d, const info_type *info, const VkAllocationCallbacks *a, object *out)     \
    {                                                                                                                                  \
        if (++fault.n_create == fault.create)                                                                                          \
            return VK_ERROR_OUT_OF_HOST_MEMORY;                                                                                        \
        return real.name(d, info, a, out);                                                                                             \
    }
CREATE(vkCreateBuffer, VkBufferCreateInfo, VkBuffer)
CREATE(vkCreateCommandPool, VkCommandPoolCreateInfo, VkCommandPool)
CREATE(vkCreateDescriptorPool, VkDescriptorPoolCreateInfo, VkDescriptorPool)
CREATE(vkCreateDescriptorSetLayout, VkDescriptorSetLayoutCreateInfo, VkDescriptorSetLayout)
CREATE(vkCreatePipelineLayout, VkPipelineLayoutCreateInfo, VkPipelineLayout)
CREATE(vkCreateSemaphore, VkSemaphoreCreateInfo, VkSemaphore)

/* A module whose instruction `from` of GLSL.std.450 is another; the caller's to free. */
static uint32_t *bent(const pith_vk_spv_module *m, uint32_t from, uint32_t to)
{
    const uint32_t op_ext_inst = 12, header = 5;
    uint32_t *code = malloc(m->bytes), n = 0;
    for (size_t w = 0; code && w < m->bytes / 4; w++)
        code[w] = m->code[w];
    for (size_t w = header; code && w < m->bytes / 4; w += code[w] >> 16)
        if ((code[w] & 0xFFFF) == op_ext_inst && code[w + 4] == from) {
            code[w + 4] = to;
            n++;
        }
    if (n == 0)
        abort(); /* nothing to bend: the test would test nothing */
    return code;
}

static VKAPI_ATTR VkResult VKAPI_CALL module(VkDevice d, const VkShaderModuleCreateInfo *info, const VkAllocationCallbacks *a, VkShaderModule *out)
{
    VkShaderModuleCreateInfo mine = *info;
    if (++fault.n_create == fault.create)
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    if (fault.swap != fault.by && info->pCode == pith_vk_spv[fault.swap].code) {
        mine.pCode = pith_vk_spv[fault.by].code;
        mine.codeSize = pith_vk_spv[fault.by].bytes;
    }
    uint32_t *code = NULL;
    for (int i = 0; i < PITH_SPV_COUNT; i++)
        fault.made[i] = fault.made[i] || info->pCode == pith_vk_spv[i].code;
    if (fault.from != fault.to && info->pCode == pith_vk_spv[fault.bend].code)
        mine.pCode = code = bent(&pith_vk_spv[fault.bend], (uint32_t)fault.from, (uint32_t)fault.to);
    VkResult result = real.vkCreateShaderModule(d, &mine, a, out);
    free(code);
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL pipelines(VkDevice d, VkPipelineCache cache, uint32_t n, const VkComputePipelineCreateInfo *info,
                                                const VkAllocationCallbacks *a, VkPipeline *out)
{
    if (++fault.n_create == fault.create)
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    return real.vkCreateComputePipelines(d, cache, n, info, a, out);
}

static VKAPI_ATTR void VKAPI_CALL dispatch(VkCommandBuffer cmd, uint32_t x, uint32_t y, uint32_t z)
{
    if (++fault.n_dispatch != fault.drop)
        real.vkCmdDispatch(cmd, x, y, z);
}

static VKAPI_ATTR VkResult VKAPI_CALL submit(VkQueue queue, uint32_t n, const VkSubmitInfo *info, VkFence fence)
{
    VkSubmitInfo mine = *info;
    fault.n_submit++;
    for (int i = 0; i < 3; i++)
        if (fault.n_submit == fault.lose[i])
            lost = real.vkQueueWaitIdle(queue) == VK_SUCCESS; /* a lost device runs nothing */
    if (lost)
        return VK_ERROR_DEVICE_LOST;
    if (fault.n_submit == fault.hang)
        hung_value = ((const VkTimelineSemaphoreSubmitInfo *)info->pNext)->pSignalSemaphoreValues[0];
    if (fault.n_submit == fault.skip || hung_value)
        mine.commandBufferCount = 0;
    return real.vkQueueSubmit(queue, n, &mine, fence);
}

static VKAPI_ATTR VkResult VKAPI_CALL counter(VkDevice d, VkSemaphore semaphore, uint64_t *value)
{
    if (lost)
        return VK_ERROR_DEVICE_LOST;
    VkResult result = real.vkGetSemaphoreCounterValue(d, semaphore, value);
    if (hung_value && *value >= hung_value)
        *value = hung_value - 1;
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL wait(VkDevice d, const VkSemaphoreWaitInfo *info, uint64_t timeout)
{
    if (lost)
        return VK_ERROR_DEVICE_LOST;
    if (hung_value && info->pValues[0] >= hung_value)
        return VK_TIMEOUT;
    return real.vkWaitSemaphores(d, info, timeout);
}

static VKAPI_ATTR VkResult VKAPI_CALL idle(VkDevice d)
{
    if (hung_value)
        abort(); /* would wait for ever */
    return real.vkDeviceWaitIdle(d);
}

static void install(struct VolkDeviceTable *fn)
{
    real = *fn;
    hung_value = 0;
    lost = false;
    fn->vkAllocateMemory = allocate;
    fn->vkFreeMemory = release;
    fn->vkGetBufferMemoryRequirements = requirements;
    fn->vkCreateBuffer = mine_vkCreateBuffer;
    fn->vkCreateCommandPool = mine_vkCreateCommandPool;
    fn->vkCreateDescriptorPool = mine_vkCreateDescriptorPool;
    fn->vkCreateDescriptorSetLayout = mine_vkCreateDescriptorSetLayout;
    fn->vkCreatePipelineLayout = mine_vkCreatePipelineLayout;
    fn->vkCreateSemaphore = mine_vkCreateSemaphore;
    fn->vkCreateShaderModule = module;
    fn->vkCreateComputePipelines = pipelines;
    fn->vkQueueSubmit = submit;
    fn->vkCmdDispatch = dispatch;
    fn->vkGetSemaphoreCounterValue = counter;
    fn->vkWaitSemaphores = wait;
    fn->vkDeviceWaitIdle = idle;
}

void vk_fault_set(const vk_fault *f)
{
    fault = *f;
    pith_vk_intercept = install;
}

pith_vk_physical vk_fault_heaps(const pith_vk_physical *physical)
{
    pith_vk_physical p = *physical;
    p.budget = false;
    p.properties.deviceType = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
    p.memory.memoryTypeCount = p.memory.memoryHeapCount = 2;
    p.memory.memoryTypes[1] = p.memory.memoryTypes[0];
    p.memory.memoryTypes[1].heapIndex = 1;
    for (int i = 0; i < 2; i++)
        p.memory.memoryHeaps[i] = (VkMemoryHeap){.size = fault.heap[i], .flags = VK_MEMORY_HEAP_DEVICE_LOCAL_BIT};
    return p;
}
