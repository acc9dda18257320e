/* SPDX-License-Identifier: MIT */
/* Checked size arithmetic and aligned memory. Every product of counts that a file or a request can influence goes
 * through pith_size_mul / pith_size_add; every buffer that a kernel reads ends with PITH_PAD_BYTES of readable memory. */
#ifndef PITH_BASE_MEM_H
#define PITH_BASE_MEM_H

#include <pith/pith.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PITH_ALIGN 64     /* bytes: one cache line, one AVX-512 vector */
#define PITH_PAD_BYTES 64 /* kernels may read, never write, this far past the end of a buffer */

/* *out = a * b (a + b); false on overflow, *out is then untouched. */
static inline bool pith_size_mul(size_t a, size_t b, size_t *out)
{
    size_t r;
    if (__builtin_mul_overflow(a, b, &r))
        return false;
    *out = r;
    return true;
}

static inline bool pith_size_add(size_t a, size_t b, size_t *out)
{
    size_t r;
    if (__builtin_add_overflow(a, b, &r))
        return false;
    *out = r;
    return true;
}

/* Rounds `size` up to a multiple of `align` (a power of two); false on overflow. */
static inline bool pith_size_align(size_t size, size_t align, size_t *out)
{
    size_t r;
    if (__builtin_add_overflow(size, align - 1, &r))
        return false;
    *out = r & ~(align - 1);
    return true;
}

static inline size_t pith_min_size(size_t a, size_t b) { return a < b ? a : b; }
static inline int64_t pith_min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t pith_max_i64(int64_t a, int64_t b) { return a > b ? a : b; }

/* Zeroed array of n elements of `size` bytes; NULL on overflow or lack of memory. Release with free(). */
void *pith_calloc(size_t n, size_t size);

/* Small or large block, PITH_ALIGN aligned, PITH_PAD_BYTES of readable zeroed memory behind it, contents undefined
 * (NaN bytes in debug builds). From 2 MiB on it comes straight from the system, with huge pages asked for, and is
 * resident only where touched. Returns owned memory or NULL; release with pith_aligned_free (NULL is fine). */
void *pith_aligned_alloc(size_t size);
void pith_aligned_free(void *p);

#endif
