/* SPDX-License-Identifier: MIT */
/* SIGINT and SIGTERM. While a session works, the first one cancels it and the second ends the program at once; while
 * nothing worth keeping runs, the first one ends it; in between, a caller may ask only to be told. SIGPIPE is ignored:
 * a closed stdout shows up as a write error. */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

#include <pith/pith.h>

void cli_signals_install(void);
/* The session that the first signal cancels; NULL: none, back to ending the program. */
void cli_signals_session(pith_session *session);
/* True: the first signal is only counted (a child runs, a prompt waits), the second still ends the program. */
void cli_signals_hold(bool hold);
/* The last signal received since the last clear, 0: none. */
int cli_signals_caught(void);
void cli_signals_clear(void);
/* 130 or 143 for what was caught, else `code`. */
int cli_signals_exit_code(int code);

#endif
