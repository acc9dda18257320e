/* SPDX-License-Identifier: MIT */
/* Keys and tensors are kept as finished records; finish() writes header, records, padding and data one after another.
 * find() walks the record list again, so a field's place needs no bookkeeping while writing. */
#include "harness/gguf_builder.h"

#include "base/half.h"
#include "base/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct buffer { uint8_t *data; size_t n, cap; };

struct item {
    char *name;           /* NUL-terminated copy, for lookups */
    size_t n_name;
    struct buffer record; /* keys: type and value; tensors: n_dims, dims, type (the offset comes while finishing) */
    struct buffer data;   /* tensors */
};

struct pith_builder {
    struct item *keys, *tensors;
    size_t n_keys, n_tensors, align;
    struct buffer file;
};

static void *grow(void *p, size_t size)
{
    p = realloc(p, size ? size : 1);
    if (!p)
        abort();
    return p;
}

static void put(struct buffer *b, const void *data, size_t n)
{
    if (b->n + n > b->cap) {
        b->cap = 2 * (b->n + n);
        b->data = grow(b->data, b->cap);
    }
    if (n)
        memcpy(b->data + b->n, data, n);
    b->n += n;
}

static void put_number(struct buffer *b, uint64_t value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put(b, &(uint8_t){(uint8_t)(value >> 8 * i)}, 1);
}

static void put_string(struct buffer *b, const void *text, size_t n)
{
    put_number(b, n, 8);
    put(b, text, n);
}

static struct item *add(struct item **items, size_t *n, const void *name, size_t n_name)
{
    *items = grow(*items, (*n + 1) * sizeof **items);
    struct item *item = &(*items)[(*n)++];
    *item = (struct item){.name = grow(NULL, n_name + 1), .n_name = n_name};
    memcpy(item->name, name, n_name);
    item->name[n_name] = '\0';
    return item;
}

static void release(struct item *item)
{
    free(item->name);
    free(item->record.data);
    free(item->data.data);
}

static void remove_item(struct item *items, size_t *n, const char *name)
{
    for (size_t i = 0; i < *n; i++) {
        if (strcmp(items[i].name, name) != 0)
            continue;
        release(&items[i]);
        memmove(&items[i], &items[i + 1], (--*n - i) * sizeof *items);
        return;
    }
    fprintf(stderr, "gguf_builder: no '%s' to remove\n", name);
    abort();
}

pith_builder *pith_builder_create(void)
{
    pith_builder *b = grow(NULL, sizeof *b);
    *b = (pith_builder){.align = 32};
    return b;
}

void pith_builder_destroy(pith_builder **builder)
{
    pith_builder *b = builder ? *builder : NULL;
    if (!b)
        return;
    for (size_t i = 0; i < b->n_keys; i++)
        release(&b->keys[i]);
    for (size_t i = 0; i < b->n_tensors; i++)
        release(&b->tensors[i]);
    free(b->keys);
    free(b->tensors);
    free(b->file.data);
    free(b);
    *builder = NULL;
}

/* ---- keys ------------------------------------------------------------------------------------------------------- */

static size_t number_bytes(pith_gguf_type type)
{
    static const uint8_t bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return bytes[type];
}

static uint64_t float_bits(pith_gguf_type type, double value)
{
    union { float f; uint32_t u; } f32 = {(float)value};
    union { double f; uint64_t u; } f64 = {value};
    return type == PITH_GGUF_F32 ? f32.u : f64.u;
}

void pith_builder_raw_key(pith_builder *b, const void *key, size_t n_key, uint32_t type, const void *value, size_t n)
{
    struct item *item = add(&b->keys, &b->n_keys, key, n_key);
    put_number(&item->record, type, 4);
    put(&item->record, value, n);
}

void pith_builder_raw(pith_builder *b, const char *key, uint32_t type, const void *value, size_t n)
{
    pith_builder_raw_key(b, key, strlen(key), type, value, n);
}

void pith_builder_int(pith_builder *b, const char *key, pith_gguf_type type, int64_t value)
{
    struct buffer v = {0};
    put_number(&v, (uint64_t)value, number_bytes(type));
    pith_builder_raw(b, key, (uint32_t)type, v.data, v.n);
    free(v.data);
}

void pith_builder_u32(pith_builder *b, const char *key, uint32_t value)
{
    pith_builder_int(b, key, PITH_GGUF_U32, value);
}

void pith_builder_float(pith_builder *b, const char *key, pith_gguf_type type, double value)
{
    pith_builder_int(b, key, type, (int64_t)float_bits(type, value));
}

void pith_builder_f32(pith_builder *b, const char *key, double value)
{
    pith_builder_float(b, key, PITH_GGUF_F32, value);
}

void pith_builder_bytes(pith_builder *b, const char *key, const void *text, size_t n)
{
    struct buffer v = {0};
    put_string(&v, text, n);
    pith_builder_raw(b, key, PITH_GGUF_STRING, v.data, v.n);
    free(v.data);
}

void pith_builder_string(pith_builder *b, const char *key, const char *text)
{
    pith_builder_bytes(b, key, text, strlen(text));
}

static struct buffer array_head(pith_gguf_type type, size_t n)
{
    struct buffer v = {0};
    put_number(&v, (uint64_t)type, 4);
    put_number(&v, n, 8);
    return v;
}

static void add_array(pith_builder *b, const char *key, struct buffer v)
{
    pith_builder_raw(b, key, PITH_GGUF_ARRAY, v.data, v.n);
    free(v.data);
}

void pith_builder_ints(pith_builder *b, const char *key, pith_gguf_type type, const int64_t *values, size_t n)
{
    struct buffer v = array_head(type, n);
    for (size_t i = 0; i < n; i++)
        put_number(&v, (uint64_t)values[i], number_bytes(type));
    add_array(b, key, v);
}

void pith_builder_floats(pith_builder *b, const char *key, pith_gguf_type type, const double *values, size_t n)
{
    struct buffer v = array_head(type, n);
    for (size_t i = 0; i < n; i++)
        put_number(&v, float_bits(type, values[i]), number_bytes(type));
    add_array(b, key, v);
}

void pith_builder_strings(pith_builder *b, const char *key, const char *const *texts, size_t n)
{
    struct buffer v = array_head(PITH_GGUF_STRING, n);
    for (size_t i = 0; i < n; i++)
        put_string(&v, texts[i], strlen(texts[i]));
    add_array(b, key, v);
}

void pith_builder_remove(pith_builder *b, const char *key)
{
    remove_item(b->keys, &b->n_keys, key);
}

/* ---- tensors ---------------------------------------------------------------------------------------------------- */

/* Random bytes, except that floats are small and that every half of a block that may be a scale is. */
static void fill_block(pith_rng *rng, pith_dtype type, pith_dtype_info info, uint8_t *block)
{
    if (type == PITH_DTYPE_F32) {
        float f = pith_rng_range(rng, -0.1f, 0.1f);
        memcpy(block, &f, 4);
        return;
    }
    for (uint32_t k = 0; k < info.block_bytes; k++)
        block[k] = (uint8_t)pith_rng_u64(rng);
    uint16_t half = type == PITH_DTYPE_BF16 ? pith_f32_to_bf16(pith_rng_range(rng, -0.1f, 0.1f))
                                            : pith_f32_to_f16(pith_rng_range(rng, -0.1f, 0.1f));
    uint32_t at[4] = {0, info.block_bytes >= 20 ? 2 : 0, info.block_elems == 256 ? info.block_bytes - 2 : 0,
                      info.block_elems == 256 ? info.block_bytes - 4 : 0};
    for (int i = 0; i < 4; i++)
        memcpy(block + at[i], &half, info.block_bytes >= 2 ? 2 : 1);
}

void pith_builder_tensor(pith_builder *b, const char *name, pith_dtype type, uint32_t n_dims, const uint64_t *dims, const void *data)
{
    struct item *item = add(&b->tensors, &b->n_tensors, name, strlen(name));
    put_number(&item->record, n_dims, 4);
    uint64_t n = 1;
    for (uint32_t d = 0; d < n_dims; d++) {
        put_number(&item->record, dims[d], 8);
        n *= dims[d];
    }
    put_number(&item->record, (uint64_t)type, 4);
    pith_dtype_info info = pith_dtype_get((uint32_t)type);
    size_t n_blocks = info.name ? n / info.block_elems : 0;
    if (data) {
        put(&item->data, data, n_blocks * info.block_bytes);
        return;
    }
    pith_rng rng;
    uint64_t seed = 1;
    for (const char *c = name; *c; c++)
        seed = seed * 31 + (uint8_t)*c;
    pith_rng_init(&rng, seed);
    uint8_t block[512];
    for (size_t i = 0; i < n_blocks; i++) {
        fill_block(&rng, type, info, block);
        put(&item->data, block, info.block_bytes);
    }
}

void pith_builder_remove_tensor(pith_builder *b, const char *name)
{
    remove_item(b->tensors, &b->n_tensors, name);
}

void pith_builder_align(pith_builder *b, size_t align)
{
    b->align = align;
}

/* ---- bytes ------------------------------------------------------------------------------------------------------ */

static void pad(struct buffer *b, size_t align)
{
    while (b->n % align)
        put_number(b, 0, 1);
}

const uint8_t *pith_builder_finish(pith_builder *b, size_t *size)
{
    struct buffer *f = &b->file;
    f->n = 0;
    put(f, "GGUF", 4);
    put_number(f, 3, 4);
    put_number(f, b->n_tensors, 8);
    put_number(f, b->n_keys, 8);
    for (size_t i = 0; i < b->n_keys; i++) {
        put_string(f, b->keys[i].name, b->keys[i].n_name);
        put(f, b->keys[i].record.data, b->keys[i].record.n);
    }
    size_t offset = 0;
    for (size_t i = 0; i < b->n_tensors; i++) {
        put_string(f, b->tensors[i].name, b->tensors[i].n_name);
        put(f, b->tensors[i].record.data, b->tensors[i].record.n);
        put_number(f, offset, 8);
        offset = (offset + b->tensors[i].data.n + b->align - 1) / b->align * b->align;
    }
    for (size_t i = 0; i < b->n_tensors; i++) {
        pad(f, b->align);
        put(f, b->tensors[i].data.data, b->tensors[i].data.n);
    }
    *size = f->n;
    return f->data;
}

static size_t find_tensor(const pith_builder *b, const char *name, pith_field field, size_t at)
{
    const struct item *t = NULL;
    for (size_t i = 0; i < b->n_tensors; i++) {
        if (!t && strcmp(b->tensors[i].name, name) == 0) {
            t = &b->tensors[i];
            if (field != PITH_FIELD_DATA)
                break;
        }
        at += 8 + b->tensors[i].n_name + b->tensors[i].record.n + 8;
    }
    if (!t)
        return 0;
    switch (field) {
    case PITH_FIELD_NAME_LENGTH: return at;
    case PITH_FIELD_NAME: return at + 8;
    case PITH_FIELD_N_DIMS: return at + 8 + t->n_name;
    case PITH_FIELD_DIMS: return at + 8 + t->n_name + 4;
    case PITH_FIELD_TYPE: return at + 8 + t->n_name + t->record.n - 4;
    case PITH_FIELD_OFFSET: return at + 8 + t->n_name + t->record.n;
    default: break;
    }
    for (size_t i = 0; i < b->n_tensors; i++) { /* at: end of the records */
        at = (at + b->align - 1) / b->align * b->align;
        if (&b->tensors[i] == t)
            return at;
        at += b->tensors[i].data.n;
    }
    return 0;
}

static size_t find_key_field(const struct item *key, pith_field field, size_t at)
{
    switch (field) {
    case PITH_FIELD_KEY_LENGTH: return at;
    case PITH_FIELD_KEY: return at + 8;
    case PITH_FIELD_VALUE_TYPE: return at + 8 + key->n_name;
    case PITH_FIELD_VALUE: case PITH_FIELD_ARRAY_TYPE: return at + 8 + key->n_name + 4;
    case PITH_FIELD_ARRAY_COUNT: return at + 8 + key->n_name + 8;
    case PITH_FIELD_ARRAY_VALUES: return at + 8 + key->n_name + 16;
    default: return 0;
    }
}

size_t pith_builder_find(const pith_builder *b, const char *name, pith_field field)
{
    if (!name)
        return field == PITH_FIELD_VERSION ? 4 : field == PITH_FIELD_TENSOR_COUNT ? 8 : field == PITH_FIELD_KEY_COUNT ? 16 : 0;
    size_t at = 24, found = 0;
    bool in_keys = field < PITH_FIELD_NAME_LENGTH;
    for (size_t i = 0; i < b->n_keys; i++) {
        if (in_keys && !found && strcmp(b->keys[i].name, name) == 0)
            found = find_key_field(&b->keys[i], field, at);
        at += 8 + b->keys[i].n_name + b->keys[i].record.n;
    }
    if (!in_keys)
        found = find_tensor(b, name, field, at);
    if (!found) {
        fprintf(stderr, "gguf_builder: '%s' has no such field\n", name);
        abort();
    }
    return found;
}

void pith_builder_poke(pith_builder *b, size_t at, uint64_t value, size_t n)
{
    if (at + n > b->file.n)
        abort();
    for (size_t i = 0; i < n; i++)
        b->file.data[at + i] = (uint8_t)(value >> 8 * i);
}

void pith_builder_write(pith_builder *b, const char *path)
{
    size_t size;
    const uint8_t *data = pith_builder_finish(b, &size);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0) {
        perror(path);
        abort();
    }
}

/* ---- whole models ----------------------------------------------------------------------------------------------- */

static void tiny_keys(pith_builder *b, const char *arch)
{
    static const struct { const char *name; uint32_t value; } keys[] = {
        {"context_length", 256}, {"embedding_length", 64}, {"block_count", 2}, {"feed_forward_length", 96},
        {"attention.head_count", 4}, {"attention.head_count_kv", 2}, {"attention.key_length", 16},
        {"rope.dimension_count", 16},
    };
    char key[96];
    pith_builder_string(b, "general.architecture", arch);
    pith_builder_string(b, "general.name", "tiny");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        snprintf(key, sizeof key, "%s.%s", arch, keys[i].name);
        pith_builder_u32(b, key, keys[i].value);
    }
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", arch);
    pith_builder_f32(b, key, 1e-5);
    snprintf(key, sizeof key, "%s.rope.freq_base", arch);
    pith_builder_f32(b, key, 10000);
}

void pith_builder_tiny_model(pith_builder *b, const char *arch, pith_dtype type)
{
    enum { D = 64, HE = 64, KE = 32, F = 96, V = 40, E = 16 };
    static const struct { const char *name, *arch; uint64_t n, rows; } layer[] = {
        {"attn_norm.weight", NULL, D, 0},      {"attn_q.weight", NULL, D, HE},       {"attn_k.weight", NULL, D, KE},
        {"attn_v.weight", NULL, D, KE},        {"attn_q.bias", "qwen2", HE, 0},      {"attn_k.bias", "qwen2", KE, 0},
        {"attn_v.bias", "qwen2", KE, 0},       {"attn_q_norm.weight", "qwen3", E, 0}, {"attn_k_norm.weight", "qwen3", E, 0},
        {"attn_output.weight", NULL, HE, D},   {"ffn_norm.weight", NULL, D, 0},      {"ffn_gate.weight", NULL, D, F},
        {"ffn_up.weight", NULL, D, F},         {"ffn_down.weight", NULL, F, D},
    };
    tiny_keys(b, arch);
    pith_builder_tensor(b, "token_embd.weight", type, 2, (uint64_t[]){D, V}, NULL);
    for (int l = 0; l < 2; l++) {
        for (size_t i = 0; i < sizeof layer / sizeof *layer; i++) {
            if (layer[i].arch && strcmp(layer[i].arch, arch) != 0)
                continue;
            char name[64];
            snprintf(name, sizeof name, "blk.%d.%s", l, layer[i].name);
            pith_builder_tensor(b, name, layer[i].rows ? type : PITH_DTYPE_F32, layer[i].rows ? 2 : 1,
                                (uint64_t[]){layer[i].n, layer[i].rows}, NULL);
        }
    }
    pith_builder_tensor(b, "output_norm.weight", PITH_DTYPE_F32, 1, (uint64_t[]){D}, NULL);
}
