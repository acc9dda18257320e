/* SPDX-License-Identifier: MIT */
#include "race.h"

#define WARM_SAMPLE 1e-3    /* seconds of work in a submission, or the device idles between them */
#define WARM_QUIET 0.3      /* seconds of work without getting faster: as fast as it gets */
#define WARM_MOST 1.5
#define FASTER 0.98         /* of the best so far; less is noise */
#define SAMPLE_SECONDS 3e-4 /* of a submission that counts */
#define REPEAT_MOST 256
#define HOPELESS 1.6        /* times the best in two rounds: no further turn */

static int repeats(double once, double wanted)
{
    double n = once > 0 ? wanted / once + 1 : 1;
    return n < REPEAT_MOST ? (int)n : REPEAT_MOST;
}

pith_status pith_vk_race_warm(pith_vk_race_time time, void *user, int which)
{
    double best = 1e30, spent = 0, quiet = 0;
    for (int repeat = 1; quiet < WARM_QUIET && spent < WARM_MOST;) {
        double s;
        PITH_TRY(time(user, which, repeat, &s));
        if (s < 0)
            return PITH_OK;
        double once = s / repeat;
        s = s > WARM_SAMPLE / 10 ? s : WARM_SAMPLE / 10; /* a clock that stands still must not hold us here */
        spent += s;
        quiet += s;
        if (once < FASTER * best) { /* else best stays: many small steps count as well */
            best = once;
            quiet = 0;
        }
        repeat = repeats(once, WARM_SAMPLE);
    }
    return PITH_OK;
}

pith_status pith_vk_race_run(pith_vk_race_time time, void *user, int n, int rounds, int *best, double *seconds)
{
    double once[PITH_VK_RACE_MAX];
    int first = -1;
    *best = -1;
    for (int round = 0; n > 0 && round < rounds; round++) {
        for (int i = 0; i < n; i++) {
            double s;
            if (round > 1 && once[i] > HOPELESS * once[first])
                continue;
            int repeat = round > 0 ? repeats(once[i], SAMPLE_SECONDS) : 1;
            PITH_TRY(time(user, i, repeat, &s));
            if (s < 0)
                return PITH_OK;
            s /= repeat;
            once[i] = round == 0 || s < once[i] ? s : once[i];
            first = first < 0 || once[i] < once[first] ? i : first;
        }
        *best = first;
        *seconds = once[first];
    }
    return PITH_OK;
}
