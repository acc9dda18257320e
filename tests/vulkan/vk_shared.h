/* SPDX-License-Identifier: MIT */
/* Backends that the cases of one program share: a software device compiles some shaders for seconds, and a backend keeps
 * what it compiled. When they are closed, the names of the shader modules that ran go to the file PITH_VK_RAN, from which
 * test_vk_ran.c sees what no test reached. */
#ifndef PITH_TESTS_VK_SHARED_H
#define PITH_TESTS_VK_SHARED_H

#include "vk_test.h"

/* The backend of these parameters on the test's device, made when first asked for. params NULL: none bent. `hide` must be
 * a string literal or NULL. Fails the test when there is no memory or no device. */
pith_backend *vk_shared(const pith_vk_physical *physical, const pith_vk_backend_params *params);

/* Runs behind the tests of every program that shares backends, before vk_test_silent. */
void vk_shared_close(void **state);

#endif
