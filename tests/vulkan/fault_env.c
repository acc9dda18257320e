/* SPDX-License-Identifier: MIT */
/* Linked into a copy of the program: PITH_TEST_LOSE="n,m" in the environment loses the device at those submissions. How
 * many there were is the last line on stderr. */
#include "fault.h"

#include <stdio.h>
#include <stdlib.h>

static void report(void)
{
    fprintf(stderr, "submissions: %d\n", fault.n_submit);
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
