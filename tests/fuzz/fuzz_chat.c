/* SPDX-License-Identifier: MIT */
/* A conversation from the input: byte 0 chooses the format, then come messages, each a role byte, a length byte and
 * that many bytes of content. Held: whatever the contents, the control tokens are those of the same conversation with
 * empty contents, and a failure leaves the list as it was. */
#include "text/chat.h"
#include "text/toy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                  \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "fuzz_chat: line %d: %s\n", __LINE__, #condition);            \
            abort();                                                                      \
        }                                                                                 \
    } while (0)

#define MESSAGES_MAX 12

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const formats[] = {
    "chatml", "smollm2", "qwen", "qwen2", "qwen3", "llama-2", "llama-3", "llama-3.1", "mistral", "mistral-v0", "mistral-v1",
    "mistral-v3-tekken", "mistral-v7", "mistral-v7-tekken",
};
static const char *const roles[] = {"user", "assistant", "system", "tool", ""};
static const char *const controls[] = {
    "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "[INST]", "[/INST]",
    "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]",
};

static pith_vocab *vocab_make(void)
{
    toy *t = toy_byte_level("qwen2");
    pith_vocab *vocab;
    for (size_t i = 0; i < sizeof controls / sizeof *controls; i++)
        toy_add(t, controls[i], TOY_CONTROL, 0);
    toy_add(t, "<think>", TOY_USER, 0);
    pith_builder_u32(t->builder, "tokenizer.ggml.bos_token_id", 256);
    pith_builder_u32(t->builder, "tokenizer.ggml.eos_token_id", 257);
    CHECK(toy_open(t, 0, &vocab) == PITH_OK);
    toy_free(&t);
    return vocab;
}

/* Control tokens of the rendered conversation; SIZE_MAX: refused. */
static size_t controls_count(const pith_vocab *vocab, const char *format, const pith_chat_message *messages, size_t n, bool prompt)
{
    pith_token_list list = {0};
    size_t count = 0;
    CHECK(pith_token_list_push(&list, 7) == PITH_OK);
    if (pith_chat_encode(pith_chat_find(format), vocab, messages, n, prompt, &list) != PITH_OK) {
        CHECK(list.n == 1 && list.ids[0] == 7 && pith_last_error()[0]);
        count = SIZE_MAX;
    }
    for (size_t i = 1; i < list.n && count != SIZE_MAX; i++) {
        CHECK(list.ids[i] >= 0 && list.ids[i] < pith_vocab_size(vocab));
        count += pith_vocab_bytes(vocab, list.ids[i], false).n == 0;
    }
    free(list.ids);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static pith_vocab *vocab;
    pith_chat_message messages[MESSAGES_MAX], empty[MESSAGES_MAX];
    static char contents[MESSAGES_MAX][256];
    size_t n = 0, at = 1;
    if (!vocab)
        vocab = vocab_make();
    if (!size)
        return 0;
    while (n < MESSAGES_MAX && size - at >= 2) {
        size_t length = data[at + 1] < size - at - 2 ? data[at + 1] : size - at - 2;
        uint8_t role = data[at];
        memcpy(contents[n], data + at + 2, length);
        contents[n][length] = '\0'; /* length <= 255 */
        /* Mostly in turn, so that the strict formats get somewhere; odd first bytes open with a system message. */
        bool system = n == 0 ? role & 1 : !strcmp(messages[0].role, "system");
        const char *in_turn = system && n == 0 ? "system" : roles[(n + system) % 2];
        messages[n] = (pith_chat_message){role < 240 ? in_turn : roles[role % 5], contents[n]};
        empty[n] = (pith_chat_message){messages[n].role, ""};
        at += 2 + length;
        n++;
    }
    const char *format = formats[data[0] % (sizeof formats / sizeof *formats)];
    bool prompt = data[0] & 0x80;
    CHECK(controls_count(vocab, format, messages, n, prompt) == controls_count(vocab, format, empty, n, prompt));
    return 0;
}
