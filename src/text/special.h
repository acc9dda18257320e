/* SPDX-License-Identifier: MIT */
/* Finding special tokens (control and user-defined) in text: many patterns at once, in time linear in the text whatever
 * the vocabulary holds. */
#ifndef PITH_TEXT_SPECIAL_H
#define PITH_TEXT_SPECIAL_H

#include "text/table.h"

typedef struct pith_specials pith_specials;

typedef struct pith_special_match { size_t at; int32_t id; } pith_special_match;
/* Zero-initialise; release with free(items). */
typedef struct pith_special_matches { pith_special_match *items; size_t n, cap; } pith_special_matches;

/* Over tokens[ids[0..n)], whose texts must outlive nothing: they are compiled in. Returns owned.
 * Errors: UNSUPPORTED (far more special text than any real vocabulary has), NO_MEMORY. */
pith_status pith_specials_create(const char *text, const pith_token *tokens, const int32_t *ids, size_t n, pith_specials **out);
void pith_specials_destroy(pith_specials **specials);

/* Appends, for every position of text[n] where a token starts, the longest one there, from the last position to the
 * first; `at` counts from `base`. control: control and unknown tokens as well, otherwise only user-defined ones. */
pith_status pith_specials_scan(const pith_specials *specials, const char *text, size_t n, size_t base, bool control,
                               pith_special_matches *out);

#endif
