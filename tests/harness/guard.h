/* SPDX-License-Identifier: MIT */
/* Buffers with patterned margins, so that a kernel that writes where it must not is caught and named.
 *
 *     |<- PITH_GUARD_MARGIN ->|<------- size ------->|<- PITH_GUARD_MARGIN ->|
 *     | header, pattern       | user bytes (pattern) | pattern               |
 *
 * Margins are readable (over-reads within PITH_PAD_BYTES are allowed), never writable. */
#ifndef PITH_HARNESS_GUARD_H
#define PITH_HARNESS_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PITH_GUARD_MARGIN 256

/* `size` bytes at an address = `offset` (< 64) modulo 64, filled with the pattern (a NaN when read as f32). Aborts when
 * there is no memory. Returns owned; release with pith_guard_free. */
void *pith_guard_alloc(size_t size, size_t offset);
/* False when a margin was written; the message (stderr) says on which side and how far. */
bool pith_guard_check(const void *p, const char *what);
/* Byte i of every fresh buffer: tells whether user bytes were written. */
uint8_t pith_guard_byte(size_t i);
/* Are the user bytes [from, to) still as they were allocated? */
bool pith_guard_untouched(const void *p, size_t from, size_t to);
/* Puts the pattern back over the user bytes. */
void pith_guard_reset(void *p);
void pith_guard_free(void *p); /* NULL is fine */

#endif
