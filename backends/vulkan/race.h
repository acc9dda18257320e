/* SPDX-License-Identifier: MIT */
/* Which of a few candidates is the quickest, on a device whose clocks move while they are timed. A graphics card that
 * was idle ran at a third of its clock for its first tenth of a second: who is timed later would win. So the device first
 * works until it gets no faster, and then the candidates take turns, each judged by its best. */
#ifndef PITH_VK_RACE_H
#define PITH_VK_RACE_H

#include "base/status.h"

#define PITH_VK_RACE_MAX 16

/* Seconds that candidate `which` takes `repeat` times over; negative ends the race: no time is left. */
typedef pith_status (*pith_vk_race_time)(void *user, int which, int repeat, double *seconds);

/* Has candidate `which` work until its time no longer falls, for 1.5 s at most. Errors: the callback's. */
pith_status pith_vk_race_warm(pith_vk_race_time time, void *user, int which);

/* The quickest of 0 <= n <= PITH_VK_RACE_MAX in *best and what it takes, once, in *seconds; -1 when there was no time for the
 * first round of all. rounds >= 1; after two those that take much longer than the best are left out. Errors: the callback's. */
pith_status pith_vk_race_run(pith_vk_race_time time, void *user, int n, int rounds, int *best, double *seconds);

#endif
