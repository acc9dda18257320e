/* SPDX-License-Identifier: MIT */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char detail[1024];

const char *pith_status_name(pith_status status)
{
    switch (status) {
#define X(name, code, sentence) case PITH_##name: return #name;
        PITH_STATUS_MAP(X)
#undef X
    }
    return "UNKNOWN";
}

const char *pith_status_sentence(pith_status status)
{
    switch (status) {
#define X(name, code, sentence) case PITH_##name: return sentence;
        PITH_STATUS_MAP(X)
#undef X
    }
    return "unknown status";
}

const char *pith_last_error(void)
{
    return detail;
}

void pith_fail_clear(void)
{
    detail[0] = '\0';
}

pith_status pith_fail(pith_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    return status;
}

pith_status pith_fail_in(pith_status status, const char *format, ...)
{
    char old[sizeof detail];
    memcpy(old, detail, sizeof old);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n + 3 < sizeof detail)
        snprintf(detail + n, sizeof detail - (size_t)n, ": %.*s", (int)(sizeof detail - (size_t)n - 3), old);
    return status;
}
