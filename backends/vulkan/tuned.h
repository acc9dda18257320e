/* SPDX-License-Identifier: MIT */
/* Which tile of a device's list was fastest for products of a size, as the tuner (tuner.h) found out; data. */
#ifndef PITH_VK_TUNED_H
#define PITH_VK_TUNED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A product of m tokens with n rows belongs to the smallest class that holds it, or to the largest. */
#define PITH_VK_TUNED_M 7 /* 32, 64, 128, 256, 512, 1024, 4096 */
#define PITH_VK_TUNED_N 3 /* 1024, 4096, 8192 */
extern const uint32_t pith_vk_tuned_m[PITH_VK_TUNED_M], pith_vk_tuned_n[PITH_VK_TUNED_N];

typedef struct pith_vk_tuned {
    int tile[PITH_VK_TUNED_M][PITH_VK_TUNED_N];   /* 1 + index in pith_vk_tile_list; 0: not measured */
    float rate[PITH_VK_TUNED_M][PITH_VK_TUNED_N]; /* TFLOP/s */
} pith_vk_tuned;

/* Index in pith_vk_tile_list, or -1. A class that was not measured answers like the next shorter one that was. */
int pith_vk_tuned_find(const pith_vk_tuned *tuned, uint32_t m, uint32_t n);
bool pith_vk_tuned_empty(const pith_vk_tuned *tuned);

#endif
