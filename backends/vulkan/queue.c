/* SPDX-License-Identifier: MIT */
#include "queue.h"
#include "base/os.h"

#define SPIN_NS 200000        /* before sleeping: a decode step is shorter than waking up is sure */
#define PATIENCE_NS (60ull * 1000000000ull)
#define CMDS_MAX 128

pith_status pith_vk_queue_init(pith_vk_queue *q, const pith_vk_device *device)
{
    *q = (pith_vk_queue){.device = device};
    const VkSemaphoreTypeCreateInfo type = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO, .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE};
    const VkSemaphoreCreateInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, .pNext = &type};
    return pith_vk_check(device->fn.vkCreateSemaphore(device->handle, &info, NULL, &q->timeline), "making a semaphore");
}

void pith_vk_queue_fini(pith_vk_queue *q)
{
    if (!q->device)
        return;
    if (!q->lost)
        (void)q->device->fn.vkDeviceWaitIdle(q->device->handle);
    if (q->timeline)
        q->device->fn.vkDestroySemaphore(q->device->handle, q->timeline, NULL);
    *q = (pith_vk_queue){0};
}

static pith_status check(pith_vk_queue *q, VkResult result, const char *what)
{
    q->lost = q->lost || result == VK_ERROR_DEVICE_LOST;
    return pith_vk_check(result, what);
}

pith_status pith_vk_queue_submit(pith_vk_queue *q, pith_vk_cmd *const *cmds, int n)
{
    VkCommandBuffer handles[CMDS_MAX];
    if (q->lost)
        return pith_fail(PITH_ERROR_DEVICE, "vulkan: %s: the device was lost", q->device->physical.properties.deviceName);
    if (n < 1 || n > CMDS_MAX)
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "vulkan: command buffers of a submission: expected 1 to %d, got %d", CMDS_MAX, n);
    uint64_t value = q->submitted + 1;
    for (int i = 0; i < n; i++)
        handles[i] = cmds[i]->handle;
    const VkTimelineSemaphoreSubmitInfo timeline = {.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO, .signalSemaphoreValueCount = 1,
                                                    .pSignalSemaphoreValues = &value};
    const VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .pNext = &timeline, .commandBufferCount = (uint32_t)n,
                               .pCommandBuffers = handles, .signalSemaphoreCount = 1, .pSignalSemaphores = &q->timeline};
    PITH_TRY(check(q, q->device->fn.vkQueueSubmit(q->device->queue, 1, &info, VK_NULL_HANDLE), "submitting"));
    q->submitted = value;
    for (int i = 0; i < n; i++) {
        cmds[i]->value = value;
        for (int w = 0; w < PITH_VK_RAN_WORDS; w++)
            cmds[i]->pipelines->ran[w] |= cmds[i]->ran[w];
    }
    return PITH_OK;
}

pith_status pith_vk_queue_wait(pith_vk_queue *q, uint64_t value)
{
    const pith_vk_device *d = q->device;
    if (value <= q->done)
        return PITH_OK;
    uint64_t begin = pith_os_now_ns(), now = 0;
    bool spin = d->physical.properties.deviceType != VK_PHYSICAL_DEVICE_TYPE_CPU;
    do {
        PITH_TRY(check(q, d->fn.vkGetSemaphoreCounterValue(d->handle, q->timeline, &now), "asking for progress"));
    } while (now < value && spin && pith_os_now_ns() - begin < SPIN_NS);
    if (now < value) {
        const VkSemaphoreWaitInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO, .semaphoreCount = 1, .pSemaphores = &q->timeline,
                                          .pValues = &value};
        VkResult result = VK_TIMEOUT;
        /* Software devices may take minutes over one submission; a real one never does. */
        do
            result = d->fn.vkWaitSemaphores(d->handle, &info, PATIENCE_NS);
        while (result == VK_TIMEOUT && !spin);
        PITH_TRY(check(q, result, "waiting for the device"));
        now = value;
    }
    q->done = now;
    return PITH_OK;
}
