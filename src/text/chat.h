/* SPDX-License-Identifier: MIT */
/* Chat formats: fixed renderers, no template interpreter. A format is recognised by markers in the model's template. */
#ifndef PITH_TEXT_CHAT_H
#define PITH_TEXT_CHAT_H

#include "text/vocab.h"

typedef struct pith_chat_format pith_chat_format;

/* By name, one of pith_chat_names(); "mistral" is mistral-v3, "qwen" is Qwen2.5's. NULL: no such format. */
const pith_chat_format *pith_chat_find(const char *name);
/* From tokenizer.chat_template (and the vocabulary when there is none); NULL: not recognised. */
const pith_chat_format *pith_chat_detect(const pith_gguf *gguf, const pith_vocab *vocab);
const char *pith_chat_name(const pith_chat_format *format);
const char *pith_chat_names(void); /* all, comma-separated */

/* Appends the conversation's tokens. Only the format's own text may become control tokens, contents never. BOS comes
 * first where the format or the metadata ask for it; a last assistant message is a finished one.
 * Errors: INVALID_ARGUMENT (role, order of roles, with the message's index), UNSUPPORTED (no format, no vocabulary or
 * one that lacks the format's tokens, a system message where the format has none). */
pith_status pith_chat_encode(const pith_chat_format *format, const pith_vocab *vocab, const pith_chat_message *messages,
                             size_t n, bool add_generation_prompt, pith_token_list *out);

#endif
