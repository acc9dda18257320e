/* SPDX-License-Identifier: MIT */
/* Bytes between host and device, and within the device, ordered with everything else on the queue. Uploads go through
 * one of two halves of a staging buffer, so that the host fills one while the device empties the other. */
#ifndef PITH_VK_TRANSFER_H
#define PITH_VK_TRANSFER_H

#include "queue.h"

#define PITH_VK_STAGE_BYTES ((uint64_t)16 << 20) /* of one half */

typedef struct pith_vk_transfer {
    const pith_vk_device *device;
    pith_vk_queue *queue;
    struct {
        pith_vk_buffer buffer;
        pith_vk_cmd cmd;
    } half[2];
    int next;                /* half that begin() hands out */
    pith_vk_buffer back;     /* device to host */
    pith_vk_cmd back_cmd;
    pith_vk_cmd work[2];     /* copies and fills within the device, recorded until flushed */
    int working;
    bool open;               /* work[working] has commands */
} pith_vk_transfer;

pith_status pith_vk_transfer_init(pith_vk_transfer *t, const pith_vk_device *device, pith_vk_pipelines *pipelines, pith_vk_queue *queue);
void pith_vk_transfer_fini(pith_vk_transfer *t);
/* Memory that it holds. */
uint64_t pith_vk_transfer_bytes(const pith_vk_transfer *t);

/* A place of PITH_VK_STAGE_BYTES to fill; then any number of puts; then end submits them. Waits for the half's last use. */
pith_status pith_vk_transfer_begin(pith_vk_transfer *t, uint8_t **place);
void pith_vk_transfer_put(pith_vk_transfer *t, const pith_vk_buffer *dst, uint64_t to, uint64_t from, uint64_t bytes);
pith_status pith_vk_transfer_end(pith_vk_transfer *t);

pith_status pith_vk_transfer_write(pith_vk_transfer *t, const pith_vk_buffer *dst, uint64_t to, const void *src, uint64_t bytes);
/* Waits for all work before it. */
pith_status pith_vk_transfer_read(pith_vk_transfer *t, const pith_vk_buffer *src, uint64_t from, void *dst, uint64_t bytes);
/* memmove; fill with a repeated word. Recorded; they run before whatever is submitted next through this backend. */
pith_status pith_vk_transfer_move(pith_vk_transfer *t, const pith_vk_buffer *buffer, uint64_t to, uint64_t from, uint64_t bytes);
pith_status pith_vk_transfer_fill(pith_vk_transfer *t, const pith_vk_buffer *buffer, uint64_t to, uint64_t bytes, uint32_t word);
pith_status pith_vk_transfer_flush(pith_vk_transfer *t);

#endif
