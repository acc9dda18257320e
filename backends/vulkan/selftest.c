/* SPDX-License-Identifier: MIT */
/* Who is to blame is found by hiding: the one capability without which a failing check passes, else all of them in turn. */
#include "selftest.h"
#include "base/log.h"
#include "base/os.h"
#include "cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX 4096

/* Suspects, those first whose loss costs least. */
static const uint32_t suspects[] = {PITH_VK_CAP(CHAIN), PITH_VK_CAP(SUBNORMAL), PITH_VK_CAP(STEP), PITH_VK_CAP(HALF), PITH_VK_CAP(COOPMAT2), PITH_VK_CAP(COOPMAT), PITH_VK_CAP(INTDOT), PITH_VK_CAP(INT8),
                                    PITH_VK_CAP(SUBGROUP), PITH_VK_CAP(FP16)};
#define N_SUSPECTS ((int)(sizeof suspects / sizeof suspects[0]))

/* ---- the verdict ---------------------------------------------------------------------------------------------------- */

/* A line of the file: "caps bad", eight hex digits each; the first line tells what the file is. */
static const char title[] = "pith self-test 4\n";

static bool verdict_read(const pith_vk_physical *physical, uint32_t caps, uint32_t *bad)
{
    char path[512];
    size_t size;
    pith_vk_cache_path(physical, ".test", path, sizeof path);
    char *text = pith_vk_cache_read(path, FILE_MAX - 1, &size);
    bool found = false;
    if (text && strncmp(text, title, sizeof title - 1) == 0)
        for (const char *line = text + sizeof title - 1; *line; line += strcspn(line, "\n") + 1) { /* the last word counts */
            unsigned a, b;
            if (sscanf(line, "%8x %8x\n", &a, &b) == 2 && a == caps && (b & ~a) == 0) {
                *bad = b;
                found = true;
            }
            if (!strchr(line, '\n'))
                break;
        }
    free(text);
    return found;
}

/* Adds a line, or begins the file anew when it is another's or full. */
static void verdict_write(const pith_vk_physical *physical, uint32_t caps, uint32_t bad)
{
    char path[512], text[FILE_MAX];
    size_t size;
    pith_vk_cache_path(physical, ".test", path, sizeof path);
    char *old = pith_vk_cache_read(path, FILE_MAX - 64, &size);
    bool ours = old && strncmp(old, title, sizeof title - 1) == 0;
    int n = snprintf(text, sizeof text, "%s%08x %08x\n", ours ? old : title, caps, bad);
    free(old);
    if (n > 0 && (size_t)n < sizeof text && !pith_vk_cache_write(path, text, (size_t)n))
        pith_log(PITH_LOG_INFO, "vulkan: the self-test's verdict could not be remembered");
}

void pith_vk_selftest_condemn(pith_vk_backend *vk, uint32_t bad)
{
    uint32_t caps = vk->device.caps | vk->caps_off;
    if (vk->testing) /* the self-test comes to its own verdict */
        return;
    vk->caps_off |= bad;
    verdict_write(&vk->physical, caps, vk->caps_off);
}

void pith_vk_selftest_describe(const pith_vk_physical *physical, uint32_t caps, char *text, size_t size)
{
    uint32_t bad;
    char names[96];
    if (!verdict_read(physical, caps, &bad)) {
        bool software = physical->properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
        snprintf(text, size, software ? "not run: software (PITH_VK_TEST=1 asks for it)" : "not run yet");
        return;
    }
    pith_vk_caps_describe(bad, names, sizeof names);
    snprintf(text, size, bad ? "failed: without %s" : "passed", names);
}

/* ---- the test ------------------------------------------------------------------------------------------------------- */

static uint32_t without(uint32_t caps, uint32_t cap)
{
    return pith_vk_caps_close(caps & ~cap);
}

/* One check with these capabilities; a lost device is taken anew and counts as a failure. */
static pith_status try_check(pith_vk_backend *vk, const pith_vk_probe *check, uint32_t caps, bool *good)
{
    for (int i = 0; i < 2; i++) { /* lost once may be another program's doing */
        *good = false;
        vk->device.caps = caps;
        pith_status status = check->run(vk, good);
        if (status == PITH_OK || status == PITH_ERROR_NO_MEMORY)
            return status;
        pith_log(PITH_LOG_WARNING, "vulkan: self-test: %s: %s", check->name, pith_last_error());
        *good = false;
        PITH_TRY(pith_vk_reopen(vk));
    }
    return PITH_OK;
}

/* What of caps the check fails with; all of it means: even without. */
static pith_status blame(pith_vk_backend *vk, const pith_vk_probe *check, uint32_t caps, uint32_t *bad, bool *good)
{
    for (int i = 0; i < N_SUSPECTS; i++) {
        if (!(caps & suspects[i]))
            continue;
        PITH_TRY(try_check(vk, check, without(caps, suspects[i]), good));
        *bad = suspects[i];
        if (*good)
            return PITH_OK;
    }
    *bad = 0;
    for (int i = 0; i < N_SUSPECTS && !*good; i++) {
        if (!(caps & suspects[i]))
            continue;
        *bad |= suspects[i];
        PITH_TRY(try_check(vk, check, without(caps, *bad), good));
    }
    return PITH_OK;
}

static pith_status run_all(pith_vk_backend *vk, uint32_t caps, uint32_t *bad)
{
    const char *name = vk->physical.properties.deviceName;
    *bad = 0;
    for (int i = 0; i < pith_vk_n_probes; i++) {
        const pith_vk_probe *check = &pith_vk_probes[i];
        bool good;
        uint32_t more;
        char names[96];
        PITH_TRY(try_check(vk, check, without(caps, *bad), &good));
        if (good)
            continue;
        PITH_TRY(blame(vk, check, without(caps, *bad), &more, &good));
        if (!good)
            return pith_fail(PITH_ERROR_DEVICE, "vulkan: %s (%s %s): the self-test fails with every feature off: %s is wrong; another driver or "
                             "--device cpu", name, vk->physical.driver.driverName, vk->physical.driver.driverInfo, check->name);
        *bad |= more;
        pith_vk_caps_describe(more, names, sizeof names);
        pith_log(PITH_LOG_WARNING, "vulkan: %s (%s %s): self-test: %s is wrong with %s, which is not used from now on", name,
                 vk->physical.driver.driverName, vk->physical.driver.driverInfo, check->name, names);
    }
    return PITH_OK;
}

pith_status pith_vk_selftest(pith_vk_backend *vk)
{
    const char *asked = getenv("PITH_VK_TEST");
    uint32_t caps = vk->device.caps, bad = 0;
    bool software = vk->physical.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
    if (asked ? strcmp(asked, "0") == 0 : software)
        return PITH_OK;
    if (!verdict_read(&vk->physical, caps, &bad)) {
        uint64_t begin = pith_os_now_ns();
        bool retune = vk->retune;
        vk->retune = false;
        vk->testing = true;
        pith_status status = run_all(vk, caps, &bad);
        vk->testing = false;
        vk->retune = retune;
        PITH_TRY(status);
        verdict_write(&vk->physical, caps, bad);
        pith_log(PITH_LOG_INFO, "vulkan: %s: self-test in %.1f s", vk->physical.properties.deviceName,
                 (double)(pith_os_now_ns() - begin) * 1e-9);
    }
    vk->caps_off = caps & ~without(caps, bad);
    vk->device.caps = caps & ~vk->caps_off;
    return PITH_OK;
}
