/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static void log_default(pith_log_level level, const char *line, void *user)
{
    (void)user;
    if (level >= PITH_LOG_WARNING)
        fprintf(stderr, "pith: %s\n", line);
}

static pith_log_fn log_fn = log_default;
static void *log_user;

void pith_log_set(pith_log_fn fn, void *user)
{
    log_fn = fn ? fn : log_default;
    log_user = user;
}

void pith_log(pith_log_level level, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    log_fn(level, line, log_user);
}
