/* SPDX-License-Identifier: MIT */
/* pith(1) in the man macros, from the tables: `pith help --man`. Text is escaped so that no word is taken as roff. */
#include "help.h"

#include "cli.h"

#include <string.h>

#define MAN_DATE "2026-11-22" /* of the last change to the tables' meaning */

static void escaped(FILE *out, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (c == '\\')
            fputs("\\e", out);
        else if (c == '-')
            fputs("\\-", out);
        else if (c == '\'')
            fputs("\\(aq", out);
        else if (c == '~')
            fputs("\\(ti", out);
        else if (c == '.' && i == 0)
            fputs("\\&.", out);
        else
            fputc(c, out);
    }
}

/* text[0..n) as source lines of less than 80 bytes, broken at spaces. */
static void filled(FILE *out, const char *text, size_t n)
{
    size_t column = 0;
    while (n > 0) {
        size_t word = 0, width = 0;
        for (; word < n && text[word] != ' '; word++)
            width += strchr("\\-", text[word]) ? 2 : strchr("'~", text[word]) ? 5 : 1;
        if (column > 0 && column + 1 + width > 77) {
            fputc('\n', out);
            column = 0;
        }
        if (column > 0)
            fputc(' ', out);
        escaped(out, text, word);
        column += width + (column > 0);
        text += word;
        n -= word;
        while (n > 0 && *text == ' ') {
            text++;
            n--;
        }
    }
    fputc('\n', out);
}

static void text_line(FILE *out, const char *text)
{
    filled(out, text, strlen(text));
}

/* Each sentence starts a source line, as roff likes it; blank lines become paragraphs. */
static void paragraphs(FILE *out, const char *text)
{
    while (*text) {
        size_t n = 0;
        while (text[n] && text[n] != '\n' && !(n > 0 && text[n] == ' ' && text[n - 1] == '.'))
            n++;
        filled(out, text, n);
        text += n;
        if (text[0] == '\n' && text[1] == '\n') {
            fputs(".PP\n", out);
            text += 2;
        }
        text += strspn(text, " ");
    }
}

static void option_print(FILE *out, const cli_option *o)
{
    fputs(".TP\n.B ", out);
    if (o->letter)
        fprintf(out, "\\-%c, ", o->letter);
    fputs("\\-\\-", out);
    escaped(out, o->name, strlen(o->name));
    const char *argument = cli_help_argument(o);
    if (*argument) {
        fputs(" \\fI", out);
        escaped(out, argument, strlen(argument));
        fputs("\\fR", out);
    }
    fputc('\n', out);
    char help[512];
    snprintf(help, sizeof help, "%s.", o->help);
    paragraphs(out, help);
    if (*cli_help_default(o))
        text_line(out, cli_help_default(o));
    if (!o->no_env) {
        char name[64];
        cli_env_name(o, name, sizeof name);
        fprintf(out, "Environment: %s.\n", name);
    }
}

void cli_man(FILE *out)
{
    fprintf(out, ".TH PITH 1 %s \"pith %s\" \"User Commands\"\n", MAN_DATE, pith_version());
    fputs(".SH NAME\npith \\- local language models over very long inputs\n.SH SYNOPSIS\n", out);
    for (size_t i = 0; i < cli_n_commands; i++) {
        fprintf(out, "%s.B pith %s\n", i ? ".br\n" : "", cli_commands[i].name);
        if (cli_commands[i].operand)
            fprintf(out, ".RI %s\n", cli_commands[i].operand);
        fputs(".RI [ options ]\n", out);
    }
    fputs(".SH DESCRIPTION\n"
          ".B pith\n"
          "runs llama\\-family language models from GGUF files on the machine that\n"
          "you own, over inputs as long as books.\n"
          "Its attention (CCA, Core Context Aware) keeps the last tokens exactly and\n"
          "stands one core in for each group of older ones, so that memory stays\n"
          "small and speed does not fall with depth; exact details from far back can\n"
          "be lost by that, and\n.B \\-\\-attn full\nkeeps them.\n.SH COMMANDS\n", out);
    for (size_t i = 0; i < cli_n_commands; i++) {
        const cli_command *c = &cli_commands[i];
        fprintf(out, ".SS pith %s\n", c->name);
        char summary[160];
        snprintf(summary, sizeof summary, "Purpose: %s.", c->summary);
        text_line(out, summary);
        fputs(".PP\n", out);
        paragraphs(out, c->about);
        for (int id = 0; id < OPT_COUNT; id++)
            if ((cli_options[id].commands & c->bit) && id != OPT_HELP && id != OPT_QUIET && id != OPT_VERBOSE)
                option_print(out, &cli_options[id]);
    }
    fputs(".SS Options of every command\n", out);
    for (int id = OPT_QUIET; id <= OPT_HELP; id++)
        option_print(out, &cli_options[id]);
    fputs(".SH EXAMPLES\n", out);
    for (size_t i = 0; i < cli_n_commands; i++)
        for (const char *const *e = cli_commands[i].examples; *e; e += 2) {
            fputs(".TP\n.B ", out);
            escaped(out, e[0], strlen(e[0]));
            fputc('\n', out);
            text_line(out, e[1]);
        }
    fputs(".SH ENVIRONMENT\n"
          "An option is taken from its variable when the command line does not give it.\n"
          ".TP\n.B PITH_CACHE\nDirectory of pulled models.\n"
          ".TP\n.B PITH_PYTHON\nPython that\n.B pith pull\nuses to run pip.\nDefault: python3.\n"
          ".TP\n.B CURL_CA_BUNDLE\nCertificates for the download from a model\\(aqs home.\n"
          ".SH FILES\n"
          ".TP\n.I $PITH_CACHE, $XDG_CACHE_HOME/pith, \\(ti/.cache/pith\nPulled models, in the first that is set.\n"
          ".TP\n.I $XDG_STATE_HOME/pith/history, \\(ti/.local/state/pith/history\nLines typed in chats.\n"
          ".SH EXIT STATUS\n"
          "0 success, 1 failure while running, 2 wrong command line,\n"
          "3 model or input file missing or invalid, 4 not enough memory or a device\n"
          "that fails, 130 stopped by Ctrl\\-C, 143 terminated.\n", out);
}
