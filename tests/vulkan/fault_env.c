/* SPDX-License-Identifier: MIT */
/* Linked into a copy of the program: PITH_TEST_LOSE="n,m" in the environment loses the device at those submissions. Which
 * modules were made and how many submissions there were are the last lines on stderr. */
#include "fault.h"

#include <stdio.h>
#include <stdlib.h>

static void report(void)
{
    fprintf(stderr, "modules:");
    for (int i = 0; i < PITH_SPV_COUNT; i++)
        if (fault.made[i])
            fprintf(stderr, " %s", pith_vk_spv[i].name);
    fprintf(stderr, "\nsubmissions: %d\n", fault.n_submit);
}

__attribute__((constructor)) static void fault_from_environment(void)
{
    vk_fault f = {0};
    const char *text = getenv("PITH_TEST_LOSE");
    if (text && sscanf(text, "%d,%d,%d", &f.lose[0], &f.lose[1], &f.lose[2]) > 0) {
        vk_fault_set(&f);
        atexit(report);
    }
}
