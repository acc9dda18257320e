/* SPDX-License-Identifier: MIT */
/* Makes small wheels (zip archives) for tests, with one wrong thing at a time. */
#ifndef CLI_TEST_FAKE_WHEEL_H
#define CLI_TEST_FAKE_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct fake_wheel {
    const char *name;      /* of the member */
    const uint8_t *data;
    size_t n;
    bool stored;           /* else deflated */
    /* each of these makes the archive wrong */
    uint32_t crc_xor;
    int32_t size_add, packed_add, offset_add, directory_add;
    uint16_t flags, method; /* method 0: the right one */
    size_t cut;            /* bytes missing at the end */
    size_t cut_packed;     /* bytes missing at the end of the compressed data, which the sizes admit */
} fake_wheel;

/* Writes the archive to `path`. */
void fake_wheel_write(const fake_wheel *w, const char *path);

#endif
