/* SPDX-License-Identifier: MIT */
/* Bytes of tokens in, showable text out. Two stages: bytes become valid UTF-8 (at most three bytes of an unfinished
 * character wait in `tail`), and the text passes the stop strings, one Knuth-Morris-Pratt matcher each.
 *
 *     text: [shown already ... | held: a prefix of some stop string | tail: a prefix of a character]
 *
 * The matchers see the text byte by byte, so the result does not depend on how it was cut into tokens: the stop string
 * that is completed first wins, and of several completed by the same byte the longest. */
#include "text/stream.h"
#include "base/mem.h"
#include "text/utf8.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct stop {
    char *text;
    size_t n;
    uint32_t *back; /* [n] back[i]: length of the longest proper border of text[0..i] */
    size_t state;   /* bytes of `text` that the text so far ends with */
};

struct pith_stream {
    struct stop *stops;
    size_t n_stop;
    char *text;      /* held text, then what came with this call; NUL-terminated when handed out */
    size_t n, cap;
    size_t shown;    /* text[0..shown) was handed out by the last call and goes away with the next one */
    char saved;      /* the byte that the NUL of the last call replaced */
    char tail[4];
    size_t n_tail;
    bool stopped;
};

static const char replacement[] = "\xEF\xBF\xBD";

static pith_status stop_init(struct stop *stop, const char *text, size_t index)
{
    size_t n = strlen(text);
    if (!n)
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "stop string %zu: empty, expected at least one character", index);
    if (n > UINT32_MAX / 2)
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "stop string %zu: too long (%zu bytes)", index, n);
    /* Only whole characters: then a match starts at a character's first byte, and cutting there leaves valid text. */
    if (pith_utf8_valid_prefix(text, n) != n)
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "stop string %zu: not valid UTF-8", index);
    stop->text = pith_calloc(n + 1, 1);
    stop->back = pith_calloc(n, sizeof *stop->back);
    if (!stop->text || !stop->back)
        return pith_fail(PITH_ERROR_NO_MEMORY, "stop string %zu: %zu bytes", index, n);
    memcpy(stop->text, text, n);
    stop->n = n;
    for (size_t i = 1, k = 0; i < n; i++) {
        while (k && text[i] != text[k])
            k = stop->back[k - 1];
        k += text[i] == text[k];
        stop->back[i] = (uint32_t)k;
    }
    return PITH_OK;
}

pith_status pith_stream_create(const char *const *stop, size_t n_stop, pith_stream **out)
{
    pith_status status;
    *out = NULL;
    pith_stream *stream = pith_calloc(1, sizeof *stream);
    if (!stream)
        return pith_fail(PITH_ERROR_NO_MEMORY, "text stream");
    stream->stops = pith_calloc(n_stop, sizeof *stream->stops);
    if (!stream->stops) {
        status = pith_fail(PITH_ERROR_NO_MEMORY, "%zu stop strings", n_stop);
        goto fail;
    }
    stream->n_stop = n_stop;
    for (size_t i = 0; i < n_stop; i++) {
        if (!stop[i]) {
            status = pith_fail(PITH_ERROR_INVALID_ARGUMENT, "stop string %zu: NULL", i);
            goto fail;
        }
        PITH_TRY_GOTO(stop_init(&stream->stops[i], stop[i], i));
    }
    *out = stream;
    return PITH_OK;
fail:
    pith_stream_destroy(&stream);
    return status;
}

void pith_stream_destroy(pith_stream **stream)
{
    if (!*stream)
        return;
    for (size_t i = 0; (*stream)->stops && i < (*stream)->n_stop; i++) {
        free((*stream)->stops[i].text);
        free((*stream)->stops[i].back);
    }
    free((*stream)->stops);
    free((*stream)->text);
    free(*stream);
    *stream = NULL;
}

void pith_stream_reset(pith_stream *stream)
{
    stream->n = stream->shown = stream->n_tail = 0;
    stream->stopped = false;
    for (size_t i = 0; i < stream->n_stop; i++)
        stream->stops[i].state = 0;
}

/* Removes what the last call showed and makes room for `more` bytes and a NUL. */
static pith_status text_begin(pith_stream *stream, size_t more)
{
    size_t need;
    if (stream->shown) {
        stream->text[stream->shown] = stream->saved;
        memmove(stream->text, stream->text + stream->shown, stream->n - stream->shown);
        stream->n -= stream->shown;
        stream->shown = 0;
    }
    if (!pith_size_add(stream->n, more, &need) || !pith_size_add(need, 1, &need) || need > SIZE_MAX / 2)
        return pith_fail(PITH_ERROR_NO_MEMORY, "text stream: %zu bytes more", more);
    if (need > stream->cap) {
        size_t cap = need + need / 2 + 64;
        char *text = realloc(stream->text, cap);
        if (!text)
            return pith_fail(PITH_ERROR_NO_MEMORY, "text stream: %zu bytes", cap);
        stream->text = text;
        stream->cap = cap;
    }
    return PITH_OK;
}

/* Hands out text[0..n): the rest stays held. */
static void text_show(pith_stream *stream, size_t n, const char **text, size_t *n_text)
{
    stream->shown = n;
    if (!n)
        return;
    stream->saved = stream->text[n];
    stream->text[n] = '\0';
    *text = stream->text;
    *n_text = n;
}

/* Appends one character's bytes; true when a stop string is complete, the text is then cut before it. */
static bool text_append(pith_stream *stream, const char *bytes, size_t n)
{
    for (size_t b = 0; b < n; b++) {
        size_t longest = 0;
        stream->text[stream->n++] = bytes[b];
        for (size_t i = 0; i < stream->n_stop; i++) {
            struct stop *stop = &stream->stops[i];
            size_t k = stop->state;
            while (k && stop->text[k] != bytes[b])
                k = stop->back[k - 1];
            k += stop->text[k] == bytes[b];
            if (k == stop->n && k > longest)
                longest = k;
            stop->state = k == stop->n ? stop->back[k - 1] : k;
        }
        if (longest) {
            assert(longest <= stream->n);
            stream->n -= longest;
            return true;
        }
    }
    return false;
}

/* Bytes at the end of the text that may be the beginning of a stop string. */
static size_t held(const pith_stream *stream)
{
    size_t longest = 0;
    for (size_t i = 0; i < stream->n_stop; i++)
        if (stream->stops[i].state > longest)
            longest = stream->stops[i].state;
    assert(longest <= stream->n);
    return longest;
}

/* Appends bytes[n] as valid text; what is left of an unfinished character goes to the tail. */
static bool bytes_append(pith_stream *stream, const char *bytes, size_t n)
{
    size_t i = 0, step;
    while (stream->n_tail && i < n) { /* finish the waiting character, byte by byte */
        stream->tail[stream->n_tail++] = bytes[i++];
        pith_utf8_kind kind = pith_utf8_step(stream->tail, stream->n_tail, &step);
        if (kind == PITH_UTF8_INCOMPLETE)
            continue;
        i -= stream->n_tail - step; /* at most the byte that broke it off, which starts anew */
        stream->n_tail = 0;
        if (kind == PITH_UTF8_CHAR ? text_append(stream, stream->tail, step) : text_append(stream, replacement, 3))
            return true;
    }
    while (i < n) {
        pith_utf8_kind kind = pith_utf8_step(bytes + i, n - i, &step);
        if (kind == PITH_UTF8_INCOMPLETE) {
            memcpy(stream->tail, bytes + i, step);
            stream->n_tail = step;
            return false;
        }
        if (kind == PITH_UTF8_CHAR ? text_append(stream, bytes + i, step) : text_append(stream, replacement, 3))
            return true;
        i += step;
    }
    return false;
}

pith_status pith_stream_push(pith_stream *stream, const char *bytes, size_t n_bytes, const char **text, size_t *n, bool *stopped)
{
    size_t more;
    *text = "";
    *n = 0;
    *stopped = stream->stopped;
    if (!pith_size_mul(n_bytes, 3, &more) || !pith_size_add(more, sizeof stream->tail * 3, &more))
        return pith_fail(PITH_ERROR_NO_MEMORY, "text stream: %zu bytes more", n_bytes);
    PITH_TRY(text_begin(stream, more));
    if (stream->stopped)
        return PITH_OK;
    stream->stopped = *stopped = bytes_append(stream, bytes, n_bytes);
    text_show(stream, stream->n - (stream->stopped ? 0 : held(stream)), text, n);
    return PITH_OK;
}

pith_status pith_stream_flush(pith_stream *stream, const char **text, size_t *n)
{
    *text = "";
    *n = 0;
    PITH_TRY(text_begin(stream, 3));
    if (!stream->stopped && stream->n_tail)
        text_append(stream, replacement, 3);
    stream->n_tail = 0;
    stream->stopped = true;
    text_show(stream, stream->n, text, n);
    return PITH_OK;
}
