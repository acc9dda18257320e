/* SPDX-License-Identifier: MIT */
/* The handler of signals.h: only async-signal-safe calls, only lock-free state. */
#include "signals.h"

#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

static _Atomic(pith_session *) target;
static atomic_int held, caught, count, child;
static int bell[2] = {-1, -1}; /* a pipe: whoever waits for input wakes up, whichever thread took the signal */
static bool terminal; /* stderr shows a progress line that the shell's prompt should not end up behind */

static void on_signal(int number)
{
    int error = errno;
    pith_session *session = atomic_load(&target);
    atomic_store(&caught, number);
    if (atomic_fetch_add(&count, 1) > 0 || (!session && !atomic_load(&held))) {
        if (terminal && write(STDERR_FILENO, "\n", 1) < 0)
            _exit(128 + number);
        _exit(128 + number);
    }
    if (session)
        pith_session_cancel(session);
    if (atomic_load(&child) > 0)
        kill(atomic_load(&child), number);
    if (write(bell[1], "", 1) < 0) {
        /* full: it rings already */
    }
    errno = error;
}

void cli_signals_install(void)
{
    terminal = isatty(STDERR_FILENO) == 1;
    if (pipe(bell) == 0) {
        for (int i = 0; i < 2; i++) {
            fcntl(bell[i], F_SETFD, FD_CLOEXEC);
            fcntl(bell[i], F_SETFL, O_NONBLOCK);
        }
    }
    struct sigaction action;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = on_signal; /* no SA_RESTART: what waits returns */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
}

void cli_signals_session(pith_session *session)
{
    atomic_store(&target, session);
}

void cli_signals_hold(bool hold)
{
    atomic_store(&held, hold);
}

void cli_signals_child(pid_t pid)
{
    atomic_store(&child, pid);
    int number = atomic_load(&caught); /* it came before the handler knew the child */
    if (pid > 0 && number)
        kill(pid, number);
}

int cli_signals_caught(void)
{
    return atomic_load(&caught);
}

static void bell_drain(void)
{
    char rings[16];
    while (read(bell[0], rings, sizeof rings) > 0) {
    }
}

int cli_signals_take(void)
{
    bell_drain();
    int number = atomic_exchange(&caught, 0);
    atomic_store(&count, 0);
    return number;
}

bool cli_signals_wait_input(int fd)
{
    struct pollfd wait[2] = {{.fd = fd, .events = POLLIN}, {.fd = bell[0], .events = POLLIN}};
    while (!atomic_load(&caught)) {
        if (poll(wait, 2, -1) < 0)
            continue; /* a signal: looked at above, or one that is not ours */
        if (wait[1].revents)
            bell_drain(); /* perhaps of a signal that was taken already */
        else if (wait[0].revents)
            return true;
    }
    return false;
}

int cli_signals_exit_code(int code)
{
    int number = atomic_load(&caught);
    return number ? 128 + number : code;
}
