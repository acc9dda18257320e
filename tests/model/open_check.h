/* SPDX-License-Identifier: MIT */
/* Opening hostile bytes under watch: the copy that is opened ends exactly where the file does (so that a sanitizer sees
 * every read too far), allocations are counted and can be made to fail, and the promises that hold for every file are
 * asserted: less memory than the file's size + 64 MiB, less than 5 seconds of the processor, an explanation for every failure. */
#ifndef PITH_TESTS_OPEN_CHECK_H
#define PITH_TESTS_OPEN_CHECK_H

#include "harness/gguf_builder.h"

/* Opens, and when that succeeds reads all keys, touches all tensors, reads the config and binds the weights. The result is
 * the first failure among open, config and weights. */
pith_status pith_check_bytes(const void *data, size_t size);
/* Only opens, reads keys and touches tensors. */
pith_status pith_check_open(const void *data, size_t size);

/* Finishes and opens (config and weights too when `whole`), expecting this status and `text` in the message. */
void pith_expect(pith_builder *b, bool whole, pith_status status, const char *text);
/* The same for a file finished before, and poked. */
void pith_expect_bytes(const void *data, size_t size, bool whole, pith_status status, const char *text);

/* Bytes asked for since the last reset; with fail_at >= 0 the allocation of that number (from 0) fails. */
extern size_t pith_alloc_bytes;
extern long pith_alloc_count, pith_alloc_fail_at;

#endif
