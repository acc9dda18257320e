/* SPDX-License-Identifier: MIT */
/* Tensor records:  | u64 n | name[n] | u32 n_dims | u64 dims[n_dims] | u32 type | u64 offset |
 * After reading, every tensor has a known type, whole blocks in its rows, an aligned place inside the file's data part
 * and no byte in common with another tensor of the file. Offsets count from data_start, the first aligned byte after
 * the records. Tensors may lie in any order and with any gaps. */
#include "model/gguf_parts.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD_BYTES_MIN = 8 + 1 + 4 + 0 + 4 + 8, NAME_BYTES_MAX = 64, DIMS_MAX = 4 };

static const uint64_t dim_max = (uint64_t)1 << 40;

static pith_str tensor_name(const void *items, size_t i)
{
    const pith_gguf_tensor *t = (const pith_gguf_tensor *)items + i;
    return (pith_str){t->name, strlen(t->name)};
}

static pith_status read_name(pith_cursor *c, pith_gguf_tensor *t)
{
    size_t at = c->at;
    pith_str name;
    char text[80];
    PITH_TRY(pith_cursor_string(c, "tensor name", 1, NAME_BYTES_MAX, &name));
    if (memchr(name.data, 0, name.n))
        return pith_fail(PITH_ERROR_FORMAT, "byte %zu: tensor name '%s' contains a NUL byte", at,
                         pith_str_print(name, text, sizeof text));
    memcpy(t->name, name.data, name.n);
    return PITH_OK;
}

static pith_status read_dims(pith_cursor *c, pith_gguf_tensor *t, uint64_t *n_rows)
{
    size_t at = c->at;
    uint32_t n_dims;
    PITH_TRY(pith_cursor_u32(c, "number of dimensions", &n_dims));
    if (n_dims > DIMS_MAX)
        return pith_fail(PITH_ERROR_FORMAT, "byte %zu: number of dimensions: expected 0 to %d, got %" PRIu32, at, DIMS_MAX, n_dims);
    t->n_dims = (int32_t)n_dims;
    *n_rows = 1;
    for (uint32_t d = 0; d < DIMS_MAX; d++) {
        t->dims[d] = 1;
        if (d >= n_dims)
            continue;
        at = c->at;
        PITH_TRY(pith_cursor_u64(c, "dimension", &t->dims[d]));
        if (t->dims[d] < 1 || t->dims[d] > dim_max)
            return pith_fail(PITH_ERROR_FORMAT, "byte %zu: dimension %" PRIu32 ": expected 1 to 2^40, got %" PRIu64, at, d,
                             t->dims[d]);
        if (d > 0 && __builtin_mul_overflow(*n_rows, t->dims[d], n_rows))
            return pith_fail(PITH_ERROR_FORMAT, "byte %zu: the product of the dimensions overflows", at);
    }
    return PITH_OK;
}

static pith_status read_type(pith_cursor *c, pith_gguf_tensor *t)
{
    size_t at = c->at;
    uint32_t id;
    PITH_TRY(pith_cursor_u32(c, "tensor type", &id));
    if (!pith_dtype_get(id).name) {
        bool retired = id == 4 || id == 5 || (id >= 31 && id <= 33) || (id >= 36 && id <= 38);
        return pith_fail(PITH_ERROR_UNSUPPORTED, "byte %zu: tensor type %" PRIu32 " %s", at, id,
                         retired ? "was removed from the format; convert the model again" : "is not known to this build");
    }
    t->dtype = (pith_dtype)id;
    return PITH_OK;
}

/* bytes = n_rows * (dims[0] / block elements * block bytes), all of it checked. */
static pith_status set_bytes(pith_gguf_tensor *t, uint64_t n_rows)
{
    pith_dtype_info info = pith_dtype_get((uint32_t)t->dtype);
    if (t->dims[0] % info.block_elems != 0)
        return pith_fail(PITH_ERROR_FORMAT, "rows of %" PRIu64 " elements: %s needs a multiple of %" PRIu32, t->dims[0], info.name,
                         info.block_elems);
    uint64_t bytes, elems, row_bytes = t->dims[0] / info.block_elems * info.block_bytes; /* below 2^40 * 292 */
    if (__builtin_mul_overflow(t->dims[0], n_rows, &elems) ||
        __builtin_mul_overflow(row_bytes, n_rows, &bytes) || bytes > SIZE_MAX / 2)
        return pith_fail(PITH_ERROR_FORMAT, "the size of %" PRIu64 " rows of %" PRIu64 " elements overflows", n_rows, t->dims[0]);
    t->bytes = (size_t)bytes;
    return PITH_OK;
}

/* One record; t->offset still counts from data_start, which is not known yet. */
static pith_status read_record(pith_cursor *c, pith_gguf_tensor *t, size_t align)
{
    uint64_t n_rows = 1, offset;
    PITH_TRY(read_name(c, t));
    PITH_TRY(read_dims(c, t, &n_rows));
    PITH_TRY(read_type(c, t));
    PITH_TRY(set_bytes(t, n_rows));
    size_t at = c->at;
    PITH_TRY(pith_cursor_u64(c, "tensor offset", &offset));
    if (offset % align != 0)
        return pith_fail(PITH_ERROR_FORMAT, "byte %zu: offset %" PRIu64 " is not a multiple of the alignment %zu", at, offset, align);
    if (offset > c->size)
        return pith_fail(PITH_ERROR_FORMAT, "byte %zu: offset %" PRIu64 " lies beyond the file's %zu bytes", at, offset, c->size);
    t->offset = (size_t)offset;
    return PITH_OK;
}

static int by_offset(const void *a, const void *b)
{
    const pith_gguf_tensor *x = *(const pith_gguf_tensor *const *)a, *y = *(const pith_gguf_tensor *const *)b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* No two of tensors[n] share a byte. Listed in file order, as usual, they need no sorting. */
static pith_status check_overlap(const pith_gguf_tensor *tensors, size_t n)
{
    const pith_gguf_tensor **order = pith_calloc(n ? n : 1, sizeof *order);
    if (!order)
        return pith_fail(PITH_ERROR_NO_MEMORY, "order of %zu tensors: no memory", n);
    bool sorted = true;
    for (size_t i = 0; i < n; i++) {
        order[i] = &tensors[i];
        sorted = sorted && (i == 0 || tensors[i - 1].offset <= tensors[i].offset);
    }
    if (!sorted)
        qsort(order, n, sizeof *order, by_offset);
    pith_status status = PITH_OK;
    for (size_t i = 1; i < n && status == PITH_OK; i++) {
        const pith_gguf_tensor *a = order[i - 1], *b = order[i];
        char text_a[80], text_b[80];
        if (b->offset - a->offset < a->bytes)
            status = pith_fail(PITH_ERROR_FORMAT, "tensors '%s' (bytes %zu to %zu) and '%s' (from byte %zu) overlap",
                               pith_str_print(tensor_name(a, 0), text_a, sizeof text_a), a->offset, a->offset + a->bytes - 1,
                               pith_str_print(tensor_name(b, 0), text_b, sizeof text_b), b->offset);
    }
    free(order);
    return status;
}

/* Offsets become places in the file. */
static pith_status place(pith_gguf_tensor *tensors, size_t n, const pith_cursor *c, size_t align, int32_t part)
{
    size_t start;
    if (n == 0)
        return PITH_OK;
    if (!pith_size_align(c->at, align, &start) || start > c->size)
        return pith_fail(PITH_ERROR_FORMAT, "tensor data would start after byte %zu, aligned to %zu: the file ends at byte %zu",
                         c->at, align, c->size);
    for (size_t i = 0; i < n; i++) {
        pith_gguf_tensor *t = &tensors[i];
        char text[80];
        if (t->offset > c->size - start || t->bytes > c->size - start - t->offset)
            return pith_fail(PITH_ERROR_FORMAT, "tensor '%s': %zu bytes at offset %zu of the data part, which has %zu bytes",
                             pith_str_print(tensor_name(t, 0), text, sizeof text), t->bytes, t->offset, c->size - start);
        t->offset += start;
        t->data = c->data + t->offset;
        t->part = part;
    }
    return check_overlap(tensors, n);
}

/* Room for n more: exact for the first file, doubling after it. */
static pith_status reserve(pith_gguf *gguf, size_t n)
{
    if (n > PITH_GGUF_TENSORS_MAX - gguf->n_tensors)
        return pith_fail(PITH_ERROR_UNSUPPORTED, "more than %zu tensors", PITH_GGUF_TENSORS_MAX);
    size_t need = gguf->n_tensors + n;
    if (need <= gguf->cap_tensors && gguf->tensors)
        return PITH_OK;
    size_t cap = gguf->cap_tensors ? pith_min_size(PITH_GGUF_TENSORS_MAX, 2 * gguf->cap_tensors) : 0;
    cap = cap < need ? need : cap;
    pith_gguf_tensor *grown = pith_calloc(cap ? cap : 1, sizeof *grown);
    if (!grown)
        return pith_fail(PITH_ERROR_NO_MEMORY, "table of %zu tensors: no memory", cap);
    if (gguf->n_tensors)
        memcpy(grown, gguf->tensors, gguf->n_tensors * sizeof *grown);
    free(gguf->tensors);
    gguf->tensors = grown;
    gguf->cap_tensors = cap;
    return PITH_OK;
}

pith_status pith_gguf_tensors_read(pith_gguf *gguf, pith_cursor *c, uint64_t count, size_t align, int32_t part)
{
    PITH_TRY(pith_cursor_room(c, "tensor records", count, RECORD_BYTES_MIN));
    PITH_TRY(reserve(gguf, (size_t)count));
    pith_gguf_tensor *first = gguf->tensors + gguf->n_tensors;
    for (size_t i = 0; i < count; i++) {
        pith_status status = read_record(c, &first[i], align);
        char text[80];
        if (status != PITH_OK)
            return pith_fail_in(status, "tensor number %zu ('%s')", i, pith_str_print(tensor_name(first, i), text, sizeof text));
    }
    PITH_TRY(place(first, (size_t)count, c, align, part));
    gguf->n_tensors += (size_t)count;
    return PITH_OK;
}

pith_status pith_gguf_tensors_index(pith_gguf *gguf)
{
    return pith_name_index_build(&gguf->tensor_index, "tensor", gguf->tensors, gguf->n_tensors, tensor_name);
}

size_t pith_gguf_tensor_count(const pith_gguf *gguf)
{
    return gguf->n_tensors;
}

const pith_gguf_tensor *pith_gguf_tensor_at(const pith_gguf *gguf, size_t i)
{
    return i < gguf->n_tensors ? &gguf->tensors[i] : NULL;
}

const pith_gguf_tensor *pith_gguf_tensor_find(const pith_gguf *gguf, const char *name)
{
    size_t i = pith_name_index_find(&gguf->tensor_index, (pith_str){name, strlen(name)}, gguf->tensors, tensor_name);
    return i == SIZE_MAX ? NULL : &gguf->tensors[i];
}
