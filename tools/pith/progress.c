/* SPDX-License-Identifier: MIT */
/* The progress line. A thread of its own redraws it, so that time goes on even while one pass of the model takes
 * seconds; everything that both threads see is under one lock, and the lock is also what keeps lines whole. */
#include "progress.h"

#include "cli.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool active, terminal, threaded, shown, plain_lines;
    int paused;
    const char *what;
    cli_progress_unit unit;
    uint64_t done, total, begin_ns;
    int tenth; /* last plain line, in tenths */
} bar = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static void amounts_format(char *out, size_t size)
{
    double seconds = (double)(cli_now_ns() - bar.begin_ns) * 1e-9;
    double rate = seconds > 0.0 ? (double)bar.done / seconds : 0.0;
    double left = rate > 0.0 ? (double)(bar.total - bar.done) / rate : 0.0;
    char eta[64] = "";
    if (bar.done > 0 && bar.done < bar.total)
        snprintf(eta, sizeof eta, ", %s left", cli_seconds(left));
    if (bar.unit == CLI_PROGRESS_BYTES)
        snprintf(out, size, "%s of %s, %s/s%s", cli_bytes(bar.done), cli_bytes(bar.total), cli_bytes((uint64_t)rate), eta);
    else if (bar.unit == CLI_PROGRESS_RUNS)
        snprintf(out, size, "%llu of %llu runs%s", (unsigned long long)bar.done, (unsigned long long)bar.total, eta);
    else
        snprintf(out, size, "%llu of %llu tokens, %.*f tokens/s%s", (unsigned long long)bar.done,
                 (unsigned long long)bar.total, rate < 100.0 ? 1 : 0, rate, eta);
}

/* "reading  42 % [########............] 4096 of 9752 tokens, 702 tokens/s, 8.1 s left". On a narrow terminal the bar
 * shrinks first, then the end is cut. */
static void line_draw(void)
{
    char amounts[160], cells[21] = "";
    amounts_format(amounts, sizeof amounts);
    struct winsize size;
    int columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1 : 79;
    double part = bar.total ? (double)bar.done / (double)bar.total : 0.0;
    int width = columns - (int)(strlen(bar.what) + strlen(amounts)) - 10;
    width = width > 20 ? 20 : width < 4 ? 4 : width;
    memset(cells, '.', (size_t)width);
    memset(cells, '#', (size_t)(part * width));
    fprintf(stderr, "\r%.*s %3d %% [%s] %.*s\033[K", columns, bar.what, (int)(part * 100.0), cells,
            columns > width + 10 + (int)strlen(bar.what) ? columns - width - 10 - (int)strlen(bar.what) : 0, amounts);
    fflush(stderr);
    bar.shown = true;
}

static void line_clear(void)
{
    if (bar.shown)
        fputs("\r\033[K", stderr);
    bar.shown = false;
}

static void *redraw_loop(void *user)
{
    (void)user;
    pthread_mutex_lock(&bar.lock);
    while (bar.active) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 250000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        pthread_cond_timedwait(&bar.wake, &bar.lock, &until);
        if (bar.active && !bar.paused && bar.total)
            line_draw();
    }
    pthread_mutex_unlock(&bar.lock);
    return NULL;
}

void cli_progress_begin(const char *what, cli_progress_unit unit, bool plain_lines)
{
    cli_progress_end();
    if (cli_is_quiet())
        return;
    pthread_mutex_lock(&bar.lock);
    bar.what = what;
    bar.unit = unit;
    bar.plain_lines = plain_lines;
    bar.done = bar.total = 0;
    bar.tenth = 0;
    bar.begin_ns = cli_now_ns();
    bar.terminal = isatty(STDERR_FILENO) == 1;
    bar.active = true;
    pthread_mutex_unlock(&bar.lock);
    if (bar.terminal) { /* the thread takes no signals: they belong to the main thread */
        sigset_t all, old;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        bar.threaded = pthread_create(&bar.thread, NULL, redraw_loop, NULL) == 0;
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
}

void cli_progress_update(uint64_t done, uint64_t total, void *user)
{
    (void)user;
    pthread_mutex_lock(&bar.lock);
    if (bar.active && total > 0) {
        bool first = bar.total == 0;
        bar.done = done < total ? done : total;
        bar.total = total;
        int tenth = (int)(bar.done * 10 / total);
        if (bar.terminal) {
            if (first && !bar.paused)
                line_draw();
        } else if (bar.plain_lines && tenth > bar.tenth) {
            char amounts[160];
            amounts_format(amounts, sizeof amounts);
            fprintf(stderr, "%s: %d %%, %s\n", bar.what, tenth * 10, amounts);
        }
        bar.tenth = tenth;
    }
    pthread_mutex_unlock(&bar.lock);
}

void cli_progress_end(void)
{
    pthread_mutex_lock(&bar.lock);
    bool join = bar.active && bar.threaded;
    bar.active = false;
    bar.threaded = false;
    line_clear();
    pthread_cond_signal(&bar.wake);
    pthread_mutex_unlock(&bar.lock);
    if (join)
        pthread_join(bar.thread, NULL);
}

void cli_progress_pause(void)
{
    pthread_mutex_lock(&bar.lock);
    bar.paused++;
    line_clear();
    pthread_mutex_unlock(&bar.lock);
}

void cli_progress_resume(void)
{
    pthread_mutex_lock(&bar.lock);
    bar.paused--;
    pthread_mutex_unlock(&bar.lock);
}
