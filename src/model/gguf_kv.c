/* SPDX-License-Identifier: MIT */
/* Key records:  | u64 n | key[n] | u32 type | value |      value of a string: | u64 n | bytes[n] |
 *               of an array: | u32 element type | u64 count | elements, packed |
 * After reading, every key is unique, every value lies inside the file, and bools are 0 or 1. Nothing is copied but
 * the places of the strings in arrays, so that the i-th token of a vocabulary is found at once. */
#include "model/gguf_parts.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_BYTES_MAX = 65535, RECORD_BYTES_MIN = 8 + 1 + 4 + 1 };

static const struct { const char *name; uint8_t bytes; bool is_int; } types[] = {
    [PITH_GGUF_U8] = {"u8", 1, true},       [PITH_GGUF_I8] = {"i8", 1, true},    [PITH_GGUF_U16] = {"u16", 2, true},
    [PITH_GGUF_I16] = {"i16", 2, true},     [PITH_GGUF_U32] = {"u32", 4, true},  [PITH_GGUF_I32] = {"i32", 4, true},
    [PITH_GGUF_F32] = {"f32", 4, false},    [PITH_GGUF_BOOL] = {"bool", 1, false}, [PITH_GGUF_STRING] = {"string", 0, false},
    [PITH_GGUF_ARRAY] = {"array", 0, false}, [PITH_GGUF_U64] = {"u64", 8, true}, [PITH_GGUF_I64] = {"i64", 8, true},
    [PITH_GGUF_F64] = {"f64", 8, false},
};
enum { N_TYPES = sizeof types / sizeof *types };

const char *pith_gguf_type_name(pith_gguf_type type)
{
    return (size_t)type < N_TYPES ? types[type].name : "unknown";
}

size_t pith_gguf_type_bytes(pith_gguf_type type)
{
    return (size_t)type < N_TYPES ? types[type].bytes : 0;
}

bool pith_gguf_type_is_int(pith_gguf_type type)
{
    return (size_t)type < N_TYPES && types[type].is_int;
}

static pith_str key_name(const void *items, size_t i)
{
    return ((const pith_gguf_kv *)items)[i].key;
}

static pith_status read_type(pith_cursor *c, const char *what, pith_gguf_type *out)
{
    size_t at = c->at;
    uint32_t type;
    PITH_TRY(pith_cursor_u32(c, what, &type));
    if (type >= N_TYPES)
        return pith_fail(PITH_ERROR_FORMAT, "byte %zu: %s: expected 0 to %d, got %" PRIu32, at, what, N_TYPES - 1, type);
    *out = (pith_gguf_type)type;
    return PITH_OK;
}

/* n packed numbers; bools are looked at one by one. */
static pith_status read_numbers(pith_cursor *c, pith_gguf_type type, size_t n, const uint8_t **out)
{
    size_t at = c->at;
    PITH_TRY(pith_cursor_take(c, "its value", n * types[type].bytes, out)); /* n: 1, or checked against the size */
    for (size_t i = 0; type == PITH_GGUF_BOOL && i < n; i++) {
        if ((*out)[i] > 1)
            return pith_fail(PITH_ERROR_FORMAT, "byte %zu: bool: expected 0 or 1, got %u", at + i, (*out)[i]);
    }
    return PITH_OK;
}

static pith_status read_array(pith_gguf_keys *keys, pith_cursor *c, pith_gguf_array *out)
{
    size_t at = c->at;
    uint64_t n;
    PITH_TRY(read_type(c, "array element type", &out->type));
    if (out->type == PITH_GGUF_ARRAY)
        return pith_fail(PITH_ERROR_FORMAT, "byte %zu: array of arrays is not allowed", at);
    PITH_TRY(pith_cursor_u64(c, "array count", &n));
    PITH_TRY(pith_cursor_room(c, "array elements", n, out->type == PITH_GGUF_STRING ? 8 : types[out->type].bytes));
    out->n = (size_t)n;
    if (out->type != PITH_GGUF_STRING)
        return read_numbers(c, out->type, out->n, &out->data);
    if (out->n > PITH_GGUF_STRINGS_MAX - keys->n_strings)
        return pith_fail(PITH_ERROR_UNSUPPORTED, "byte %zu: %zu strings: arrays may hold at most %zu strings in all", at, out->n,
                         PITH_GGUF_STRINGS_MAX);
    keys->n_strings += out->n;
    pith_str *strings = pith_calloc(out->n ? out->n : 1, sizeof *strings);
    if (!strings)
        return pith_fail(PITH_ERROR_NO_MEMORY, "array of %zu strings: no memory", out->n);
    out->strings = strings; /* the record owns it from here on */
    out->data = c->data + c->at;
    for (size_t i = 0; i < out->n; i++)
        PITH_TRY(pith_cursor_string(c, "array string", 0, PITH_GGUF_STRING_BYTES_MAX, &strings[i]));
    return PITH_OK;
}

static pith_status read_value(pith_gguf_keys *keys, pith_cursor *c, pith_gguf_kv *kv)
{
    pith_str s;
    PITH_TRY(read_type(c, "value type", &kv->type));
    switch (kv->type) {
    case PITH_GGUF_ARRAY:
        return read_array(keys, c, &kv->value);
    case PITH_GGUF_STRING:
        PITH_TRY(pith_cursor_string(c, "string value", 0, PITH_GGUF_STRING_BYTES_MAX, &s));
        kv->value = (pith_gguf_array){.type = PITH_GGUF_U8, .n = s.n, .data = (const uint8_t *)s.data};
        return PITH_OK;
    default:
        kv->value = (pith_gguf_array){.type = kv->type, .n = 1};
        return read_numbers(c, kv->type, 1, &kv->value.data);
    }
}

static pith_status read_record(pith_gguf_keys *keys, pith_cursor *c, pith_gguf_kv *kv)
{
    size_t at = c->at;
    char text[80];
    pith_status status = pith_cursor_string(c, "key", 1, KEY_BYTES_MAX, &kv->key);
    if (status != PITH_OK)
        return pith_fail_in(status, "key number %zu", keys->n);
    if (memchr(kv->key.data, 0, kv->key.n))
        return pith_fail(PITH_ERROR_FORMAT, "byte %zu: key number %zu ('%s') contains a NUL byte", at, keys->n,
                         pith_str_print(kv->key, text, sizeof text));
    status = read_value(keys, c, kv);
    return status == PITH_OK ? PITH_OK : pith_fail_in(status, "key '%s'", pith_str_print(kv->key, text, sizeof text));
}

pith_status pith_gguf_keys_read(pith_gguf_keys *keys, pith_cursor *c, uint64_t count)
{
    PITH_TRY(pith_cursor_room(c, "keys", count, RECORD_BYTES_MIN));
    if (count > PITH_GGUF_KEYS_MAX)
        return pith_fail(PITH_ERROR_UNSUPPORTED, "%" PRIu64 " keys: at most %zu are supported", count, PITH_GGUF_KEYS_MAX);
    keys->items = pith_calloc(count ? (size_t)count : 1, sizeof *keys->items);
    if (!keys->items)
        return pith_fail(PITH_ERROR_NO_MEMORY, "table of %" PRIu64 " keys: no memory", count);
    while (keys->n < count) {
        pith_status status = read_record(keys, c, &keys->items[keys->n]);
        keys->n++; /* a half-read record too: fini releases what it has */
        PITH_TRY(status);
    }
    return pith_name_index_build(&keys->index, "key", keys->items, keys->n, key_name);
}

void pith_gguf_keys_fini(pith_gguf_keys *keys)
{
    for (size_t i = 0; i < keys->n; i++)
        free((void *)(uintptr_t)keys->items[i].value.strings);
    free(keys->items);
    free(keys->index.slots);
    *keys = (pith_gguf_keys){0};
}

const pith_gguf_kv *pith_gguf_keys_find(const pith_gguf_keys *keys, const char *key)
{
    size_t i = pith_name_index_find(&keys->index, (pith_str){key, strlen(key)}, keys->items, key_name);
    return i == SIZE_MAX ? NULL : &keys->items[i];
}
