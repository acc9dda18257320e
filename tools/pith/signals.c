/* SPDX-License-Identifier: MIT */
/* The handler of signals.h: only async-signal-safe calls, only lock-free state. */
#include "signals.h"

#include "cli.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

static _Atomic(pith_session *) target;
static atomic_int held, caught, count;
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
    errno = error;
}

void cli_signals_install(void)
{
    terminal = isatty(STDERR_FILENO) == 1;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = on_signal; /* no SA_RESTART: a read at the prompt must return */
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

int cli_signals_caught(void)
{
    return atomic_load(&caught);
}

void cli_signals_clear(void)
{
    atomic_store(&caught, 0);
    atomic_store(&count, 0);
}

int cli_signals_exit_code(int code)
{
    int number = atomic_load(&caught);
    return number ? 128 + number : code;
}
