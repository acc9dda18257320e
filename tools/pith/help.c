/* SPDX-License-Identifier: MIT */
/* `pith help`, `pith help COMMAND` and `--help`: what a command is for, examples to paste, options by subject. */
#include "help.h"

#include "cli.h"

#include <string.h>

#define WIDTH 100

/* Words of `text` between `indent` and WIDTH; the cursor stands at `column`. */
static void wrapped(FILE *out, const char *text, int column, int indent)
{
    while (*text) {
        size_t word = strcspn(text, " ");
        if (column > indent && column + 1 + (int)word > WIDTH) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', out);
            column++;
        }
        fwrite(text, 1, word, out);
        column += (int)word;
        text += word + strspn(text + word, " ");
    }
    fputc('\n', out);
}

static void paragraphs(FILE *out, const char *text, int indent)
{
    char paragraph[1200];
    while (*text) {
        const char *end = strstr(text, "\n\n");
        size_t n = end ? (size_t)(end - text) : strlen(text);
        snprintf(paragraph, sizeof paragraph, "%.*s", (int)n, text);
        fprintf(out, "%*s", indent, "");
        wrapped(out, paragraph, indent, indent);
        text += n + (end ? 2 : 0);
        if (*text)
            fputc('\n', out);
    }
}

const char *cli_help_argument(const cli_option *o)
{
    if (o->kind == CLI_FLAG)
        return "";
    if (o->argument)
        return o->argument;
    static char list[80];
    if (o->kind != CLI_CHOICES)
        return o->choices;
    snprintf(list, sizeof list, "%s,...", o->choices);
    return list;
}

const char *cli_help_default(const cli_option *o)
{
    static char text[160];
    text[0] = '\0';
    if (o->otherwise)
        snprintf(text, sizeof text, "Default: %s.", o->otherwise);
    else if (o->value)
        snprintf(text, sizeof text, "Default: %s.", o->value);
    return text;
}

void cli_help_overview(FILE *out)
{
    fputs("pith: local language models over very long inputs\n\nUsage: pith COMMAND [OPTIONS]\n\nCommands:\n", out);
    for (size_t i = 0; i < cli_n_commands; i++)
        fprintf(out, "  %-12s %s\n", cli_commands[i].name, cli_commands[i].summary);
    fputs("\nFirst steps:\n"
          "  pith pull smollm2                             get the default model\n"
          "  pith run -p 'Why is the sky blue?'            ask it\n"
          "  pith run -p 'Summarise this.' -f notes.txt    let it read\n"
          "  pith run --chat                               talk with it\n"
          "\n'pith help COMMAND' explains a command, 'pith help --man' is the manual, 'pith --version' the version.\n", out);
}

static void option_print(FILE *out, const cli_option *o)
{
    const char *argument = cli_help_argument(o);
    char head[96], body[512];
    if (o->letter)
        snprintf(head, sizeof head, "  -%c, --%s%s%s", o->letter, o->name, *argument ? " " : "", argument);
    else
        snprintf(head, sizeof head, "      --%s%s%s", o->name, *argument ? " " : "", argument);
    const char *otherwise = cli_help_default(o);
    snprintf(body, sizeof body, "%s.%s%s", o->help, *otherwise ? " " : "", otherwise);
    int column = fprintf(out, "%-30s", head);
    if (column > 30) {
        fprintf(out, "\n%30s", "");
        column = 30;
    }
    wrapped(out, body, 30, 30);
}

void cli_help_command(FILE *out, const cli_command *command)
{
    fprintf(out, "pith %s: %s\n\nUsage: pith %s%s%s [OPTIONS]\n\n", command->name, command->summary, command->name,
            command->operand ? " " : "", command->operand ? command->operand : "");
    paragraphs(out, command->about, 0);
    fputs("\nExamples:\n", out);
    for (const char *const *e = command->examples; *e; e += 2)
        fprintf(out, "  %s\n      %s\n", e[0], e[1]);
    static const char *const groups[] = {"Model and input", "Tests", "Attention and context", "Sampling", "Device", "Output"};
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
        bool any = false;
        for (int id = 0; id < OPT_COUNT && !any; id++)
            any = (cli_options[id].commands & command->bit) && strcmp(cli_options[id].group, groups[g]) == 0;
        if (any)
            fprintf(out, "\n%s:\n", groups[g]);
        for (int id = 0; id < OPT_COUNT; id++)
            if ((cli_options[id].commands & command->bit) && strcmp(cli_options[id].group, groups[g]) == 0)
                option_print(out, &cli_options[id]);
    }
    if (command->bit != CLI_HELP)
        fputs("\nMost options can also be set in the environment: PITH_MODEL, PITH_THREADS, PITH_TOP_K, ...\n", out);
    fputs("Exit codes: 0 success, 1 failure, 2 wrong command line, 3 invalid file, 4 no memory or device,\n"
          "130 interrupted, 143 terminated.\n", out);
}

int cli_help(const cli_args *args)
{
    if (args->v[OPT_MAN].given) {
        cli_man(stdout);
    } else if (args->v[OPT_COMPLETION].given) {
        void (*const print[])(FILE *) = {cli_completion_bash, cli_completion_zsh, cli_completion_fish};
        print[args->v[OPT_COMPLETION].i](stdout);
    } else if (args->n_operands) {
        const cli_command *command = cli_command_find(args->operands[0]);
        if (!command)
            return cli_error(CLI_USAGE, "help: no command '%s'; 'pith help' lists them", args->operands[0]);
        cli_help_command(stdout, command);
    } else {
        cli_help_overview(stdout);
    }
    return CLI_OK;
}
