/* SPDX-License-Identifier: MIT */
/* One option's text to its value, by the option's kind. */
#ifndef CLI_VALUES_H
#define CLI_VALUES_H

#include "options.h"

/* `source` names the origin in messages: "--temp", "PITH_TEMP". Lists replace a default and grow when repeated.
 * CLI_OK, or CLI_USAGE with one line on stderr. */
int cli_value_set(cli_args *args, cli_option_id id, const char *source, const char *text);

#endif
