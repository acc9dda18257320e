# SPDX-License-Identifier: MIT
"""Two very small but real vocabularies for test models: byte-level BPE (`gpt2`) and SentencePiece BPE (`llama`).

Both are learned here, by plain pair counting over the text below, so nothing is downloaded and every run
gives the same tokens.
"""
import re
from collections import Counter

TEXT = """The river rose in the night, and by morning the lower fields were under water. The old man who kept
the mill said that he had seen it higher, in the year when the bridge went, but no one believed him. They
carried the sheep up to the barn and the children to the church on the hill, and there they waited for the
rain to stop. It did not stop. On the third day a boat came down from the town with bread and candles, and
the men in it told them what had happened to the others: the road was gone, the station was gone, and the
water was still rising. She counted 12 loaves, 48 candles and 1 lamp. "We're all right," she said; "it isn't
the first time, and it won't be the last." Then she began to read to the children from the only book that
was dry, a history of the kings, and they listened because there was nothing else to hear but the rain.
    for (int i = 0; i < n; i++) { sum += x[i] * y[i]; }
    return sum;
The computer in the corner of the room has been running the same program since the end of the war. Nobody
knows what it computes. Every hour it prints a number, and every number is larger than the one before."""

CHAT_TEMPLATE = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
                 "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
                 "{% endif %}")
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<file_sep>"]


def byte_chars():
    """The byte to printable character map of byte-level BPE."""
    plain = list(range(0x21, 0x7F)) + list(range(0xA1, 0xAD)) + list(range(0xAE, 0x100))
    table, spare = {}, 0x100
    for byte in range(256):
        if byte in plain:
            table[byte] = chr(byte)
        else:
            table[byte], spare = chr(spare), spare + 1
    return table


def learn_merges(words, n_merges):
    """Byte-pair encoding: merge the most frequent neighbours (ties: the first in order) `n_merges` times."""
    counts = Counter(tuple(w) for w in words)
    merges = []
    while len(merges) < n_merges:
        pairs = Counter()
        for word, n in counts.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += n
        best = min(pairs, key=lambda p: (-pairs[p], p))
        merges.append(best)
        merged = Counter()
        for word, n in counts.items():
            out, i = [], 0
            while i < len(word):
                if word[i:i + 2] == best:
                    out.append(word[i] + word[i + 1])
                    i += 2
                else:
                    out.append(word[i])
                    i += 1
            merged[tuple(out)] += n
        counts = merged
    return merges


def byte_bpe(n_vocab):
    """Keys of a `gpt2` tokenizer with `n_vocab` tokens, split as SmolLM does."""
    table = byte_chars()
    words = re.findall(r" ?[A-Za-z]+|[0-9]| ?[^\sA-Za-z0-9]+|\s+(?=\s)|\s", TEXT)
    words = ["".join(table[b] for b in w.encode()) for w in words]
    merges = learn_merges(words, n_vocab - 256 - len(SPECIALS))
    tokens = SPECIALS + [table[b] for b in range(256)] + [a + b for a, b in merges]
    assert len(set(tokens)) == n_vocab
    return [("tokenizer.ggml.model", "str", "gpt2"), ("tokenizer.ggml.pre", "str", "smollm"),
            ("tokenizer.ggml.tokens", "str[]", tokens),
            ("tokenizer.ggml.token_type", "i32[]", [3] * len(SPECIALS) + [1] * (n_vocab - len(SPECIALS))),
            ("tokenizer.ggml.merges", "str[]", [a + " " + b for a, b in merges]),
            ("tokenizer.ggml.bos_token_id", "u32", 1), ("tokenizer.ggml.eos_token_id", "u32", 2),
            ("tokenizer.ggml.unknown_token_id", "u32", 0), ("tokenizer.ggml.padding_token_id", "u32", 2),
            ("tokenizer.ggml.add_space_prefix", "bool", False), ("tokenizer.ggml.add_bos_token", "bool", False),
            ("tokenizer.chat_template", "str", CHAT_TEMPLATE)]


def spm(n_vocab):
    """Keys of a `llama` tokenizer: 3 specials, 256 byte tokens, merged pieces, then single characters."""
    text = "\u2581" + TEXT.replace("\n", " ").replace(" ", "\u2581")
    words = re.findall("\u2581*[^\u2581]+", text)
    chars = [c for c, _ in sorted(Counter("".join(words)).items(), key=lambda x: (-x[1], x[0]))]
    merges = learn_merges(words, n_vocab - 259 - len(chars))
    pieces = [a + b for a, b in merges] + chars
    tokens = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)] + pieces
    assert len(set(tokens)) == n_vocab
    scores = [0.0] * 259 + [float(-i) for i in range(len(pieces))]
    return [("tokenizer.ggml.model", "str", "llama"), ("tokenizer.ggml.pre", "str", "default"),
            ("tokenizer.ggml.tokens", "str[]", tokens), ("tokenizer.ggml.scores", "f32[]", scores),
            ("tokenizer.ggml.token_type", "i32[]", [2, 3, 3] + [6] * 256 + [1] * len(pieces)),
            ("tokenizer.ggml.bos_token_id", "u32", 1), ("tokenizer.ggml.eos_token_id", "u32", 2),
            ("tokenizer.ggml.unknown_token_id", "u32", 0)]
