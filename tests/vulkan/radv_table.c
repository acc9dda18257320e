/* SPDX-License-Identifier: MIT */
/* Every shader module compiled by AMD's compiler, with no AMD card: RADV's null hardware makes pipelines for the chip that
 * RADV_FORCE_FAMILY names and runs nothing. Layers of real widths are prepared on it (radv_layer.c), so that pipelines get
 * the constants that pith uses; then each tells its registers, spills, shared memory and waves. A spill is a failure, and
 * so is more than the 16 KiB of shared memory that every device has.
 *
 *   radv_table OUT.md     writes the table, the worst of a module's pipelines in each cell
 *
 * Exit code 77: there is no RADV, or it has no null hardware. */
#include "null_device.h"
#include "radv_layer.h"

#include <glob.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const families[] = {"polaris10", "vega10", "navi10", "navi21", "navi31"};
static const char *const gpus[] = {"RX 480", "Vega 64", "RX 5700", "RX 6800", "RX 7900"};
#define N_FAMILIES (sizeof families / sizeof families[0])

struct cell {
    int pipelines;
    uint64_t vgprs, sgprs, spills, scratch, lds, waves, code;
};
static int failures;

static void put(uint64_t *most, uint64_t value) { *most = value > *most ? value : *most; }

/* Adds what the compiler tells of one pipeline. */
static void pipeline_read(const pith_vk_device *d, VkPipeline pipeline, const char *family, int variant, struct cell *c)
{
    const VkPipelineExecutableInfoKHR info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, .pipeline = pipeline};
    VkPipelineExecutableStatisticKHR s[64];
    uint32_t n = 64;
    for (uint32_t i = 0; i < n; i++)
        s[i] = (VkPipelineExecutableStatisticKHR){.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR};
    if (d->fn.vkGetPipelineExecutableStatisticsKHR(d->handle, &info, &n, s) < 0 || n == 0)
        fail_msg("%s: %s: no statistics", family, pith_vk_spv[variant].name);
    uint64_t waves = 0, spills = 0, scratch = 0, lds = 0;
    int known = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t v = s[i].value.u64;
        struct { const char *name; uint64_t *to; } wanted[] = {{"VGPRs", &c->vgprs}, {"SGPRs", &c->sgprs}, {"Code size", &c->code},
                                                               {"LDS size", &lds}, {"Scratch size", &scratch}, {"Subgroups per SIMD", &waves}};
        for (size_t w = 0; w < sizeof wanted / sizeof wanted[0]; w++) {
            if (strcmp(s[i].name, wanted[w].name) == 0) {
                put(wanted[w].to, v);
                known++;
            }
        }
        if (strncmp(s[i].name, "Spilled", 7) == 0)
            spills += v;
    }
    assert_int_equal(known, 6);
    put(&c->spills, spills);
    put(&c->scratch, scratch);
    put(&c->lds, lds);
    c->waves = c->pipelines && c->waves < waves ? c->waves : waves;
    c->pipelines++;
    if (spills || scratch || lds > RADV_SHARED_BYTES) {
        fprintf(stderr, "%s: %s: %llu registers spilled, %llu bytes of scratch, %llu bytes of shared memory\n", family, pith_vk_spv[variant].name,
                (unsigned long long)spills, (unsigned long long)scratch, (unsigned long long)lds);
        failures++;
    }
}

/* Pipelines that preparing made. */
static void pipelines_read(pith_backend *b, const char *family, struct cell *row)
{
    const pith_vk_pipelines *p = &pith_vk_of(b)->pipelines;
    for (int v = 0; v < PITH_SPV_COUNT; v++)
        for (int i = 0; i < p->of[v].n; i++)
            pipeline_read(p->device, p->of[v].list[i].handle, family, v, &row[v]);
}

/* What one chip's process hands back. */
struct row {
    char device[VK_MAX_PHYSICAL_DEVICE_NAME_SIZE], driver[VK_MAX_DRIVER_INFO_SIZE];
    int failures;
    struct cell cells[PITH_SPV_COUNT];
};
static struct row rows[N_FAMILIES]; /* device "": this RADV does not know the chip */

/* Writes a byte to `end` when the driver knows the chip, before anything else is done on it. */
static void family_run(size_t f, int end)
{
    pith_vk_physical all[4];
    VkInstance instance;
    setenv("RADV_FORCE_FAMILY", families[f], 1);
    assert_ok(pith_vk_instance_acquire(&instance));
    size_t n = instance ? pith_vk_physical_list(instance, all, 4) : 0, i = 0;
    while (i < n && i < 4 && !strstr(all[i].properties.deviceName, "Null hardware"))
        i++;
    if (i == n || i == 4 || write(end, "", 1) != 1)
        return;
    snprintf(rows[f].device, sizeof rows[f].device, "%s", all[i].properties.deviceName);
    snprintf(rows[f].driver, sizeof rows[f].driver, "%s", all[i].driver.driverInfo);
    null_device_begin();
    radv_layers(&all[i], families[f], rows[f].cells, pipelines_read);
    null_device_end();
    for (int v = 0; v < PITH_SPV_COUNT; v++) { /* what can be compiled was */
        if (pith_vk_spv[v].code && vk_test_fits(&all[i], &pith_vk_spv[v]) && !rows[f].cells[v].pipelines) {
            fprintf(stderr, "%s: %s: no layer of radv_layer.c uses this module\n", families[f], pith_vk_spv[v].name);
            failures++;
        }
    }
    rows[f].failures = failures;
    pith_vk_instance_release();
}

/* In a process of its own: the driver looks at the variable once, and ends the process of a chip that it does not know. */
static void family_fork(size_t f)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        family_run(f, ends[1]);
        const char *p = (const char *)&rows[f];
        size_t left = sizeof rows[f];
        for (ssize_t n = 1; left > 0 && n > 0; p += n, left -= (size_t)n)
            n = write(ends[1], p, left);
        _exit(left > 0);
    }
    close(ends[1]);
    char known, *p = (char *)&rows[f];
    bool knows = read(ends[0], &known, 1) == 1;
    size_t left = sizeof rows[f];
    for (ssize_t n = 1; left > 0 && n > 0; p += n, left -= (size_t)n)
        n = read(ends[0], p, left);
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (knows && (left > 0 || status != 0))
        fail_msg("%s: its process ended with status %#x", families[f], (unsigned)status);
}

static const char *driver_of(void)
{
    for (size_t f = 0; f < N_FAMILIES; f++)
        if (*rows[f].driver)
            return rows[f].driver;
    return "?";
}

static void table_write(const char *path)
{
    FILE *f = fopen(path, "w");
    if (!f)
        fail_msg("%s cannot be written", path);
    fprintf(f, "# Shaders on AMD's compiler\n\nMade by `radv_table` (tests/vulkan/radv_table.c; the test `vk_radv` runs it), %s: RADV's null hardware compiles every\n"
               "module with the constants that layers of real width use, and runs nothing. Each cell: vector registers / waves per SIMD / bytes\n"
               "of shared memory, the worst of the module's pipelines. No pipeline spills a register, uses scratch memory, or takes more than\n"
               "%u KiB of shared memory: the test fails if one does. What is missing needs what this driver or the build's\n"
               "shader compiler lacks. gemm_int8 is used only where packed dot products are fast, as on navi21.\n\n| module |", driver_of(), RADV_SHARED_BYTES >> 10);
    for (size_t i = 0; i < N_FAMILIES; i++)
        if (*rows[i].device)
            fprintf(f, " %s (%s) |", families[i], gpus[i]);
    fprintf(f, "\n|---|");
    for (size_t i = 0; i < N_FAMILIES; i++)
        if (*rows[i].device)
            fprintf(f, "---|");
    for (int v = 0; v < PITH_SPV_COUNT; v++) {
        fprintf(f, "\n| %s |", pith_vk_spv[v].name);
        for (size_t i = 0; i < N_FAMILIES; i++) {
            const struct cell *c = &rows[i].cells[v];
            if (*rows[i].device && c->pipelines)
                fprintf(f, " %llu / %llu / %llu |", (unsigned long long)c->vgprs, (unsigned long long)c->waves, (unsigned long long)c->lds);
            else if (*rows[i].device)
                fprintf(f, " - |");
        }
    }
    fprintf(f, "\n");
    assert_int_equal(fclose(f), 0);
}

static const char *out;

static void test_families(void **state)
{
    (void)state;
    int n = 0, failed = 0;
    for (size_t f = 0; f < N_FAMILIES; f++) {
        family_fork(f);
        n += *rows[f].device != 0;
        failed += rows[f].failures;
    }
    if (n == 0) {
        pith_fail(PITH_ERROR_NOT_FOUND, "it has no null hardware");
        vk_test_absent("RADV");
    }
    table_write(out);
    assert_int_equal(failed, 0);
}

int main(int argc, char **argv)
{
    glob_t icd;
    if (argc != 2) {
        fprintf(stderr, "usage: radv_table OUT.md\n");
        return 2;
    }
    out = argv[1];
    if (glob("/usr/share/vulkan/icd.d/radeon_icd*.json", 0, NULL, &icd) != 0) {
        pith_fail(PITH_ERROR_NOT_FOUND, "on Debian and Ubuntu: apt-get install mesa-vulkan-drivers");
        vk_test_absent("RADV");
    }
    setenv("VK_DRIVER_FILES", icd.gl_pathv[0], 1);
    setenv("VK_ICD_FILENAMES", icd.gl_pathv[0], 1); /* its name for older loaders */
    globfree(&icd);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_families)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
