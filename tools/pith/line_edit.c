/* SPDX-License-Identifier: MIT */
/* The prompt of a chat. It is drawn on stderr, so that stdout stays the answers'; history is kept between chats in
 * $XDG_STATE_HOME/pith/history, readable by its owner only. */
#include "line_edit.h"

#include "cli.h"

#include <errno.h>
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
    size_t cap;
    bool terminal;
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

/* One character from the terminal. libedit's own reader goes on after a signal; here it ends the line. */
static int character_read(EditLine *el, wchar_t *out)
{
    (void)el;
    mbstate_t state;
    memset(&state, 0, sizeof state);
    for (;;) {
        char byte;
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

const char *cli_line_edit_read(cli_line_edit *e)
{
#ifdef CLI_HAVE_LIBEDIT
    if (e->el && e->history) {
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
    errno = 0;
    ssize_t n = getline(&e->line, &e->cap, stdin);
    if (n < 0) {
        if (errno == EINTR)
            clearerr(stdin);
        return NULL;
    }
    if (n > 0 && e->line[n - 1] == '\n')
        e->line[n - 1] = '\0';
    return e->line;
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
