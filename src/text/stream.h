/* SPDX-License-Identifier: MIT */
/* From tokens' bytes to text that can be shown: whole UTF-8 characters only, invalid bytes as U+FFFD (one per maximal
 * invalid part), stop strings found across token borders and never shown, not even in part. */
#ifndef PITH_TEXT_STREAM_H
#define PITH_TEXT_STREAM_H

#include "base/status.h"

#include <stdbool.h>

typedef struct pith_stream pith_stream;

/* Copies the stop strings (empty ones, and ones that are not valid UTF-8: INVALID_ARGUMENT). Returns owned. */
pith_status pith_stream_create(const char *const *stop, size_t n_stop, pith_stream **out);
void pith_stream_destroy(pith_stream **stream);
void pith_stream_reset(pith_stream *stream);

/* Takes one token's bytes. *text: what may be shown now (NUL-terminated, owned by the stream, valid until the next
 * call), *n its bytes. *stopped: a stop string was completed; text ends before it and the stream is finished. */
pith_status pith_stream_push(pith_stream *stream, const char *bytes, size_t n_bytes, const char **text, size_t *n, bool *stopped);
/* The rest at the end of a generation: held-back text, an unfinished character as U+FFFD. The stream is finished then:
 * pushes show nothing until pith_stream_reset. */
pith_status pith_stream_flush(pith_stream *stream, const char **text, size_t *n);

#endif
