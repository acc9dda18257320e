/* SPDX-License-Identifier: MIT */
/* Every shader module of this build ran in some test: a module that no test reaches is a failure. Left out: what the
 * device of the tests cannot run. Arguments: the files that the tests wrote (vk_shared.h). */
#include "vk_test.h"

static bool ran[PITH_SPV_COUNT];

/* Adds the names in a file; false when it is not there. */
static bool read_names(const char *path)
{
    char line[128];
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        int v = 0;
        while (v < PITH_SPV_COUNT && strcmp(pith_vk_spv[v].name, line) != 0)
            v++;
        if (v < PITH_SPV_COUNT)
            ran[v] = true;
        else
            fprintf(stderr, "%s: no module of this build is called '%s'; run the tests again\n", path, line);
    }
    fclose(f);
    return true;
}

int main(int argc, char **argv)
{
    const pith_vk_physical physical = vk_test_device();
    int missing = 0, count = 0;
    for (int i = 1; i < argc; i++) {
        if (!read_names(argv[i])) {
            fprintf(stderr, "%s: not there: its test did not end\n", argv[i]);
            missing++;
        }
    }
    for (int v = 0; v < PITH_SPV_COUNT; v++) {
        const pith_vk_spv_module *m = &pith_vk_spv[v];
        if (!m->code || !vk_test_fits(&physical, m)) {
            printf("%s: %s (%s)\n", m->name, m->code ? "not for this device" : "left out of this build", m->need);
        } else if (!ran[v]) {
            fprintf(stderr, "%s: no test ran this module\n", m->name);
            missing++;
        }
        count += ran[v];
    }
    printf("%d of %d modules ran\n", count, PITH_SPV_COUNT);
    return argc < 2 || missing ? 1 : 0;
}
