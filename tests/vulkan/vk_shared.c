/* SPDX-License-Identifier: MIT */
#include "vk_shared.h"

#define SHARED_MAX 16

static struct {
    pith_vk_backend_params params;
    pith_backend *backend;
} shared[SHARED_MAX];
static int n_shared;
static uint64_t ran[PITH_VK_RAN_WORDS];

static bool same(const pith_vk_backend_params *a, const pith_vk_backend_params *b)
{
    const char *x = a->hide ? a->hide : "", *y = b->hide ? b->hide : "";
    return strcmp(x, y) == 0 && a->slab_max == b->slab_max && a->scratch_max == b->scratch_max && a->threads == b->threads &&
           a->exact == b->exact;
}

pith_backend *vk_shared(const pith_vk_physical *physical, const pith_vk_backend_params *params)
{
    const pith_vk_backend_params none = {.threads = 2};
    params = params ? params : &none;
    for (int i = 0; i < n_shared; i++)
        if (same(&shared[i].params, params))
            return shared[i].backend;
    assert_true(n_shared < SHARED_MAX);
    shared[n_shared].params = *params;
    shared[n_shared].backend = vk_test_backend(physical, params);
    return shared[n_shared++].backend;
}

void vk_shared_close(void **state)
{
    (void)state;
    for (int i = 0; i < n_shared; i++) {
        for (int w = 0; w < PITH_VK_RAN_WORDS; w++)
            ran[w] |= pith_vk_of(shared[i].backend)->pipelines.ran[w];
        pith_backend_destroy(&shared[i].backend);
    }
    n_shared = 0;
    const char *path = getenv("PITH_VK_RAN");
    if (!path || !*path)
        return;
    FILE *f = fopen(path, "w");
    if (!f)
        fail_msg("PITH_VK_RAN: %s cannot be written", path);
    for (int v = 0; v < PITH_SPV_COUNT; v++)
        if (ran[v / 64] >> (v % 64) & 1)
            fprintf(f, "%s\n", pith_vk_spv[v].name);
    assert_int_equal(fclose(f), 0);
}
