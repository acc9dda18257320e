/* SPDX-License-Identifier: MIT */
/* A Vulkan device as a backend: creation, buffers, the vtable. */
#include "selftest.h"
#include "tuner.h"
#include "base/mem.h"
#include "base/os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Takes the device and what every use of it needs. Undone by shut(), also after a failure. */
static pith_status open_device(pith_vk_backend *vk)
{
    PITH_TRY(pith_vk_device_create(&vk->physical, vk->hide, &vk->device));
    vk->device.caps &= ~vk->caps_off;
    vk->device.exact = vk->exact;
    pith_vk_tuner_load(&vk->physical, &vk->device.tuned);
    PITH_TRY(pith_vk_queue_init(&vk->queue, &vk->device, vk->patience_ns));
    PITH_TRY(pith_vk_pipelines_init(&vk->pipelines, &vk->device));
    return pith_vk_transfer_init(&vk->transfer, &vk->device, &vk->pipelines, &vk->queue);
}

static void shut_device(pith_vk_backend *vk)
{
    if (vk->queue.device) {
        (void)pith_vk_transfer_flush(&vk->transfer);
        if (!vk->queue.lost)
            (void)pith_vk_queue_wait(&vk->queue, vk->queue.submitted); /* not DeviceWaitIdle: that one has no end */
    }
    pith_vk_transfer_fini(&vk->transfer);
    pith_vk_pipelines_fini(&vk->pipelines);
    pith_vk_queue_fini(&vk->queue);
    pith_vk_device_destroy(&vk->device);
}

pith_status pith_vk_reopen(pith_vk_backend *vk)
{
    shut_device(vk);
    return open_device(vk);
}

static void vk_destroy(pith_backend *b)
{
    pith_vk_backend *vk = pith_vk_of(b);
    shut_device(vk);
    pith_pool_destroy(&vk->pool);
    pith_vk_instance_release();
    free(vk);
}

static pith_status vk_rebuild(pith_backend *b)
{
    pith_vk_backend *vk = pith_vk_of(b);
    int32_t own = 3; /* staging's buffers */
    if (vk->device.ledger && vk->device.ledger->n > own)
        return pith_fail(PITH_ERROR_DEVICE, "vulkan: %s cannot be taken anew: %d buffers of other models or sessions lie there",
                         vk->physical.properties.deviceName, vk->device.ledger->n - own);
    return pith_vk_reopen(vk);
}

static bool vk_supports(const pith_backend *b, const pith_node *node, const pith_weight_desc *weights)
{
    return pith_vk_node_supported(pith_vk_of_const(b), node, weights);
}

static pith_status vk_buf_create(pith_backend *b, size_t bytes, pith_buf **out)
{
    *out = NULL;
    pith_vk_backend *vk = pith_vk_of(b);
    pith_buf *buf = pith_calloc(1, sizeof *buf);
    if (!buf)
        return pith_fail(PITH_ERROR_NO_MEMORY, "vulkan: no memory for a buffer");
    buf->backend = vk;
    buf->bytes = bytes;
    pith_status status = pith_vk_buffer_create(&vk->device, ((uint64_t)bytes + 3) / 4 * 4, PITH_VK_DEVICE, &buf->vk);
    if (status == PITH_OK)
        status = pith_vk_transfer_fill(&vk->transfer, &buf->vk, 0, buf->vk.bytes, 0);
    if (status != PITH_OK) {
        pith_vk_buffer_destroy(&vk->device, &buf->vk);
        free(buf);
        return status;
    }
    *out = buf;
    return PITH_OK;
}

static void vk_buf_destroy(pith_buf **buf)
{
    if (!*buf)
        return;
    pith_vk_backend *vk = (*buf)->backend;
    (void)pith_vk_transfer_flush(&vk->transfer);
    (void)pith_vk_queue_wait(&vk->queue, vk->queue.submitted);
    pith_vk_buffer_destroy(&vk->device, &(*buf)->vk);
    free(*buf);
    *buf = NULL;
}

static pith_status range_check(const pith_buf *buf, size_t offset, size_t n)
{
    if (offset <= buf->bytes && n <= buf->bytes - offset)
        return PITH_OK;
    return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "vulkan: bytes %zu + %zu lie outside a buffer of %zu", offset, n, buf->bytes);
}

static pith_status vk_buf_write(pith_buf *buf, size_t offset, const void *src, size_t n)
{
    PITH_TRY(range_check(buf, offset, n));
    return pith_vk_transfer_write(&buf->backend->transfer, &buf->vk, offset, src, n);
}

static pith_status vk_buf_read(const pith_buf *buf, size_t offset, void *dst, size_t n)
{
    PITH_TRY(range_check(buf, offset, n));
    return pith_vk_transfer_read(&buf->backend->transfer, &buf->vk, offset, dst, n);
}

static pith_status vk_buf_move(pith_buf *buf, size_t to, size_t from, size_t n)
{
    PITH_TRY(range_check(buf, to, n));
    PITH_TRY(range_check(buf, from, n));
    return pith_vk_transfer_move(&buf->backend->transfer, &buf->vk, to, from, n);
}

static const pith_backend_fns vk_fns = {
    .name = "vulkan",
    .destroy = vk_destroy,
    .supports = vk_supports,
    .rebuild = vk_rebuild,
    .buf_create = vk_buf_create,
    .buf_destroy = vk_buf_destroy,
    .buf_write = vk_buf_write,
    .buf_read = vk_buf_read,
    .buf_move = vk_buf_move,
    .weights_bytes = pith_vk_weights_bytes,
    .weights_create = pith_vk_weights_create,
    .weights_destroy = pith_vk_weights_destroy,
    .weights_layout = pith_vk_weights_layout,
    .exec_bytes = pith_vk_exec_bytes,
    .memory_plan = pith_vk_memory_plan,
    .memory_used = pith_vk_memory_used,
    .prepare = pith_vk_prepare,
    .exec_destroy = pith_vk_exec_destroy,
    .run = pith_vk_run,
    .read = pith_vk_read,
    .timings_set = pith_vk_timings_set,
    .timings = pith_vk_timings,
    .ceilings = pith_vk_ceilings,
};

pith_status pith_vk_backend_create_on(const pith_vk_physical *physical, const pith_vk_backend_params *params, pith_backend **out)
{
    *out = NULL;
    pith_status status;
    VkInstance held;
    PITH_TRY(pith_vk_instance_acquire(&held));
    pith_vk_backend *vk = pith_calloc(1, sizeof *vk);
    if (!vk) {
        pith_vk_instance_release();
        return pith_fail(PITH_ERROR_NO_MEMORY, "vulkan: no memory for the backend");
    }
    const char *hide = params->safe ? "all" : params->hide ? params->hide : getenv("PITH_VK_HIDE");
    vk->safe = params->safe;
    vk->exact = params->exact;
    pith_vk_pace_init(&vk->pace, physical, params->safe);
    vk->base.fns = &vk_fns;
    vk->physical = *physical;
    vk->retune = params->retune;
    vk->patience_ns = params->patience_ns;
    if (snprintf(vk->hide, sizeof vk->hide, "%s", hide ? hide : "") >= (int)sizeof vk->hide) {
        status = pith_fail(PITH_ERROR_INVALID_ARGUMENT, "vulkan: hide: expected at most %zu characters", sizeof vk->hide - 1);
        goto fail;
    }
    PITH_TRY_GOTO(open_device(vk));
    PITH_TRY_GOTO(pith_pool_create(params->threads > 0 ? params->threads : pith_os_cpu_count(), &vk->pool));
    uint64_t range = vk->device.range_max / 256 * 256, most = range < PITH_VK_ARENA_MAX ? range : PITH_VK_ARENA_MAX;
    vk->slab_max = params->slab_max && params->slab_max < most ? params->slab_max : most;
    most = most < ((uint64_t)256 << 20) ? most : (uint64_t)256 << 20;
    vk->scratch_max = params->scratch_max && params->scratch_max < most ? params->scratch_max : most;
    if (params->selftest)
        PITH_TRY_GOTO(pith_vk_selftest(vk));

    char caps[128];
    pith_vk_caps_describe(vk->device.caps, caps, sizeof caps);
    snprintf(vk->base.describe, sizeof vk->base.describe, "vulkan: %.72s, %.24s %.48s, %.96s", physical->properties.deviceName,
             physical->driver.driverName, physical->driver.driverInfo, caps[0] ? caps : "no optional feature");
    pith_vk_describe(physical, vk->device.caps, &vk->base.info);
    *out = &vk->base;
    return PITH_OK;
fail:
    vk_destroy(&vk->base);
    return status;
}
