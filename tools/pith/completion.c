/* SPDX-License-Identifier: MIT */
/* Completion scripts for bash, zsh and fish from the tables: `pith help --completion SHELL`. */
#include "help.h"

#include "cli.h"

#include <string.h>

static bool takes_file(const cli_option *o)
{
    return o->kind == CLI_PATH || o->kind == CLI_PART_FILE;
}

static void choice_word(const char *choice, size_t length, void *user)
{
    fprintf(user, " %.*s", (int)length, choice);
}

static void commands_print(FILE *out)
{
    for (size_t i = 0; i < cli_n_commands; i++)
        fprintf(out, "%s%s", i ? " " : "", cli_commands[i].name);
}

/* "-m|--model": the pattern that matches the option as the previous word. */
static void bash_pattern(FILE *out, const cli_option *o)
{
    if (o->letter)
        fprintf(out, "-%c|", o->letter);
    fprintf(out, "--%s", o->name);
}

void cli_completion_bash(FILE *out)
{
    fputs("# bash completion for pith; made by: pith help --completion bash\n_pith()\n{\n"
          "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
          "    COMPREPLY=()\n    if ((COMP_CWORD == 1)); then\n        COMPREPLY=($(compgen -W '", out);
    commands_print(out);
    fputs(" --help --version' -- \"$current\"))\n        return\n    fi\n    case ${COMP_WORDS[1]} in\n", out);
    for (size_t i = 0; i < cli_n_commands; i++) {
        const cli_command *c = &cli_commands[i];
        fprintf(out, "    %s)\n        case $previous in\n", c->name);
        for (int id = 0; id < OPT_COUNT; id++) {
            const cli_option *o = &cli_options[id];
            if (!(o->commands & c->bit) || o->kind == CLI_FLAG)
                continue;
            fputs("        ", out);
            bash_pattern(out, o);
            fputs(")\n            ", out);
            if (o->choices) {
                fputs("COMPREPLY=($(compgen -W '", out);
                cli_choices_each(o->choices, choice_word, out);
                fputs("' -- \"$current\"))\n", out);
            } else {
                fputs(takes_file(o) ? "compopt -o filenames; COMPREPLY=($(compgen -f -- \"$current\"))\n" : ":\n", out);
            }
            fputs("            return ;;\n", out);
        }
        fputs("        esac\n        COMPREPLY=($(compgen -W '", out);
        if (c->bit == CLI_HELP)
            commands_print(out);
        if (c->bit == CLI_PULL)
            fputs("smollm2", out);
        for (int id = 0; id < OPT_COUNT; id++)
            if (cli_options[id].commands & c->bit)
                fprintf(out, " --%s", cli_options[id].name);
        fputs("' -- \"$current\")) ;;\n", out);
    }
    fputs("    esac\n}\ncomplete -F _pith pith\n", out);
}

/* Text inside a zsh _arguments spec or a fish string in single quotes. */
static void quoted(FILE *out, const char *text, const char *special)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\'", out);
        else if (strchr(special, *text))
            fputc('\\', out);
        fputc(*text, out);
    }
}

void cli_completion_zsh(FILE *out)
{
    fputs("#compdef pith\n# zsh completion for pith; made by: pith help --completion zsh\n_pith() {\n"
          "    local -a commands\n    commands=(\n", out);
    for (size_t i = 0; i < cli_n_commands; i++) {
        fprintf(out, "        '%s:", cli_commands[i].name);
        quoted(out, cli_commands[i].summary, ":");
        fputs("'\n", out);
    }
    fputs("    )\n    if ((CURRENT == 2)); then\n        _describe command commands\n        return\n    fi\n"
          "    local command=$words[2]\n    shift words\n    ((CURRENT--))\n    case $command in\n", out);
    for (size_t i = 0; i < cli_n_commands; i++) {
        const cli_command *c = &cli_commands[i];
        fprintf(out, "    %s)\n        _arguments", c->name);
        for (int id = 0; id < OPT_COUNT; id++) {
            const cli_option *o = &cli_options[id];
            if (!(o->commands & c->bit))
                continue;
            const char *repeat = o->kind == CLI_PART || o->kind == CLI_PART_FILE || o->kind == CLI_TEXTS ? "*" : "";
            for (int form = 0; form < (o->letter ? 2 : 1); form++) {
                if (form == 0)
                    fprintf(out, " \\\n            '%s--%s[", repeat, o->name);
                else
                    fprintf(out, " \\\n            '%s-%c[", repeat, o->letter);
                quoted(out, o->help, "[]:\\");
                fputc(']', out);
                if (o->choices) {
                    fputs(":value:(", out);
                    cli_choices_each(o->choices, choice_word, out);
                    fputc(')', out);
                } else if (o->kind != CLI_FLAG) {
                    fputs(takes_file(o) ? ":file:_files" : ":value: ", out);
                }
                fputc('\'', out);
            }
        }
        if (c->bit == CLI_HELP) {
            fputs(" \\\n            '1:command:(", out);
            commands_print(out);
            fputs(")'", out);
        }
        if (c->bit == CLI_PULL)
            fputs(" \\\n            '1:model:(smollm2)'", out);
        fputs(" ;;\n", out);
    }
    fputs("    esac\n}\n_pith \"$@\"\n", out);
}

void cli_completion_fish(FILE *out)
{
    fputs("# fish completion for pith; made by: pith help --completion fish\ncomplete -c pith -f\n", out);
    for (size_t i = 0; i < cli_n_commands; i++) {
        const cli_command *c = &cli_commands[i];
        fprintf(out, "complete -c pith -n __fish_use_subcommand -a %s -d '", c->name);
        quoted(out, c->summary, "\\");
        fputs("'\n", out);
        if (c->bit == CLI_PULL)
            fputs("complete -c pith -n '__fish_seen_subcommand_from pull' -a smollm2\n", out);
        for (int id = 0; id < OPT_COUNT; id++) {
            const cli_option *o = &cli_options[id];
            if (!(o->commands & c->bit))
                continue;
            fprintf(out, "complete -c pith -n '__fish_seen_subcommand_from %s' -l %s", c->name, o->name);
            if (o->letter)
                fprintf(out, " -s %c", o->letter);
            if (o->choices) {
                fputs(" -x -a '", out);
                cli_choices_each(o->choices, choice_word, out);
                fputc('\'', out);
            } else if (o->kind != CLI_FLAG) {
                fputs(takes_file(o) ? " -r -F" : " -x", out);
            }
            fputs(" -d '", out);
            quoted(out, o->help, "\\");
            fputs("'\n", out);
        }
    }
}
