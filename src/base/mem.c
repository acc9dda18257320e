/* SPDX-License-Identifier: MIT */
/* Layout of an aligned block:  [head: 64 bytes, holds the whole size][size bytes][PITH_PAD_BYTES]  */
#include "base/mem.h"
#include "base/os.h"

#include <stdlib.h>
#include <string.h>

#define LARGE_BYTES ((size_t)2 << 20)

struct head {
    size_t total; /* bytes of the whole block */
    bool pages;   /* from pith_os_pages_alloc */
};

void *pith_calloc(size_t n, size_t size)
{
    size_t total;
    if (!pith_size_mul(n, size, &total))
        return NULL;
    return calloc(1, total ? total : 1);
}

void *pith_aligned_alloc(size_t size)
{
    size_t total;
    if (!pith_size_add(size, PITH_ALIGN + PITH_PAD_BYTES, &total) || !pith_size_align(total, PITH_ALIGN, &total))
        return NULL;
    bool pages = size >= LARGE_BYTES;
    char *block = pages ? pith_os_pages_alloc(total) : aligned_alloc(PITH_ALIGN, total);
    if (!block)
        return NULL;
    *(struct head *)(void *)block = (struct head){.total = total, .pages = pages};
#ifndef NDEBUG
    if (!pages)
        memset(block + PITH_ALIGN, 0xff, size); /* NaN in every float type: a read before the write screams */
#endif
    if (!pages)
        memset(block + PITH_ALIGN + size, 0, total - PITH_ALIGN - size);
    return block + PITH_ALIGN;
}

void pith_aligned_free(void *p)
{
    if (!p)
        return;
    char *block = (char *)p - PITH_ALIGN;
    struct head head = *(struct head *)(void *)block;
    if (head.pages)
        pith_os_pages_free(block, head.total);
    else
        free(block);
}
