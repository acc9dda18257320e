/* SPDX-License-Identifier: MIT */
/* Tile sizes by measurement. On first use of a device, driver and build, the tiles of pith_vk_tile_list race for a few
 * sizes of products, through the pipelines that products use, for PITH_VK_TUNE_SECONDS at most once these are made; what
 * won is remembered (cache.h) and goes before the rule of thumb in tune.c. Software devices are not worth the time.
 * PITH_VK_TUNE in the environment: 0 never, 1 on software devices too. */
#ifndef PITH_VK_TUNER_H
#define PITH_VK_TUNER_H

#include "vulkan.h"

#define PITH_VK_TUNE_SECONDS 4.0 /* 1.5 of them at most until the clocks are up */

/* What is remembered of a device, all or nothing; anything but what this build would write leaves *out empty. */
void pith_vk_tuner_load(const pith_vk_physical *physical, pith_vk_tuned *out);
bool pith_vk_tuner_save(const pith_vk_physical *physical, const pith_vk_tuned *tuned);
/* Measures when there is a choice and nothing is remembered, or `again`. Failures are logged and leave the rule of thumb. */
void pith_vk_tuner_run(pith_vk_backend *vk, bool again);
/* "m 512 n 4096: 128x128x32 210 TFLOP/s; ..." in text; "" when empty. */
void pith_vk_tuned_describe(const pith_vk_tuned *tuned, char *text, size_t size);

/* Seconds of what `record` puts into a command buffer, `repeat` times in one submission. Errors: NO_MEMORY, DEVICE. */
pith_status pith_vk_time(pith_vk_backend *vk, void (*record)(pith_vk_cmd *cmd, void *user), void *user, int repeat, double *seconds);

/* Halves to multiply: x [m][k], w [n][k], y [m][n], with room for every tile. */
typedef struct pith_vk_product {
    pith_vk_backend *vk;
    pith_vk_tile tile;
    uint32_t m, n, k;
    pith_vk_buffer x, w, y;
} pith_vk_product;

/* At most m x n x k; zeroed buffers and a failure when there is no memory. */
pith_status pith_vk_product_init(pith_vk_product *p, pith_vk_backend *vk, uint32_t m, uint32_t n, uint32_t k);
void pith_vk_product_fini(pith_vk_product *p);
/* Records one product with the tile, m and n of the struct. */
void pith_vk_product_record(pith_vk_cmd *cmd, void *product);

pith_status pith_vk_ceilings(pith_backend *b, pith_ceilings *out);

#endif
