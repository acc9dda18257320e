/* SPDX-License-Identifier: MIT */
#include "pace.h"
#include "base/log.h"

#define DOMINANT 0.8   /* a submission tells of a kind of work that is this share of it */
#define FASTER_MOST 0.5
#define SLOWER_MOVED 1.25
#define FASTER_MOVED 0.5

void pith_vk_pace_init(pith_vk_pace *p, const pith_vk_physical *physical, bool safe)
{
    double flop = 4e10;
    *p = (pith_vk_pace){.target = 0.25};
    switch (physical->properties.deviceType) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: flop = 1e12; break;
    case VK_PHYSICAL_DEVICE_TYPE_CPU: flop = 2e9; break;
    default: p->target = 0.1; break;
    }
    for (int w = 0; w < PITH_VK_WORKS; w++)
        p->seconds_per_flop[w] = p->target / flop;
    if (safe)
        p->target = 0.05;
}

double pith_vk_pace_seconds(const pith_vk_pace *p, const double flop[PITH_VK_WORKS])
{
    double seconds = 0;
    for (int w = 0; w < PITH_VK_WORKS; w++)
        seconds += flop[w] * p->seconds_per_flop[w];
    return seconds;
}

void pith_vk_pace_learn(pith_vk_pace *p, const pith_vk_physical *physical, const double flop[PITH_VK_WORKS], double seconds)
{
    double expected = pith_vk_pace_seconds(p, flop);
    if (!(expected > 0) || !(seconds > 0))
        return;
    if (seconds > PITH_VK_CEILING_S && !p->warned && pith_vk_pace_seconds(p, flop) <= p->target) {
        pith_log(PITH_LOG_INFO, "vulkan: %s: a submission took %.1f s; the next ones are shorter", physical->properties.deviceName, seconds);
        p->warned = true;
    }
    for (int w = 0; w < PITH_VK_WORKS; w++) {
        double *rate = &p->seconds_per_flop[w], share = flop[w] * *rate / expected, seen = *rate * seconds / expected;
        /* Something that is slower than expected by far slows down all that it is made of. */
        if (share < DOMINANT && !(share > 0 && seconds > 2 * expected && seconds > p->target))
            continue;
        *rate = seen > FASTER_MOST * *rate ? seen : FASTER_MOST * *rate;
    }
}

bool pith_vk_pace_moved(const pith_vk_pace *p, const double then[PITH_VK_WORKS])
{
    for (int w = 0; w < PITH_VK_WORKS; w++)
        if (p->seconds_per_flop[w] > SLOWER_MOVED * then[w] || p->seconds_per_flop[w] < FASTER_MOVED * then[w])
            return true;
    return false;
}
