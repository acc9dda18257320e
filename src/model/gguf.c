/* SPDX-License-Identifier: MIT */
/* Opening and closing: the header, the alignment, and the order in which the other files of this folder read the rest.
 *   | "GGUF" | u32 version | u64 tensor count | u64 key count | keys | tensor records | padding | tensor data |
 * A failure anywhere closes what was opened; messages begin with the path of the file that they speak of. */
#include "model/gguf_parts.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN_DEFAULT = 32, ALIGN_MIN = 8, ALIGN_MAX = 1 << 20 };

static pith_status check_version(uint32_t version)
{
    uint32_t swapped = version >> 24 | (version >> 8 & 0xff00) | (version << 8 & 0xff0000) | version << 24;
    if (version == 2 || version == 3)
        return PITH_OK;
    if (version == 1)
        return pith_fail(PITH_ERROR_UNSUPPORTED, "byte 4: GGUF version 1 is not supported; convert the model again");
    if (swapped >= 1 && swapped <= 16)
        return pith_fail(PITH_ERROR_UNSUPPORTED, "byte 4: big-endian GGUF (version %" PRIu32 ") is not supported", swapped);
    return pith_fail(version > 3 && version <= 16 ? PITH_ERROR_UNSUPPORTED : PITH_ERROR_FORMAT,
                     "byte 4: GGUF version: expected 2 or 3, got %" PRIu32, version);
}

static pith_status read_header(pith_cursor *c, uint64_t *n_tensors, uint64_t *n_keys)
{
    const uint8_t *magic;
    uint32_t version;
    PITH_TRY(pith_cursor_take(c, "the magic number", 4, &magic));
    if (memcmp(magic, "GGUF", 4) != 0)
        return pith_fail(PITH_ERROR_FORMAT, "not a GGUF file: expected the bytes 47 47 55 46, got %02x %02x %02x %02x", magic[0],
                         magic[1], magic[2], magic[3]);
    PITH_TRY(pith_cursor_u32(c, "the version", &version));
    PITH_TRY(check_version(version));
    PITH_TRY(pith_cursor_u64(c, "the tensor count", n_tensors));
    return pith_cursor_u64(c, "the key count", n_keys);
}

static pith_status get_align(const pith_gguf_keys *keys, size_t *out)
{
    int64_t align = ALIGN_DEFAULT;
    if (pith_gguf_keys_find(keys, "general.alignment"))
        PITH_TRY(pith_gguf_keys_int(keys, "general.alignment", ALIGN_MIN, ALIGN_MAX, &align));
    if (align & (align - 1))
        return pith_fail(PITH_ERROR_FORMAT, "key general.alignment: expected a power of two, got %" PRId64, align);
    *out = (size_t)align;
    return PITH_OK;
}

static pith_status read_file(pith_gguf *gguf, int32_t part, pith_gguf_keys *keys)
{
    pith_cursor c = {.data = gguf->files[part].data, .size = gguf->files[part].size};
    uint64_t n_tensors = 0, n_keys = 0;
    size_t align = 0;
    PITH_TRY(read_header(&c, &n_tensors, &n_keys));
    PITH_TRY(pith_gguf_keys_read(keys, &c, n_keys));
    PITH_TRY(get_align(keys, &align));
    return pith_gguf_tensors_read(gguf, &c, n_tensors, align, part);
}

pith_status pith_gguf_file_read(pith_gguf *gguf, int32_t part, pith_gguf_keys *keys)
{
    pith_status status = read_file(gguf, part, keys);
    return status == PITH_OK ? PITH_OK : pith_fail_in(status, "%s", gguf->files[part].path);
}

/* An empty pith_gguf with room for one file, whose path is set. */
static pith_status create(const char *path, pith_gguf **out)
{
    pith_gguf *gguf = pith_calloc(1, sizeof *gguf);
    if (!gguf)
        return pith_fail(PITH_ERROR_NO_MEMORY, "%s: no memory", path);
    gguf->files = pith_calloc(1, sizeof *gguf->files);
    size_t n = strlen(path) + 1;
    if (gguf->files) {
        gguf->n_files = 1;
        gguf->files[0].mapping.fd = -1;
        gguf->files[0].path = pith_calloc(n, 1);
    }
    if (!gguf->files || !gguf->files[0].path) {
        pith_gguf_close(&gguf);
        return pith_fail(PITH_ERROR_NO_MEMORY, "%s: no memory", path);
    }
    memcpy(gguf->files[0].path, path, n);
    *out = gguf;
    return PITH_OK;
}

/* With the bytes of the first file in place. */
static pith_status read_all(pith_gguf *gguf)
{
    PITH_TRY(pith_gguf_file_read(gguf, 0, &gguf->keys));
    PITH_TRY(pith_gguf_split_read(gguf));
    pith_status status = pith_gguf_tensors_index(gguf);
    return status == PITH_OK ? PITH_OK : pith_fail_in(status, "%s", gguf->files[0].path);
}

pith_status pith_gguf_open(const char *path, pith_gguf **out)
{
    pith_gguf *gguf = NULL;
    pith_status status;
    *out = NULL;
    PITH_TRY_GOTO(create(path, &gguf));
    PITH_TRY_GOTO(pith_os_map(path, &gguf->files[0].mapping));
    gguf->files[0].data = gguf->files[0].mapping.data;
    gguf->files[0].size = gguf->files[0].mapping.size;
    PITH_TRY_GOTO(read_all(gguf));
    *out = gguf;
    return PITH_OK;
fail:
    pith_gguf_close(&gguf);
    return status;
}

pith_status pith_gguf_open_memory(const void *data, size_t size, pith_gguf **out)
{
    pith_gguf *gguf = NULL;
    pith_status status;
    *out = NULL;
    PITH_TRY_GOTO(create("(memory)", &gguf));
    gguf->in_memory = true;
    gguf->files[0].data = data;
    gguf->files[0].size = size;
    PITH_TRY_GOTO(read_all(gguf));
    *out = gguf;
    return PITH_OK;
fail:
    pith_gguf_close(&gguf);
    return status;
}

void pith_gguf_close(pith_gguf **gguf)
{
    if (!gguf || !*gguf)
        return;
    pith_gguf *g = *gguf;
    pith_gguf_keys_fini(&g->keys);
    free(g->tensor_index.slots);
    free(g->tensors);
    for (size_t i = 0; i < g->n_files; i++) {
        if (!g->in_memory)
            pith_os_unmap(&g->files[i].mapping);
        free(g->files[i].path);
    }
    free(g->files);
    free(g);
    *gguf = NULL;
}

const char *pith_gguf_path(const pith_gguf *gguf)
{
    return gguf->files[0].path;
}

uint64_t pith_gguf_file_bytes(const pith_gguf *gguf)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < gguf->n_files; i++)
        sum += gguf->files[i].size;
    return sum;
}

void pith_gguf_tensor_drop(const pith_gguf *gguf, const pith_gguf_tensor *tensor)
{
    if (!gguf->in_memory)
        pith_os_map_drop(&gguf->files[tensor->part].mapping, tensor->offset, tensor->bytes);
}

pith_status pith_gguf_check(const pith_gguf *gguf)
{
    for (size_t i = 0; i < gguf->n_files && !gguf->in_memory; i++)
        PITH_TRY(pith_os_map_check(&gguf->files[i].mapping, gguf->files[i].path));
    return PITH_OK;
}
