/* SPDX-License-Identifier: MIT */
#include "transfer.h"

#include <string.h>

pith_status pith_vk_transfer_init(pith_vk_transfer *t, const pith_vk_device *device, pith_vk_pipelines *pipelines, pith_vk_queue *queue)
{
    *t = (pith_vk_transfer){.device = device, .queue = queue};
    for (int i = 0; i < 2; i++) {
        PITH_TRY(pith_vk_buffer_create(device, PITH_VK_STAGE_BYTES, PITH_VK_UPLOAD, &t->half[i].buffer));
        PITH_TRY(pith_vk_cmd_init(&t->half[i].cmd, device, pipelines));
        PITH_TRY(pith_vk_cmd_init(&t->work[i], device, pipelines));
    }
    PITH_TRY(pith_vk_buffer_create(device, PITH_VK_STAGE_BYTES, PITH_VK_READBACK, &t->back));
    PITH_TRY(pith_vk_cmd_init(&t->back_cmd, device, pipelines));
    if (!t->half[0].buffer.mapped || !t->half[1].buffer.mapped || !t->back.mapped)
        return pith_fail(PITH_ERROR_DEVICE, "vulkan: %s has no memory that the host sees", device->physical.properties.deviceName);
    return PITH_OK;
}

void pith_vk_transfer_fini(pith_vk_transfer *t)
{
    if (!t->device)
        return;
    for (int i = 0; i < 2; i++) {
        pith_vk_cmd_fini(&t->half[i].cmd);
        pith_vk_cmd_fini(&t->work[i]);
        pith_vk_buffer_destroy(t->device, &t->half[i].buffer);
    }
    pith_vk_cmd_fini(&t->back_cmd);
    pith_vk_buffer_destroy(t->device, &t->back);
    *t = (pith_vk_transfer){0};
}

uint64_t pith_vk_transfer_bytes(const pith_vk_transfer *t)
{
    return t->half[0].buffer.taken + t->half[1].buffer.taken + t->back.taken;
}

pith_status pith_vk_transfer_begin(pith_vk_transfer *t, uint8_t **place)
{
    PITH_TRY(pith_vk_transfer_flush(t));
    pith_vk_cmd *cmd = &t->half[t->next].cmd;
    PITH_TRY(pith_vk_queue_wait(t->queue, cmd->value));
    pith_vk_cmd_begin(cmd);
    *place = t->half[t->next].buffer.mapped;
    return PITH_OK;
}

void pith_vk_transfer_put(pith_vk_transfer *t, const pith_vk_buffer *dst, uint64_t to, uint64_t from, uint64_t bytes)
{
    pith_vk_cmd_copy(&t->half[t->next].cmd, dst, to, &t->half[t->next].buffer, from, bytes);
}

pith_status pith_vk_transfer_end(pith_vk_transfer *t)
{
    pith_vk_cmd *cmd = &t->half[t->next].cmd;
    t->next ^= 1;
    PITH_TRY(pith_vk_cmd_end(cmd));
    return pith_vk_queue_submit(t->queue, &cmd, 1);
}

pith_status pith_vk_transfer_write(pith_vk_transfer *t, const pith_vk_buffer *dst, uint64_t to, const void *src, uint64_t bytes)
{
    if (dst->mapped) {
        PITH_TRY(pith_vk_transfer_flush(t));
        PITH_TRY(pith_vk_queue_wait(t->queue, t->queue->submitted));
        memcpy((uint8_t *)dst->mapped + to, src, bytes);
        return PITH_OK;
    }
    for (uint64_t done = 0; done < bytes;) {
        uint64_t n = bytes - done < PITH_VK_STAGE_BYTES ? bytes - done : PITH_VK_STAGE_BYTES;
        uint8_t *place;
        PITH_TRY(pith_vk_transfer_begin(t, &place));
        memcpy(place, (const uint8_t *)src + done, n);
        pith_vk_transfer_put(t, dst, to + done, 0, n);
        PITH_TRY(pith_vk_transfer_end(t));
        done += n;
    }
    return PITH_OK;
}

pith_status pith_vk_transfer_read(pith_vk_transfer *t, const pith_vk_buffer *src, uint64_t from, void *dst, uint64_t bytes)
{
    PITH_TRY(pith_vk_transfer_flush(t));
    if (src->mapped) {
        PITH_TRY(pith_vk_queue_wait(t->queue, t->queue->submitted));
        memcpy(dst, (const uint8_t *)src->mapped + from, bytes);
        return PITH_OK;
    }
    for (uint64_t done = 0; done < bytes;) {
        uint64_t n = bytes - done < PITH_VK_STAGE_BYTES ? bytes - done : PITH_VK_STAGE_BYTES;
        pith_vk_cmd *cmd = &t->back_cmd;
        pith_vk_cmd_begin(cmd);
        pith_vk_cmd_copy(cmd, &t->back, 0, src, from + done, n);
        PITH_TRY(pith_vk_cmd_end(cmd));
        PITH_TRY(pith_vk_queue_submit(t->queue, &cmd, 1));
        PITH_TRY(pith_vk_queue_wait(t->queue, cmd->value));
        memcpy((uint8_t *)dst + done, t->back.mapped, n);
        done += n;
    }
    return PITH_OK;
}

static pith_status work_open(pith_vk_transfer *t)
{
    if (t->open)
        return PITH_OK;
    PITH_TRY(pith_vk_queue_wait(t->queue, t->work[t->working].value));
    pith_vk_cmd_begin(&t->work[t->working]);
    t->open = true;
    return PITH_OK;
}

/* Regions of one copy must not overlap: an overlapping move goes in pieces as long as the distance, from the end that
 * is overwritten last. */
pith_status pith_vk_transfer_move(pith_vk_transfer *t, const pith_vk_buffer *buffer, uint64_t to, uint64_t from, uint64_t bytes)
{
    uint64_t distance = to > from ? to - from : from - to;
    if (bytes == 0 || distance == 0)
        return PITH_OK;
    PITH_TRY(work_open(t));
    for (uint64_t done = 0; done < bytes;) {
        uint64_t n = bytes - done < distance ? bytes - done : distance;
        uint64_t at = to < from ? done : bytes - done - n;
        pith_vk_cmd_copy(&t->work[t->working], buffer, to + at, buffer, from + at, n);
        done += n;
    }
    return t->work[t->working].status;
}

pith_status pith_vk_transfer_fill(pith_vk_transfer *t, const pith_vk_buffer *buffer, uint64_t to, uint64_t bytes, uint32_t word)
{
    PITH_TRY(work_open(t));
    pith_vk_cmd_fill(&t->work[t->working], buffer, to, bytes, word);
    return t->work[t->working].status;
}

pith_status pith_vk_transfer_flush(pith_vk_transfer *t)
{
    if (!t->open)
        return PITH_OK;
    pith_vk_cmd *cmd = &t->work[t->working];
    t->open = false;
    t->working ^= 1;
    PITH_TRY(pith_vk_cmd_end(cmd));
    return pith_vk_queue_submit(t->queue, &cmd, 1);
}
