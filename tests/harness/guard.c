/* SPDX-License-Identifier: MIT */
#include "harness/guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct header { void *base; size_t size; };

static struct header header_of(const void *p)
{
    struct header h;
    memcpy(&h, (const uint8_t *)p - PITH_GUARD_MARGIN, sizeof h);
    return h;
}

uint8_t pith_guard_byte(size_t i) { return (uint8_t)(0xf8 + i % 7); } /* four in a row: an f32 NaN or huge */

void *pith_guard_alloc(size_t size, size_t offset)
{
    size_t total = size + 2 * PITH_GUARD_MARGIN + 128;
    uint8_t *base = total > size ? malloc(total) : NULL;
    if (!base) {
        fprintf(stderr, "guard: no memory for %zu bytes\n", size);
        abort();
    }
    uint8_t *p = base + PITH_GUARD_MARGIN;
    p += (64 - (uintptr_t)p % 64) % 64 + offset % 64;
    struct header h = {base, size};
    for (size_t i = 0; i < PITH_GUARD_MARGIN; i++) {
        p[(ptrdiff_t)i - PITH_GUARD_MARGIN] = pith_guard_byte(i);
        p[size + i] = pith_guard_byte(i);
    }
    memcpy(p - PITH_GUARD_MARGIN, &h, sizeof h);
    pith_guard_reset(p);
    return p;
}

void pith_guard_reset(void *p)
{
    size_t size = header_of(p).size;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)p)[i] = pith_guard_byte(i);
}

bool pith_guard_check(const void *p, const char *what)
{
    const uint8_t *bytes = p;
    size_t size = header_of(p).size;
    for (size_t i = PITH_GUARD_MARGIN; i-- > sizeof(struct header);) {
        if (bytes[(ptrdiff_t)i - PITH_GUARD_MARGIN] != pith_guard_byte(i)) {
            fprintf(stderr, "%s: wrote %zu bytes before the buffer\n", what, PITH_GUARD_MARGIN - i);
            return false;
        }
    }
    for (size_t i = 0; i < PITH_GUARD_MARGIN; i++) {
        if (bytes[size + i] != pith_guard_byte(i)) {
            fprintf(stderr, "%s: wrote %zu bytes past the end of %zu\n", what, i + 1, size);
            return false;
        }
    }
    return true;
}

bool pith_guard_untouched(const void *p, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (((const uint8_t *)p)[i] != pith_guard_byte(i))
            return false;
    return true;
}

void pith_guard_free(void *p)
{
    if (p)
        free(header_of(p).base);
}
