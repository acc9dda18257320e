/* SPDX-License-Identifier: MIT */
/* `pith devices`: what --device accepts, and what each device is and can do. */
#include "cli.h"
#include "json_out.h"
#include "options.h"

#include <stdlib.h>
#include <string.h>

static void line(const char *what, const char *text)
{
    if (*text)
        printf("         %-9s %s\n", what, text);
}

static void heaps_print(const pith_device_info *d)
{
    char text[640] = "";
    size_t n = 0;
    for (int32_t i = 0; i < d->n_heaps && n < sizeof text; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s%s%s", i ? "; " : "", cli_bytes(d->heaps[i].bytes),
                              d->heaps[i].device_local ? " on the device" : "", d->heaps[i].host_visible ? " mapped" : "");
    line("heaps", text);
}

static void device_print(const pith_device_info *d)
{
    char text[256], cores[48] = "";
    if (d->cores)
        snprintf(cores, sizeof cores, "%d cores, ", d->cores);
    printf("%-8s %s (%s), %s%s free\n", d->id, d->name, d->type, cores, d->memory_bytes ? cli_bytes(d->memory_bytes) : "unknown memory");
    snprintf(text, sizeof text, "%s%s%s", d->vendor, d->pci[0] ? ", PCI " : "", d->pci);
    line("vendor", text);
    snprintf(text, sizeof text, "%s%s%s", d->driver, d->api[0] ? ", " : "", d->api);
    line("driver", text);
    heaps_print(d);
    line("features", d->features);
    line("matrices", d->matrix);
    if (d->subgroup) {
        snprintf(text, sizeof text, "%d lanes (%d to %d); workgroup %d, %s of shared memory", d->subgroup, d->subgroup_min, d->subgroup_max,
                 d->workgroup_max, cli_bytes(d->shared_bytes));
        line("subgroup", text);
        snprintf(text, sizeof text, "binding %s, buffer %s", cli_bytes(d->binding_max_bytes), cli_bytes(d->buffer_max_bytes));
        line("limits", text);
    }
    line("self-test", d->self_test);
    line("tiles", d->tiles);
}

static json_t *device_json(const pith_device_info *d)
{
    json_t *heaps = json_array();
    for (int32_t i = 0; i < d->n_heaps; i++)
        json_array_append_new(heaps, json_pack("{sI sb sb}", "bytes", (json_int_t)d->heaps[i].bytes, "device_local", d->heaps[i].device_local,
                                               "host_visible", d->heaps[i].host_visible));
    return json_pack("{ss so ss so so ss ss ss ss ss ss si si si si si sI sI sI sI so}", "id", d->id, "name",
                     cli_json_bytes(d->name, strlen(d->name)), "type", d->type, "vendor", cli_json_bytes(d->vendor, strlen(d->vendor)),
                     "driver", cli_json_bytes(d->driver, strlen(d->driver)), "api", d->api, "pci", d->pci, "features", d->features,
                     "matrix", d->matrix, "self_test", d->self_test, "tiles", d->tiles, "cores", d->cores, "subgroup", d->subgroup, "subgroup_min", d->subgroup_min,
                     "subgroup_max", d->subgroup_max, "workgroup_max", d->workgroup_max, "shared_bytes", (json_int_t)d->shared_bytes,
                     "binding_max_bytes", (json_int_t)d->binding_max_bytes, "buffer_max_bytes", (json_int_t)d->buffer_max_bytes,
                     "memory_bytes", (json_int_t)d->memory_bytes, "heaps", heaps);
}

int cli_devices(const cli_args *args)
{
    size_t n = pith_device_list(NULL, 0), cap = n;
    pith_device_info *devices = cli_alloc(n, sizeof *devices);
    n = pith_device_list(devices, cap);
    n = n < cap ? n : cap;
    int code = CLI_OK;
    if (args->v[OPT_JSON].i) {
        json_t *list = json_array();
        for (size_t i = 0; i < n; i++)
            json_array_append_new(list, device_json(&devices[i]));
        code = cli_json_print(json_pack("{so}", "devices", list), false);
    } else {
        for (size_t i = 0; i < n; i++)
            device_print(&devices[i]);
    }
    free(devices);
    return code;
}
