/* SPDX-License-Identifier: MIT */
/* Text from -p, -f and stdin, of any size and any bytes. */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include "options.h"

typedef struct cli_input { char *text; size_t n; } cli_input; /* owned; NUL-terminated, may contain NULs */

/* A whole file, or stdin for "-", without a leading byte order mark. An exit code, with one line on stderr. */
int cli_input_read(const char *path, cli_input *out);
/* All pieces in the order of the command line, joined by an empty line (a single piece stays as it is). Without any,
 * stdin unless it is a terminal; *found says whether there was something to read. */
int cli_input_join(const cli_args *args, cli_input *out, bool *found);
void cli_input_free(cli_input *input);

#endif
