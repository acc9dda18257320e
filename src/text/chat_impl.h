/* SPDX-License-Identifier: MIT */
/* What the chat files share: a format's description and the rendered text with its trusted and untrusted parts. */
#ifndef PITH_TEXT_CHAT_IMPL_H
#define PITH_TEXT_CHAT_IMPL_H

#include "text/chat.h"

typedef enum pith_chat_role { PITH_CHAT_SYSTEM, PITH_CHAT_USER, PITH_CHAT_ASSISTANT } pith_chat_role;

typedef struct pith_chat_turn {
    pith_chat_role role;
    pith_str content; /* untrusted */
} pith_chat_turn;

/* The conversation as one text. Errors stick: after the first one nothing more is appended. */
typedef struct pith_chat_text {
    const pith_vocab *vocab;
    char *text;
    size_t n, cap;
    pith_text_part *parts;
    size_t n_part, cap_part;
    pith_status status;
} pith_chat_text;

void pith_chat_put(pith_chat_text *out, const char *own);            /* the format's own text: may be control tokens */
void pith_chat_put_content(pith_chat_text *out, pith_str content);   /* never control tokens */
void pith_chat_put_token(pith_chat_text *out, int32_t id);           /* a special token by its text; -1: nothing */

struct pith_chat_format {
    const char *name;
    pith_status (*render)(const pith_chat_format *format, const pith_chat_turn *turns, size_t n, bool prompt, pith_chat_text *out);
    const char *needs[2];       /* tokens without which the format makes no sense; NULL: none */
    bool bos;                   /* begins with BOS whatever the metadata say */
    const char *system_default; /* ChatML family: inserted when the first turn is not the system's; NULL: nothing */
    bool thinking;              /* ChatML family: Qwen3's rules for <think> */
    /* [INST] family */
    enum { PITH_CHAT_SYSTEM_NONE, PITH_CHAT_SYSTEM_FIRST, PITH_CHAT_SYSTEM_LAST, PITH_CHAT_SYSTEM_OWN } system_place;
    const char *system_open, *system_close, *user_open, *user_close, *answer_open, *answer_close;
    bool bos_each;              /* BOS before every user turn, not only the first */
    bool trim_user, trim_answer;
};

/* chat_formats.c: all formats, ended by one without a name. */
extern const pith_chat_format pith_chat_formats[];

#endif
