/* SPDX-License-Identifier: MIT */
#include "queue.h"
#include "base/log.h"
#include "base/os.h"

#include <stdio.h>

#define SPIN_NS 200000        /* before sleeping: work may end sooner than waking up is sure */
#define USUAL_MAX_NS 50000000 /* waits that are learnt from: a token, not a chunk of a prompt */
#define SECOND_NS 1000000000ull
#define WORRY_NS (10 * SECOND_NS) /* ten times what a submission may take */
#define CMDS_MAX 128

pith_status pith_vk_queue_init(pith_vk_queue *q, pith_vk_device *device, uint64_t patience_ns)
{
    bool software = device->physical.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
    *q = (pith_vk_queue){.device = device, .patience_ns = patience_ns ? patience_ns : (software ? 600 : 60) * SECOND_NS};
    const VkSemaphoreTypeCreateInfo type = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO, .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE};
    const VkSemaphoreCreateInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, .pNext = &type};
    return pith_vk_check(device->fn.vkCreateSemaphore(device->handle, &info, NULL, &q->timeline), "making a semaphore");
}

void pith_vk_queue_fini(pith_vk_queue *q)
{
    if (!q->device)
        return;
    if (q->timeline)
        q->device->fn.vkDestroySemaphore(q->device->handle, q->timeline, NULL);
    *q = (pith_vk_queue){0};
}

pith_status pith_vk_queue_lose(pith_vk_queue *q, const char *reason)
{
    if (!q->lost)
        snprintf(q->reason, sizeof q->reason, "%s", reason);
    q->lost = true;
    return pith_fail(PITH_ERROR_DEVICE, "vulkan: %s: the device was lost: %s", q->device->physical.properties.deviceName, q->reason);
}

static pith_status check(pith_vk_queue *q, VkResult result, const char *what)
{
    if (result == VK_ERROR_DEVICE_LOST)
        return pith_vk_queue_lose(q, "the driver gave it up, after a fault or because work took longer than its watchdog allows");
    return pith_vk_check(result, what);
}

pith_status pith_vk_queue_submit(pith_vk_queue *q, pith_vk_cmd *const *cmds, int n)
{
    VkCommandBuffer handles[CMDS_MAX];
    if (q->lost)
        return pith_vk_queue_lose(q, q->reason);
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

/* Sleeps until `value` is done, as long as the device gets on with something. */
static pith_status sleep_for(pith_vk_queue *q, uint64_t value)
{
    const pith_vk_device *d = q->device;
    const VkSemaphoreWaitInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO, .semaphoreCount = 1, .pSemaphores = &q->timeline,
                                      .pValues = &value};
    uint64_t last = q->done, begin = pith_os_now_ns();
    bool worried = false;
    for (;;) {
        uint64_t slice = q->patience_ns < SECOND_NS ? q->patience_ns : SECOND_NS, now;
        VkResult result = d->fn.vkWaitSemaphores(d->handle, &info, slice);
        if (result != VK_TIMEOUT)
            return check(q, result, "waiting for the device");
        PITH_TRY(check(q, d->fn.vkGetSemaphoreCounterValue(d->handle, q->timeline, &now), "asking for progress"));
        if (now > last) {
            last = now;
            begin = pith_os_now_ns();
            worried = false;
        }
        uint64_t idle = pith_os_now_ns() - begin;
        if (idle >= q->patience_ns) {
            pith_vk_device_abandon(q->device);
            return pith_vk_queue_lose(q, "a submission did not end, and no sign of life came");
        }
        if (idle >= WORRY_NS && !worried)
            pith_log(PITH_LOG_WARNING, "vulkan: %s: a submission takes more than %llu s", d->physical.properties.deviceName, WORRY_NS / SECOND_NS);
        worried = worried || idle >= WORRY_NS;
    }
}

/* Asks until `value` is done or `until` (ns after `begin`) has passed; *now: what is done. */
static pith_status spin_for(pith_vk_queue *q, uint64_t value, uint64_t begin, uint64_t until, uint64_t *now)
{
    const pith_vk_device *d = q->device;
    do {
        PITH_TRY(check(q, d->fn.vkGetSemaphoreCounterValue(d->handle, q->timeline, now), "asking for progress"));
    } while (*now < value && pith_os_now_ns() - begin < until);
    return PITH_OK;
}

/* Tokens take about the same time, and waking up takes 50 us that the device then idles: sleep for most of what the last
 * ones took and ask for the rest, 1.2 % of a 7B model's token on an H200, without a core that asks all the time. */
static pith_status doze_for(pith_vk_queue *q, uint64_t value, uint64_t begin, uint64_t *now)
{
    const VkSemaphoreWaitInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO, .semaphoreCount = 1, .pSemaphores = &q->timeline,
                                      .pValues = &value};
    uint64_t until = q->usual_ns / 8 * 7, elapsed = pith_os_now_ns() - begin;
    if (elapsed < until) {
        VkResult result = q->device->fn.vkWaitSemaphores(q->device->handle, &info, until - elapsed);
        if (result != VK_TIMEOUT)
            PITH_TRY(check(q, result, "waiting for the device"));
    }
    return spin_for(q, value, begin, q->usual_ns / 4 * 5, now);
}

static void usual_learn(pith_vk_queue *q, uint64_t ns)
{
    if (ns > SPIN_NS && ns < USUAL_MAX_NS)
        q->usual_ns = !q->usual_ns || ns < q->usual_ns ? ns : q->usual_ns + (ns - q->usual_ns) / 16;
}

pith_status pith_vk_queue_wait(pith_vk_queue *q, uint64_t value)
{
    const pith_vk_device *d = q->device;
    if (value <= q->done)
        return PITH_OK;
    if (q->lost)
        return pith_vk_queue_lose(q, q->reason);
    uint64_t begin = pith_os_now_ns(), now = 0;
    bool spin = d->physical.properties.deviceType != VK_PHYSICAL_DEVICE_TYPE_CPU;
    PITH_TRY(spin_for(q, value, begin, spin ? SPIN_NS : 0, &now));
    if (now < value && spin && q->usual_ns)
        PITH_TRY(doze_for(q, value, begin, &now));
    if (now < value) {
        PITH_TRY(sleep_for(q, value));
        now = value;
    }
    usual_learn(q, pith_os_now_ns() - begin);
    q->done = now;
    return PITH_OK;
}
