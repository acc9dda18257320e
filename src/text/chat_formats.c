/* SPDX-License-Identifier: MIT */
/* The formats, as data, and the three renderers that they share. Every literal here is the format's own text; contents
 * go through pith_chat_put_content only. Each format follows its authors' template for system, user and assistant
 * turns; tools are not rendered. */
#include "text/chat_impl.h"

#include <string.h>

static const char *const role_names[] = {"system", "user", "assistant"};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static pith_str trim(pith_str s, bool yes)
{
    while (yes && s.n && is_space(s.data[0]))
        s.data++, s.n--;
    while (yes && s.n && is_space(s.data[s.n - 1]))
        s.n--;
    return s;
}

static pith_str trim_newlines(pith_str s)
{
    while (s.n && s.data[0] == '\n')
        s.data++, s.n--;
    while (s.n && s.data[s.n - 1] == '\n')
        s.n--;
    return s;
}

/* Position of the last occurrence of `what`, s.n: none. */
static size_t find_last(pith_str s, const char *what)
{
    size_t n = strlen(what);
    for (size_t i = s.n; i-- > 0;)
        if (s.n - i >= n && !memcmp(s.data + i, what, n))
            return i;
    return s.n;
}

/* Qwen3 shows earlier thoughts only behind the last question. */
static void put_answer_thinking(pith_chat_text *out, pith_str content, bool after_question, bool last)
{
    static const char open[] = "<think>", close[] = "</think>";
    size_t end = find_last(content, close);
    pith_str thought = {content.data, 0}, answer = content;
    if (end < content.n) {
        size_t begin, answer_at = end + strlen(close);
        answer = (pith_str){content.data + answer_at, content.n - answer_at};
        thought.n = end;
        begin = find_last(thought, open);
        if (begin < end)
            thought = (pith_str){content.data + begin + strlen(open), end - begin - strlen(open)};
        thought = trim_newlines(thought);
        while (answer.n && answer.data[0] == '\n')
            answer.data++, answer.n--;
    }
    if (after_question && (last || thought.n)) {
        pith_chat_put(out, "<think>\n");
        pith_chat_put_content(out, thought);
        pith_chat_put(out, "\n</think>\n\n");
    }
    pith_chat_put_content(out, answer);
}

static pith_status render_chatml(const pith_chat_format *format, const pith_chat_turn *turns, size_t n, bool prompt,
                                 pith_chat_text *out)
{
    size_t question = n;
    for (size_t i = 0; i < n; i++)
        if (turns[i].role == PITH_CHAT_USER)
            question = i;
    if (format->system_default && turns[0].role != PITH_CHAT_SYSTEM) {
        pith_chat_put(out, "<|im_start|>system\n");
        pith_chat_put(out, format->system_default);
        pith_chat_put(out, "<|im_end|>\n");
    }
    for (size_t i = 0; i < n; i++) {
        pith_chat_put(out, "<|im_start|>");
        pith_chat_put(out, role_names[turns[i].role]);
        pith_chat_put(out, "\n");
        if (format->thinking && turns[i].role == PITH_CHAT_ASSISTANT)
            put_answer_thinking(out, turns[i].content, question < i, i + 1 == n);
        else
            pith_chat_put_content(out, turns[i].content);
        pith_chat_put(out, "<|im_end|>\n");
    }
    if (prompt)
        pith_chat_put(out, "<|im_start|>assistant\n");
    return out->status;
}

static void put_header(pith_chat_text *out, pith_chat_role role)
{
    pith_chat_put(out, "<|start_header_id|>");
    pith_chat_put(out, role_names[role]);
    pith_chat_put(out, "<|end_header_id|>\n\n");
}

static pith_status render_llama3(const pith_chat_format *format, const pith_chat_turn *turns, size_t n, bool prompt,
                                 pith_chat_text *out)
{
    size_t first = 0;
    if (format->system_default) { /* always a system turn, with the dates first */
        put_header(out, PITH_CHAT_SYSTEM);
        pith_chat_put(out, format->system_default);
        if (turns[0].role == PITH_CHAT_SYSTEM)
            pith_chat_put_content(out, trim(turns[first++].content, true));
        pith_chat_put(out, "<|eot_id|>");
    }
    for (size_t i = first; i < n; i++) {
        put_header(out, turns[i].role);
        pith_chat_put_content(out, trim(turns[i].content, true));
        pith_chat_put(out, "<|eot_id|>");
    }
    if (prompt)
        put_header(out, PITH_CHAT_ASSISTANT);
    return out->status;
}

/* [INST]: an optional system turn, then user and assistant in turn. */
static pith_status order_check(const pith_chat_format *format, const pith_chat_turn *turns, size_t n, bool prompt)
{
    size_t first = turns[0].role == PITH_CHAT_SYSTEM;
    if (first && format->system_place == PITH_CHAT_SYSTEM_NONE)
        return pith_fail(PITH_ERROR_UNSUPPORTED, "chat format %s: message 0: it has no system role", format->name);
    for (size_t i = first; i < n; i++) {
        pith_chat_role expected = (i - first) % 2 ? PITH_CHAT_ASSISTANT : PITH_CHAT_USER;
        if (turns[i].role != expected)
            return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "chat format %s: message %zu: role %s, expected %s", format->name, i,
                             role_names[turns[i].role], role_names[expected]);
    }
    if (n == first || (prompt && turns[n - 1].role != PITH_CHAT_USER))
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "chat format %s: message %zu: role %s, expected the last to be a user's",
                         format->name, n - 1, role_names[turns[n - 1].role]);
    return PITH_OK;
}

static pith_status render_inst(const pith_chat_format *format, const pith_chat_turn *turns, size_t n, bool prompt,
                               pith_chat_text *out)
{
    PITH_TRY(order_check(format, turns, n, prompt));
    size_t first = turns[0].role == PITH_CHAT_SYSTEM, last_user = n - 1 - (turns[n - 1].role != PITH_CHAT_USER);
    size_t with_system = format->system_place == PITH_CHAT_SYSTEM_LAST ? last_user : first;
    pith_str system = trim(turns[0].content, format->trim_user);
    if (first && format->system_place == PITH_CHAT_SYSTEM_OWN) {
        pith_chat_put(out, format->system_open);
        pith_chat_put_content(out, system);
        pith_chat_put(out, format->system_close);
        with_system = n;
    }
    for (size_t i = first; i < n; i++) {
        if (turns[i].role == PITH_CHAT_ASSISTANT) {
            pith_chat_put(out, format->answer_open);
            pith_chat_put_content(out, trim(turns[i].content, format->trim_answer));
            pith_chat_put(out, format->answer_close);
            pith_chat_put_token(out, pith_vocab_eos(out->vocab));
            continue;
        }
        if (format->bos_each && i > first)
            pith_chat_put_token(out, pith_vocab_bos(out->vocab));
        pith_chat_put(out, format->user_open);
        if (first && i == with_system) {
            pith_chat_put(out, format->system_open);
            pith_chat_put_content(out, system);
            pith_chat_put(out, format->system_close);
        }
        pith_chat_put_content(out, trim(turns[i].content, format->trim_user));
        pith_chat_put(out, format->user_close);
    }
    return out->status;
}

#define CHATML .render = render_chatml, .needs = {"<|im_start|>", "<|im_end|>"}
#define LLAMA3 .render = render_llama3, .needs = {"<|start_header_id|>", "<|eot_id|>"}, .bos = true
#define INST(open, close, answer, end) \
    .render = render_inst, .bos = true, .user_open = open, .user_close = close, .answer_open = answer, .answer_close = end

const pith_chat_format pith_chat_formats[] = {
    {.name = "chatml", CHATML},
    {.name = "smollm2", CHATML,
     .system_default = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"},
    {.name = "qwen", CHATML,
     .system_default = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."},
    {.name = "qwen2", CHATML, .system_default = "You are a helpful assistant."},
    {.name = "qwen3", CHATML, .thinking = true},
    {.name = "llama-2", INST("[INST] ", " [/INST]", " ", " "), .bos_each = true, .trim_user = true,
     .trim_answer = true, .system_place = PITH_CHAT_SYSTEM_FIRST, .system_open = "<<SYS>>\n", .system_close = "\n<</SYS>>\n\n"},
    {.name = "llama-3", LLAMA3},
    /* The date is the template's own default: a prompt must not change from day to day. */
    {.name = "llama-3.1", LLAMA3,
     .system_default = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"},
    {.name = "mistral-v0", INST("[INST] ", " [/INST]", "", "")},
    {.name = "mistral-v1", INST(" [INST] ", " [/INST]", " ", ""),
     .system_place = PITH_CHAT_SYSTEM_FIRST, .system_open = "", .system_close = "\n\n"},
    {.name = "mistral-v3", INST("[INST] ", "[/INST]", " ", ""), .trim_answer = true,
     .system_place = PITH_CHAT_SYSTEM_LAST, .system_open = "", .system_close = "\n\n"},
    {.name = "mistral-v3-tekken", INST("[INST]", "[/INST]", "", ""),
     .system_place = PITH_CHAT_SYSTEM_LAST, .system_open = "", .system_close = "\n\n"},
    {.name = "mistral-v7", INST("[INST] ", "[/INST]", " ", ""),
     .system_place = PITH_CHAT_SYSTEM_OWN, .system_open = "[SYSTEM_PROMPT] ", .system_close = "[/SYSTEM_PROMPT]"},
    {.name = "mistral-v7-tekken", INST("[INST]", "[/INST]", "", ""),
     .system_place = PITH_CHAT_SYSTEM_OWN, .system_open = "[SYSTEM_PROMPT]", .system_close = "[/SYSTEM_PROMPT]"},
    {0},
};
