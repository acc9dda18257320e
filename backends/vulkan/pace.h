/* SPDX-License-Identifier: MIT */
/* How long work takes on this device, learnt from the times of its own submissions: what one submission may hold follows.
 * No watchdog and no desktop waits longer than the target for one, and the first guess need not be good. */
#ifndef PITH_VK_PACE_H
#define PITH_VK_PACE_H

#include "device.h"

/* Kinds of work with a rate each: products and the rest of many tokens, attention of many tokens, all of a few tokens. */
typedef enum pith_vk_work { PITH_VK_WORK_MANY, PITH_VK_WORK_ATTEND, PITH_VK_WORK_FEW, PITH_VK_WORKS } pith_vk_work;

#define PITH_VK_CEILING_S 1.0  /* of a submission: more is worth a warning */
#define PITH_VK_QUEUED_S 1.0   /* of work submitted and not done, the newest submission left out */
#define PITH_VK_FEW_TOKENS 4   /* the kernels for few tokens take so many */

typedef struct pith_vk_pace {
    double target;                            /* seconds of a submission */
    double seconds_per_flop[PITH_VK_WORKS];
    bool warned;
} pith_vk_pace;

/* First guesses: 100 ms on integrated devices, 250 ms on others, 50 ms with `safe`. */
void pith_vk_pace_init(pith_vk_pace *pace, const pith_vk_physical *physical, bool safe);
double pith_vk_pace_seconds(const pith_vk_pace *pace, const double flop[PITH_VK_WORKS]);
/* A submission with so much work took so long. What is slower than expected counts at once, what is faster by and by. */
void pith_vk_pace_learn(pith_vk_pace *pace, const pith_vk_physical *physical, const double flop[PITH_VK_WORKS], double seconds);
/* Have rates moved so far from `then` that cutting again is worth its while? */
bool pith_vk_pace_moved(const pith_vk_pace *pace, const double then[PITH_VK_WORKS]);

#endif
