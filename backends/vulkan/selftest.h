/* SPDX-License-Identifier: MIT */
/* Does the device compute what it should? At the first use of a device, driver and build, each fast path runs on small
 * data and is compared with plain C; what is wrong is hidden, as `hide` would, and the verdict is remembered. */
#ifndef PITH_VK_SELFTEST_H
#define PITH_VK_SELFTEST_H

#include "vulkan.h"

/* One check: runs something on the device with the capabilities in use, and judges. */
typedef struct pith_vk_probe {
    const char *name;
    /* *good: the values are right. Errors: DEVICE (it was lost: as bad as a wrong value), NO_MEMORY. */
    pith_status (*run)(pith_vk_backend *vk, bool *good);
} pith_vk_probe;

extern const pith_vk_probe pith_vk_probes[]; /* probes.c */
extern const int pith_vk_n_probes;

/* Hides what fails from the device's capabilities, with a warning for each. Takes a remembered verdict where there is one.
 * PITH_VK_TEST=0 in the environment: does nothing; software devices are tested only with PITH_VK_TEST=1. Errors: DEVICE (wrong even with everything hidden), NO_MEMORY. */
pith_status pith_vk_selftest(pith_vk_backend *vk);
/* What failed in use: off from the next reopening on, and the last word of the remembered verdict. During the self-test: nothing. */
void pith_vk_selftest_condemn(pith_vk_backend *vk, uint32_t bad);
/* "passed", "failed: coopmat is not used" or "not run yet" for a device with these capabilities. */
void pith_vk_selftest_describe(const pith_vk_physical *physical, uint32_t caps, char *text, size_t size);

/* Takes the device anew (backend.c), after DEVICE. Nothing of others may lie there. */
pith_status pith_vk_reopen(pith_vk_backend *vk);

#endif
