/* SPDX-License-Identifier: MIT */
/* One line from a person: libedit with history on a terminal where it was found, else getline. */
#ifndef CLI_LINE_EDIT_H
#define CLI_LINE_EDIT_H

#include <stdbool.h>

typedef struct cli_line_edit cli_line_edit;

cli_line_edit *cli_line_edit_open(void);
/* A line without its newline, owned by the editor until the next call; NULL at the end of input or on a signal
 * (cli_signals_caught() tells which). */
const char *cli_line_edit_read(cli_line_edit *edit);
void cli_line_edit_close(cli_line_edit **edit);

#endif
