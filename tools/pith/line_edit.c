/* SPDX-License-Identifier: MIT */
/* The prompt of a chat. It is drawn on stderr, so that stdout stays the answers'; history is kept between chats in
 * $XDG_STATE_HOME/pith/history, readable by its owner only. */
#include "line_edit.h"

#include "cli.h"
#include "signals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef CLI_HAVE_LIBEDIT
#include <histedit.h>
#include <locale.h>
#include <wchar.h>
#endif

struct cli_line_edit {
    char *line;
    size_t n, cap;
    bool terminal;
    char input[4096]; /* read and not yet given out: [input_at, input_end); libedit does not use it */
    size_t input_at, input_end;
#ifdef CLI_HAVE_LIBEDIT
    EditLine *el;
    History *history;
    char *history_path;
#endif
};

#ifdef CLI_HAVE_LIBEDIT
static char *prompt(EditLine *el)
{
    (void)el;
    static char text[] = "> ";
    return text;
}

/* One character from the terminal. libedit's own reader goes on after a signal; here one ends the line. */
static int character_read(EditLine *el, wchar_t *out)
{
    (void)el;
    mbstate_t state;
    memset(&state, 0, sizeof state);
    for (;;) {
        char byte;
        if (!cli_signals_wait_input(STDIN_FILENO))
            return -1;
        ssize_t n = read(STDIN_FILENO, &byte, 1);
        if (n <= 0)
            return (int)n;
        size_t used = mbrtowc(out, &byte, 1, &state);
        if (used == (size_t)-1) { /* not a character of this locale: dropped */
            memset(&state, 0, sizeof state);
            continue;
        }
        if (used != (size_t)-2)
            return 1;
    }
}

/* The history file's path, its directories made; NULL when there is no home. */
static char *history_path(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char *dir = state && *state ? cli_text("%s/pith", state) : home && *home ? cli_text("%s/.local/state/pith", home) : NULL;
    if (!dir)
        return NULL;
    for (char *slash = dir + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(dir, 0700);
        *slash = '/';
    }
    mkdir(dir, 0700);
    char *path = cli_text("%s/history", dir);
    free(dir);
    return path;
}

static void editor_open(cli_line_edit *e)
{
    setlocale(LC_CTYPE, "");
    e->el = el_init("pith", stdin, stderr, stderr);
    e->history = history_init();
    if (!e->el || !e->history)
        return;
    HistEvent event;
    history(e->history, &event, H_SETSIZE, 1000);
    history(e->history, &event, H_SETUNIQUE, 1);
    e->history_path = history_path();
    if (e->history_path)
        history(e->history, &event, H_LOAD, e->history_path);
    el_set(e->el, EL_PROMPT, prompt);
    el_set(e->el, EL_EDITOR, "emacs");
    el_set(e->el, EL_SIGNAL, 0);
    el_set(e->el, EL_GETCFN, character_read);
    el_set(e->el, EL_HIST, history, e->history);
    el_source(e->el, NULL);
}

static void editor_close(cli_line_edit *e)
{
    HistEvent event;
    if (e->history && e->history_path) {
        mode_t old = umask(077);
        history(e->history, &event, H_SAVE, e->history_path);
        umask(old);
    }
    if (e->history)
        history_end(e->history);
    if (e->el)
        el_end(e->el);
    free(e->history_path);
}
#endif

cli_line_edit *cli_line_edit_open(void)
{
    cli_line_edit *e = cli_alloc(1, sizeof *e);
    e->terminal = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
#ifdef CLI_HAVE_LIBEDIT
    if (e->terminal)
        editor_open(e);
#endif
    return e;
}

/* A line from stdin without an editor; what comes after it waits in `input`. */
static const char *line_read(cli_line_edit *e)
{
    e->n = 0;
    for (;;) {
        if (e->input_at == e->input_end) {
            ssize_t got = cli_signals_wait_input(STDIN_FILENO) ? read(STDIN_FILENO, e->input, sizeof e->input) : -1;
            if (got < 0 || (got == 0 && e->n == 0))
                return NULL;
            if (got == 0) /* a last line without its newline */
                return e->line;
            e->input_at = 0;
            e->input_end = (size_t)got;
        }
        const char *begin = e->input + e->input_at, *newline = memchr(begin, '\n', e->input_end - e->input_at);
        size_t n = newline ? (size_t)(newline - begin) : e->input_end - e->input_at;
        if (e->n + n + 1 > e->cap) {
            e->cap = 2 * (e->n + n + 1);
            e->line = realloc(e->line, e->cap);
            if (!e->line)
                exit(cli_error(CLI_MEMORY, "no memory for a line of %zu bytes", e->n + n));
        }
        memcpy(e->line + e->n, begin, n);
        e->n += n;
        e->line[e->n] = '\0';
        e->input_at += n + (newline != NULL);
        if (newline)
            return e->line;
    }
}

const char *cli_line_edit_read(cli_line_edit *e)
{
#ifdef CLI_HAVE_LIBEDIT
    if (e->el && e->history) {
        /* libedit draws the prompt first and takes the terminal out of line mode after it: Ctrl-D pressed in between
         * would be lost. Here the prompt means that keys are listened to. */
        el_set(e->el, EL_PREP_TERM, 1);
        int n = 0;
        const char *line = el_gets(e->el, &n);
        if (!line || n <= 0)
            return NULL;
        free(e->line);
        e->line = cli_text("%s", line);
        e->line[strcspn(e->line, "\r\n")] = '\0';
        HistEvent event;
        if (e->line[0])
            history(e->history, &event, H_ENTER, e->line);
        return e->line;
    }
#endif
    if (e->terminal)
        fputs("> ", stderr);
    return line_read(e);
}

void cli_line_edit_close(cli_line_edit **edit)
{
    if (!*edit)
        return;
#ifdef CLI_HAVE_LIBEDIT
    editor_close(*edit);
#endif
    free((*edit)->line);
    free(*edit);
    *edit = NULL;
}
