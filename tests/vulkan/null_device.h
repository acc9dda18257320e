/* SPDX-License-Identifier: MIT */
/* RADV's null hardware can make pipelines and hardly anything else: no semaphore, no buffer, no command buffer. Between
 * begin and end, new devices get stand-ins for all of that, which succeed and do nothing; shader modules, pipelines and
 * their caches stay the driver's. The instance must be held. */
#ifndef PITH_TESTS_NULL_DEVICE_H
#define PITH_TESTS_NULL_DEVICE_H

#include "vk_test.h"

void null_device_begin(void);
void null_device_end(void);

#endif
