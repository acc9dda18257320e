/* SPDX-License-Identifier: MIT */
/* One step through bytes that may or may not be UTF-8 (Unicode 15, table 3-7: no surrogates, no overlong forms,
 * nothing above U+10FFFF). */
#ifndef PITH_TEXT_UTF8_H
#define PITH_TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>

typedef enum pith_utf8_kind {
    PITH_UTF8_CHAR,       /* a whole character */
    PITH_UTF8_INVALID,    /* a maximal invalid part: what one U+FFFD stands for */
    PITH_UTF8_INCOMPLETE, /* the text ends inside a character that may still become valid */
} pith_utf8_kind;

/* Kind and bytes (>= 1) of what stands at text[0], n >= 1. */
pith_utf8_kind pith_utf8_step(const char *text, size_t n, size_t *bytes);

/* Length of the longest prefix of text[n] that is whole valid characters. */
size_t pith_utf8_valid_prefix(const char *text, size_t n);

#endif
