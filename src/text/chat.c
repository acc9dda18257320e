/* SPDX-License-Identifier: MIT */
/* Chat: which format, and from messages to tokens. The rendered text remembers which of its bytes the format wrote and
 * which came from a message; the encoder recognises control tokens in the former only, yet sees one text, so that words
 * are split as in training. The formats themselves are in chat_formats.c. */
#include "text/chat.h"
#include "base/mem.h"
#include "text/chat_impl.h"

#include <stdlib.h>
#include <string.h>

static void put(pith_chat_text *out, const char *text, size_t n, bool trusted)
{
    size_t need;
    if (out->status != PITH_OK || !n)
        return;
    if (!pith_size_add(out->n, n, &need) || need > SIZE_MAX / 4)
        goto no_memory;
    if (need > out->cap) {
        size_t cap = need + need / 2 + 256;
        char *grown = realloc(out->text, cap);
        if (!grown)
            goto no_memory;
        out->text = grown;
        out->cap = cap;
    }
    memcpy(out->text + out->n, text, n);
    out->n = need;
    if (out->n_part && out->parts[out->n_part - 1].trusted && trusted) { /* neighbours may form a token together */
        out->parts[out->n_part - 1].n += n;
        return;
    }
    if (out->n_part == out->cap_part) {
        size_t cap = out->cap_part * 2 + 16;
        pith_text_part *grown = cap > SIZE_MAX / sizeof *grown ? NULL : realloc(out->parts, cap * sizeof *grown);
        if (!grown)
            goto no_memory;
        out->parts = grown;
        out->cap_part = cap;
    }
    out->parts[out->n_part++] = (pith_text_part){.n = n, .trusted = trusted};
    return;
no_memory:
    out->status = pith_fail(PITH_ERROR_NO_MEMORY, "chat: text of more than %zu bytes", out->n);
}

void pith_chat_put(pith_chat_text *out, const char *own)
{
    put(out, own, strlen(own), true);
}

void pith_chat_put_content(pith_chat_text *out, pith_str content)
{
    put(out, content.data, content.n, false);
}

void pith_chat_put_token(pith_chat_text *out, int32_t id)
{
    pith_str text = pith_vocab_bytes(out->vocab, id, true);
    put(out, text.data, text.n, true);
}

const pith_chat_format *pith_chat_find(const char *name)
{
    if (!strcmp(name, "mistral"))
        name = "mistral-v3";
    for (const pith_chat_format *format = pith_chat_formats; format->name; format++)
        if (!strcmp(format->name, name))
            return format;
    return NULL;
}

const char *pith_chat_name(const pith_chat_format *format)
{
    return format->name;
}

const char *pith_chat_names(void)
{
    return "chatml, smollm2, qwen, qwen2, qwen3, llama-2, llama-3, llama-3.1, mistral (mistral-v3), mistral-v0, mistral-v1, "
           "mistral-v3-tekken, mistral-v7, mistral-v7-tekken";
}

static bool has(pith_str text, const char *marker)
{
    return memmem(text.data, text.n, marker, strlen(marker)) != NULL;
}

static const char *name_in_template(pith_str t)
{
    if (has(t, "<|im_start|>")) {
        if (has(t, "<|im_sep|>") || has(t, "## Metadata")) /* Phi-4, SmolLM3: other formats */
            return NULL;
        if (has(t, "enable_thinking"))
            return "qwen3";
        if (has(t, "named SmolLM"))
            return "smollm2";
        if (has(t, "You are Qwen, created by Alibaba Cloud"))
            return "qwen";
        return has(t, "You are a helpful assistant") ? "qwen2" : "chatml";
    }
    if (has(t, "<|start_header_id|>"))
        return has(t, "Cutting Knowledge Date") ? "llama-3.1" : "llama-3";
    if (!has(t, "[INST]"))
        return NULL;
    if (has(t, "[SYSTEM_PROMPT]"))
        return has(t, "[SYSTEM_PROMPT] ") ? "mistral-v7" : "mistral-v7-tekken";
    if (has(t, "<<SYS>>"))
        return "llama-2";
    if (has(t, "' [INST]") || has(t, "\" [INST]"))
        return "mistral-v1";
    if (has(t, "'[INST]'") || has(t, "\"[INST]\""))
        return "mistral-v3-tekken";
    return has(t, "[AVAILABLE_TOOLS]") ? "mistral-v3" : "mistral-v0";
}

const pith_chat_format *pith_chat_detect(const pith_gguf *gguf, const pith_vocab *vocab)
{
    pith_str template = {0};
    const char *name = NULL;
    if (pith_gguf_has(gguf, "tokenizer.chat_template")) {
        if (pith_gguf_get_string(gguf, "tokenizer.chat_template", &template) == PITH_OK)
            name = name_in_template(template);
        else
            pith_fail_clear(); /* not a text: as if there were none that we know */
    } else if (vocab && pith_vocab_find(vocab, "<|im_start|>") >= 0 && pith_vocab_find(vocab, "<|im_end|>") >= 0) {
        name = "chatml";
    }
    return name ? pith_chat_find(name) : NULL;
}

static pith_status role_find(const char *role, size_t index, pith_chat_role *out)
{
    static const char *const names[] = {"system", "user", "assistant"};
    for (int i = 0; role && i < 3; i++)
        if (!strcmp(role, names[i])) {
            *out = (pith_chat_role)i;
            return PITH_OK;
        }
    return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "message %zu: role \"%.32s\", expected system, user or assistant", index,
                     role ? role : "NULL");
}

static pith_status turns_make(const pith_chat_message *messages, size_t n, pith_chat_turn **out)
{
    pith_status status = PITH_OK;
    pith_chat_turn *turns = pith_calloc(n, sizeof *turns);
    *out = NULL;
    if (!turns)
        return pith_fail(PITH_ERROR_NO_MEMORY, "%zu messages", n);
    for (size_t i = 0; i < n && status == PITH_OK; i++) {
        status = role_find(messages[i].role, i, &turns[i].role);
        if (status == PITH_OK && !messages[i].content)
            status = pith_fail(PITH_ERROR_INVALID_ARGUMENT, "message %zu: content is NULL", i);
        if (status == PITH_OK)
            turns[i].content = (pith_str){messages[i].content, strlen(messages[i].content)};
    }
    if (status == PITH_OK)
        *out = turns;
    else
        free(turns);
    return status;
}

static pith_status needs_check(const pith_chat_format *format, const pith_vocab *vocab)
{
    for (size_t i = 0; i < sizeof format->needs / sizeof *format->needs && format->needs[i]; i++)
        if (pith_vocab_find(vocab, format->needs[i]) < 0)
            return pith_fail(PITH_ERROR_UNSUPPORTED, "chat format %s: the vocabulary has no token %s", format->name, format->needs[i]);
    return PITH_OK;
}

pith_status pith_chat_encode(const pith_chat_format *format, const pith_vocab *vocab, const pith_chat_message *messages,
                             size_t n, bool add_generation_prompt, pith_token_list *out)
{
    pith_chat_text text = {.vocab = vocab};
    pith_chat_turn *turns = NULL;
    size_t start = out->n;
    if (!format)
        return pith_fail(PITH_ERROR_UNSUPPORTED, "chat: no format recognised; known ones are %s", pith_chat_names());
    if (!vocab)
        return pith_fail(PITH_ERROR_UNSUPPORTED, "chat: the model has no vocabulary");
    if (!n)
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "chat: no messages");
    PITH_TRY(needs_check(format, vocab));
    PITH_TRY(turns_make(messages, n, &turns));
    pith_status status = format->render(format, turns, n, add_generation_prompt, &text);
    if (status == PITH_OK && (format->bos || pith_vocab_adds_bos(vocab)) && pith_vocab_bos(vocab) >= 0)
        status = pith_token_list_push(out, pith_vocab_bos(vocab));
    if (status == PITH_OK)
        status = pith_vocab_encode_parts(vocab, text.text, text.n, text.parts, text.n_part, out);
    if (status != PITH_OK)
        out->n = start;
    free(turns);
    free(text.text);
    free(text.parts);
    return status;
}
