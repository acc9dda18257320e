/* SPDX-License-Identifier: MIT */
/* The table of tiles: which class a product belongs to; written and read back; anything else in its file ignored; and
 * where there are matrix kernels, a race forced on this device, remembered, used, and overridden. */
#include "vk_test.h"

#include "cache.h"
#include "tuner.h"

#include <sys/stat.h>
#include <unistd.h>

static pith_vk_physical physical;
static char path[512];

static pith_vk_tuned sample(void)
{
    pith_vk_tuned t = {0};
    for (int i = 0; i < PITH_VK_TUNED_M; i++)
        for (int j = 0; j < PITH_VK_TUNED_N; j++) {
            t.tile[i][j] = (i + j) % 3; /* zeros are classes that nobody measured */
            t.rate[i][j] = 1.5f * (float)i;
        }
    return t;
}

static void file_put(const char *text, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, size, f), size);
    fclose(f);
}

static bool loads(void)
{
    pith_vk_tuned t;
    memset(&t, 0x55, sizeof t);
    pith_vk_tuner_load(&physical, &t);
    return !pith_vk_tuned_empty(&t);
}

static void test_classes(void **state)
{
    (void)state;
    pith_vk_tuned t = {0};
    assert_true(pith_vk_tuned_empty(&t));
    assert_int_equal(pith_vk_tuned_find(&t, 512, 4096), -1);
    for (int i = 0; i < PITH_VK_TUNED_M; i++)
        for (int j = 0; j < PITH_VK_TUNED_N; j++)
            t.tile[i][j] = 1 + 10 * i + j;
    static const uint32_t cases[][3] = {{5, 1, 0}, {32, 1024, 0}, {33, 1025, 11}, {128, 4096, 21}, {512, 4097, 42}, {513, 8192, 52},
                                        {1025, 100, 60}, {4096, 200000, 62}, {100000, 200000, 62}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(pith_vk_tuned_find(&t, cases[i][0], cases[i][1]), cases[i][2]);
    t.tile[6][0] = t.tile[5][0] = t.tile[0][1] = 0; /* not measured: as a shorter product of the same width */
    assert_int_equal(pith_vk_tuned_find(&t, 4096, 1000), 40);
    assert_int_equal(pith_vk_tuned_find(&t, 32, 4096), -1);
}

static void test_file(void **state)
{
    (void)state;
    int n;
    (void)pith_vk_tile_list(&n);
    pith_vk_tuned t = sample(), back;
    assert_false(loads());
    assert_true(pith_vk_tuner_save(&physical, &t));
    pith_vk_tuner_load(&physical, &back);
    assert_memory_equal(&back, &t, sizeof t);
    char text[512];
    pith_vk_tuned_describe(&back, text, sizeof text);
    assert_non_null(strstr(text, "m 4096: "));
    char small[16];
    pith_vk_tuned_describe(&back, small, sizeof small); /* cut, not written past */
    assert_true(strlen(small) < sizeof small);

    size_t size;
    char *good = pith_vk_cache_read(path, 4096, &size);
    assert_non_null(good);
    assert_null(pith_vk_cache_read(path, size - 1, &(size_t){0})); /* larger than asked for */
    /* Every shortened file and every changed byte: ignored, or read as just what it says. */
    for (size_t cut = 0; cut < size; cut++) {
        file_put(good, cut);
        assert_false(loads());
    }
    for (size_t at = 0; at < size; at++) {
        char *bad = malloc(size);
        memcpy(bad, good, size);
        bad[at] = (char)(bad[at] ^ 0x11);
        file_put(bad, size);
        pith_vk_tuner_load(&physical, &back);
        for (int i = 0; i < PITH_VK_TUNED_M * PITH_VK_TUNED_N; i++)
            assert_in_range(back.tile[i / PITH_VK_TUNED_N][i % PITH_VK_TUNED_N], 0, n);
        if (at < strlen("pith tiles 1 "))
            assert_true(pith_vk_tuned_empty(&back));
        free(bad);
    }
    const char *first = strchr(good, '\n') + 1, *rest = strchr(first, '\n');
    static const char *const lines[] = {"99 1", "-1 1", "1 nan", "1 inf", "1 -2", "1 1e12", "99999999999999999999 1", "1", "", "x y", "1 1 1",
                                        "01 1", "+1 1", " 1 1", "1 1.0"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char bad[4096];
        int k = snprintf(bad, sizeof bad, "%.*s%s%s", (int)(first - good), good, lines[i], rest);
        file_put(bad, (size_t)k);
        assert_false(loads());
    }
    char *huge = calloc(1, 1 << 20);
    memcpy(huge, good, size);
    file_put(huge, 1 << 20);
    assert_false(loads());
    file_put(good, size);
    assert_true(loads());
    assert_int_equal(remove(path), 0);
    assert_int_equal(mkdir(path, 0700), 0); /* a folder in its place */
    assert_false(loads());
    assert_false(pith_vk_tuner_save(&physical, &t));
    assert_int_equal(rmdir(path), 0);
    free(huge);
    free(good);
}

static void test_no_cache(void **state)
{
    (void)state;
    char none[64];
    setenv("PITH_VK_CACHE", "0", 1);
    pith_vk_cache_path(&physical, ".tiles", none, sizeof none);
    unsetenv("PITH_VK_CACHE");
    assert_string_equal(none, "");
    pith_vk_cache_path(&physical, ".tiles", none, 10); /* a name that does not fit is no name */
    assert_string_equal(none, "");
    pith_vk_tuned t = sample();
    setenv("PITH_VK_CACHE", "0", 1);
    assert_false(pith_vk_tuner_save(&physical, &t));
    unsetenv("PITH_VK_CACHE");
}

static bool same(const pith_vk_tile *a, const pith_vk_tile *b)
{
    return a->bm == b->bm && a->bn == b->bn && a->bk == b->bk && a->wm == b->wm && a->wn == b->wn;
}

static void test_race(void **state)
{
    (void)state;
    int n;
    const pith_vk_tile *tiles = pith_vk_tile_list(&n);
    pith_backend *b = vk_test_backend(&physical, NULL);
    pith_vk_backend *vk = pith_vk_of(b);
    assert_true(pith_vk_tuned_empty(&vk->device.tuned));
    bool software = physical.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
    if (software) { /* not unless it is asked for */
        pith_vk_tuner_run(vk, false);
        assert_true(pith_vk_tuned_empty(&vk->device.tuned));
    }
    pith_vk_tuner_run(vk, true);
    if (!pith_vk_has_coopmat(&vk->device)) {
        assert_true(pith_vk_tuned_empty(&vk->device.tuned)); /* one kernel, nothing to choose */
        pith_backend_destroy(&b);
        return;
    }
    assert_false(pith_vk_tuned_empty(&vk->device.tuned));
    assert_string_not_equal(pith_backend_device(b)->tiles, "");
    pith_vk_tuned won = vk->device.tuned;
    int i = 0, j = 0; /* a class that was measured */
    while (won.tile[i][j] == 0) {
        j = (j + 1) % PITH_VK_TUNED_N;
        i += j == 0;
    }
    uint32_t m = pith_vk_tuned_m[i], rows = pith_vk_tuned_n[j];
    pith_vk_tile got = pith_vk_tile_choose(&vk->device, m, rows, 4096, PITH_VK_HALVES);
    assert_true(same(&got, &tiles[won.tile[i][j] - 1]));
    pith_backend_destroy(&b);

    b = vk_test_backend(&physical, NULL); /* remembered by the next one, and shown */
    vk = pith_vk_of(b);
    pith_vk_tuned now;
    pith_vk_tuner_load(&physical, &now);
    assert_memory_equal(now.tile, won.tile, sizeof won.tile);
    assert_memory_equal(vk->device.tuned.tile, won.tile, sizeof won.tile);
    assert_string_not_equal(pith_backend_device(b)->tiles, "");
    /* Every tile that fits is taken when the table says so. */
    for (int t = 0; t < n; t++) {
        pith_vk_tile fits = tiles[t];
        if (!pith_vk_tile_fits(&vk->device, 4096, &fits))
            continue;
        vk->device.tuned.tile[i][j] = t + 1;
        got = pith_vk_tile_choose(&vk->device, m, rows, 4096, PITH_VK_HALVES);
        assert_true(same(&got, &tiles[t]) && got.invocations > 0);
    }
    vk->device.tuned.tile[i][j] = n + 1; /* beyond the list: the rule of thumb */
    got = pith_vk_tile_choose(&vk->device, m, rows, 4096, PITH_VK_HALVES);
    assert_int_equal(got.variant, PITH_SPV_GEMM_COOPMAT);
    setenv("PITH_VK_TILE", "32,32,32,16,16,1", 1);
    got = pith_vk_tile_choose(&vk->device, m, rows, 4096, PITH_VK_HALVES);
    unsetenv("PITH_VK_TILE");
    assert_true(got.bm == 32 && got.bn == 32);
    pith_backend_destroy(&b);
}

/* Kernel and sizes of attention by what a device has, where the build has the kernels. */
static void test_attend(void **state)
{
    (void)state;
    static const struct { bool two; uint32_t shared, dim, subs, keys; } cases[] = {
        {true, 49152, 64, 8, 64},  {true, 49152, 80, 8, 64},  {true, 49152, 96, 8, 64},  {true, 49152, 128, 8, 64}, {true, 32768, 64, 8, 64},
        {true, 32768, 128, 8, 32}, {true, 16384, 128, 0, 0},  {true, 49152, 40, 0, 0},   {true, 49152, 144, 0, 0},
        {false, 49152, 64, 8, 32}, {false, 49152, 128, 8, 32}, {false, 32768, 128, 4, 32}, {false, 16384, 128, 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pith_vk_device d = {.caps = PITH_VK_CAP(SUBGROUP) | PITH_VK_CAP(COOPMAT), .shared_bytes = cases[i].shared, .physical = {.subgroup = 32}};
        d.physical.properties.limits.maxComputeWorkGroupInvocations = 1024;
        d.caps |= cases[i].two ? PITH_VK_CAP(COOPMAT2) : 0;
        if (!pith_vk_spv[cases[i].two ? PITH_SPV_ATTN_MATRIX2 : PITH_SPV_ATTN_MATRIX].code)
            continue;
        const pith_vk_attend a = pith_vk_attend_choose(&d, cases[i].dim);
        assert_int_equal(a.subs, cases[i].subs);
        assert_int_equal(a.keys, cases[i].keys);
        assert_true(a.two == (cases[i].two && a.subs));
    }
}

/* Mat-vec in halves on every device that there may be: what is staged fits, and is whole turns. */
static void test_vector(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {8, 16, 32, 64, 128}, shared[] = {16384, 32768, 49152}, most[] = {128, 256, 1024};
    static const uint32_t rows[] = {1, 64, 4096, 12288, 128256}, units[] = {1, 18, 48, 128, 344, 448, 900};
    for (size_t i = 0; i < 5 * 3 * 3 * 5 * 7 * 2; i++) {
        size_t k = i;
        pith_vk_device d = {.cores = 132};
        bool nibbles = k % 2;
        d.physical.subgroup = sizes[(k /= 2) % 5];
        d.shared_bytes = shared[(k /= 5) % 3];
        uint32_t invocations = most[(k /= 3) % 3], n = rows[(k /= 3) % 5], u = units[k / 5];
        d.physical.properties.limits.maxComputeWorkGroupInvocations = d.physical.properties.limits.maxComputeWorkGroupSize[0] = invocations;
        const pith_vk_vector v = pith_vk_vector_half_choose(&d, n, u, nibbles);
        assert_true(v.invocations <= (invocations > d.physical.subgroup ? invocations : d.physical.subgroup));
        assert_true(v.lanes * v.split <= v.invocations && v.lanes <= d.physical.subgroup && v.workgroups > 0 && v.depth > 0);
        assert_true(v.stage == u || (v.stage > 0 && v.stage < u && v.stage % (v.lanes * v.split) == 0));
        assert_true(80 * v.stage + 4 * v.rows * (v.invocations / v.lanes) + (nibbles ? 0 : 1024) <= d.shared_bytes);
    }
}

int main(void)
{
    char folder[] = "/tmp/pith-tuner-XXXXXX";
    physical = vk_test_device();
    if (!mkdtemp(folder)) {
        perror(folder);
        return 1;
    }
    setenv("XDG_CACHE_HOME", folder, 1);
    unsetenv("PITH_VK_CACHE");
    pith_vk_cache_path(&physical, ".tiles", path, sizeof path);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_classes), cmocka_unit_test(test_file), cmocka_unit_test(test_no_cache),
                                       cmocka_unit_test(test_race), cmocka_unit_test(test_attend), cmocka_unit_test(test_vector), cmocka_unit_test(vk_test_silent)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) == 0 && failed == 0 ? 0 : 1;
}
