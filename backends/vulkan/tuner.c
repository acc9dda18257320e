/* SPDX-License-Identifier: MIT */
#include "tuner.h"
#include "base/log.h"
#include "base/os.h"
#include "cache.h"
#include "race.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX 4096
#define ROUNDS 4

const uint32_t pith_vk_tuned_m[PITH_VK_TUNED_M] = {32, 64, 128, 256, 512, 1024, 4096};
const uint32_t pith_vk_tuned_n[PITH_VK_TUNED_N] = {1024, 4096, 8192};
#define TUNE_K 2048u
#define SMALL_M 32u         /* software devices: one small product stands for every class */
#define SMALL_N 32u

/* ---- the table ------------------------------------------------------------------------------------------------------ */

static int class_of(const uint32_t *classes, int n, uint32_t value)
{
    int i = 0;
    while (i < n - 1 && classes[i] < value)
        i++;
    return i;
}

int pith_vk_tuned_find(const pith_vk_tuned *t, uint32_t m, uint32_t n)
{
    int i = class_of(pith_vk_tuned_m, PITH_VK_TUNED_M, m), j = class_of(pith_vk_tuned_n, PITH_VK_TUNED_N, n);
    while (i > 0 && t->tile[i][j] == 0)
        i--;
    return t->tile[i][j] - 1;
}

bool pith_vk_tuned_empty(const pith_vk_tuned *t)
{
    for (int i = 0; i < PITH_VK_TUNED_M * PITH_VK_TUNED_N; i++)
        if (t->tile[i / PITH_VK_TUNED_N][i % PITH_VK_TUNED_N] > 0)
            return false;
    return true;
}

void pith_vk_tuned_describe(const pith_vk_tuned *t, char *text, size_t size)
{
    int n;
    const pith_vk_tile *tiles = pith_vk_tile_list(&n);
    size_t at = 0;
    text[0] = '\0';
    for (int i = 0; i < PITH_VK_TUNED_M; i++) { /* of the middle width: the rest is in the file */
        int tile = t->tile[i][1] - 1;
        if (tile < 0 || tile >= n || at >= size)
            continue;
        at += (size_t)snprintf(text + at, size - at, "%sm %u: %ux%ux%u %.3g TFLOP/s", at ? "; " : "", pith_vk_tuned_m[i], tiles[tile].bm,
                               tiles[tile].bn, tiles[tile].bk, (double)t->rate[i][1]);
    }
}

/* ---- remembered ----------------------------------------------------------------------------------------------------- */

/* Changes with the list of tiles and the classes: a table made for others is not read. */
static uint64_t list_hash(void)
{
    int n;
    const void *parts[] = {pith_vk_tile_list(&n), pith_vk_tuned_m, pith_vk_tuned_n};
    const size_t bytes[] = {(size_t)n * sizeof(pith_vk_tile), sizeof pith_vk_tuned_m, sizeof pith_vk_tuned_n};
    uint64_t h = 1469598103934665603u;
    for (int p = 0; p < 3; p++)
        for (size_t i = 0; i < bytes[p]; i++)
            h = (h ^ ((const uint8_t *)parts[p])[i]) * 1099511628211u;
    return h;
}

static size_t table_write(const pith_vk_tuned *t, char *text, size_t size)
{
    size_t at = (size_t)snprintf(text, size, "pith tiles 1 %016llx\n", (unsigned long long)list_hash());
    for (int i = 0; i < PITH_VK_TUNED_M; i++)
        for (int j = 0; j < PITH_VK_TUNED_N && at < size; j++)
            at += (size_t)snprintf(text + at, size - at, "%d %.4g\n", t->tile[i][j], (double)t->rate[i][j]);
    return at < size ? at : 0;
}

/* Exactly what table_write makes of the result, byte by byte: nothing else is believed. */
static bool table_read(const char *text, size_t size, pith_vk_tuned *out)
{
    int n_tiles;
    (void)pith_vk_tile_list(&n_tiles);
    const char *line = memchr(text, '\n', size);
    pith_vk_tuned t = {0};
    for (int i = 0; line && i < PITH_VK_TUNED_M * PITH_VK_TUNED_N; i++) {
        int *tile = &t.tile[i / PITH_VK_TUNED_N][i % PITH_VK_TUNED_N];
        float *rate = &t.rate[i / PITH_VK_TUNED_N][i % PITH_VK_TUNED_N];
        if (sscanf(line + 1, "%9d %15f", tile, rate) != 2 || *tile < 0 || *tile > n_tiles || !(*rate >= 0) || !(*rate < 1e9f))
            return false;
        line = strchr(line + 1, '\n');
    }
    char again[FILE_MAX];
    size_t length = table_write(&t, again, sizeof again);
    if (!line || length != size || memcmp(again, text, size) != 0)
        return false;
    *out = t;
    return true;
}

void pith_vk_tuner_load(const pith_vk_physical *physical, pith_vk_tuned *out)
{
    char path[512];
    size_t size;
    *out = (pith_vk_tuned){0};
    pith_vk_cache_path(physical, ".tiles", path, sizeof path);
    char *text = pith_vk_cache_read(path, FILE_MAX - 1, &size);
    if (text && !table_read(text, size, out))
        pith_log(PITH_LOG_INFO, "vulkan: %s: not a table of tiles of this build, ignored", path);
    free(text);
}

bool pith_vk_tuner_save(const pith_vk_physical *physical, const pith_vk_tuned *tuned)
{
    char path[512], text[FILE_MAX];
    pith_vk_cache_path(physical, ".tiles", path, sizeof path);
    size_t size = table_write(tuned, text, sizeof text);
    return size > 0 && pith_vk_cache_write(path, text, size);
}

/* ---- the race ------------------------------------------------------------------------------------------------------- */

struct race {
    pith_vk_product product;
    pith_vk_tuned *out;
    pith_vk_tile tiles[PITH_VK_RACE_MAX]; /* of pith_vk_tile_list, those that fit the device, and their numbers there */
    int listed[PITH_VK_RACE_MAX], n_tiles;
    uint64_t begin_ns;
    double seconds_max;
    bool software;   /* classes stand for products that are much smaller, and nobody waits for the clocks */
};

static double elapsed(const struct race *r) { return (double)(pith_os_now_ns() - r->begin_ns) * 1e-9; }

static pith_status tile_time(void *user, int which, int repeat, double *seconds)
{
    struct race *r = user;
    *seconds = -1;
    if (elapsed(r) > r->seconds_max)
        return PITH_OK;
    r->product.tile = r->tiles[which];
    return pith_vk_time(r->product.vk, pith_vk_product_record, &r->product, repeat, seconds);
}

/* One class; entered in the table only when every tile had its turn. */
static pith_status race_class(struct race *r, int i, int j)
{
    pith_vk_product *p = &r->product;
    int best;
    double seconds;
    p->m = r->software ? SMALL_M : pith_vk_tuned_m[i];
    p->n = r->software ? SMALL_N : pith_vk_tuned_n[j];
    PITH_TRY(pith_vk_race_run(tile_time, r, r->n_tiles, r->software ? 1 : ROUNDS, &best, &seconds));
    if (best >= 0) {
        r->out->tile[i][j] = r->listed[best] + 1;
        r->out->rate[i][j] = (float)(2e-12 * p->m * p->n * p->k / seconds);
    }
    return PITH_OK;
}

/* Those that fit, and their pipelines. */
static pith_status race_prepare(struct race *r)
{
    pith_vk_backend *vk = r->product.vk;
    int n;
    const pith_vk_tile *tiles = pith_vk_tile_list(&n);
    for (int t = 0; t < n; t++) {
        pith_vk_tile *tile = &r->tiles[r->n_tiles];
        uint32_t spec[PITH_VK_SPECS] = {0};
        VkPipeline unused;
        *tile = tiles[t];
        if (!pith_vk_tile_fits(&vk->device, r->product.k, tile))
            continue;
        pith_vk_tile_spec(&vk->device, tile, PITH_VK_HALVES, 0, spec);
        PITH_TRY(pith_vk_pipeline_get(&vk->pipelines, tile->variant, spec, &unused));
        r->listed[r->n_tiles++] = t;
    }
    return PITH_OK;
}

/* Chunks of the usual sizes first and the longest products last, in case that time runs out. */
static pith_status race_all(struct race *r)
{
    static const uint8_t rows[PITH_VK_TUNED_M] = {4, 5, 3, 2, 1, 0, 6}, widths[PITH_VK_TUNED_N] = {1, 2, 0};
    PITH_TRY(race_prepare(r));
    r->begin_ns = pith_os_now_ns();
    r->product.m = pith_vk_tuned_m[4];
    r->product.n = pith_vk_tuned_n[0];
    if (r->n_tiles > 0 && !r->software)
        PITH_TRY(pith_vk_race_warm(tile_time, r, 0));
    for (int i = 0; r->n_tiles > 0 && i < PITH_VK_TUNED_M; i++)
        for (int j = 0; j < PITH_VK_TUNED_N; j++)
            PITH_TRY(race_class(r, rows[i], widths[j]));
    return PITH_OK;
}

/* A choice that matters, and a place to remember it or someone who asks. */
static bool wanted(const pith_vk_backend *vk, bool again)
{
    const char *asked = getenv("PITH_VK_TUNE");
    bool never = asked && strcmp(asked, "0") == 0, always = asked && strcmp(asked, "1") == 0;
    bool software = vk->device.physical.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
    char path[512];
    int n;
    (void)pith_vk_tile_list(&n);
    if (vk->testing || !pith_vk_has_coopmat(&vk->device) || n < 2 || (!again && (never || getenv("PITH_VK_TILE"))))
        return false;
    pith_vk_cache_path(&vk->device.physical, ".tiles", path, sizeof path);
    return again || (pith_vk_tuned_empty(&vk->device.tuned) && *path && (!software || always));
}

void pith_vk_tuner_run(pith_vk_backend *vk, bool again)
{
    pith_vk_tuned tuned = {0};
    struct race r = {.out = &tuned, .begin_ns = pith_os_now_ns(), .seconds_max = PITH_VK_TUNE_SECONDS,
                     .software = vk->device.physical.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU};
    uint32_t m = pith_vk_tuned_m[PITH_VK_TUNED_M - 1], n = pith_vk_tuned_n[PITH_VK_TUNED_N - 1], k = TUNE_K;
    if (!wanted(vk, again))
        return;
    if (r.software) { /* for tests of the machinery: the numbers mean nothing */
        r.seconds_max = 300;
        m = SMALL_M;
        n = SMALL_N;
        k = 32;
    }
    pith_status status = pith_vk_product_init(&r.product, vk, m, n, k);
    if (status == PITH_OK)
        status = race_all(&r);
    pith_vk_product_fini(&r.product);
    if (status != PITH_OK) {
        pith_log(PITH_LOG_WARNING, "vulkan: tiles could not be measured: %s", pith_last_error());
        return;
    }
    pith_log(PITH_LOG_INFO, "vulkan: %s: tiles measured in %.1f s", vk->device.physical.properties.deviceName, elapsed(&r));
    if (pith_vk_tuned_empty(&tuned))
        return;
    vk->device.tuned = tuned;
    pith_vk_tuned_describe(&tuned, vk->base.info.tiles, sizeof vk->base.info.tiles);
    if (!pith_vk_tuner_save(&vk->device.physical, &tuned))
        pith_log(PITH_LOG_INFO, "vulkan: the measured tiles could not be remembered");
}
