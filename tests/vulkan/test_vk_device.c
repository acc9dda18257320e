/* SPDX-License-Identifier: MIT */
/* Listing and choosing devices; buffers: zeroed, written, read, moved onto themselves; what hiding does. */
#include "vk_test.h"

static pith_vk_physical physical;

static void test_list(void **state)
{
    (void)state;
    pith_device_info all[16];
    size_t n = pith_device_list(all, 16);
    assert_true(n >= 2 && n <= 16);
    assert_string_equal(all[0].id, "cpu");
    bool found = false;
    for (size_t i = 1; i < n; i++) {
        char index[32];
        snprintf(index, sizeof index, "%zu", i);
        assert_string_equal(all[i].id, index);
        assert_true(all[i].memory_bytes > 0);
        found = found || strstr(all[i].name, vk_test_name());
    }
    assert_true(found);
    assert_int_equal(pith_device_list(NULL, 0), n);
}

static pith_status create(const char *device)
{
    pith_backend_params params = pith_backend_params_default();
    params.device = device;
    pith_backend *b = NULL;
    pith_status status = pith_backend_create(&params, &b);
    assert_int_equal(status == PITH_OK, b != NULL);
    pith_backend_destroy(&b);
    return status;
}

static void test_choose(void **state)
{
    (void)state;
    assert_ok(create("cpu"));
    assert_ok(create("0"));
    assert_ok(create(vk_test_name()));
    assert_int_equal(create("no such device"), PITH_ERROR_NOT_FOUND);
    assert_non_null(strstr(pith_last_error(), vk_test_name()));
    assert_int_equal(create("99"), PITH_ERROR_NOT_FOUND);
    if (physical.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU) { /* a software device only when it is named */
        pith_device_info all[16];
        size_t n = pith_device_list(all, 16);
        bool real = false;
        for (size_t i = 1; i < n && i < 16; i++)
            real = real || strcmp(all[i].type, "software") != 0;
        assert_int_equal(create("gpu"), real ? PITH_OK : PITH_ERROR_NOT_FOUND);
    }
}

/* Devices that this machine does not have. */
static pith_vk_physical invented(const char *name, VkPhysicalDeviceType type, const char *pci)
{
    pith_vk_physical p = {.usable = true};
    snprintf(p.properties.deviceName, sizeof p.properties.deviceName, "%s", name);
    snprintf(p.pci, sizeof p.pci, "%s", pci);
    p.properties.deviceType = type;
    return p;
}

static void test_choose_among(void **state)
{
    (void)state;
    pith_vk_physical d[] = {invented("llvmpipe (LLVM 15.0.6, 256 bits)", VK_PHYSICAL_DEVICE_TYPE_CPU, ""),
                            invented("Intel(R) UHD Graphics 630", VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU, "0000:00:02.0"),
                            invented("NVIDIA H100 NVL", VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, "0000:01:00.0"),
                            invented("NVIDIA H100", VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, "0000:41:00.0"),
                            invented("Virtio", VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU, ""),
                            invented("NVIDIA H200", VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, "0001:01:00.0")};
    const size_t n = sizeof d / sizeof d[0];
    pith_vk_physical_sort(d, n);
    static const char *const order[] = {"NVIDIA H100 NVL", "NVIDIA H100", "NVIDIA H200", "Intel(R) UHD Graphics 630", "Virtio"};
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(d[i].properties.deviceName, order[i]);
    static const struct { const char *text; size_t index; const char *says; } cases[] = {
        {"gpu", 0, NULL}, {"GPU", 0, NULL}, {"1", 0, NULL}, {"6", 5, NULL}, {"h200", 2, NULL}, {"uhd", 3, NULL}, {"LLVMpipe", 5, NULL},
        {"nvidia h100", 1, NULL}, {"NVL", 0, NULL}, {"0000:41:00.0", 1, NULL}, {"41:00.0", 1, NULL}, {"0001:01:00.0", 2, NULL},
        {"nvidia", 6, "fits 3 devices (1: NVIDIA H100 NVL 0000:01:00.0; 2: NVIDIA H100 0000:41:00.0"}, {"h100", 6, "fits 2 devices"},
        {"7", 6, "got '7'"}, {"0", 6, "got '0'"}, {"630", 6, "got '630'"}, {"radeon", 6, "got 'radeon'"}, {"41:00.1", 6, "got"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(pith_vk_physical_choose(d, n, 1, cases[i].text), cases[i].index);
        if (cases[i].says)
            assert_non_null(strstr(pith_last_error(), cases[i].says));
    }
    assert_int_equal(pith_vk_physical_choose(d + 5, 1, 1, "gpu"), 1); /* software alone */
    assert_non_null(strstr(pith_last_error(), "llvmpipe"));
    assert_int_equal(pith_vk_physical_choose(NULL, 0, 1, "gpu"), 0);
    assert_non_null(strstr(pith_last_error(), "no Vulkan device"));
}

static void test_describe(void **state)
{
    (void)state;
    pith_device_info info;
    pith_vk_describe(&physical, physical.caps & ~PITH_VK_CAP(INT8), &info);
    assert_string_equal(info.name, physical.properties.deviceName);
    assert_true(info.vendor[0] && info.driver[0] && strstr(info.api, "Vulkan 1."));
    assert_int_equal(info.n_heaps, physical.memory.memoryHeapCount);
    assert_true(info.heaps[0].bytes > 0 && info.subgroup_min <= info.subgroup && info.subgroup <= info.subgroup_max);
    assert_true(info.shared_bytes >= 16384 && info.binding_max_bytes >= (uint64_t)1 << 27 && info.workgroup_max >= 128);
    assert_null(strstr(info.features, "int8"));
    assert_int_equal(strstr(info.features, "fp16") != NULL, (physical.caps & PITH_VK_CAP(FP16)) != 0);
    pith_vk_physical p = physical;
    p.properties.vendorID = 0x4321;
    p.driver.driverInfo[0] = '\0';
    p.properties.driverVersion = VK_MAKE_API_VERSION(0, 7, 8, 9);
    pith_vk_describe(&p, p.caps, &info);
    assert_string_equal(info.vendor, "0x4321");
    assert_non_null(strstr(info.driver, " 7.8.9"));
}

static void test_hide(void **state)
{
    (void)state;
    pith_vk_device d;
    assert_int_equal(pith_vk_device_create(&physical, "fp16,nonsense", &d), PITH_ERROR_INVALID_ARGUMENT);
    assert_ok(pith_vk_device_create(&physical, "all", &d));
    assert_int_equal(d.caps, 0);
    pith_vk_device_destroy(&d);
    assert_ok(pith_vk_device_create(&physical, "fp16", &d));
    assert_int_equal(d.caps & (PITH_VK_CAP(FP16) | PITH_VK_CAP(COOPMAT)), 0);
    pith_vk_device_destroy(&d);
}

/* Moves within a buffer against memmove, for every small overlap, with memory that the host maps and without. */
static void test_buffers(void **state)
{
    (void)state;
    static const char *const hides[] = {"", "hostvisible"};
    for (int h = 0; h < 2; h++) {
        const pith_vk_backend_params params = {.hide = hides[h], .threads = 1};
        pith_backend *b = vk_test_backend(&physical, &params);
        pith_buf *buf;
        uint8_t want[400], got[400];
        assert_ok(b->fns->buf_create(b, sizeof want, &buf));
        assert_ok(b->fns->buf_read(buf, 0, got, sizeof got));
        for (size_t i = 0; i < sizeof got; i++)
            assert_int_equal(got[i], 0);
        for (size_t to = 0; to < 120; to += 20) {
            for (size_t from = 0; from < 120; from += 28) {
                for (size_t i = 0; i < sizeof want; i++)
                    want[i] = (uint8_t)(7 * i + to);
                assert_ok(b->fns->buf_write(buf, 0, want, sizeof want));
                memmove(want + to, want + from, 200);
                assert_ok(b->fns->buf_move(buf, to, from, 200));
                assert_ok(b->fns->buf_read(buf, 0, got, sizeof got));
                assert_memory_equal(got, want, sizeof want);
            }
        }
        assert_int_equal(b->fns->buf_write(buf, 390, want, 11), PITH_ERROR_INVALID_ARGUMENT);
        assert_int_equal(b->fns->buf_move(buf, 0, 300, 101), PITH_ERROR_INVALID_ARGUMENT);
        b->fns->buf_destroy(&buf);
        assert_null(buf);
        pith_backend_destroy(&b);
    }
}

int main(void)
{
    physical = vk_test_device();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_list), cmocka_unit_test(test_choose), cmocka_unit_test(test_choose_among),
                                       cmocka_unit_test(test_describe), cmocka_unit_test(test_hide),
                                       cmocka_unit_test(test_buffers), cmocka_unit_test(vk_test_silent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
