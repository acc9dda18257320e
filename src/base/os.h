/* SPDX-License-Identifier: MIT */
/* Everything that differs between operating systems: files mapped, clocks, memory and processor counts. */
#ifndef PITH_BASE_OS_H
#define PITH_BASE_OS_H

#include <pith/pith.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A file mapped for reading. The size is taken once; the descriptor stays open so that the file cannot vanish. */
typedef struct pith_mapping {
    const uint8_t *data; /* NULL when size is 0 */
    size_t size;         /* bytes */
    int fd;
} pith_mapping;

/* Maps `path` (a regular file). Errors: NOT_FOUND, IO. */
pith_status pith_os_map(const char *path, pith_mapping *out);
void pith_os_unmap(pith_mapping *mapping);
/* The pages of [offset, offset + size) may be dropped from memory; they come back from the file when read again. */
void pith_os_map_drop(const pith_mapping *mapping, size_t offset, size_t size);
/* Whether the file under the mapping still has its size: a shrunken file would raise SIGBUS on reading. */
pith_status pith_os_map_check(const pith_mapping *mapping, const char *path);

/* Makes a folder; whether it is there afterwards. */
bool pith_os_folder_make(const char *path);

void *pith_os_pages_alloc(size_t size);
void pith_os_pages_free(void *p, size_t size);

uint64_t pith_os_now_ns(void);              /* monotonic */
size_t pith_os_memory_available_bytes(void); /* what can be allocated now: system and container limit; 0 = unknown */
size_t pith_os_memory_resident_bytes(void);  /* resident memory of this process now; 0 = unknown */
size_t pith_os_memory_peak_bytes(void);      /* its highest so far; 0 = unknown */
int pith_os_cpu_count(void);                 /* physical cores that this process may use, container quota included; >= 1 */

#endif
