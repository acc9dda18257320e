/* SPDX-License-Identifier: MIT */
/* A zip writer of two members: a short text first, so that offsets matter, then the one under test. */
#include "cli/fake_wheel.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

typedef struct archive { uint8_t *data; size_t n; } archive;

static void put(archive *a, uint64_t value, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++)
        a->data[a->n++] = (uint8_t)(value >> (8 * i));
}

static void put_bytes(archive *a, const void *data, size_t n)
{
    if (n)
        memcpy(a->data + a->n, data, n);
    a->n += n;
}

static size_t deflated(const uint8_t *data, size_t n, uint8_t *out, size_t cap)
{
    z_stream z;
    memset(&z, 0, sizeof z);
    int r = deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
    assert(r == Z_OK);
    z.next_in = (Bytef *)data;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = (uInt)cap;
    r = deflate(&z, Z_FINISH);
    assert(r == Z_STREAM_END);
    (void)r;
    deflateEnd(&z);
    return cap - z.avail_out;
}

/* The fields that the local and the central header share. */
static void put_common(archive *a, uint16_t flags, uint16_t method, uint32_t crc, uint32_t packed, uint32_t size, size_t name)
{
    put(a, 20, 2);
    put(a, flags, 2);
    put(a, method, 2);
    put(a, 0, 4);
    put(a, crc, 4);
    put(a, packed, 4);
    put(a, size, 4);
    put(a, name, 2);
}

static void put_central(archive *a, const char *name, uint16_t flags, uint16_t method, uint32_t crc, uint32_t packed,
                        uint32_t size, uint32_t offset)
{
    put(a, 0x02014b50, 4);
    put(a, 20, 2);
    put_common(a, flags, method, crc, packed, size, strlen(name));
    put(a, 0, 2);
    put(a, 0, 2);
    put(a, 0, 8);
    put(a, offset, 4);
    put_bytes(a, name, strlen(name));
}

static void put_local(archive *a, const char *name, uint16_t flags, uint16_t method, uint32_t crc, uint32_t packed, uint32_t size)
{
    put(a, 0x04034b50, 4);
    put_common(a, flags, method, crc, packed, size, strlen(name));
    put(a, 4, 2); /* an extra field, as real archives have */
    put_bytes(a, name, strlen(name));
    put(a, 0x0000CAFE, 4);
}

void fake_wheel_write(const fake_wheel *w, const char *path)
{
    static const char note[] = "a note";
    size_t cap = w->n + w->n / 8 + 1024;
    uint8_t *packed = malloc(cap);
    archive a = {malloc(cap + 4096), 0};
    assert(packed && a.data);
    size_t n_packed = w->n;
    if (w->stored)
        memcpy(packed, w->data, w->n);
    else
        n_packed = deflated(w->data, w->n, packed, cap);
    n_packed -= w->cut_packed;
    uint16_t method = w->method ? w->method : w->stored ? 0 : 8;
    uint32_t note_crc = (uint32_t)crc32(0, (const Bytef *)note, 6), crc = (uint32_t)crc32(0, w->data, (uInt)w->n) ^ w->crc_xor;
    uint32_t size = (uint32_t)w->n + (uint32_t)w->size_add, shown = (uint32_t)n_packed + (uint32_t)w->packed_add;
    put_local(&a, "pkg/NOTE", 0, 0, note_crc, 6, 6);
    put_bytes(&a, note, 6);
    uint32_t offset = (uint32_t)a.n + (uint32_t)w->offset_add;
    put_local(&a, w->name, w->flags, method, crc, shown, size);
    put_bytes(&a, packed, n_packed);
    uint32_t directory = (uint32_t)a.n;
    put_central(&a, "pkg/NOTE", 0, 0, note_crc, 6, 6, 0);
    put_central(&a, w->name, w->flags, method, crc, shown, size, offset);
    uint32_t directory_bytes = (uint32_t)a.n - directory;
    put(&a, 0x06054b50, 4);
    put(&a, 0, 4);
    put(&a, 2, 2);
    put(&a, 2, 2);
    put(&a, directory_bytes, 4);
    put(&a, directory + (uint32_t)w->directory_add, 4);
    put(&a, 0, 2);
    FILE *file = fopen(path, "wb");
    assert(file);
    size_t written = fwrite(a.data, 1, a.n - w->cut, file);
    assert(written == a.n - w->cut);
    (void)written;
    fclose(file);
    free(packed);
    free(a.data);
}
