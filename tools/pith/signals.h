/* SPDX-License-Identifier: MIT */
/* SIGINT and SIGTERM. While a session works, the first one cancels it and the second ends the program at once; while
 * nothing worth keeping runs, the first one ends it; in between, a caller may ask only to be told. SIGPIPE is ignored:
 * a closed stdout shows up as a write error. */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

#include <pith/pith.h>

#include <stdbool.h>
#include <sys/types.h>

void cli_signals_install(void);
/* The session that the first signal cancels; NULL: none, back to ending the program. */
void cli_signals_session(pith_session *session);
/* True: the first signal is only counted (a child runs, a prompt waits), the second still ends the program. */
void cli_signals_hold(bool hold);
/* The process that gets every signal too, also one that came just before this call; 0: none. */
void cli_signals_child(pid_t pid);
/* The last signal since the last take, 0: none. Take also forgets it: the next signal is the first again. */
int cli_signals_caught(void);
int cli_signals_take(void);
/* Waits until fd can be read (or is at its end): true. False when a signal is caught, or was before the call: between
 * looking and waiting none is lost, which a read that returns EINTR cannot promise. */
bool cli_signals_wait_input(int fd);
/* 130 or 143 for what was caught, else `code`. */
int cli_signals_exit_code(int code);

#endif
