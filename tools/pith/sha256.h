/* SPDX-License-Identifier: MIT */
/* SHA-256 (FIPS 180-4), incremental. */
#ifndef CLI_SHA256_H
#define CLI_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct cli_sha256 {
    uint32_t h[8];
    uint64_t n_bytes;
    uint8_t block[64];
} cli_sha256;

void cli_sha256_init(cli_sha256 *s);
void cli_sha256_update(cli_sha256 *s, const void *data, size_t n);
void cli_sha256_final(cli_sha256 *s, char hex[65]); /* lower case, NUL-terminated; the state is used up */

#endif
