/* SPDX-License-Identifier: MIT */
/* The library's only voice: lines to a callback that the program sets (default: warnings and errors to stderr). */
#ifndef PITH_BASE_LOG_H
#define PITH_BASE_LOG_H

#include <pith/pith.h>

/* printf format, one line without the newline. Thread-safe. */
void pith_log(pith_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
