/* SPDX-License-Identifier: MIT */
#include "null_device.h"

/* What a buffer or an allocation stands for; its address is the handle. */
struct thing {
    VkDeviceSize size;
    void *host;
};

static PFN_vkGetDeviceProcAddr real;

static struct thing *thing_make(VkDeviceSize size)
{
    struct thing *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    t->size = size;
    return t;
}

static void thing_free(struct thing *t)
{
    if (t)
        free(t->host);
    free(t);
}

static VKAPI_ATTR VkResult VKAPI_CALL create_buffer(VkDevice d, const VkBufferCreateInfo *info, const VkAllocationCallbacks *a, VkBuffer *out)
{
    (void)d, (void)a;
    *out = (VkBuffer)thing_make(info->size);
    return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL requirements(VkDevice d, VkBuffer b, VkMemoryRequirements *out)
{
    (void)d;
    *out = (VkMemoryRequirements){((struct thing *)b)->size, 256, UINT32_MAX};
}

static VKAPI_ATTR void VKAPI_CALL destroy_buffer(VkDevice d, VkBuffer b, const VkAllocationCallbacks *a)
{
    (void)d, (void)a;
    thing_free((struct thing *)b);
}

static VKAPI_ATTR VkResult VKAPI_CALL allocate(VkDevice d, const VkMemoryAllocateInfo *info, const VkAllocationCallbacks *a, VkDeviceMemory *out)
{
    (void)d, (void)a;
    *out = (VkDeviceMemory)thing_make(info->allocationSize);
    return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL free_memory(VkDevice d, VkDeviceMemory m, const VkAllocationCallbacks *a)
{
    (void)d, (void)a;
    thing_free((struct thing *)m);
}

static VKAPI_ATTR VkResult VKAPI_CALL map(VkDevice d, VkDeviceMemory m, VkDeviceSize from, VkDeviceSize n, VkMemoryMapFlags flags, void **out)
{
    struct thing *t = (struct thing *)m;
    (void)d, (void)n, (void)flags;
    t->host = t->host ? t->host : calloc(1, t->size);
    *out = t->host ? (uint8_t *)t->host + from : NULL;
    return t->host ? VK_SUCCESS : VK_ERROR_OUT_OF_HOST_MEMORY;
}

static VKAPI_ATTR VkResult VKAPI_CALL counter(VkDevice d, VkSemaphore s, uint64_t *out)
{
    (void)d, (void)s;
    *out = UINT64_MAX; /* all is done */
    return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL buffers(VkDevice d, const VkCommandBufferAllocateInfo *info, VkCommandBuffer *out)
{
    static int any;
    (void)d;
    for (uint32_t i = 0; i < info->commandBufferCount; i++)
        out[i] = (VkCommandBuffer)(void *)&any;
    return VK_SUCCESS;
}

/* Handles stay what the caller had, results are VK_SUCCESS: this stands in for functions of every signature, which the
 * calling conventions of 64-bit machines allow. */
static VkResult nothing(void) { return VK_SUCCESS; }

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL proc(VkDevice device, const char *name)
{
    static const struct { const char *name; PFN_vkVoidFunction f; } own[] = {
#define OWN(name, f) {name, (PFN_vkVoidFunction)(void *)f}
        OWN("vkCreateBuffer", create_buffer), OWN("vkGetBufferMemoryRequirements", requirements), OWN("vkDestroyBuffer", destroy_buffer),
        OWN("vkAllocateMemory", allocate), OWN("vkFreeMemory", free_memory), OWN("vkMapMemory", map),
        OWN("vkGetSemaphoreCounterValue", counter), OWN("vkAllocateCommandBuffers", buffers)
#undef OWN
    };
    static const char *const kept[] = {"vkDestroyDevice", "ShaderModule", "Pipeline", "vkCreateDescriptorSetLayout", "vkDestroyDescriptorSetLayout"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (strcmp(name, own[i].name) == 0)
            return own[i].f;
    for (size_t i = 0; i < sizeof kept / sizeof kept[0] && strncmp(name, "vkCmd", 5) != 0; i++)
        if (strstr(name, kept[i]))
            return real(device, name);
    return (PFN_vkVoidFunction)(void *)nothing;
}

void null_device_begin(void)
{
    real = vkGetDeviceProcAddr;
    vkGetDeviceProcAddr = proc;
}

void null_device_end(void) { vkGetDeviceProcAddr = real; }
