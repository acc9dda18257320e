/* SPDX-License-Identifier: MIT */
/* How long the device takes over recorded work, and products to time: for the tuner and for ceilings. */
#include "tuner.h"
#include "base/os.h"

/* Largest tile; the buffers hold whole ones. */
static uint32_t tile_most(void)
{
    uint32_t most = 64;
    int n;
    const pith_vk_tile *tiles = pith_vk_tile_list(&n);
    for (int i = 0; i < n; i++) {
        most = tiles[i].bm > most ? tiles[i].bm : most;
        most = tiles[i].bn > most ? tiles[i].bn : most;
    }
    return most;
}

static uint64_t round_up(uint64_t n, uint64_t unit) { return (n + unit - 1) / unit * unit; }

/* Seconds between two timestamps that are written; negative when they cannot be read. */
static double stamps_read(const pith_vk_device *d, VkQueryPool pool)
{
    uint64_t t[2], mask = d->physical.timestamp_bits >= 64 ? UINT64_MAX : ((uint64_t)1 << d->physical.timestamp_bits) - 1;
    if (d->fn.vkGetQueryPoolResults(d->handle, pool, 0, 2, sizeof t, t, sizeof t[0], VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT) != VK_SUCCESS)
        return -1;
    return (double)((t[1] - t[0]) & mask) * (double)d->physical.properties.limits.timestampPeriod * 1e-9;
}

pith_status pith_vk_time(pith_vk_backend *vk, void (*record)(pith_vk_cmd *cmd, void *user), void *user, int repeat, double *seconds)
{
    const pith_vk_device *d = &vk->device;
    pith_vk_cmd cmd = {0};
    VkQueryPool pool = VK_NULL_HANDLE;
    pith_status status;
    const VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO, .queryType = VK_QUERY_TYPE_TIMESTAMP, .queryCount = 2};
    if (d->caps & PITH_VK_CAP(TIMESTAMPS))
        PITH_VK_TRY(d->fn.vkCreateQueryPool(d->handle, &info, NULL, &pool), "making a query pool");
    PITH_TRY_GOTO(pith_vk_transfer_flush(&vk->transfer));
    PITH_TRY_GOTO(pith_vk_queue_wait(&vk->queue, vk->queue.submitted));
    PITH_TRY_GOTO(pith_vk_cmd_init(&cmd, d, &vk->pipelines));
    pith_vk_cmd_begin(&cmd);
    if (pool) {
        d->fn.vkCmdResetQueryPool(cmd.handle, pool, 0, 2);
        pith_vk_cmd_timestamp(&cmd, pool, 0);
    }
    for (int i = 0; i < repeat; i++)
        record(&cmd, user);
    if (pool) {
        pith_vk_cmd_barrier(&cmd);
        pith_vk_cmd_timestamp(&cmd, pool, 1);
    }
    PITH_TRY_GOTO(pith_vk_cmd_end(&cmd));
    pith_vk_cmd *list = &cmd;
    uint64_t begin = pith_os_now_ns();
    PITH_TRY_GOTO(pith_vk_queue_submit(&vk->queue, &list, 1));
    PITH_TRY_GOTO(pith_vk_queue_wait(&vk->queue, cmd.value));
    *seconds = (double)(pith_os_now_ns() - begin) * 1e-9;
    double stamped = pool ? stamps_read(d, pool) : -1;
    if (stamped > 0)
        *seconds = stamped;
fail: /* or the end */
    pith_vk_cmd_fini(&cmd);
    if (pool)
        d->fn.vkDestroyQueryPool(d->handle, pool, NULL);
    return status;
}

pith_status pith_vk_product_init(pith_vk_product *p, pith_vk_backend *vk, uint32_t m, uint32_t n, uint32_t k)
{
    *p = (pith_vk_product){.vk = vk, .m = m, .n = n, .k = k};
    const uint64_t rows = round_up(m, tile_most()), cols = round_up(n, tile_most());
    pith_status status;
    PITH_TRY_GOTO(pith_vk_buffer_create(&vk->device, 2 * rows * k, PITH_VK_DEVICE, &p->x));
    PITH_TRY_GOTO(pith_vk_buffer_create(&vk->device, 2 * cols * k, PITH_VK_DEVICE, &p->w));
    PITH_TRY_GOTO(pith_vk_buffer_create(&vk->device, 4ull * m * n, PITH_VK_DEVICE, &p->y));
    /* 0.1 and 0.05: numbers, so that no unit saves power over zeros. */
    PITH_TRY_GOTO(pith_vk_transfer_fill(&vk->transfer, &p->x, 0, p->x.bytes, 0x2E662E66));
    PITH_TRY_GOTO(pith_vk_transfer_fill(&vk->transfer, &p->w, 0, p->w.bytes, 0x2A662A66));
    return pith_vk_transfer_flush(&vk->transfer);
fail:
    pith_vk_product_fini(p);
    return status;
}

void pith_vk_product_fini(pith_vk_product *p)
{
    if (!p->vk)
        return;
    (void)pith_vk_transfer_flush(&p->vk->transfer);
    (void)pith_vk_queue_wait(&p->vk->queue, p->vk->queue.submitted);
    pith_vk_buffer_destroy(&p->vk->device, &p->x);
    pith_vk_buffer_destroy(&p->vk->device, &p->w);
    pith_vk_buffer_destroy(&p->vk->device, &p->y);
    *p = (pith_vk_product){0};
}

void pith_vk_product_record(pith_vk_cmd *cmd, void *product)
{
    const pith_vk_product *p = product;
    const struct pith_vk_push_gemm push = {.m = p->m, .n = p->n, .k = p->k, .group_rows = p->n, .ldy = p->n};
    pith_vk_call call = {.variant = p->tile.variant,
                         .bind = {pith_vk_bind_all(&p->x, false), pith_vk_bind_all(&p->w, false), pith_vk_bind_all(&p->y, true)},
                         .push = &push,
                         .push_bytes = sizeof push,
                         .groups = {(p->n + p->tile.bn - 1) / p->tile.bn, (p->m + p->tile.bm - 1) / p->tile.bm}};
    pith_vk_tile_spec(&p->vk->device, &p->tile, PITH_VK_HALVES, 0, call.spec);
    pith_vk_cmd_dispatch(cmd, &call);
}
