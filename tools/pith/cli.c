/* SPDX-License-Identifier: MIT */
/* The small things of cli.h: errors, notes, formatted quantities, clock, peak memory. */
#include "cli.h"

#include "progress.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static bool note_quiet;

int cli_error(int code, const char *format, ...)
{
    va_list args;
    cli_progress_pause();
    fputs("pith: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    cli_progress_resume();
    return code;
}

int cli_exit_code(pith_status status)
{
    switch (status) {
    case PITH_OK: return CLI_OK;
    case PITH_ERROR_INVALID_ARGUMENT: return CLI_USAGE;
    case PITH_ERROR_NOT_FOUND:
    case PITH_ERROR_IO:
    case PITH_ERROR_FORMAT:
    case PITH_ERROR_UNSUPPORTED: return CLI_FILE;
    case PITH_ERROR_NO_MEMORY:
    case PITH_ERROR_DEVICE: return CLI_MEMORY;
    case PITH_ERROR_CANCELLED: return CLI_INTERRUPTED;
    case PITH_ERROR_CONTEXT_LENGTH:
    case PITH_ERROR_NUMERIC: break;
    }
    return CLI_FAILURE;
}

int cli_fail(pith_status status, const char *format, ...)
{
    char what[512];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    const char *detail = pith_last_error();
    if (strncmp(detail, what, strlen(what)) == 0) /* the library named the file itself */
        return cli_error(cli_exit_code(status), "%s", detail);
    return cli_error(cli_exit_code(status), "%s: %s", what, detail[0] ? detail : pith_status_sentence(status));
}

void cli_note_quiet(bool quiet)
{
    note_quiet = quiet;
}

bool cli_is_quiet(void)
{
    return note_quiet;
}

void cli_note(const char *format, ...)
{
    if (note_quiet)
        return;
    va_list args;
    cli_progress_pause();
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    cli_progress_resume();
}

void *cli_alloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (!p)
        exit(cli_error(CLI_MEMORY, "no memory for %zu x %zu bytes", n, size));
    return p;
}

char *cli_text(const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = cli_alloc((size_t)n + 1, 1);
    vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    return text;
}

/* Eight buffers in turn, so that one printf can show eight quantities. */
static char *scratch_line(void)
{
    static _Thread_local char lines[8][48]; /* the progress thread formats too */
    static _Thread_local unsigned next;
    return lines[next++ % 8];
}

const char *cli_bytes(uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    char *line = scratch_line();
    if (bytes < 1024) {
        snprintf(line, 48, "%u B", (unsigned)bytes);
        return line;
    }
    double value = (double)bytes / 1024.0;
    int unit = 0;
    for (; value >= 1023.95 && unit < 3; unit++)
        value /= 1024.0;
    snprintf(line, 48, value < 99.95 ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return line;
}

const char *cli_seconds(double seconds)
{
    char *line = scratch_line();
    if (seconds < 9.95)
        snprintf(line, 48, "%.1f s", seconds);
    else if (seconds < 119.5)
        snprintf(line, 48, "%.0f s", seconds);
    else if (seconds < 7200.0)
        snprintf(line, 48, "%d min %d s", (int)seconds / 60, (int)seconds % 60);
    else
        snprintf(line, 48, "%d h %d min", (int)(seconds / 3600.0), (int)(seconds / 60.0) % 60);
    return line;
}

uint64_t cli_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* getrusage counts what ran in this process before exec; the kernel's own record of the current program is exact. */
uint64_t cli_memory_peak_bytes(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    if (file) {
        char line[256];
        unsigned long long kib = 0;
        bool found = false;
        while (!found && fgets(line, sizeof line, file))
            found = sscanf(line, "VmHWM: %llu", &kib) == 1;
        fclose(file);
        if (found)
            return (uint64_t)kib * 1024;
    }
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
#ifdef __APPLE__
    return (uint64_t)usage.ru_maxrss;
#else
    return (uint64_t)usage.ru_maxrss * 1024;
#endif
}

int cli_stdout_close(void)
{
    bool broken = ferror(stdout) != 0;
    int error = 0;
    if (fflush(stdout) != 0) {
        broken = true;
        error = errno;
    }
    if (!broken)
        return CLI_OK;
    if (error == 0 || error == EPIPE)
        return cli_error(CLI_FAILURE, "stdout: closed before the answer was complete");
    return cli_error(CLI_FAILURE, "stdout: %s", strerror(error));
}
