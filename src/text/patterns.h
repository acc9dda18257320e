/* SPDX-License-Identifier: MIT */
/* The pre-tokenizers that pith knows: for each name in tokenizer.ggml.pre its passes, in PCRE2 syntax for UTF and UCP
 * mode. Every expression here runs in time linear in the text: no part of it can be entered at many places of one long
 * run and fail only at the run's end. Where the original could, the rewriting is explained. */
#ifndef PITH_TEXT_PATTERNS_H
#define PITH_TEXT_PATTERNS_H

#include <stdbool.h>

/* GPT-2. Its last alternative, any other white space, is left to the gaps. */
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)"

/* Llama-3 and its relatives differ in what a letter is and in how many digits go together. */
#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define LLAMA3(digits, letter, not_other) \
    CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?" letter "+|" digits "| ?" not_other "+[\\r\\n]*|" SPACES
#define LETTER "\\p{L}"
#define NOT_OTHER "[^\\s\\p{L}\\p{N}]"

/* Tekken and GPT-4o: a word is capitals, then small letters. */
#define CAPITAL "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define SMALL "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED_WORDS(suffix, digits) \
    "[^\\r\\n\\p{L}\\p{N}]?" CAPITAL "*" SMALL "+" suffix "|[^\\r\\n\\p{L}\\p{N}]?" CAPITAL "+" SMALL "*" suffix "|" digits \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES

#define CJK "[\\x{4E00}-\\x{9FA5}\\x{0800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+"

/* DeepSeek-LLM lists the letters that have case. */
#define CASED \
    "\\x{41}-\\x{5A}\\x{61}-\\x{7A}\\x{B5}\\x{C0}-\\x{D6}\\x{D8}-\\x{F6}\\x{F8}-\\x{1BA}\\x{1BC}-\\x{1BF}" \
    "\\x{1C4}-\\x{293}\\x{295}-\\x{2AF}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37B}-\\x{37D}\\x{37F}\\x{386}" \
    "\\x{388}-\\x{38A}\\x{38C}\\x{38E}-\\x{3A1}\\x{3A3}-\\x{3F5}\\x{3F7}-\\x{481}\\x{48A}-\\x{52F}" \
    "\\x{531}-\\x{556}\\x{10A0}-\\x{10C5}\\x{13A0}-\\x{13F5}\\x{13F8}-\\x{13FD}\\x{1C90}-\\x{1CBA}" \
    "\\x{1CBD}-\\x{1CBF}\\x{1D00}-\\x{1D2B}\\x{1D6B}-\\x{1D77}\\x{1D79}-\\x{1D9A}\\x{1E00}-\\x{1F15}" \
    "\\x{1F18}-\\x{1F1D}\\x{1F20}-\\x{1F45}\\x{1F48}-\\x{1F4D}\\x{1F50}-\\x{1F57}\\x{1F59}\\x{1F5B}" \
    "\\x{1F5D}\\x{1F5F}-\\x{1F7D}\\x{1F80}-\\x{1FB4}\\x{1FB6}-\\x{1FBC}\\x{1FBE}\\x{1FC2}-\\x{1FC4}" \
    "\\x{1FC6}-\\x{1FCC}\\x{1FD0}-\\x{1FD3}\\x{1FD6}-\\x{1FDB}\\x{1FE0}-\\x{1FEC}\\x{1FF2}-\\x{1FF4}" \
    "\\x{1FF6}-\\x{1FFC}\\x{2102}\\x{2107}\\x{210A}-\\x{2113}\\x{2115}\\x{2119}-\\x{211D}\\x{2124}" \
    "\\x{2126}\\x{2128}\\x{212A}-\\x{212D}\\x{212F}-\\x{2134}\\x{2139}\\x{213C}-\\x{213F}" \
    "\\x{2145}-\\x{2149}\\x{214E}\\x{2183}\\x{2184}\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}" \
    "\\x{2CEB}-\\x{2CEE}\\x{2CF2}\\x{2CF3}\\x{A640}-\\x{A66D}\\x{A680}-\\x{A69B}\\x{A722}-\\x{A76F}" \
    "\\x{A771}-\\x{A787}\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}\\x{FB00}-\\x{FB06}\\x{FB13}-\\x{FB17}" \
    "\\x{FF21}-\\x{FF3A}\\x{FF41}-\\x{FF5A}\\x{10400}-\\x{1044F}\\x{104B0}-\\x{104D3}" \
    "\\x{104D8}-\\x{104FB}\\x{10C80}-\\x{10CB2}\\x{10CC0}-\\x{10CF2}\\x{118A0}-\\x{118DF}" \
    "\\x{1E900}-\\x{1E943}"
#define DEEPSEEK_MARKS \
    "\\s?[!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}\\x{2018}-\\x{201F}\\x{3000}-\\x{3002}]+"
/* The original is \s+$. Tried at every place of a run of spaces that does not end the piece, it is quadratic (PCRE2's
 * machine code sees that, its interpreter does not); the lookbehind lets it start only where a run starts, which is
 * where its leftmost match starts anyway. */
#define SPACES_AT_END "(?<!\\s)\\s+\\z"

#define DEEPSEEK3 \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+" \
    "| ?[\\p{P}\\p{S}]+[\\r\\n]*|" SPACES

#define BLOOM " ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{0964}\\x{06D4}\\x{060C})]+"

#define PITH_PRE_PASSES 6

struct pre_entry {
    const char *names; /* separated by one space */
    const char *passes[PITH_PRE_PASSES];
    bool ignore_merges, add_bos;
};

static const struct pre_entry entries[] = {
    {"gpt-2 phi-2 roberta-bpe mpt olmo jais exaone4 modern-bert", {GPT2}, false, false},
    {"smollm starcoder refact codeshell exaone minerva-7b command-r", {"\\p{N}", GPT2}, false, false},
    {"llama-bpe llama3 llama-v3 falcon3", {LLAMA3("\\p{N}{1,3}", LETTER, NOT_OTHER)}, true, true},
    {"dbrx smaug-bpe chatglm-bpe glm4", {LLAMA3("\\p{N}{1,3}", LETTER, NOT_OTHER)}, false, false},
    {"qwen2 deepseek-r1-qwen megrez stablelm2", {LLAMA3("\\p{N}", LETTER, NOT_OTHER)}, false, false},
    {"qwen35", {LLAMA3("\\p{N}", "[\\p{L}\\p{M}]", "[^\\s\\p{L}\\p{M}\\p{N}]")}, false, false},
    {"tekken", {CASED_WORDS("", "\\p{N}")}, true, true},
    {"gpt-4o llama4", {CASED_WORDS(CONTRACTION "?", "\\p{N}{1,3}")}, false, false},
    {"deepseek-llm", {"[\\r\\n]", "\\s?[" CASED "]+", DEEPSEEK_MARKS, SPACES_AT_END, CJK, "\\p{N}+"}, false, false},
    {"deepseek-coder", {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CJK, "\\p{N}"}, false, false},
    {"deepseek-v3 hunyuan-dense",
     {"\\p{N}{1,3}", "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+", DEEPSEEK3}, false, false},
    {"falcon", {"[\\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]"}, false, false},
    {"default", {"[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}, false, false},
    {"bloom poro-chat gpt3-finnish", {BLOOM}, false, false},
};

#endif
