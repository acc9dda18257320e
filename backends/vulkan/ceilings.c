/* SPDX-License-Identifier: MIT */
/* What the device does at best: copying memory, and the tile kernels at their best tile. Bounds for a profile. */
#include "tuner.h"

#include <stdio.h>

#define RUNS 5
#define SECONDS_MAX 0.05 /* of one submission, as far as it can be foreseen */

struct copying {
    pith_vk_buffer from, to;
};

static void record_copy(pith_vk_cmd *cmd, void *user)
{
    const struct copying *c = user;
    pith_vk_cmd_copy(cmd, &c->to, 0, &c->from, 0, c->from.bytes);
}

/* Best seconds of one of several in a submission, after one that tells how many fit. */
static pith_status best_of(pith_vk_backend *vk, void (*record)(pith_vk_cmd *, void *), void *user, double *best)
{
    double s, once;
    PITH_TRY(pith_vk_time(vk, record, user, 1, &once));
    int repeat = once > 0 && once < SECONDS_MAX ? (int)(SECONDS_MAX / once) : 1;
    repeat = repeat > 10 ? 10 : repeat;
    *best = once;
    for (int i = 0; i < RUNS && (i == 0 || once < 10 * SECONDS_MAX); i++) {
        PITH_TRY(pith_vk_time(vk, record, user, repeat, &s));
        *best = s / repeat < *best ? s / repeat : *best;
    }
    return PITH_OK;
}

static pith_status measure_memory(pith_vk_backend *vk, bool software, pith_ceilings *out)
{
    struct copying c = {0};
    pith_status status = PITH_ERROR_NO_MEMORY;
    double s = 0;
    for (uint64_t bytes = (uint64_t)(software ? 32 : 256) << 20; status == PITH_ERROR_NO_MEMORY && bytes >= 8 << 20; bytes /= 2) {
        status = pith_vk_buffer_create(&vk->device, bytes, PITH_VK_DEVICE, &c.from);
        if (status == PITH_OK)
            status = pith_vk_buffer_create(&vk->device, bytes, PITH_VK_DEVICE, &c.to);
        if (status == PITH_OK)
            status = pith_vk_transfer_fill(&vk->transfer, &c.from, 0, bytes, 1);
        if (status == PITH_OK)
            status = best_of(vk, record_copy, &c, &s);
        if (status == PITH_OK && s > 0) {
            out->memory_bytes_per_second = 2.0 * (double)bytes / s;
            snprintf(out->memory_how, sizeof out->memory_how, "copy of %llu MiB, read and written", (unsigned long long)(bytes >> 20));
        }
        (void)pith_vk_transfer_flush(&vk->transfer);
        (void)pith_vk_queue_wait(&vk->queue, vk->queue.submitted);
        pith_vk_buffer_destroy(&vk->device, &c.from);
        pith_vk_buffer_destroy(&vk->device, &c.to);
    }
    return status;
}

/* One tile, or the whole list: whichever product is fastest. */
static pith_status measure_tiles(pith_vk_product *p, const pith_vk_tile *tiles, int n, pith_ceilings *out)
{
    const double flop = 2.0 * p->m * p->n * p->k;
    for (int i = 0; i < n; i++) {
        double s;
        p->tile = tiles[i];
        if (n > 1 && !pith_vk_tile_fits(&p->vk->device, p->k, &p->tile))
            continue;
        PITH_TRY(best_of(p->vk, pith_vk_product_record, p, &s));
        if (s > 0 && flop / s > out->flop_per_second) {
            out->flop_per_second = flop / s;
            snprintf(out->flop_how, sizeof out->flop_how, "%.16s %ux%ux%u, f16, %u x %u x %u", pith_vk_spv[p->tile.variant].name, p->tile.bm,
                     p->tile.bn, p->tile.bk, p->m, p->n, p->k);
        }
    }
    return PITH_OK;
}

static pith_status measure_product(pith_vk_backend *vk, bool software, pith_ceilings *out)
{
    /* Devices without matrix units, or slow ones, get a product that does not keep the screen waiting. */
    uint32_t size = software ? 256 : 1024, most = software ? 256 : 4096;
    for (bool larger = true; larger;) {
        pith_vk_product p;
        const pith_vk_tile plain = pith_vk_tile_choose(&vk->device, size, size, size, PITH_VK_FLOATS);
        int n = 1;
        const pith_vk_tile *tiles = pith_vk_has_coopmat(&vk->device) ? pith_vk_tile_list(&n) : &plain;
        PITH_TRY(pith_vk_product_init(&p, vk, size, size, size));
        pith_status status = measure_tiles(&p, tiles, n, out);
        pith_vk_product_fini(&p);
        PITH_TRY(status);
        /* Eight times the work at most, per step. */
        double next = 16.0 * size * size * size / (out->flop_per_second > 0 ? out->flop_per_second : 1);
        larger = 2 * size <= most && next < SECONDS_MAX;
        size *= 2;
    }
    return PITH_OK;
}

pith_status pith_vk_ceilings(pith_backend *b, pith_ceilings *out)
{
    pith_vk_backend *vk = pith_vk_of(b);
    bool software = vk->device.physical.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
    *out = (pith_ceilings){0};
    pith_status status = measure_memory(vk, software, out);
    if (status == PITH_OK)
        status = measure_product(vk, software, out);
    if (status != PITH_OK)
        *out = (pith_ceilings){0};
    return status;
}
