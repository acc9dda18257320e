/* SPDX-License-Identifier: MIT */
/* A bounded cursor over the bytes of a GGUF file: the only way in which a file's numbers are read while it is being
 * opened. Invariant: at <= size. Failures are FORMAT and say the byte, what was read there, expected and got.
 * Inside the model layer only. */
#ifndef PITH_MODEL_GGUF_READ_H
#define PITH_MODEL_GGUF_READ_H

#include "model/gguf.h"

typedef struct pith_cursor {
    const uint8_t *data; /* [size], borrowed */
    size_t size, at;
} pith_cursor;

static inline size_t pith_cursor_left(const pith_cursor *c) { return c->size - c->at; }

static inline uint16_t pith_le16(const uint8_t *b) { return (uint16_t)(b[0] | b[1] << 8); }
static inline uint32_t pith_le32(const uint8_t *b) { return (uint32_t)pith_le16(b) | (uint32_t)pith_le16(b + 2) << 16; }
static inline uint64_t pith_le64(const uint8_t *b) { return (uint64_t)pith_le32(b) | (uint64_t)pith_le32(b + 4) << 32; }

/* n bytes go by; *out: the first of them. `what` names the field in the message. */
pith_status pith_cursor_take(pith_cursor *c, const char *what, size_t n, const uint8_t **out);
pith_status pith_cursor_u32(pith_cursor *c, const char *what, uint32_t *out);
pith_status pith_cursor_u64(pith_cursor *c, const char *what, uint64_t *out);
/* u64 length in [n_min, n_max], then so many bytes. */
pith_status pith_cursor_string(pith_cursor *c, const char *what, size_t n_min, size_t n_max, pith_str *out);
/* n_items records of at least item_bytes each must fit into what is left. */
pith_status pith_cursor_room(const pith_cursor *c, const char *what, uint64_t n_items, size_t item_bytes);

/* For messages and listings: bytes outside printable ASCII as \xNN, long texts end in "...". Returns out. */
const char *pith_str_print(pith_str s, char *out, size_t size);

#endif
