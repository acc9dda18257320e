/* SPDX-License-Identifier: MIT */
/* What the commands of the program share: exit codes, the one way to report an error, and the commands themselves.
 * Answers go to stdout; everything else goes to stderr, through the functions here and in progress.h. */
#ifndef CLI_H
#define CLI_H

#include <pith/pith.h>

#include <stdio.h>

enum {
    CLI_OK = 0,
    CLI_FAILURE = 1,     /* something failed while running */
    CLI_USAGE = 2,       /* the command line is wrong */
    CLI_FILE = 3,        /* a model or an input file is missing or invalid */
    CLI_MEMORY = 4,      /* not enough memory, or the device failed */
    CLI_INTERRUPTED = 130,
    CLI_TERMINATED = 143
};

/* One line "pith: ..." to stderr; returns `code`. */
int cli_error(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The library's last failure as one line, after "pith: what: "; returns the exit code that belongs to `status`. */
int cli_fail(pith_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));
int cli_exit_code(pith_status status);
/* A line for people, to stderr unless --quiet. */
void cli_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void cli_note_quiet(bool quiet);
bool cli_is_quiet(void);

/* calloc that ends the program (exit 4) when memory is gone: for the program's own small things, never for data. */
void *cli_alloc(size_t n, size_t size);
/* An owned string, printf format. */
char *cli_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* "93.8 MiB", in one of a few static buffers: good for one printf. */
const char *cli_bytes(uint64_t bytes);
/* "1 min 20 s", likewise. */
const char *cli_seconds(double seconds);

uint64_t cli_now_ns(void);         /* monotonic */
uint64_t cli_memory_peak_bytes(void); /* peak resident memory of this process; 0: unknown */

/* Flushes stdout; an exit code: CLI_FAILURE when what was written could not be delivered. */
int cli_stdout_close(void);

struct cli_args;
int cli_run(const struct cli_args *args);
int cli_chat(const struct cli_args *args);
int cli_info(const struct cli_args *args);
int cli_tokenize(const struct cli_args *args);
int cli_devices(const struct cli_args *args);
int cli_perplexity(const struct cli_args *args);
int cli_bench(const struct cli_args *args);
int cli_pull(const struct cli_args *args);
int cli_help(const struct cli_args *args);

#endif
