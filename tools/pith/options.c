/* SPDX-License-Identifier: MIT */
/* The parser: strict numbers, --name value and --name=value, -- ends the options, unknown names get a suggestion.
 * Sources in order of weight: command line, environment, the table's defaults. */
#include "options.h"

#include "cli.h"
#include "values.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static size_t distance(const char *a, size_t n, const char *b)
{
    enum { MAX = 40 };
    size_t m = strlen(b), row[MAX + 1];
    if (n > MAX || m > MAX)
        return MAX;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t up = row[j], best = diagonal + (a[i - 1] != b[j - 1]);
            best = up + 1 < best ? up + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            row[j] = best;
            diagonal = up;
        }
    }
    return row[m];
}

const cli_command *cli_command_find(const char *name)
{
    for (size_t i = 0; i < cli_n_commands; i++)
        if (strcmp(cli_commands[i].name, name) == 0)
            return &cli_commands[i];
    return NULL;
}

const char *cli_command_nearest(const char *name)
{
    const char *nearest = NULL;
    size_t best = strlen(name) / 3 + 2;
    for (size_t i = 0; i < cli_n_commands; i++) {
        size_t d = distance(name, strlen(name), cli_commands[i].name);
        if (d < best) {
            best = d;
            nearest = cli_commands[i].name;
        }
    }
    return nearest;
}

cli_option_id cli_option_find(unsigned bits, const char *name, size_t length)
{
    for (int id = 0; id < OPT_COUNT; id++) {
        const cli_option *o = &cli_options[id];
        if (!(o->commands & bits))
            continue;
        if (strlen(o->name) == length && memcmp(o->name, name, length) == 0)
            return id;
        if (o->alias && strlen(o->alias) == length && memcmp(o->alias, name, length) == 0)
            return id;
    }
    return OPT_COUNT;
}

static cli_option_id option_find_letter(unsigned bits, char letter)
{
    for (int id = 0; id < OPT_COUNT; id++)
        if ((cli_options[id].commands & bits) && cli_options[id].letter == letter)
            return id;
    return OPT_COUNT;
}

static int unknown_option(const cli_command *command, const char *arg, const char *name, size_t length)
{
    const char *nearest = NULL;
    size_t best = length / 3 + 2;
    for (int id = 0; id < OPT_COUNT; id++) {
        if (!(cli_options[id].commands & command->bit))
            continue;
        size_t d = distance(name, length, cli_options[id].name);
        if (d < best) {
            best = d;
            nearest = cli_options[id].name;
        }
    }
    int shown = (int)(name - arg + (ptrdiff_t)length);
    if (nearest)
        return cli_error(CLI_USAGE, "%s: unknown option '%.*s'; did you mean --%s?", command->name, shown, arg, nearest);
    return cli_error(CLI_USAGE, "%s: unknown option '%.*s'; 'pith help %s' lists them", command->name, shown, arg,
                     command->name);
}

void cli_env_name(const cli_option *option, char *out, size_t size)
{
    size_t n = 0;
    for (const char *prefix = "PITH_"; *prefix && n + 1 < size; prefix++)
        out[n++] = *prefix;
    for (const char *c = option->name; *c && n + 1 < size; c++)
        out[n++] = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
    out[n] = '\0';
}

static void operand_add(cli_args *args, const char *text)
{
    args->operands = realloc(args->operands, (args->n_operands + 1) * sizeof *args->operands);
    if (!args->operands)
        exit(cli_error(CLI_MEMORY, "no memory for the command line"));
    args->operands[args->n_operands++] = text;
}

/* argv[*i] is an option: reads it and its value, moving *i to the last word used. */
static int option_take(cli_args *args, int argc, char **argv, int *i)
{
    const char *arg = argv[*i], *name, *value = NULL;
    size_t length;
    cli_option_id id;
    if (arg[1] == '-') {
        name = arg + 2;
        length = strcspn(name, "=");
        value = name[length] == '=' ? name + length + 1 : NULL;
        id = cli_option_find(args->command->bit, name, length);
    } else {
        name = arg + 1;
        length = strlen(name);
        id = length == 1 ? option_find_letter(args->command->bit, name[0]) : OPT_COUNT;
    }
    if (id == OPT_COUNT)
        return unknown_option(args->command, arg, name, length);
    const cli_option *option = &cli_options[id];
    char shown[64];
    snprintf(shown, sizeof shown, "%.*s", (int)(name - arg + (ptrdiff_t)length), arg);
    if (option->kind == CLI_FLAG) {
        if (value)
            return cli_error(CLI_USAGE, "%s: takes no value, got '%s'", shown, value);
        args->v[id].given = true;
        args->v[id].i = 1;
        return CLI_OK;
    }
    if (!value) {
        if (*i + 1 >= argc)
            return cli_error(CLI_USAGE, "%s: expected a value after it", shown);
        value = argv[++*i];
    }
    return cli_value_set(args, id, shown, value);
}

static int environment_take(cli_args *args)
{
    for (int id = 0; id < OPT_COUNT; id++) {
        const cli_option *option = &cli_options[id];
        if (!(option->commands & args->command->bit) || option->no_env || args->v[id].given)
            continue;
        char name[64];
        cli_env_name(option, name, sizeof name);
        const char *value = getenv(name);
        if (!value || !*value)
            continue;
        int code = cli_value_set(args, id, name, value);
        if (code != CLI_OK)
            return code;
    }
    return CLI_OK;
}

int cli_args_parse(cli_args *args, const cli_command *command, int argc, char **argv)
{
    memset(args, 0, sizeof *args);
    args->command = command;
    bool ended = false;
    for (int i = 0; i < argc; i++) {
        if (!ended && strcmp(argv[i], "--") == 0) {
            ended = true;
        } else if (!ended && argv[i][0] == '-' && argv[i][1] != '\0') {
            int code = option_take(args, argc, argv, &i);
            if (code != CLI_OK)
                return code;
        } else {
            operand_add(args, argv[i]);
        }
    }
    if (args->v[OPT_HELP].given)
        return CLI_OK;
    if (args->n_operands > (command->operand ? 1 : 0)) {
        const char *hint = command->bit & (CLI_RUN | CLI_TOKENIZE) ? "; text goes after -p, files after -f" : "";
        return cli_error(CLI_USAGE, "%s: unexpected argument '%s'%s", command->name,
                         args->operands[command->operand ? 1 : 0], hint);
    }
    int code = environment_take(args);
    if (code != CLI_OK)
        return code;
    for (int id = 0; id < OPT_COUNT; id++) {
        const cli_option *option = &cli_options[id];
        if (args->v[id].given || !option->value || !(option->commands & command->bit))
            continue;
        code = cli_value_set(args, id, option->name, option->value);
        if (code != CLI_OK)
            return code;
        args->v[id].given = false;
    }
    return CLI_OK;
}

void cli_args_free(cli_args *args)
{
    for (int id = 0; id < OPT_COUNT; id++) {
        free(args->v[id].ints);
        free(args->v[id].numbers);
        free(args->v[id].texts);
    }
    free(args->parts);
    free(args->operands);
    memset(args, 0, sizeof *args);
}
