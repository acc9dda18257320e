/* SPDX-License-Identifier: MIT */
/* The two ways to the outside: pip in a process of its own, and HTTPS by libcurl where it was found at build time. */
#ifndef CLI_FETCH_H
#define CLI_FETCH_H

#include <stdint.h>
#include <stdio.h>

/* Downloads the wheel of package==version into `directory` and returns its path (owned); NULL with *code set. */
char *cli_fetch_wheel(const char *package, const char *version, const char *directory, int *code);
/* Downloads `url` (https only) to `out`, at most `bytes` bytes, with its SHA-256 as hex. Exit code. */
int cli_fetch_url(const char *url, uint64_t bytes, FILE *out, char sha256[65]);

#endif
