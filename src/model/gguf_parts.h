/* SPDX-License-Identifier: MIT */
/* The pieces of an open GGUF file, and who fills them. Inside the model layer only.
 *
 *   file bytes   | header | key records | tensor records | padding | tensor data ... |
 *   pith_cursor             gguf_kv.c     gguf_tensors.c
 *   pith_gguf               keys[]        tensors[]                  (views: pointers into the bytes)
 *
 * Memory: a table is made only when the file has bytes for its entries, and caps on what is counted keep all tables
 * together below the file's size + 64 MiB: keys (64 B each, at most 2^16), tensors (160 B with their index, 2^17),
 * strings in arrays (16 B, 2^21), files of a set (56 B, 2^16). */
#ifndef PITH_MODEL_GGUF_PARTS_H
#define PITH_MODEL_GGUF_PARTS_H

#include "base/os.h"
#include "model/gguf_read.h"

#define PITH_GGUF_KEYS_MAX ((size_t)1 << 16)
#define PITH_GGUF_TENSORS_MAX ((size_t)1 << 17)
#define PITH_GGUF_STRINGS_MAX ((size_t)1 << 21)
#define PITH_GGUF_STRING_BYTES_MAX ((size_t)64 << 20)

/* Open addressing over names that lie elsewhere: slots hold item numbers + 1, 0 is empty, at most half are used. The
 * hash is keyed with a number that a file's author cannot know, so names cannot be made to collide. */
typedef struct pith_name_index {
    uint32_t *slots;  /* [n_slots], a power of two; owned */
    size_t n_slots;
    uint64_t seed[2];
} pith_name_index;

typedef pith_str (*pith_name_fn)(const void *items, size_t i);

/* Enters items 0..n-1. A name that comes twice is FORMAT ("`what` '...' appears twice"). */
pith_status pith_name_index_build(pith_name_index *index, const char *what, const void *items, size_t n, pith_name_fn name);
/* The item's number, SIZE_MAX when absent. */
size_t pith_name_index_find(const pith_name_index *index, pith_str wanted, const void *items, pith_name_fn name);

/* One key. value.data: the bytes of a number; of a string, n bytes; arrays as in gguf.h. */
typedef struct pith_gguf_kv {
    pith_str key;
    pith_gguf_type type;
    pith_gguf_array value;
} pith_gguf_kv;

typedef struct pith_gguf_keys {
    pith_gguf_kv *items; /* [n], owned, with the strings of its arrays */
    size_t n;
    size_t n_strings;    /* in all arrays */
    pith_name_index index;
} pith_gguf_keys;

/* Reads `count` records. On failure *keys is in a state that fini accepts. */
pith_status pith_gguf_keys_read(pith_gguf_keys *keys, pith_cursor *c, uint64_t count);
void pith_gguf_keys_fini(pith_gguf_keys *keys);
const pith_gguf_kv *pith_gguf_keys_find(const pith_gguf_keys *keys, const char *key); /* NULL: absent */
pith_status pith_gguf_keys_int(const pith_gguf_keys *keys, const char *key, int64_t lo, int64_t hi, int64_t *out);

typedef struct pith_gguf_file {
    char *path;           /* owned */
    pith_mapping mapping; /* fd -1 and data NULL for a block of memory */
    const uint8_t *data;
    size_t size;
} pith_gguf_file;

struct pith_gguf {
    pith_gguf_keys keys;       /* of the first file */
    pith_gguf_tensor *tensors; /* [n_tensors], of all files in order; owned */
    size_t n_tensors, cap_tensors;
    pith_name_index tensor_index;
    pith_gguf_file *files;     /* [n_files], owned */
    size_t n_files;
    bool in_memory;
};

/* Appends `count` records of file `part` (cursor behind its keys) and checks them, their data included. */
pith_status pith_gguf_tensors_read(pith_gguf *gguf, pith_cursor *c, uint64_t count, size_t align, int32_t part);
pith_status pith_gguf_tensors_index(pith_gguf *gguf);

/* Header, keys and tensors of one file; keys go to *keys. */
pith_status pith_gguf_file_read(pith_gguf *gguf, int32_t part, pith_gguf_keys *keys);
/* With the first file read: opens and reads the others of its set, if it has any. */
pith_status pith_gguf_split_read(pith_gguf *gguf);

const char *pith_gguf_type_name(pith_gguf_type type); /* "u32" */
size_t pith_gguf_type_bytes(pith_gguf_type type);     /* of one element; string and array: 0 */
bool pith_gguf_type_is_int(pith_gguf_type type);

#endif
