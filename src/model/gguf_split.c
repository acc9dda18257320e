/* SPDX-License-Identifier: MIT */
/* Sets of files:  NAME-00001-of-00003.gguf (all keys), NAME-00002-of-00003.gguf, NAME-00003-of-00003.gguf.
 * The keys split.no (from 0) and split.count of every file must agree with its name, the first file must be the one
 * that was opened, and split.tensors.count, where given, must be the number of tensors found. Offsets and alignment
 * are each file's own. Only files beside the first one are ever opened. */
#include "model/gguf_parts.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SPLITS_MAX = 65535, SUFFIX_BYTES = 64 };

static void print_suffix(char suffix[SUFFIX_BYTES], int64_t no, int64_t count)
{
    snprintf(suffix, SUFFIX_BYTES, "-%05" PRId64 "-of-%05" PRId64 ".gguf", no + 1, count);
}

/* split.no and split.count of one file, {0, 1} when it is whole. */
static pith_status read_split_keys(const pith_gguf_keys *keys, int64_t *no, int64_t *count)
{
    *no = 0;
    *count = 1;
    if (pith_gguf_keys_find(keys, "split.count"))
        PITH_TRY(pith_gguf_keys_int(keys, "split.count", 0, SPLITS_MAX, count));
    if (*count > 1)
        PITH_TRY(pith_gguf_keys_int(keys, "split.no", 0, *count - 1, no));
    return PITH_OK;
}

/* Bytes of the path before "-0000X-of-0000N.gguf". */
static pith_status prefix_length(const char *path, int64_t no, int64_t count, size_t *out)
{
    char suffix[SUFFIX_BYTES];
    print_suffix(suffix, no, count);
    size_t n = strlen(path), n_suffix = strlen(suffix);
    if (n < n_suffix || strcmp(path + n - n_suffix, suffix) != 0)
        return pith_fail(PITH_ERROR_FORMAT, "this is file %" PRId64 " of %" PRId64 ": expected a name that ends in '%s'", no + 1,
                         count, suffix);
    *out = n - n_suffix;
    return PITH_OK;
}

/* Maps file number `no` of the set; from here on the pith_gguf owns it. */
static pith_status add_file(pith_gguf *gguf, size_t n_prefix, int64_t no, int64_t count)
{
    pith_gguf_file *file = &gguf->files[no];
    size_t size = n_prefix + SUFFIX_BYTES;
    file->mapping.fd = -1;
    file->path = pith_calloc(size, 1);
    if (!file->path)
        return pith_fail(PITH_ERROR_NO_MEMORY, "path of file %" PRId64 ": no memory", no + 1);
    gguf->n_files++;
    char suffix[SUFFIX_BYTES];
    print_suffix(suffix, no, count);
    memcpy(file->path, gguf->files[0].path, n_prefix);
    memcpy(file->path + n_prefix, suffix, strlen(suffix) + 1);
    pith_status status = pith_os_map(file->path, &file->mapping);
    if (status != PITH_OK)
        return pith_fail_in(status, "file %" PRId64 " of %" PRId64 " of a split model", no + 1, count);
    file->data = file->mapping.data;
    file->size = file->mapping.size;
    return PITH_OK;
}

static pith_status read_part(pith_gguf *gguf, size_t n_prefix, int64_t no, int64_t count)
{
    PITH_TRY(add_file(gguf, n_prefix, no, count));
    pith_gguf_keys keys = {.n_strings = gguf->keys.n_strings}; /* one budget for the set */
    int64_t its_no = 0, its_count = 0;
    pith_status status = pith_gguf_file_read(gguf, (int32_t)no, &keys);
    if (status == PITH_OK)
        status = read_split_keys(&keys, &its_no, &its_count);
    pith_gguf_keys_fini(&keys);
    PITH_TRY(status);
    if (its_no != no || its_count != count)
        return pith_fail(PITH_ERROR_FORMAT,
                         "%s: keys split.no, split.count: expected %" PRId64 ", %" PRId64 ", got %" PRId64 ", %" PRId64,
                         gguf->files[no].path, no, count, its_no, its_count);
    return PITH_OK;
}

static pith_status check_first(const pith_gguf *gguf, int64_t no, int64_t count, size_t *n_prefix)
{
    if (gguf->in_memory)
        return pith_fail(PITH_ERROR_UNSUPPORTED, "file %" PRId64 " of %" PRId64 " of a split model cannot be read from memory", no + 1,
                         count);
    PITH_TRY(prefix_length(gguf->files[0].path, no, count, n_prefix));
    char suffix[SUFFIX_BYTES];
    print_suffix(suffix, 0, count);
    if (no != 0)
        return pith_fail(PITH_ERROR_FORMAT, "this is file %" PRId64 " of %" PRId64 " of a split model: open the first, %.*s%s", no + 1,
                         count, (int)pith_min_size(*n_prefix, 512), gguf->files[0].path, suffix);
    return PITH_OK;
}

pith_status pith_gguf_split_read(pith_gguf *gguf)
{
    int64_t no, count, n_tensors;
    size_t n_prefix = 0;
    pith_status status = read_split_keys(&gguf->keys, &no, &count);
    if (status == PITH_OK && count > 1)
        status = check_first(gguf, no, count, &n_prefix);
    if (status != PITH_OK)
        return pith_fail_in(status, "%s", gguf->files[0].path);
    if (count <= 1)
        return PITH_OK;
    pith_gguf_file *files = pith_calloc((size_t)count, sizeof *files);
    if (!files)
        return pith_fail(PITH_ERROR_NO_MEMORY, "%s: list of %" PRId64 " files: no memory", gguf->files[0].path, count);
    files[0] = gguf->files[0];
    free(gguf->files);
    gguf->files = files;
    for (int64_t i = 1; i < count; i++)
        PITH_TRY(read_part(gguf, n_prefix, i, count));
    if (!pith_gguf_keys_find(&gguf->keys, "split.tensors.count"))
        return PITH_OK;
    PITH_TRY(pith_gguf_keys_int(&gguf->keys, "split.tensors.count", 0, INT64_MAX, &n_tensors));
    if ((uint64_t)n_tensors != gguf->n_tensors)
        return pith_fail(PITH_ERROR_FORMAT, "%s: key split.tensors.count: %" PRId64 " tensors expected, the %" PRId64
                         " files have %zu", gguf->files[0].path, n_tensors, count, gguf->n_tensors);
    return PITH_OK;
}
