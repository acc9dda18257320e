/* SPDX-License-Identifier: MIT */
/* Typed access to keys, and keys as text. Writers disagree about the width and sign of integers, so one helper takes
 * them all and checks the range; floats likewise. Values were bounds-checked while opening. */
#include "model/gguf_parts.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Number i of packed elements, as both kinds; *big: a u64 above INT64_MAX. */
static int64_t int_at(pith_gguf_type type, const uint8_t *data, size_t i, bool *big)
{
    const uint8_t *b = data + i * pith_gguf_type_bytes(type);
    *big = false;
    switch (type) {
    case PITH_GGUF_U8: case PITH_GGUF_BOOL: return b[0];
    case PITH_GGUF_I8: return (int8_t)b[0];
    case PITH_GGUF_U16: return pith_le16(b);
    case PITH_GGUF_I16: return (int16_t)pith_le16(b);
    case PITH_GGUF_U32: return pith_le32(b);
    case PITH_GGUF_I32: return (int32_t)pith_le32(b);
    case PITH_GGUF_I64: return (int64_t)pith_le64(b);
    case PITH_GGUF_U64:
        *big = pith_le64(b) > INT64_MAX;
        return *big ? INT64_MAX : (int64_t)pith_le64(b);
    default: return 0;
    }
}

static double float_at(pith_gguf_type type, const uint8_t *data, size_t i)
{
    const uint8_t *b = data + i * pith_gguf_type_bytes(type);
    if (type == PITH_GGUF_F32) {
        union { uint32_t u; float f; } v = {pith_le32(b)};
        return (double)v.f;
    }
    if (type == PITH_GGUF_F64) {
        union { uint64_t u; double f; } v = {pith_le64(b)};
        return v.f;
    }
    if (type == PITH_GGUF_U64)
        return (double)pith_le64(b);
    bool big;
    return (double)int_at(type, data, i, &big);
}

int64_t pith_gguf_array_int(const pith_gguf_array *array, size_t i)
{
    assert(i < array->n);
    bool big;
    return int_at(array->type, array->data, i, &big);
}

double pith_gguf_array_float(const pith_gguf_array *array, size_t i)
{
    assert(i < array->n);
    return float_at(array->type, array->data, i);
}

/* ---- getters --------------------------------------------------------------------------------------------------- */

static pith_status need(const pith_gguf_keys *keys, const char *key, const pith_gguf_kv **out)
{
    *out = pith_gguf_keys_find(keys, key);
    return *out ? PITH_OK : pith_fail(PITH_ERROR_NOT_FOUND, "key %s is missing", key);
}

static pith_status wrong_type(const pith_gguf_kv *kv, const char *key, const char *expected)
{
    return pith_fail(PITH_ERROR_FORMAT, "key %s: expected %s, got %s %s", key, expected,
                     strchr("aif", pith_gguf_type_name(kv->type)[0]) ? "an" : "a", pith_gguf_type_name(kv->type));
}

pith_status pith_gguf_keys_int(const pith_gguf_keys *keys, const char *key, int64_t lo, int64_t hi, int64_t *out)
{
    const pith_gguf_kv *kv;
    bool big;
    PITH_TRY(need(keys, key, &kv));
    if (!pith_gguf_type_is_int(kv->type))
        return wrong_type(kv, key, "an integer");
    int64_t value = int_at(kv->type, kv->value.data, 0, &big);
    if (big)
        return pith_fail(PITH_ERROR_FORMAT, "key %s: expected %" PRId64 " to %" PRId64 ", got %" PRIu64, key, lo, hi,
                         pith_le64(kv->value.data));
    if (value < lo || value > hi)
        return pith_fail(PITH_ERROR_FORMAT, "key %s: expected %" PRId64 " to %" PRId64 ", got %" PRId64, key, lo, hi, value);
    *out = value;
    return PITH_OK;
}

/* Puts the file's name before a failure. */
static pith_status in_file(const pith_gguf *gguf, pith_status status)
{
    return status == PITH_OK ? PITH_OK : pith_fail_in(status, "%s", pith_gguf_path(gguf));
}

bool pith_gguf_has(const pith_gguf *gguf, const char *key)
{
    return pith_gguf_keys_find(&gguf->keys, key) != NULL;
}

pith_status pith_gguf_get_int(const pith_gguf *gguf, const char *key, int64_t lo, int64_t hi, int64_t *out)
{
    return in_file(gguf, pith_gguf_keys_int(&gguf->keys, key, lo, hi, out));
}

static pith_status get_float(const pith_gguf_keys *keys, const char *key, double *out)
{
    const pith_gguf_kv *kv;
    PITH_TRY(need(keys, key, &kv));
    if (kv->type != PITH_GGUF_F32 && kv->type != PITH_GGUF_F64)
        return wrong_type(kv, key, "an f32 or f64");
    double value = float_at(kv->type, kv->value.data, 0);
    if (!isfinite(value))
        return pith_fail(PITH_ERROR_FORMAT, "key %s: expected a finite number, got %g", key, value);
    *out = value;
    return PITH_OK;
}

pith_status pith_gguf_get_float(const pith_gguf *gguf, const char *key, double *out)
{
    return in_file(gguf, get_float(&gguf->keys, key, out));
}

/* A key of exactly this type. */
static pith_status get_typed(const pith_gguf *gguf, const char *key, pith_gguf_type type, const char *expected,
                             const pith_gguf_kv **out)
{
    pith_status status = need(&gguf->keys, key, out);
    if (status == PITH_OK && (*out)->type != type)
        status = wrong_type(*out, key, expected);
    return in_file(gguf, status);
}

pith_status pith_gguf_get_bool(const pith_gguf *gguf, const char *key, bool *out)
{
    const pith_gguf_kv *kv;
    PITH_TRY(get_typed(gguf, key, PITH_GGUF_BOOL, "a bool", &kv));
    *out = kv->value.data[0] != 0;
    return PITH_OK;
}

pith_status pith_gguf_get_string(const pith_gguf *gguf, const char *key, pith_str *out)
{
    const pith_gguf_kv *kv;
    PITH_TRY(get_typed(gguf, key, PITH_GGUF_STRING, "a string", &kv));
    *out = (pith_str){(const char *)kv->value.data, kv->value.n};
    return PITH_OK;
}

pith_status pith_gguf_get_array(const pith_gguf *gguf, const char *key, pith_gguf_array *out)
{
    const pith_gguf_kv *kv;
    PITH_TRY(get_typed(gguf, key, PITH_GGUF_ARRAY, "an array", &kv));
    *out = kv->value;
    return PITH_OK;
}

/* ---- keys as text ---------------------------------------------------------------------------------------------- */

/* Appends to text[size] at *n, cutting silently; *n stays below size. */
__attribute__((format(printf, 4, 5))) static void append(char *text, size_t size, size_t *n, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int added = vsnprintf(text + *n, size - *n, format, args);
    va_end(args);
    if (added > 0)
        *n = (size_t)added < size - *n ? *n + (size_t)added : size - 1;
}

static void append_number(char *text, size_t size, size_t *n, pith_gguf_type type, const uint8_t *data, size_t i)
{
    bool big;
    int64_t value = int_at(type, data, i, &big);
    if (type == PITH_GGUF_F32 || type == PITH_GGUF_F64)
        append(text, size, n, type == PITH_GGUF_F32 ? "%.9g" : "%.17g", float_at(type, data, i));
    else if (type == PITH_GGUF_BOOL)
        append(text, size, n, "%s", value ? "true" : "false");
    else if (big)
        append(text, size, n, "%" PRIu64, pith_le64(data + 8 * i));
    else
        append(text, size, n, "%" PRId64, value);
}

size_t pith_gguf_key_count(const pith_gguf *gguf)
{
    return gguf->keys.n;
}

void pith_gguf_key_describe(const pith_gguf *gguf, size_t i, pith_str *key, pith_gguf_type *type, char *text, size_t size)
{
    assert(i < gguf->keys.n && size > 0);
    const pith_gguf_kv *kv = &gguf->keys.items[i];
    const pith_gguf_array *value = &kv->value;
    *key = kv->key;
    *type = kv->type;
    size_t n = 0;
    text[0] = '\0';
    if (kv->type == PITH_GGUF_STRING) {
        pith_str_print((pith_str){(const char *)value->data, value->n}, text, size);
        return;
    }
    if (kv->type != PITH_GGUF_ARRAY) {
        append_number(text, size, &n, kv->type, value->data, 0);
        return;
    }
    append(text, size, &n, "%s[%zu]", pith_gguf_type_name(value->type), value->n);
    enum { SHOWN = 8 };
    for (size_t e = 0; e < value->n && e < SHOWN; e++) {
        append(text, size, &n, e ? ", " : ": ");
        if (value->type == PITH_GGUF_STRING) {
            char element[64];
            append(text, size, &n, "\"%s\"", pith_str_print(value->strings[e], element, sizeof element));
        } else {
            append_number(text, size, &n, value->type, value->data, e);
        }
    }
    if (value->n > SHOWN)
        append(text, size, &n, ", ...");
}
