/* SPDX-License-Identifier: MIT */
/* What the Vulkan tests share: the device by name (PITH_TEST_DEVICE, else llvmpipe), exit code 77 when it is not there,
 * and whether the validation layer was silent. With PITH_VK_REQUIRED=1 a missing device or layer is a failure. */
#ifndef PITH_TESTS_VK_TEST_H
#define PITH_TESTS_VK_TEST_H

#include "vulkan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define assert_ok(expr)                                                                       \
    do {                                                                                      \
        pith_status status_ = (expr);                                                         \
        if (status_ != PITH_OK)                                                               \
            fail_msg("%s: %s: %s", #expr, pith_status_name(status_), pith_last_error());      \
    } while (0)

static inline const char *vk_test_name(void)
{
    const char *name = getenv("PITH_TEST_DEVICE");
    return name && *name ? name : "llvmpipe";
}

static inline bool vk_test_set(const char *variable)
{
    const char *value = getenv(variable);
    return value && *value && strcmp(value, "0") != 0;
}

/* Ends the program: with 77, skipped, unless the tests must run. */
static inline void vk_test_absent(const char *what)
{
    bool required = vk_test_set("PITH_VK_REQUIRED");
    fprintf(stderr, "%s: %s: %s\n", required ? "failed, PITH_VK_REQUIRED is set" : "skipped", what, pith_last_error());
    exit(required ? 1 : 77);
}

/* PITH_TEST_LIMITS=small: the least that Vulkan 1.2 guarantees of what the backend looks at. */
static inline void vk_test_limits(pith_vk_physical *p)
{
    VkPhysicalDeviceLimits *l = &p->properties.limits;
    if (!vk_test_set("PITH_TEST_LIMITS"))
        return;
    l->maxComputeSharedMemorySize = 16 << 10;
    l->maxStorageBufferRange = 128 << 20;
    l->maxComputeWorkGroupInvocations = 128;
    l->maxComputeWorkGroupSize[0] = l->maxComputeWorkGroupSize[1] = 128;
    l->maxComputeWorkGroupSize[2] = 64;
    l->maxComputeWorkGroupCount[0] = l->maxComputeWorkGroupCount[1] = l->maxComputeWorkGroupCount[2] = 65535;
    l->minStorageBufferOffsetAlignment = 256;
}

/* The physical device of the test. The instance stays held. */
static inline pith_vk_physical vk_test_device(void)
{
    pith_vk_physical all[16];
    VkInstance instance;
    pith_status status = pith_vk_instance_acquire(&instance);
    if (status != PITH_OK && !vk_test_set("PITH_VK_REQUIRED")) { /* no validation layer: better without than not at all */
        fprintf(stderr, "%s; going on without\n", pith_last_error());
        setenv("PITH_VK_VALIDATION", "0", 1);
        status = pith_vk_instance_acquire(&instance);
    }
    if (status != PITH_OK)
        vk_test_absent("no Vulkan instance");
    size_t n = instance ? pith_vk_physical_list(instance, all, 16) : 0;
    for (size_t i = 0; i < n && i < 16; i++) {
        if (strstr(all[i].properties.deviceName, vk_test_name())) {
            vk_test_limits(&all[i]);
            return all[i];
        }
    }
    pith_fail(PITH_ERROR_NOT_FOUND, "%zu others", n);
    vk_test_absent(vk_test_name());
    abort();
}

/* A software device counts as two cores, too few for parts of the keys in more than one workgroup of a KV head. */
static inline void vk_test_cores(pith_vk_physical *p)
{
    if (p->properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU)
        p->cores = 8;
}

/* Can the device run a module? By its need in variants.txt (one that is no capability's name is taken for lacking), and by
 * its own words for half arithmetic. */
static inline bool vk_test_fits(const pith_vk_physical *physical, const pith_vk_spv_module *m)
{
    static const char *const names[] = {
#define X(NAME, name, what) name,
        PITH_VK_CAP_MAP(X)
#undef X
    };
    const uint32_t op_capability = 17, float16 = 9, header = 5;
    for (size_t w = header; w + 1 < m->bytes / 4 && (m->code[w] & 0xFFFF) == op_capability; w += m->code[w] >> 16)
        if (m->code[w + 1] == float16 && !(physical->caps & PITH_VK_CAP(FP16)))
            return false;
    for (int i = 0; i < PITH_VK_CAP_COUNT; i++)
        if (strcmp(m->need, names[i]) == 0)
            return physical->caps >> i & 1;
    return strcmp(m->need, "-") == 0;
}

static inline pith_backend *vk_test_backend(const pith_vk_physical *physical, const pith_vk_backend_params *params)
{
    const pith_vk_backend_params none = {.threads = 2};
    pith_backend *b;
    assert_ok(pith_vk_backend_create_on(physical, params ? params : &none, &b));
    return b;
}

/* Last test of every program: a message of the validation layer is a failure. */
static inline void vk_test_silent(void **state)
{
    (void)state;
    assert_int_equal(pith_vk_validation_messages(), 0);
}

#endif
