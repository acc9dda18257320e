/* SPDX-License-Identifier: MIT */
/* How far a long step has come, on stderr. On a terminal: one line that is redrawn four times a second, whatever the
 * step does meanwhile. Elsewhere: one plain line per 10 %. With --quiet: nothing. One step at a time. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum cli_progress_unit { CLI_PROGRESS_TOKENS, CLI_PROGRESS_BYTES, CLI_PROGRESS_RUNS } cli_progress_unit;

/* `what`: "reading"; borrowed until the end. `plain_lines`: whether lines are worth printing where there is no terminal. */
void cli_progress_begin(const char *what, cli_progress_unit unit, bool plain_lines);
/* Has the type of pith_progress_fn; `user` is not used. Before begin and after end it does nothing. */
void cli_progress_update(uint64_t done, uint64_t total, void *user);
void cli_progress_end(void);
/* Around any other output to stderr: takes the redrawn line away, and lets it come back. */
void cli_progress_pause(void);
void cli_progress_resume(void);

#endif
