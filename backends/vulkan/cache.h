/* SPDX-License-Identifier: MIT */
/* Files that are remembered between runs, in $XDG_CACHE_HOME/pith or ~/.cache/pith: one per device, driver version and
 * shaders of this build, so that nothing old is ever taken for new. PITH_VK_CACHE=0: none. What is read back may have
 * been written by anyone; readers check it. */
#ifndef PITH_VK_CACHE_H
#define PITH_VK_CACHE_H

#include "device.h"

/* "<folder>/vulkan-<vendor>-<device>-<driver>-<build><suffix>" in path[size], folders made; "" where nothing is kept. */
void pith_vk_cache_path(const pith_vk_physical *physical, const char *suffix, char *path, size_t size);
/* The whole file, owned, a NUL behind it; NULL when there is none, or more than `most` bytes of it. */
void *pith_vk_cache_read(const char *path, size_t most, size_t *size);
/* Whole or not at all: under a name of its own first. Whether it arrived. */
bool pith_vk_cache_write(const char *path, const void *data, size_t size);

#endif
