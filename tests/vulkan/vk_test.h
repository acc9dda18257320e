/* SPDX-License-Identifier: MIT */
/* What the Vulkan tests share: the device by name (PITH_TEST_DEVICE, else llvmpipe), exit code 77 when it is not there,
 * and whether the validation layer was silent. */
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

/* The physical device of the test; ends the program with 77 when there is none. The instance stays held. */
static inline pith_vk_physical vk_test_device(void)
{
    pith_vk_physical all[16];
    VkInstance instance;
    size_t n = pith_vk_instance_acquire(&instance) == PITH_OK && instance ? pith_vk_physical_list(instance, all, 16) : 0;
    for (size_t i = 0; i < n && i < 16; i++)
        if (strstr(all[i].properties.deviceName, vk_test_name()))
            return all[i];
    fprintf(stderr, "skipped: no Vulkan device named %s\n", vk_test_name());
    exit(77);
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
