/* SPDX-License-Identifier: MIT */
/* Linked with --wrap=malloc,calloc,realloc: every allocation of the code under test passes through here. */
#include "model/open_check.h"

#include "model/weights.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

size_t pith_alloc_bytes;
long pith_alloc_count, pith_alloc_fail_at = -1;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

static bool fails(size_t size)
{
    pith_alloc_bytes += size;
    return pith_alloc_count++ == pith_alloc_fail_at;
}

void *__wrap_malloc(size_t size)
{
    return fails(size) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails(n * size) ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return fails(size) ? NULL : __real_realloc(p, size);
}

static void read_keys(const pith_gguf *gguf)
{
    volatile double sink = 0;
    for (size_t i = 0; i < pith_gguf_key_count(gguf); i++) {
        pith_str key;
        pith_gguf_type type;
        pith_gguf_array array;
        char text[100], name[200];
        for (size_t size = 1; size <= sizeof text; size += 33) {
            pith_gguf_key_describe(gguf, i, &key, &type, text, size);
            assert_true(strlen(text) < size);
        }
        for (const char *c = text; *c; c++)
            assert_true(*c >= 0x20 && *c < 0x7f);
        if (key.n >= sizeof name)
            continue;
        memcpy(name, key.data, key.n);
        name[key.n] = '\0';
        assert_true(pith_gguf_has(gguf, name));
        if (pith_gguf_get_array(gguf, name, &array) != PITH_OK)
            continue;
        for (size_t k = 0; k < array.n; k++) {
            if (array.type == PITH_GGUF_STRING)
                sink += array.strings[k].n ? array.strings[k].data[array.strings[k].n - 1] : 0;
            else
                sink += (double)pith_gguf_array_int(&array, k) + pith_gguf_array_float(&array, k);
        }
    }
    (void)sink;
}

static void touch_tensors(const pith_gguf *gguf)
{
    volatile uint8_t sink = 0;
    for (size_t i = 0; i < pith_gguf_tensor_count(gguf); i++) {
        const pith_gguf_tensor *t = pith_gguf_tensor_at(gguf, i);
        assert_ptr_equal(pith_gguf_tensor_find(gguf, t->name), t);
        assert_non_null(pith_dtype_get((uint32_t)t->dtype).name);
        sink = (uint8_t)(sink + t->data[0] + t->data[t->bytes - 1]);
    }
}

static pith_status check(const void *data, size_t size, bool whole)
{
    static pith_config config;
    pith_weights weights;
    uint8_t *copy = __real_malloc(size ? size : 1);
    pith_gguf *gguf = (pith_gguf *)&config; /* must be overwritten on failure too */
    if (size)
        memcpy(copy, data, size);
    clock_t start = clock();
    pith_alloc_bytes = 0;
    pith_status status = pith_gguf_open_memory(copy, size, &gguf);
    if (status == PITH_OK) {
        assert_non_null(gguf);
        read_keys(gguf);
        touch_tensors(gguf);
        if (whole)
            status = pith_config_read(gguf, &config);
        if (whole && status == PITH_OK) {
            double freq[PITH_HEAD_DIM_MAX / 2];
            float magnitude;
            pith_config_rope_freqs(&config, NULL, freq, &magnitude);
            status = pith_weights_bind(gguf, &config, &weights);
            if (status == PITH_OK)
                pith_weights_fini(&weights);
        }
    } else {
        assert_null(gguf);
    }
    assert_true(pith_alloc_bytes < size + ((size_t)64 << 20));
    assert_true(clock() - start < 5 * CLOCKS_PER_SEC);
    if (status != PITH_OK)
        assert_true(strlen(pith_last_error()) > 10);
    pith_gguf_close(&gguf);
    assert_null(gguf);
    free(copy);
    return status;
}

pith_status pith_check_bytes(const void *data, size_t size)
{
    return check(data, size, true);
}

pith_status pith_check_open(const void *data, size_t size)
{
    return check(data, size, false);
}

void pith_expect_bytes(const void *data, size_t size, bool whole, pith_status status, const char *text)
{
    pith_status got = check(data, size, whole);
    const char *message = got == PITH_OK ? "" : pith_last_error();
    if (got != status || !strstr(message, text))
        fail_msg("expected %s with '%s', got %s: %s", pith_status_name(status), text, pith_status_name(got), message);
}

void pith_expect(pith_builder *b, bool whole, pith_status status, const char *text)
{
    size_t size;
    const uint8_t *data = pith_builder_finish(b, &size);
    pith_expect_bytes(data, size, whole, status, text);
}
