/* SPDX-License-Identifier: MIT */
/* Errors inside the library: a status code travels up, a sentence with the details stays in a thread-local buffer.
 * The world's faults (files, requests, memory) are statuses; our own mistakes are assert(). */
#ifndef PITH_BASE_STATUS_H
#define PITH_BASE_STATUS_H

#include <pith/pith.h>

/* Records "what, where, expected, got" for the calling thread and returns `status`, so that
 * `return pith_fail(PITH_ERROR_FORMAT, "...", ...)` is one line. printf format; at most 1023 bytes are kept. */
pith_status pith_fail(pith_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "prefix: " before the recorded detail, for a caller that knows more about the place. Returns `status`. */
pith_status pith_fail_in(pith_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Forgets the calling thread's detail. */
void pith_fail_clear(void);

/* Forwards a failure to the caller. */
#define PITH_TRY(expr)                                    \
    do {                                                  \
        pith_status pith_try_status = (expr);             \
        if (pith_try_status != PITH_OK)                   \
            return pith_try_status;                       \
    } while (0)

/* Forwards a failure to the function's `fail:` label, through its local `status`. */
#define PITH_TRY_GOTO(expr)                               \
    do {                                                  \
        status = (expr);                                  \
        if (status != PITH_OK)                            \
            goto fail;                                    \
    } while (0)

#endif
