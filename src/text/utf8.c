/* SPDX-License-Identifier: MIT */
/* UTF-8, checked. The invariant: a step never looks past n and always goes on by at least one byte, so a loop of
 * steps ends for any bytes. */
#include "text/utf8.h"

#include <stdint.h>
#include <string.h>

pith_utf8_kind pith_utf8_step(const char *text, size_t n, size_t *bytes)
{
    const uint8_t *s = (const uint8_t *)text;
    uint8_t lead = s[0], low = 0x80, high = 0xBF; /* range of the second byte */
    size_t want;
    *bytes = 1;
    if (lead < 0x80)
        return PITH_UTF8_CHAR;
    if (lead < 0xC2 || lead > 0xF4)
        return PITH_UTF8_INVALID;
    want = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (lead == 0xE0)
        low = 0xA0;
    else if (lead == 0xED)
        high = 0x9F;
    else if (lead == 0xF0)
        low = 0x90;
    else if (lead == 0xF4)
        high = 0x8F;
    for (size_t i = 1; i < want; i++) {
        if (i == n) {
            *bytes = n;
            return PITH_UTF8_INCOMPLETE;
        }
        if (s[i] < low || s[i] > high) {
            *bytes = i;
            return PITH_UTF8_INVALID;
        }
        low = 0x80;
        high = 0xBF;
    }
    *bytes = want;
    return PITH_UTF8_CHAR;
}

size_t pith_utf8_valid_prefix(const char *text, size_t n)
{
    size_t i = 0, bytes;
    while (i < n) {
        uint64_t eight;
        if (n - i >= 8) {
            memcpy(&eight, text + i, 8);
            if (!(eight & UINT64_C(0x8080808080808080))) {
                i += 8;
                continue;
            }
        }
        if (pith_utf8_step(text + i, n - i, &bytes) != PITH_UTF8_CHAR)
            break;
        i += bytes;
    }
    return i;
}
