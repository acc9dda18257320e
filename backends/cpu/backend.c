/* SPDX-License-Identifier: MIT */
/* The CPU as a backend: kernels chosen by cpuid under the caller's mask, one pool of threads, buffers in plain memory. */
#include "cpu.h"
#include "base/mem.h"
#include "base/os.h"
#include "cpuid.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void cpu_destroy(pith_backend *b)
{
    pith_cpu_backend *cpu = pith_cpu_of(b);
    pith_pool_destroy(&cpu->pool);
    free(cpu);
}

static bool cpu_supports(const pith_backend *b, const pith_node *node, const pith_weight_desc *weights)
{
    (void)b;
    if (node->op != PITH_OP_MATMUL && node->op != PITH_OP_EMBED)
        return true;
    const pith_weight_desc *w = &weights[node->op == PITH_OP_MATMUL ? node->u.matmul.weight : node->u.embed.weight];
    for (int32_t p = 0; p < w->n_parts; p++) {
        if (!pith_dtype_get((uint32_t)w->parts[p].dtype).usable) {
            pith_fail(PITH_ERROR_UNSUPPORTED, "cpu: %s: no kernel for tensor type %s", w->parts[p].name,
                      pith_dtype_get((uint32_t)w->parts[p].dtype).name);
            return false;
        }
    }
    return true;
}

static pith_status cpu_buf_create(pith_backend *b, size_t bytes, pith_buf **out)
{
    (void)b;
    *out = NULL;
    pith_buf *buf = malloc(sizeof *buf);
    uint8_t *data = pith_aligned_alloc(bytes);
    if (!buf || !data) {
        free(buf);
        pith_aligned_free(data);
        return pith_fail(PITH_ERROR_NO_MEMORY, "cpu: no memory for a buffer of %zu bytes", bytes);
    }
    if (bytes < ((size_t)2 << 20)) /* larger blocks come zeroed, and stay untouched until used */
        memset(data, 0, bytes);
    *buf = (pith_buf){.data = data, .bytes = bytes};
    *out = buf;
    return PITH_OK;
}

static void cpu_buf_destroy(pith_buf **buf)
{
    if (!*buf)
        return;
    pith_aligned_free((*buf)->data);
    free(*buf);
    *buf = NULL;
}

static bool in_range(const pith_buf *buf, size_t offset, size_t n)
{
    return offset <= buf->bytes && n <= buf->bytes - offset;
}

static pith_status range_error(const pith_buf *buf, size_t offset, size_t n)
{
    return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "cpu: bytes %zu + %zu lie outside a buffer of %zu", offset, n, buf->bytes);
}

static pith_status cpu_buf_write(pith_buf *buf, size_t offset, const void *src, size_t n)
{
    if (!in_range(buf, offset, n))
        return range_error(buf, offset, n);
    memcpy(buf->data + offset, src, n);
    return PITH_OK;
}

static pith_status cpu_buf_read(const pith_buf *buf, size_t offset, void *dst, size_t n)
{
    if (!in_range(buf, offset, n))
        return range_error(buf, offset, n);
    memcpy(dst, buf->data + offset, n);
    return PITH_OK;
}

static pith_status cpu_buf_move(pith_buf *buf, size_t to, size_t from, size_t n)
{
    if (!in_range(buf, to, n) || !in_range(buf, from, n))
        return range_error(buf, to > from ? to : from, n);
    memmove(buf->data + to, buf->data + from, n);
    return PITH_OK;
}

static const pith_backend_fns cpu_fns = {
    .name = "cpu",
    .destroy = cpu_destroy,
    .supports = cpu_supports,
    .buf_create = cpu_buf_create,
    .buf_destroy = cpu_buf_destroy,
    .buf_write = cpu_buf_write,
    .buf_read = cpu_buf_read,
    .buf_move = cpu_buf_move,
    .weights_bytes = pith_cpu_weights_bytes,
    .weights_create = pith_cpu_weights_create,
    .weights_destroy = pith_cpu_weights_destroy,
    .weights_layout = pith_cpu_weights_layout,
    .exec_bytes = pith_cpu_exec_bytes,
    .prepare = pith_cpu_prepare,
    .exec_destroy = pith_cpu_exec_destroy,
    .run = pith_cpu_run,
    .read = pith_cpu_read,
    .timings_set = pith_cpu_timings_set,
    .timings = pith_cpu_timings,
    .ceilings = pith_cpu_ceilings,
};

/* The processor's own name for itself, "cpu" when the system does not tell. */
static void cpu_name(char *name, size_t size)
{
    snprintf(name, size, "cpu");
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (!f)
        return;
    char line[256];
    while (fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(name, size, "%s", colon + 1 + strspn(colon + 1, " \t"));
            break;
        }
    }
    fclose(f);
}

void pith_cpu_device_info(pith_device_info *out)
{
    *out = (pith_device_info){.id = "cpu", .type = "cpu", .cores = pith_os_cpu_count(),
                              .memory_bytes = pith_os_memory_available_bytes()};
    cpu_name(out->name, sizeof out->name);
    pith_cpu_flags_describe(pith_cpu_flags(), out->features, sizeof out->features);
}

pith_status pith_cpu_backend_create(const pith_backend_params *params, pith_backend **out)
{
    *out = NULL;
    uint32_t flags = pith_cpu_flags() & params->cpu_mask;
    pith_cpu_backend *cpu = pith_calloc(1, sizeof *cpu);
    if (!cpu)
        return pith_fail(PITH_ERROR_NO_MEMORY, "cpu: no memory for the backend");
    int32_t threads = params->threads > 0 ? params->threads : pith_os_cpu_count();
    pith_status status = pith_pool_create(threads, &cpu->pool);
    if (status != PITH_OK) {
        free(cpu);
        return status;
    }
    pith_cpu_kernels_init(&cpu->kernels, flags);
    char name[96], isa[64];
    cpu_name(name, sizeof name);
    pith_cpu_flags_describe(cpu->kernels.flags, isa, sizeof isa);
    cpu->exact = params->exact;
    snprintf(cpu->base.describe, sizeof cpu->base.describe, "cpu: %s, %s, %d thread%s, blas %s%s", name, isa, threads,
             threads == 1 ? "" : "s", pith_cpu_blas_name(), cpu->exact ? ", exact" : "");
    pith_cpu_device_info(&cpu->base.info);
    cpu->base.info.threads = threads;
    pith_cpu_flags_describe(cpu->kernels.flags, cpu->base.info.features, sizeof cpu->base.info.features);
    cpu->base.fns = &cpu_fns;
    *out = &cpu->base;
    return PITH_OK;
}
