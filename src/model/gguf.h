/* SPDX-License-Identifier: MIT */
/* GGUF v2/v3 files: a hostile-input reader. The file is mapped; keys, strings, arrays and tensors are views into the
 * mapping, checked once while opening, so that the getters below cannot run out of it. Split files open as one.
 * Not here: what keys mean (config.h, text/vocab.h), which tensors a model needs (weights.h). */
#ifndef PITH_MODEL_GGUF_H
#define PITH_MODEL_GGUF_H

#include "base/status.h"
#include "graph/dtype.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pith_gguf pith_gguf;

typedef enum pith_gguf_type {
    PITH_GGUF_U8, PITH_GGUF_I8, PITH_GGUF_U16, PITH_GGUF_I16, PITH_GGUF_U32, PITH_GGUF_I32, PITH_GGUF_F32, PITH_GGUF_BOOL,
    PITH_GGUF_STRING, PITH_GGUF_ARRAY, PITH_GGUF_U64, PITH_GGUF_I64, PITH_GGUF_F64
} pith_gguf_type;

typedef struct pith_str { const char *data; size_t n; } pith_str; /* a view, not NUL-terminated */

/* An array value; elements are read with pith_gguf_array_*. */
typedef struct pith_gguf_array {
    pith_gguf_type type;     /* of the elements, never ARRAY */
    size_t n;
    const uint8_t *data;     /* first element's bytes (strings: u64 length, bytes, packed) */
    const pith_str *strings; /* [n] when type is STRING, else NULL; owned by the file */
} pith_gguf_array;

typedef struct pith_gguf_tensor {
    char name[65];
    pith_dtype dtype;
    int32_t n_dims;
    uint64_t dims[4];   /* dims[0] is contiguous: input features; dims[1]: rows, output features; 1 where unused */
    const uint8_t *data; /* in the mapping, 32-byte aligned at best */
    size_t bytes;
    int32_t part;       /* index of the file it lies in */
    size_t offset;      /* of data in that file */
} pith_gguf_tensor;

/* Opens `path`; when it is part 1 of a split set (split.count > 1) opens the others too. Returns owned.
 * Errors: NOT_FOUND, IO, FORMAT (breaks a rule), UNSUPPORTED (big-endian, version 1, retired tensor type). */
pith_status pith_gguf_open(const char *path, pith_gguf **out);
/* The same over a block of memory that the caller keeps (borrowed); split files are refused. For tests and fuzzing. */
pith_status pith_gguf_open_memory(const void *data, size_t size, pith_gguf **out);
void pith_gguf_close(pith_gguf **gguf);

const char *pith_gguf_path(const pith_gguf *gguf);
uint64_t pith_gguf_file_bytes(const pith_gguf *gguf); /* of all parts */
size_t pith_gguf_tensor_count(const pith_gguf *gguf);
const pith_gguf_tensor *pith_gguf_tensor_at(const pith_gguf *gguf, size_t i);
const pith_gguf_tensor *pith_gguf_tensor_find(const pith_gguf *gguf, const char *name); /* NULL: absent */
/* The pages of a tensor may leave memory (it was copied elsewhere). */
void pith_gguf_tensor_drop(const pith_gguf *gguf, const pith_gguf_tensor *tensor);
/* IO error when a part shrank since it was opened (reading its mapping would raise SIGBUS). */
pith_status pith_gguf_check(const pith_gguf *gguf);

size_t pith_gguf_key_count(const pith_gguf *gguf);
/* i-th key, its type, and a printable value (arrays: type, count and first elements) into text[size]. */
void pith_gguf_key_describe(const pith_gguf *gguf, size_t i, pith_str *key, pith_gguf_type *type, char *text, size_t size);
bool pith_gguf_has(const pith_gguf *gguf, const char *key);

/* Getters. Absent key: NOT_FOUND (with the key's name), *out untouched: an optional key is
 *     if (pith_gguf_has(g, k)) PITH_TRY(pith_gguf_get_...)
 * Wrong kind or out of [lo, hi]: FORMAT, naming key, expected and got. Integers of any width and sign are accepted. */
pith_status pith_gguf_get_int(const pith_gguf *gguf, const char *key, int64_t lo, int64_t hi, int64_t *out);
pith_status pith_gguf_get_float(const pith_gguf *gguf, const char *key, double *out); /* f32 or f64, finite */
pith_status pith_gguf_get_bool(const pith_gguf *gguf, const char *key, bool *out);
pith_status pith_gguf_get_string(const pith_gguf *gguf, const char *key, pith_str *out);
pith_status pith_gguf_get_array(const pith_gguf *gguf, const char *key, pith_gguf_array *out);

/* Element i as a number (integers and bools: exact in int64 unless a u64 above INT64_MAX, which gives INT64_MAX). */
int64_t pith_gguf_array_int(const pith_gguf_array *array, size_t i);
double pith_gguf_array_float(const pith_gguf_array *array, size_t i);

#endif
