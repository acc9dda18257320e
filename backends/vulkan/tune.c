/* SPDX-License-Identifier: MIT */
#include "tune.h"
#include "race.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Largest first. */
static const pith_vk_tile matrix_tiles[] = {
    {PITH_SPV_GEMM_COOPMAT, 128, 128, 64, 64, 64, 1, 0}, /* 243 to 281 TFLOP/s on an H100; two buffers of 32: 158 */
    {PITH_SPV_GEMM_COOPMAT, 128, 128, 32, 64, 64, 1, 0},
    {PITH_SPV_GEMM_COOPMAT, 64, 64, 64, 32, 32, 1, 0},   /* 174 to 181 */
    {PITH_SPV_GEMM_COOPMAT, 64, 64, 32, 32, 32, 1, 0},
    {PITH_SPV_GEMM_COOPMAT, 32, 32, 32, 16, 16, 1, 0},
};
#define N_TILES ((int)(sizeof matrix_tiles / sizeof matrix_tiles[0]))
_Static_assert(sizeof matrix_tiles / sizeof matrix_tiles[0] <= PITH_VK_RACE_MAX, "all may race (race.h)");

/* Largest first; by reasoning: at most 32 results an invocation in registers, and 9, 12 and 6 KiB of the 16 that there are. */
static const pith_vk_tile byte_tiles[] = {
    {PITH_SPV_GEMM_INT8_Q4_0, 128, 64, 32, 4, 8, 1, 0},
    {PITH_SPV_GEMM_INT8_Q4_0, 64, 64, 64, 4, 8, 1, 0},
    {PITH_SPV_GEMM_INT8_Q4_0, 32, 32, 64, 4, 4, 1, 0},
};
#define N_BYTE_TILES ((int)(sizeof byte_tiles / sizeof byte_tiles[0]))

bool pith_vk_has_coopmat(const pith_vk_device *device)
{
    return (device->caps & PITH_VK_CAP(COOPMAT)) && pith_vk_spv[PITH_SPV_GEMM_COOPMAT].code;
}

bool pith_vk_has_int8(const pith_vk_device *d)
{
    const char *text = getenv("PITH_VK_INT8");
    if (!(d->caps & PITH_VK_CAP(INTDOT)) || !pith_vk_spv[PITH_SPV_GEMM_INT8_Q4_0].code || d->exact || (text && strcmp(text, "0") == 0))
        return false;
    return (text && strcmp(text, "1") == 0) || (d->physical.fast_dots && !pith_vk_has_coopmat(d));
}

const pith_vk_tile *pith_vk_tile_list(int *n)
{
    *n = N_TILES;
    return matrix_tiles;
}

const pith_vk_tile *pith_vk_byte_tile_list(int *n)
{
    *n = N_BYTE_TILES;
    return byte_tiles;
}

/* Shared memory as gemm_int8.comp declares it. A step beyond K is filled up with zeros. */
static bool bytes_fit(const pith_vk_device *d, pith_vk_tile *t)
{
    const VkPhysicalDeviceLimits *l = &d->physical.properties.limits;
    if (!t->bm || !t->bn || !t->bk || !t->wm || !t->wn || t->bm > PITH_VK_TILE_MAX || t->bn > PITH_VK_TILE_MAX || t->wm > 8 || t->wn > 8 ||
        t->bm % t->wm || t->bn % t->wn || t->wn % 2 || t->bk % 32 || t->bk > 256 || t->stages != 1)
        return false;
    t->invocations = t->bm / t->wm * (t->bn / t->wn);
    return t->invocations <= l->maxComputeWorkGroupInvocations && t->invocations <= l->maxComputeWorkGroupSize[0] &&
           48 * (t->bk / 32) * (t->bm + t->bn) <= d->shared_bytes;
}

/* Shared memory as gemm_coopmat.comp declares it. */
bool pith_vk_tile_fits(const pith_vk_device *d, uint32_t k, pith_vk_tile *t)
{
    if (t->variant == PITH_SPV_GEMM_INT8_Q4_0)
        return bytes_fit(d, t);
    if (!t->bm || !t->bn || !t->bk || !t->wm || !t->wn || t->bm % t->wm || t->bn % t->wn || t->wm % 16 || t->wn % 16 || k % t->bk ||
        t->bk % 16 || t->bm > PITH_VK_TILE_MAX || t->bn > PITH_VK_TILE_MAX || t->stages < 1 || t->stages > 2)
        return false;
    const VkPhysicalDeviceLimits *l = &d->physical.properties.limits;
    uint32_t subgroups = t->bm / t->wm * (t->bn / t->wn);
    uint32_t tiles = 2 * t->stages * (t->bm + t->bn) * (t->bk + 8), results = 4 * d->physical.matrix[0] * (t->wn + 4) * subgroups;
    t->invocations = subgroups * d->physical.subgroup;
    return t->invocations <= l->maxComputeWorkGroupInvocations && t->invocations <= l->maxComputeWorkGroupSize[0] &&
           (tiles > results ? tiles : results) <= d->shared_bytes;
}

static uint32_t tiles_of(const pith_vk_tile *t, uint32_t m, uint32_t n)
{
    return ((m + t->bm - 1) / t->bm) * ((n + t->bn - 1) / t->bn);
}

static bool from_environment(const pith_vk_device *d, pith_spv variant, uint32_t k, pith_vk_tile *t)
{
    const char *text = getenv("PITH_VK_TILE");
    *t = (pith_vk_tile){.variant = variant};
    return text && sscanf(text, "%u,%u,%u,%u,%u,%u", &t->bm, &t->bn, &t->bk, &t->wm, &t->wn, &t->stages) == 6 && pith_vk_tile_fits(d, k, t);
}

pith_vk_tile pith_vk_tile_choose(const pith_vk_device *d, uint32_t m, uint32_t n, uint32_t k, pith_vk_operands operands)
{
    pith_vk_tile plain = {PITH_SPV_GEMM_TILE, 64, 32, 16, 4, 4, 1, 128}, best = plain, asked;
    bool bytes = operands == PITH_VK_BYTES;
    if (operands == PITH_VK_FLOATS || (!bytes && !pith_vk_has_coopmat(d)))
        return plain;
    const pith_vk_tile *tiles = bytes ? byte_tiles : matrix_tiles;
    int n_tiles = bytes ? N_BYTE_TILES : N_TILES;
    if (from_environment(d, tiles[0].variant, k, &asked))
        return asked;
    int given = bytes ? d->byte_tile - 1 : pith_vk_tuned_find(&d->tuned, m, n);
    if (given >= 0 && given < n_tiles) {
        asked = tiles[given];
        if (pith_vk_tile_fits(d, k, &asked))
            return asked;
    }
    /* A software device has no use for large tiles, and compiles them for many seconds. */
    bool found = false, software = d->physical.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
    for (int i = 0; i < n_tiles; i++) {
        pith_vk_tile t = tiles[i];
        if (!pith_vk_tile_fits(d, k, &t))
            continue;
        /* Smaller tiles only while larger ones leave most of the device idle or are mostly padding. */
        bool fills = tiles_of(&t, m, n) >= d->cores / 2 && m > t.bm / 2 && !software;
        if (!found || software || !(tiles_of(&best, m, n) >= d->cores / 2 && m > best.bm / 2))
            best = t;
        found = true;
        if (fills)
            break;
    }
    return best;
}

void pith_vk_tile_spec(const pith_vk_device *d, const pith_vk_tile *t, pith_vk_operands operands, uint32_t flags, uint32_t *spec)
{
    const uint32_t *m = d->physical.matrix, kept = d->caps & PITH_VK_CAP(SUBNORMAL) ? 1 : 0;
    const uint32_t plain[] = {t->invocations, t->bm, t->bn, operands == PITH_VK_FLOATS, flags & 3, flags >> 2 & 1, flags >> 3 & 1};
    const uint32_t bytes[] = {t->invocations, t->bm, t->bn, t->bk / 32, t->wm, t->wn, flags};
    const uint32_t matrix[] = {t->invocations, t->bm, t->bn, t->bk, t->wm, t->wn, flags | kept << 4, m[0], m[1], m[2], t->stages};
    if (t->variant == PITH_SPV_GEMM_TILE)
        memcpy(spec, plain, sizeof plain);
    else if (t->variant == PITH_SPV_GEMM_INT8_Q4_0)
        memcpy(spec, bytes, sizeof bytes);
    else
        memcpy(spec, matrix, sizeof matrix);
}

/* Largest first. */
static const pith_vk_attend attend_sizes[] = {
    {8, 64, true}, /* 173 TFLOP/s at a head width of 128 on an H200; 32 keys: 140 */
    {8, 32, true},  {4, 64, true},  {4, 32, true},  {2, 32, true},  {1, 32, true},
    {8, 32, false}, {4, 32, false}, {2, 32, false}, {1, 32, false},
};

/* Shared memory as attn_matrix2.comp and attn_matrix.comp declare it. */
static uint32_t attend_shared(const pith_vk_attend *a, uint32_t head_dim)
{
    uint32_t staged = 2 * a->keys * (head_dim + 8), out = 1024 * a->subs;
    if (a->two)
        return (staged > out ? staged : out) + staged + a->subs * (16 * 48 + 16 * 8) + 4 * a->keys;
    return 2 * staged + a->subs * (64 * (a->keys + 4) + 32 * (a->keys + 8) + 64) + 4 * a->keys;
}

pith_vk_attend pith_vk_attend_choose(const pith_vk_device *d, uint32_t head_dim)
{
    const pith_vk_attend none = {0};
    const VkPhysicalDeviceLimits *l = &d->physical.properties.limits;
    const char *text = getenv("PITH_VK_ATTEND");
    uint32_t most_subs = 8, most_keys = 64, size = d->physical.subgroup;
    bool two = (d->caps & PITH_VK_CAP(COOPMAT2)) && size >= 16 && pith_vk_spv[PITH_SPV_ATTN_MATRIX2].code;
    if (text && sscanf(text, "%u,%u", &most_subs, &most_keys) < 1)
        return none;
    /* A lane's stretch of keys must be whole octets; a head's results must fit the registers. */
    if (!(d->caps & PITH_VK_CAP(COOPMAT)) || !(d->caps & PITH_VK_CAP(SUBGROUP)) || !pith_vk_spv[PITH_SPV_ATTN_MATRIX].code ||
        head_dim % 16 != 0 || head_dim > 128 || size > 64 || size < 4)
        return none;
    for (size_t i = 0; i < sizeof attend_sizes / sizeof attend_sizes[0]; i++) {
        const pith_vk_attend *a = &attend_sizes[i];
        if (a->two == two && a->subs <= most_subs && a->keys <= most_keys && a->subs * size >= a->keys && /* one bias each */
            attend_shared(a, head_dim) <= d->shared_bytes && a->subs * size <= l->maxComputeWorkGroupInvocations)
            return *a;
    }
    return none;
}

/* Invocations along K: the fewest turns, then the fewest lanes; at most a subgroup. */
static uint32_t lanes_for(uint32_t units, uint32_t most)
{
    uint32_t best = 1, best_turns = units;
    for (uint32_t lanes = 2; lanes <= most && lanes < 2 * units; lanes *= 2) {
        uint32_t turns = (units + lanes - 1) / lanes;
        if (turns < best_turns) {
            best = lanes;
            best_turns = turns;
        }
    }
    return best;
}

static bool power_of_two(uint32_t n) { return n && (n & (n - 1)) == 0; }

pith_vk_vector pith_vk_vector_choose(const pith_vk_device *d, uint32_t rows, uint32_t units)
{
    const VkPhysicalDeviceLimits *l = &d->physical.properties.limits;
    bool shuffle = d->caps & PITH_VK_CAP(SUBGROUP);
    uint32_t subgroup = shuffle ? d->physical.subgroup : 32;
    pith_vk_vector v = {.invocations = subgroup > 128 ? subgroup : 128, .lanes = lanes_for(units, subgroup)};
    /* Short matrices need every invocation they can get; long ones share the staged x among more rows. */
    uint32_t per_core = rows / (d->cores ? d->cores : 1);
    v.rows = per_core >= 64 ? 4 : 2;
    v.depth = units >= 2 * v.lanes && v.rows == 2 ? 2 : 1;
    const char *text = getenv("PITH_VK_MATVEC");
    uint32_t size, n, depth;
    if (text && sscanf(text, "%u,%u,%u", &size, &n, &depth) == 3 && power_of_two(size) && size >= subgroup && size <= l->maxComputeWorkGroupSize[0] &&
        size <= l->maxComputeWorkGroupInvocations && n >= 2 && n <= 16 && n % 2 == 0 && depth >= 1 && depth <= 8) {
        v.invocations = size;
        v.rows = n;
        v.depth = depth;
    }
    uint32_t room = (d->shared_bytes - 8 * v.invocations) / 144, most = room < 160 ? room : 160; /* 160 units: 22.5 KiB, K of 5120 at once */
    v.stage = units < most ? units : most - most % v.lanes;
    v.stage = v.stage ? v.stage : v.lanes;
    return v;
}

bool pith_vk_has_half_vectors(const pith_vk_device *d)
{
    const char *text = getenv("PITH_VK_HALF");
    return (d->caps & PITH_VK_CAP(HALF)) && d->physical.subgroup >= 8 && !(text && strcmp(text, "0") == 0);
}

/* The largest size up to `most` that the device takes. */
static uint32_t size_upto(const pith_vk_device *d, uint32_t most)
{
    const VkPhysicalDeviceLimits *l = &d->physical.properties.limits;
    while (most > d->physical.subgroup && (most > l->maxComputeWorkGroupInvocations || most > l->maxComputeWorkGroupSize[0]))
        most /= 2;
    return most < d->physical.subgroup ? d->physical.subgroup : most;
}

pith_vk_vector pith_vk_vector_half_choose(const pith_vk_device *d, uint32_t rows, uint32_t units, bool nibbles)
{
    const VkPhysicalDeviceLimits *l = &d->physical.properties.limits;
    uint32_t subgroup = d->physical.subgroup, size, n, asked, per_core = 2;
    pith_vk_vector v = {.invocations = size_upto(d, 512), .lanes = lanes_for(units, subgroup), .rows = 2, .split = 1};
    if (nibbles && 2 * v.lanes <= units && size_upto(d, 1024) == 1024 && rows <= v.invocations / v.lanes * v.rows * d->cores) {
        /* Few rows: two groups of lanes to each, or too few loads are on their way; and one large workgroup to a core, as every
         * workgroup reads all of x. */
        v.invocations = 1024;
        v.split = 2;
        per_core = 1;
    }
    const char *text = getenv("PITH_VK_HALF");
    if (text && sscanf(text, "%u,%u,%u", &size, &n, &asked) == 3 && power_of_two(size) && size >= subgroup && size <= l->maxComputeWorkGroupSize[0] &&
        size <= l->maxComputeWorkGroupInvocations && n >= 2 && n <= 16 && n % 2 == 0 && asked > 0 && asked < 1024) {
        v.invocations = size;
        v.rows = n;
        v.split = v.invocations >= v.split * v.lanes ? v.split : 1;
        per_core = asked;
    }
    uint32_t used = 4 * v.rows * (v.invocations / v.lanes) + (nibbles ? 0 : 1024), room = used < d->shared_bytes ? (d->shared_bytes - used) / 80 : 0;
    uint32_t most = room < 448 ? room : 448; /* 448 units: K of 14336, 35 KiB */
    if (units > most && most < v.lanes * v.split)
        v.split = 1;
    v.stage = units <= most ? units : most - most % (v.lanes * v.split);
    v.stage = v.stage ? v.stage : v.lanes;
    uint32_t pieces = (v.stage * 8 + v.invocations - 1) / v.invocations;
    v.depth = pieces < 8 ? pieces : 8;
    /* All that the device holds at once, among which the rows are dealt evenly, or what there are rows for. */
    uint32_t block = v.invocations / v.lanes / v.split * v.rows, blocks = (rows + block - 1) / block;
    v.workgroups = blocks < per_core * d->cores ? blocks : per_core * d->cores;
    return v;
}
