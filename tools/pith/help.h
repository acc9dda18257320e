/* SPDX-License-Identifier: MIT */
/* The tables of options.h as text for people (help.c), as a manual page (man.c), as shell scripts (completion.c). */
#ifndef CLI_HELP_TEXT_H
#define CLI_HELP_TEXT_H

#include "options.h"

#include <stdio.h>

void cli_help_overview(FILE *out);
void cli_help_command(FILE *out, const cli_command *command);
/* The value's placeholder: "PATH", "full|cca"; "" for a flag. In a static buffer. */
const char *cli_help_argument(const cli_option *option);
/* The sentence about the default, "" when there is nothing to say. In a static buffer. */
const char *cli_help_default(const cli_option *option);
void cli_man(FILE *out);
void cli_completion_bash(FILE *out);
void cli_completion_zsh(FILE *out);
void cli_completion_fish(FILE *out);

#endif
