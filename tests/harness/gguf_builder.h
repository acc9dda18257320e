/* SPDX-License-Identifier: MIT */
/* GGUF files made in memory for tests: well-formed by default, and then lied in at any field.
 *
 *     pith_builder *b = pith_builder_create();
 *     pith_builder_string(b, "general.architecture", "llama");
 *     pith_builder_tensor(b, "token_embd.weight", PITH_DTYPE_F32, 2, (uint64_t[]){64, 32}, NULL);
 *     size_t size;
 *     const uint8_t *bytes = pith_builder_finish(b, &size);
 *     pith_builder_poke(b, pith_builder_find(b, "token_embd.weight", PITH_FIELD_N_DIMS), 5, 4);   // the lie
 *
 * Tensors lie back to back in order, each start aligned, nothing behind the last one: so every prefix of a file that
 * ends with a tensor is a broken file. Running out of memory aborts. Keys given twice are written twice. */
#ifndef PITH_TESTS_GGUF_BUILDER_H
#define PITH_TESTS_GGUF_BUILDER_H

#include "model/gguf.h"

typedef struct pith_builder pith_builder;

pith_builder *pith_builder_create(void); /* version 3, alignment 32 */
void pith_builder_destroy(pith_builder **b);

/* ---- keys ------------------------------------------------------------------------------------------------------- */

void pith_builder_int(pith_builder *b, const char *key, pith_gguf_type type, int64_t value); /* any integer type, bool */
void pith_builder_u32(pith_builder *b, const char *key, uint32_t value);
void pith_builder_float(pith_builder *b, const char *key, pith_gguf_type type, double value); /* f32, f64 */
void pith_builder_f32(pith_builder *b, const char *key, double value);
void pith_builder_string(pith_builder *b, const char *key, const char *text);
void pith_builder_bytes(pith_builder *b, const char *key, const void *text, size_t n); /* a string of any bytes */
void pith_builder_ints(pith_builder *b, const char *key, pith_gguf_type type, const int64_t *values, size_t n);
void pith_builder_floats(pith_builder *b, const char *key, pith_gguf_type type, const double *values, size_t n);
void pith_builder_strings(pith_builder *b, const char *key, const char *const *texts, size_t n);
/* type and value bytes taken as they are: for values that the functions above would not write. */
void pith_builder_raw(pith_builder *b, const char *key, uint32_t type, const void *value, size_t n);
/* The same with any key bytes. */
void pith_builder_raw_key(pith_builder *b, const void *key, size_t n_key, uint32_t type, const void *value, size_t n);
/* Forgets a key: for a file that lacks one, or has another value for it. */
void pith_builder_remove(pith_builder *b, const char *key);

/* ---- tensors ---------------------------------------------------------------------------------------------------- */

/* data NULL: small finite random values, the same for the same name. Copied. */
void pith_builder_tensor(pith_builder *b, const char *name, pith_dtype type, uint32_t n_dims, const uint64_t *dims, const void *data);
void pith_builder_remove_tensor(pith_builder *b, const char *name);
/* The alignment that the file is laid out with; does not write general.alignment. */
void pith_builder_align(pith_builder *b, size_t align);

/* ---- bytes ------------------------------------------------------------------------------------------------------ */

/* Lays the file out; the bytes are the builder's, and stay until the next finish or destroy. */
const uint8_t *pith_builder_finish(pith_builder *b, size_t *size);

typedef enum pith_field { /* header: name NULL */
    PITH_FIELD_MAGIC, PITH_FIELD_VERSION, PITH_FIELD_TENSOR_COUNT, PITH_FIELD_KEY_COUNT,
    PITH_FIELD_KEY_LENGTH, PITH_FIELD_KEY, PITH_FIELD_VALUE_TYPE, PITH_FIELD_VALUE,
    PITH_FIELD_ARRAY_TYPE, PITH_FIELD_ARRAY_COUNT, PITH_FIELD_ARRAY_VALUES,
    PITH_FIELD_NAME_LENGTH, PITH_FIELD_NAME, PITH_FIELD_N_DIMS, PITH_FIELD_DIMS, PITH_FIELD_TYPE, PITH_FIELD_OFFSET,
    PITH_FIELD_DATA
} pith_field;

/* Byte offset of a field in the finished file; the key or tensor must exist. */
size_t pith_builder_find(const pith_builder *b, const char *name, pith_field field);
/* Overwrites n (1..8) bytes with a little-endian number. */
void pith_builder_poke(pith_builder *b, size_t at, uint64_t value, size_t n);
/* Finishes and writes a file; aborts when it cannot. */
void pith_builder_write(pith_builder *b, const char *path);

/* ---- whole models ----------------------------------------------------------------------------------------------- */

/* Every key and tensor of a tiny model: arch "llama", "qwen2" or "qwen3"; 2 layers, D 64, H 4, K 2, E 16, F 96, V 40,
 * context 256, output tied. Matrices of `type` (blocks of 32 at most). No tokenizer. */
void pith_builder_tiny_model(pith_builder *b, const char *arch, pith_dtype type);

#endif
