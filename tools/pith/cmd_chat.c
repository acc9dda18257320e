/* SPDX-License-Identifier: MIT */
/* `pith run --chat`: one session, many turns. What the session holds is never read again: a turn appends only the tokens
 * between the last answer and the new one.
 *
 *     session:   [prompt of turn 1][answer 1 as generated]
 *     appended:                                           [end of message, user's text, assistant's start]
 *
 * The appended part is what the chat format adds behind an empty last answer. When a format does not allow that, or a
 * turn was broken off while it was read, the session is cleared and the whole conversation read once more. */
#include "answer.h"
#include "engine.h"
#include "input.h"
#include "line_edit.h"
#include "plan_print.h"
#include "progress.h"
#include "signals.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct chat {
    cli_engine engine;
    pith_session *session;
    pith_generate_params generate;
    const char *format;
    pith_chat_message *messages; /* contents owned */
    size_t n_messages, n_system;
    cli_answer answer;           /* of the last turn */
    int32_t answer_begin;        /* session position where it starts; -1: the session does not hold the conversation */
    bool broken;                 /* stdout is gone */
} chat;

static void message_add(chat *c, const char *role, const char *content)
{
    c->messages = realloc(c->messages, (c->n_messages + 1) * sizeof *c->messages);
    if (!c->messages)
        exit(cli_error(CLI_MEMORY, "no memory for the conversation"));
    c->messages[c->n_messages++] = (pith_chat_message){role, cli_text("%s", content)};
}

static void message_drop(chat *c)
{
    free((char *)c->messages[--c->n_messages].content);
}

static void conversation_clear(chat *c)
{
    while (c->n_messages > c->n_system)
        message_drop(c);
    pith_session_clear(c->session);
    c->answer_begin = -1;
}

static pith_tokens tokens_join(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b)
{
    pith_tokens out = {cli_alloc(n_a + n_b, sizeof *out.ids), n_a + n_b};
    if (n_a)
        memcpy(out.ids, a, n_a * sizeof *a);
    if (n_b)
        memcpy(out.ids + n_a, b, n_b * sizeof *b);
    return out;
}

/* Tokens to append for the last message, given that the session holds everything before it; false when the format
 * does not continue its own prefix. */
static bool turn_continue(chat *c, pith_tokens *out)
{
    pith_tokens before = {NULL, 0}, after = {NULL, 0};
    pith_chat_message *answer = &c->messages[c->n_messages - 2];
    const char *content = answer->content;
    answer->content = "";
    bool ok = pith_chat_tokenize(c->engine.model, c->format, c->messages, c->n_messages - 2, true, &before) == PITH_OK
              && pith_chat_tokenize(c->engine.model, c->format, c->messages, c->n_messages, true, &after) == PITH_OK
              && after.n > before.n && memcmp(after.ids, before.ids, before.n * sizeof *before.ids) == 0;
    answer->content = content;
    if (ok) { /* the session may lack the last token that was drawn, and may already have the end token */
        size_t held = (size_t)(pith_session_position(c->session) - c->answer_begin), n = c->answer.n_ids;
        const int32_t *rest = c->answer.ids + (held < n ? held : n), *suffix = after.ids + before.n;
        size_t n_rest = held < n ? n - held : 0, n_suffix = after.n - before.n;
        if (n_rest > 0 && pith_token_is_end(c->engine.model, rest[n_rest - 1]))
            n_rest--;
        bool has_end = held > n || (n_rest == 0 && held == n && n > 0 && pith_token_is_end(c->engine.model, c->answer.ids[n - 1]));
        if (has_end && pith_token_is_end(c->engine.model, suffix[0])) {
            suffix++;
            n_suffix--;
        }
        *out = tokens_join(rest, n_rest, suffix, n_suffix);
    }
    pith_tokens_free(&before);
    pith_tokens_free(&after);
    return ok;
}

static int turn_tokens(chat *c, pith_tokens *out, bool *own)
{
    *own = true;
    if (c->answer_begin >= 0 && turn_continue(c, out))
        return CLI_OK;
    *own = false;
    pith_session_clear(c->session);
    pith_status status = pith_chat_tokenize(c->engine.model, c->format, c->messages, c->n_messages, true, out);
    if (status == PITH_ERROR_NOT_FOUND)
        return cli_error(CLI_USAGE, "--chat-format: %s", pith_last_error());
    if (status == PITH_ERROR_UNSUPPORTED)
        return cli_error(CLI_USAGE, "--chat: %s; --chat-format NAME gives the model a format", pith_last_error());
    return status == PITH_OK ? CLI_OK : cli_fail(status, "chat format");
}

/* One question and its answer. Failures that leave the conversation usable are reported and return CLI_OK. */
static int turn_take(chat *c, const char *text)
{
    message_add(c, "user", text);
    pith_tokens tokens = {NULL, 0};
    bool own;
    int code = turn_tokens(c, &tokens, &own);
    if (code != CLI_OK)
        return code;
    int32_t begin = pith_session_position(c->session);
    pith_generate_result result = {.finish = PITH_FINISH_CANCELLED};
    int32_t last_begin = c->answer_begin;
    cli_answer last = c->answer; /* kept: a refused turn must not forget the answer before it */
    c->answer = (cli_answer){.model = c->engine.model, .print = true};
    cli_signals_session(c->session);
    cli_progress_begin("reading", CLI_PROGRESS_TOKENS, false);
    pith_status status = pith_generate(c->session, tokens.ids, tokens.n, &c->generate, cli_answer_piece, &c->answer, &result);
    cli_progress_end();
    cli_signals_hold(true);
    cli_signals_session(NULL);
    cli_answer_end(&c->answer);
    c->broken = ferror(stdout) != 0 || fflush(stdout) != 0;
    int32_t read_end = begin + (int32_t)tokens.n;
    if (own)
        free(tokens.ids);
    else
        pith_tokens_free(&tokens);
    if (pith_session_position(c->session) < read_end) { /* the question was not read to its end: forget it */
        message_drop(c);
        cli_answer_free(&c->answer);
        c->answer = last;
        bool back = last_begin >= 0 && pith_session_rewind(c->session, begin) == PITH_OK;
        c->answer_begin = back ? last_begin : -1;
        if (!back)
            pith_session_clear(c->session);
        if (status == PITH_ERROR_CONTEXT_LENGTH)
            cli_error(CLI_OK, "%s; /clear starts over", pith_last_error());
        else if (status == PITH_OK || status == PITH_ERROR_CANCELLED)
            cli_note("stopped before the question was read; it is forgotten");
        else
            return cli_engine_fail(status, "chat");
        return CLI_OK;
    }
    cli_answer_free(&last);
    c->answer_begin = read_end;
    message_add(c, "assistant", c->answer.text ? c->answer.text : "");
    if (status != PITH_OK && status != PITH_ERROR_CANCELLED && status != PITH_ERROR_CONTEXT_LENGTH)
        return cli_engine_fail(status, "chat");
    if (result.finish == PITH_FINISH_LENGTH)
        cli_note("(stopped at the limit of -n or of the context: %d of %d tokens)", pith_session_position(c->session),
                 pith_session_context(c->session));
    return CLI_OK;
}

/* A line that may go on in the next one when it ends in a backslash; owned by the caller, NULL at the end. */
static char *question_read(cli_line_edit *edit)
{
    char *text = NULL;
    for (;;) {
        const char *line = cli_line_edit_read(edit);
        if (!line) {
            free(text);
            return NULL;
        }
        size_t n = strlen(line);
        bool more = n > 0 && line[n - 1] == '\\';
        char *longer = cli_text("%s%s%.*s", text ? text : "", text ? "\n" : "", (int)(more ? n - 1 : n), line);
        free(text);
        text = longer;
        if (!more)
            return text;
    }
}

static int talk(chat *c)
{
    cli_line_edit *edit = cli_line_edit_open();
    bool terminal = isatty(STDIN_FILENO) == 1;
    int code = CLI_OK;
    while (code == CLI_OK && !c->broken) {
        int caught = cli_signals_caught();
        if (caught == SIGTERM || (caught == SIGINT && !terminal))
            break;
        cli_signals_take();
        char *text = question_read(edit);
        if (!text) {
            if (terminal)
                fputc('\n', stderr);
            if (terminal && cli_signals_caught() == SIGINT) {
                cli_note("(Ctrl-D or /quit leaves)");
                continue;
            }
            break;
        }
        if (strcmp(text, "/quit") == 0 || strcmp(text, "/exit") == 0) {
            free(text);
            break;
        }
        if (strcmp(text, "/help") == 0)
            fputs("/clear  forget the conversation\n/quit   leave (also Ctrl-D)\n/help   this\n"
                  "Ctrl-C stops an answer. A line that ends in \\ goes on in the next one.\n", stderr);
        else if (strcmp(text, "/clear") == 0)
            conversation_clear(c);
        else if (text[0] == '/' && !strpbrk(text + 1, " /\n"))
            cli_error(CLI_OK, "no command %s; /help lists them", text);
        else if (text[strspn(text, " \t\r\n")] != '\0')
            code = turn_take(c, text);
        free(text);
    }
    cli_line_edit_close(&edit);
    return code;
}

/* The context: -c, else the model's length, halved while it does not fit. */
static int chat_plan(chat *c, const cli_args *args, pith_session_params *params, pith_memory_plan *plan)
{
    int64_t given = args->v[OPT_CONTEXT].i;
    int code = cli_engine_extend(&c->engine, args, given);
    if (code == CLI_OK)
        code = cli_engine_session_params(&c->engine, args, (int32_t)(given ? given : c->engine.info.context_length), params);
    while (code == CLI_OK && given == 0 && params->context > 4096
           && pith_memory_plan_make(c->engine.model, c->engine.backend, params, plan) == PITH_OK && !plan->fits)
        params->context /= 2;
    return code == CLI_OK ? cli_plan_check(c->engine.model, c->engine.backend, params, plan) : code;
}

static int chat_begin(chat *c, const cli_args *args)
{
    pith_session_params params;
    pith_memory_plan plan;
    int code = cli_engine_open_model(&c->engine, args, 0);
    if (code == CLI_OK && !c->engine.info.chat_format && !c->format)
        code = cli_error(CLI_USAGE, "--chat: this model has no chat format; --chat-format NAME gives it one");
    if (code == CLI_OK)
        code = cli_engine_open_backend(&c->engine, args, (int32_t)args->v[OPT_THREADS].i);
    if (code == CLI_OK)
        code = chat_plan(c, args, &params, &plan);
    if (code != CLI_OK)
        return code;
    cli_engine_note_attention(&c->engine, args, &params, params.context);
    code = cli_engine_load(&c->engine);
    if (code != CLI_OK)
        return code;
    pith_status status = pith_session_create(c->engine.model, &params, &c->session);
    if (status != PITH_OK)
        return cli_engine_fail(status, "session");
    cli_note("%s, context %d; /help explains, Ctrl-D leaves", c->engine.info.name ? c->engine.info.name : c->engine.path,
             params.context);
    return CLI_OK;
}

int cli_chat(const cli_args *args)
{
    chat c = {.answer_begin = -1, .format = args->v[OPT_CHAT_FORMAT].given ? args->v[OPT_CHAT_FORMAT].text : NULL};
    if (args->v[OPT_JSON].i || args->v[OPT_RAW].i)
        return cli_error(CLI_USAGE, "--chat: contradicts --%s", args->v[OPT_JSON].i ? "json" : "raw");
    cli_input input = {NULL, 0};
    pith_logit_bias *bias = NULL;
    bool found = false;
    for (size_t i = 0; i < args->n_parts; i++)
        if (args->parts[i].file && strcmp(args->parts[i].value, "-") == 0)
            return cli_error(CLI_USAGE, "--chat: reads stdin itself, so -f - cannot");
    int code = args->n_parts ? cli_input_join(args, &input, &found) : CLI_OK;
    if (code == CLI_OK)
        code = chat_begin(&c, args);
    if (code == CLI_OK) {
        c.generate = cli_generate_params(args, &bias);
        if (args->v[OPT_SYSTEM].given)
            message_add(&c, "system", args->v[OPT_SYSTEM].text);
        c.n_system = c.n_messages;
        cli_signals_hold(true);
        if (found && input.n > 0)
            code = turn_take(&c, input.text);
        if (code == CLI_OK)
            code = talk(&c);
    }
    cli_input_free(&input);
    cli_answer_free(&c.answer);
    while (c.n_messages)
        message_drop(&c);
    free(c.messages);
    free(bias);
    pith_session_destroy(&c.session);
    cli_engine_close(&c.engine);
    int caught = cli_signals_caught();
    return caught == SIGTERM || (caught == SIGINT && !isatty(STDIN_FILENO)) ? 128 + caught : code;
}
