/* SPDX-License-Identifier: MIT */
/* pith: one program, one command per word. Finds the command, parses its options, runs it, and makes sure that what went
 * to stdout has arrived. */
#include "cli.h"
#include "help.h"
#include "options.h"
#include "progress.h"
#include "signals.h"

#include <stdlib.h>
#include <string.h>

#ifndef CLI_BUILD_ID
#define CLI_BUILD_ID "unknown"
#endif

static pith_log_level least_level = PITH_LOG_WARNING;

static void on_log(pith_log_level level, const char *line, void *user)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    (void)user;
    if (level < least_level || (cli_is_quiet() && level < PITH_LOG_ERROR))
        return;
    cli_progress_pause();
    fprintf(stderr, "pith: %s: %s\n", names[level], line);
    cli_progress_resume();
}

static int unknown_command(const char *name)
{
    const char *nearest = cli_command_nearest(name);
    if (name[0] == '-')
        return cli_error(CLI_USAGE, "expected a command before '%s'; 'pith help' lists them", name);
    if (nearest)
        return cli_error(CLI_USAGE, "no command '%s'; did you mean '%s'?", name, nearest);
    return cli_error(CLI_USAGE, "no command '%s'; 'pith help' lists them", name);
}

int main(int argc, char **argv)
{
    cli_signals_install();
    if (argc < 2) {
        cli_help_overview(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("pith %s (%s)\n", pith_version(), CLI_BUILD_ID);
        return cli_stdout_close();
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        cli_help_overview(stdout);
        return cli_stdout_close();
    }
    const cli_command *command = cli_command_find(argv[1]);
    if (!command)
        return unknown_command(argv[1]);
    cli_args args;
    int code = cli_args_parse(&args, command, argc - 2, argv + 2);
    if (code == CLI_OK && args.v[OPT_HELP].given) {
        cli_help_command(stdout, command);
    } else if (code == CLI_OK) {
        cli_note_quiet(args.v[OPT_QUIET].i != 0);
        least_level = args.v[OPT_VERBOSE].i ? PITH_LOG_DEBUG : PITH_LOG_WARNING;
        pith_log_set(on_log, NULL);
        code = command->run(&args);
    }
    cli_args_free(&args);
    int delivered = cli_stdout_close();
    return code == CLI_OK ? delivered : code;
}
