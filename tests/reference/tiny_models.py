# SPDX-License-Identifier: MIT
"""Write tiny GGUF models with fixed random weights, for tests of loading, kernels and whole-model results.

usage: tiny_models.py OUTDIR [--only NAME] [--list]
NAME is <variant>-<type>, any variant with any weight type, e.g. llama-q4_k or qwen3-q8_0; `llama-split` is
llama-f16 in three parts. Without --only, the list that --list prints is written. All matrices, embedding
and output included, have the named type, save in variant `mixed`; norms and biases are F32.
"""
import argparse
import math
import os
import zlib

import numpy as np

import tiny_vocab
from gguf_write import TYPE_IDS, Writer, random_blocks

WEIGHTS = ["f32", "f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k",
           "iq4_nl", "iq4_xs", "mxfp4"]
FILE_TYPE = {"f32": 0, "f16": 1, "bf16": 32, "q4_0": 2, "q4_1": 3, "q5_0": 8, "q5_1": 9, "q8_0": 7, "q2_k": 10,
             "q3_k": 11, "q4_k": 14, "q5_k": 16, "q6_k": 18, "iq4_nl": 25, "iq4_xs": 30, "mxfp4": 38}
N_VOCAB, D_MODEL, D_FF, CONTEXT = 499, 256, 768, 8192
# layers, heads, kv heads, head size, rope base; the rest are the default's
BASE = {"arch": "llama", "layers": 3, "heads": 8, "kv": 2, "hd": 32, "base": 10000.0, "eps": 1e-5, "tied": False}
VARIANTS = {
    "llama": {},
    "tied": {"heads": 4, "hd": 64, "base": 100000.0, "tied": True},
    "mha": {"heads": 4, "kv": 4, "hd": 64, "layers": 2},
    "ropefreqs": {"heads": 4, "hd": 64, "base": 500000.0, "llama3": (8.0, 1.0, 4.0, 1024)},
    "linear": {"heads": 4, "hd": 64, "scaling": ("linear", 4.0, None)},
    "yarn": {"heads": 4, "hd": 64, "scaling": ("yarn", 4.0, 2048)},
    "qwen2": {"arch": "qwen2", "heads": 4, "hd": 64, "base": 1e6, "eps": 1e-6, "bias": True},
    "qwen3": {"arch": "qwen3", "heads": 4, "hd": 128, "base": 1e6, "eps": 1e-6, "qk_norm": True, "tied": True},
    "spm": {"spm": True},
    "mixed": {"mixed": True},
}
DEFAULT_LIST = (["llama-" + t for t in WEIGHTS] + ["llama-split", "mixed-q4_k", "spm-f16"] +
                [v + "-" + t for v in ("tied", "mha", "ropefreqs", "linear", "yarn", "qwen2", "qwen3")
                 for t in ("f32", "q8_0")])


def llama3_factors(n_rot, base, factor, low, high, original):
    """Divisors of the rotation frequencies: 1 for short waves, `factor` for long ones, blended between."""
    out = []
    for i in range(n_rot // 2):
        wave = 2 * math.pi * base ** (2 * i / n_rot)
        t = min(1.0, max(0.0, (original / wave - low) / (high - low)))
        out.append(1 / ((1 - t) / factor + t))
    return np.array(out, "<f4")


def metadata(w, name, s, weight):
    a = s["arch"]
    w.key("general.architecture", "str", a)
    w.key("general.type", "str", "model")
    w.key("general.name", "str", "tiny " + name)
    w.key("general.license", "str", "mit")
    w.key("general.file_type", "u32", FILE_TYPE[weight])
    w.key("general.quantization_version", "u32", 2)
    for key, value in (("block_count", s["layers"]), ("context_length", CONTEXT), ("embedding_length", D_MODEL),
                       ("feed_forward_length", D_FF), ("attention.head_count", s["heads"]),
                       ("attention.head_count_kv", s["kv"]), ("vocab_size", N_VOCAB),
                       ("rope.dimension_count", s["hd"])):
        w.key(a + "." + key, "u32", value)
    w.key(a + ".rope.freq_base", "f32", s["base"])
    w.key(a + ".attention.layer_norm_rms_epsilon", "f32", s["eps"])
    if s["hd"] * s["heads"] != D_MODEL:
        w.key(a + ".attention.key_length", "u32", s["hd"])
        w.key(a + ".attention.value_length", "u32", s["hd"])
    if s.get("scaling"):
        kind, factor, original = s["scaling"]
        w.key(a + ".rope.scaling.type", "str", kind)
        w.key(a + ".rope.scaling.factor", "f32", factor)
        if original:
            w.key(a + ".rope.scaling.original_context_length", "u32", original)
    for key in tiny_vocab.spm(N_VOCAB) if s.get("spm") else tiny_vocab.byte_bpe(N_VOCAB):
        w.key(*key)


def tensors(w, seed_name, s, weight):
    d, hd = D_MODEL, s["hd"]
    n_q, n_kv = s["heads"] * hd, s["kv"] * hd

    def rng(name):
        return np.random.default_rng(zlib.crc32((seed_name + "/" + name).encode()))

    def matrix(name, n_in, n_out, std, type_name=weight):
        if s.get("mixed") and ("attn_v" in name or "ffn_down" in name or name.startswith(("output", "token_embd"))):
            type_name = "q6_k"
        w.tensor(name, [n_in, n_out], type_name, random_blocks(rng(name), type_name, n_in * n_out, std))

    def vector(name, n, mean, std):
        w.tensor(name, [n], "f32", (mean + std * rng(name).standard_normal(n)).astype("<f4").tobytes())

    # A tied table is its own output matrix, hence the smaller last norm: the logits spread by about 3 either way.
    matrix("token_embd.weight", d, N_VOCAB, 0.5)
    for i in range(s["layers"]):
        p = "blk.%d." % i
        vector(p + "attn_norm.weight", d, 1.4, 0.2)
        matrix(p + "attn_q.weight", d, n_q, d ** -0.5)
        matrix(p + "attn_k.weight", d, n_kv, d ** -0.5)
        matrix(p + "attn_v.weight", d, n_kv, d ** -0.5)
        if s.get("bias"):
            for name, n in (("attn_q", n_q), ("attn_k", n_kv), ("attn_v", n_kv)):
                vector(p + name + ".bias", n, 0.0, 0.5)
        if s.get("qk_norm"):
            vector(p + "attn_q_norm.weight", hd, 1.4, 0.2)
            vector(p + "attn_k_norm.weight", hd, 1.4, 0.2)
        matrix(p + "attn_output.weight", n_q, d, n_q ** -0.5)
        vector(p + "ffn_norm.weight", d, 1.2, 0.2)
        matrix(p + "ffn_gate.weight", d, D_FF, d ** -0.5)
        matrix(p + "ffn_up.weight", d, D_FF, d ** -0.5)
        matrix(p + "ffn_down.weight", D_FF, d, D_FF ** -0.5)
    vector("output_norm.weight", d, 0.4 if s["tied"] else 3.0, 0.05)
    if not s["tied"]:
        matrix("output.weight", d, N_VOCAB, d ** -0.5)
    if s.get("llama3"):
        w.tensor("rope_freqs.weight", [hd // 2], "f32", llama3_factors(hd, s["base"], *s["llama3"]).tobytes())


def build(outdir, name):
    variant, _, weight = name.partition("-")
    split = weight == "split"
    weight = "f16" if split else weight
    if variant not in VARIANTS or weight not in TYPE_IDS:
        raise SystemExit("tiny_models.py: unknown model " + name)
    s = dict(BASE, **VARIANTS[variant])
    w = Writer()
    metadata(w, name, s, weight)
    tensors(w, variant + "-" + weight, s, weight)
    path = os.path.join(outdir, name)
    if split:
        w.write_split(path, 3)
    else:
        w.write(path + ".gguf")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("outdir", nargs="?")
    ap.add_argument("--only", metavar="NAME", action="append")
    ap.add_argument("--list", action="store_true")
    args = ap.parse_args()
    if args.list:
        print("\n".join(DEFAULT_LIST))
        return
    if not args.outdir:
        ap.error("OUTDIR is missing")
    os.makedirs(args.outdir, exist_ok=True)
    for name in args.only or DEFAULT_LIST:
        build(args.outdir, name)
        print(name)


if __name__ == "__main__":
    main()
