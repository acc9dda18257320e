# SPDX-License-Identifier: MIT
"""Evaluate a llama, qwen2 or qwen3 GGUF model with numpy, with full attention or with CCA, by brute force.

This is the measure that the engine is held to, so it is written for plainness: every tensor is dequantised to
floats, every query is compared with every earlier key and every core, and a mask built straight from the
visibility rule decides what counts. No cache, no chunks, no tokenizer: the input is token ids.

CCA, with 0-based query i, n = i + 1 tokens so far, groups of g tokens and a raw window of at least s:
    J(n) = max(0, floor((n - s) / g))           number of groups seen as cores
    visible to i: sinks 0..S-1 raw, the cores of the rest of 0..J*g-1, tokens J*g..i raw
A core pools the keys and values of its group, less the sinks, with the softmax of the logits of the group's last
query; a group made of sinks only has none. `entropy` adds -sum(a log a) of the pooling weights to a core's logit.

usage: dense_cca.py -m MODEL.gguf -t TOKENS [--attn full|cca] [-g 16] [-s 1024] ... (--help)
TOKENS: one id a line, or a JSON list, or a JSON object with a list under "tokens". No BOS is added. Every
token but the first of each window is scored; buckets go by the position of the scored token in its window;
top1[i] is the most likely token after position i.
"""
import argparse
import json
import sys
import time

import numpy as np

from gguf_read import Gguf

ROWS = 512                                   # query rows in one block


class Model:
    """Shape, rotation table and float weights of a GGUF model."""

    def __init__(self, path, dtype=np.float32):
        self.gguf, self.dtype = Gguf(path), dtype
        meta = self.gguf.meta
        self.arch = meta["general.architecture"]
        if self.arch not in ("llama", "qwen2", "qwen3"):
            raise SystemExit("dense_cca.py: no support for " + self.arch)

        def get(key, default=None):
            return meta.get(self.arch + "." + key, default)

        self.n_layers, self.d_model = get("block_count"), get("embedding_length")
        self.n_heads = get("attention.head_count")
        self.n_kv = get("attention.head_count_kv", self.n_heads)
        self.hd = get("attention.key_length", self.d_model // self.n_heads)
        self.eps = get("attention.layer_norm_rms_epsilon")
        self.n_rot = get("rope.dimension_count", self.hd)
        self.neox = self.arch != "llama"
        self.set_frequencies(get)
        self.norm_out = self.weight("output_norm.weight")
        self.embedding = self.gguf.tensors["token_embd.weight"].array()
        tied = "output.weight" not in self.gguf.tensors
        self.output = (self.embedding if tied else self.weight("output.weight")).astype(dtype, copy=False)

    def weight(self, name):
        return self.gguf.tensors[name].array().astype(self.dtype, copy=False)

    def set_frequencies(self, get):
        """Angle per position of each pair (float64), and the factor on cos and sin that yarn brings."""
        base = float(get("rope.freq_base", 10000.0))
        freq = base ** (-2.0 * np.arange(self.n_rot // 2) / self.n_rot)
        if "rope_freqs.weight" in self.gguf.tensors:
            freq = freq / self.gguf.tensors["rope_freqs.weight"].array().astype(np.float64)
        kind, factor = get("rope.scaling.type", "linear"), float(get("rope.scaling.factor", 0.0) or 1.0)
        self.rope_scale = float(get("rope.scaling.attn_factor", 1.0))
        if kind == "yarn":
            original = get("rope.scaling.original_context_length", get("context_length"))

            def corner(turns):
                return self.n_rot * np.log(original / (turns * 2 * np.pi)) / (2 * np.log(base))

            lo = max(0.0, np.floor(corner(32.0)))
            hi = min(self.n_rot - 1.0, np.ceil(corner(1.0)))
            keep = 1.0 - np.clip((np.arange(self.n_rot // 2) - lo) / max(0.001, hi - lo), 0.0, 1.0)
            freq = freq / factor * (1.0 - keep) + freq * keep
            self.rope_scale *= 1.0 + 0.1 * np.log(factor)
        elif kind == "linear":
            freq = freq / factor
        self.freq = freq

    def rotate(self, x, positions):
        """Rotary embedding of x [..., rows, head size] at `positions` ([rows] or broadcastable, may be fractional)."""
        angle = np.asarray(positions, np.float64)[..., None] * self.freq
        cos = (np.cos(angle) * self.rope_scale).astype(self.dtype)
        sin = (np.sin(angle) * self.rope_scale).astype(self.dtype)
        half = self.n_rot // 2
        first, second = (slice(0, half), slice(half, self.n_rot)) if self.neox else \
            (slice(0, self.n_rot, 2), slice(1, self.n_rot, 2))
        a, b = x[..., first], x[..., second]
        out = x.copy()
        out[..., first] = a * cos - b * sin
        out[..., second] = a * sin + b * cos
        return out

    def rms_norm(self, x, w):
        mean = np.mean(np.square(x, dtype=np.float64), axis=-1, keepdims=True)
        return (x / np.sqrt(mean + self.eps)).astype(self.dtype) * w

    def project(self, x, name, n_heads):
        """x W^T (+ bias), as [heads, rows, head size]."""
        y = x @ self.weight(name + ".weight").T
        if name + ".bias" in self.gguf.tensors:
            y += self.weight(name + ".bias")
        return np.ascontiguousarray(y.reshape(len(x), n_heads, self.hd).transpose(1, 0, 2))


def softmax(z):
    """Softmax over the last axis; masked entries are -inf. Works in place."""
    z -= z.max(axis=-1, keepdims=True)
    np.exp(z, out=z)
    z /= z.sum(axis=-1, keepdims=True)
    return z


def visible_groups(n, s, g):
    return np.maximum(0, (n - s) // g)


def build_cores(model, q, k, v, k_plain, opt):
    """Cores of every complete group. q, k are rotated; k_plain is not. All are [heads, tokens, head size].

    Returns group numbers [C], keys and values [core heads, C, head size], bias [core heads, C].
    """
    g, sinks, scale = opt.g, opt.sinks, 1.0 / np.sqrt(model.hd)
    share = model.n_heads // model.n_kv
    n_core_heads = model.n_heads if opt.cores == "query" else model.n_kv
    groups = [j for j in range(k.shape[1] // g) if (j + 1) * g > sinks]
    keys = np.zeros((n_core_heads, len(groups), model.hd), model.dtype)
    values, bias = np.zeros_like(keys), np.zeros(keys.shape[:2], np.float64)
    for c, j in enumerate(groups):
        members = np.arange(max(j * g, sinks), (j + 1) * g)
        last = (j + 1) * g - 1
        for h in range(n_core_heads):
            kv = h // share if opt.cores == "query" else h
            heads = [h] if opt.cores == "query" else range(h * share, (h + 1) * share)
            logits = np.mean([k[kv, members].astype(np.float64) @ q[m, last] for m in heads], axis=0) * scale
            a = softmax(logits)
            bias[h, c] = -np.sum(a[a > 0] * np.log(a[a > 0])) if opt.entropy else 0.0
            values[h, c] = a @ v[kv, members]
            if opt.core_pos == "P0":
                keys[h, c] = a @ k[kv, members]
                continue
            at = {"P1": last, "P2": j * g + (g - 1) / 2, "P3": a @ members}[opt.core_pos]
            keys[h, c] = model.rotate((a @ k_plain[kv, members]).astype(model.dtype)[None], [at])[0]
    return np.array(groups, np.int64), keys, values, bias


def attend(model, q, k, v, cores, opt):
    """Attention output [rows, heads * head size]. `cores` is None for full attention."""
    n_heads, n, hd = q.shape
    share = n_heads // model.n_kv
    out = np.empty((n, n_heads, hd), model.dtype)
    for r0 in range(0, n, ROWS):
        i = np.arange(r0, min(n, r0 + ROWS))
        t = np.arange(i[-1] + 1)
        seen = t[None, :] <= i[:, None]
        if cores:
            J = visible_groups(i + 1, opt.s, opt.g)[:, None]
            seen &= (t[None, :] >= J * opt.g) | (t[None, :] < opt.sinks)
            groups, core_k, core_v, bias = cores
            used = groups < J.max()
            core_seen = groups[used][None, :] < J
        for h in range(n_heads):
            qh = q[h, i] * model.dtype(1.0 / np.sqrt(hd))
            z = np.where(seen, qh @ k[h // share, t].T, -np.inf)
            vh = v[h // share, t]
            if cores and used.any():
                ch = h if opt.cores == "query" else h // share
                zc = qh @ core_k[ch][used].T + bias[ch][used].astype(model.dtype)
                z = np.concatenate([np.where(core_seen, zc, -np.inf), z], axis=1)
                vh = np.concatenate([core_v[ch][used], vh])
            out[i, h] = softmax(z.astype(model.dtype, copy=False)) @ vh
    return out.reshape(n, n_heads * hd)


def forward(model, tokens, opt, dump=None):
    """Last hidden states, normed, of one window. `dump` collects the cores of each CCA layer."""
    x = model.embedding[tokens].astype(model.dtype)
    position = np.arange(len(tokens))
    for layer in range(model.n_layers):
        p, t0 = "blk.%d." % layer, time.time()
        h = model.rms_norm(x, model.weight(p + "attn_norm.weight"))
        q = model.project(h, p + "attn_q", model.n_heads)
        k = model.project(h, p + "attn_k", model.n_kv)
        v = model.project(h, p + "attn_v", model.n_kv)
        if p + "attn_q_norm.weight" in model.gguf.tensors:
            q = model.rms_norm(q, model.weight(p + "attn_q_norm.weight"))
            k = model.rms_norm(k, model.weight(p + "attn_k_norm.weight"))
        k_plain = k
        q, k = model.rotate(q, position), model.rotate(k, position)
        cores = None
        if opt.attn == "cca" and layer not in opt.dense:
            cores = build_cores(model, q, k, v, k_plain, opt)
            if dump is not None:
                for name, value in zip(("groups", "k", "v", "bias"), cores):
                    dump["layer%d_%s" % (layer, name)] = value
        x = x + attend(model, q, k, v, cores, opt) @ model.weight(p + "attn_output.weight").T
        h = model.rms_norm(x, model.weight(p + "ffn_norm.weight"))
        gate, up, down = (model.weight(p + "ffn_%s.weight" % n) for n in ("gate", "up", "down"))
        for r in range(0, len(x), 4 * ROWS):
            z = h[r:r + 4 * ROWS] @ gate.T
            with np.errstate(over="ignore"):
                z = z / (1 + np.exp(-z)) * (h[r:r + 4 * ROWS] @ up.T)
            x[r:r + 4 * ROWS] += z @ down.T
        if opt.verbose:
            print("layer %d: %.1f s" % (layer, time.time() - t0), file=sys.stderr)
    return model.rms_norm(x, model.norm_out)


def score(model, hidden, tokens, logits_out=None):
    """Negative log likelihood of tokens 1.., and the most likely token after every position."""
    nll, top1 = np.empty(len(tokens)), np.empty(len(tokens), np.int64)
    following = np.append(tokens[1:], 0)
    for r in range(0, len(tokens), 256):
        z = hidden[r:r + 256] @ model.output.T
        if logits_out is not None:
            logits_out[r:r + 256] = z
        top1[r:r + 256] = z.argmax(axis=1)
        z = z.astype(np.float64)
        peak = z.max(axis=1)
        lse = peak + np.log(np.exp(z - peak[:, None]).sum(axis=1))
        nll[r:r + 256] = lse - z[np.arange(len(z)), following[r:r + 256]]
    return nll[:-1], top1


def bucket_edges(n):
    edges = [0, 1024]
    while edges[-1] < n:
        edges.append(edges[-1] * 2)
    return list(zip(edges, edges[1:]))


def read_tokens(path):
    with open(path) as f:
        text = f.read()
    if text.lstrip()[:1] in ("[", "{"):
        data = json.loads(text)
        return np.array(data["tokens"] if isinstance(data, dict) else data, np.int64)
    return np.array(text.split(), np.int64)


def parse_args(argv=None):
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("-m", "--model", required=True)
    ap.add_argument("-t", "--tokens", required=True)
    ap.add_argument("-c", "--window", type=int, default=0, help="tokens in a window (default: all in one)")
    ap.add_argument("--max-windows", type=int, default=0)
    ap.add_argument("--attn", choices=["full", "cca"], default="full")
    ap.add_argument("-g", type=int, default=16, help="group size")
    ap.add_argument("-s", type=int, default=1024, help="raw window, a multiple of g")
    ap.add_argument("--cores", choices=["kv", "query"], default="kv", help="one core per kv head or per query head")
    ap.add_argument("--sinks", type=int, default=4)
    ap.add_argument("--entropy", choices=["on", "off"], default="on")
    ap.add_argument("--core-pos", choices=["P0", "P1", "P2", "P3"], default="P0",
                    help="pool rotated keys, or rotate the pooled key at the last, middle or centroid position")
    ap.add_argument("--dense", default="", help="layers that keep full attention, e.g. 0,1")
    ap.add_argument("--float64", action="store_true", help="all arithmetic in double")
    ap.add_argument("--logits", metavar="FILE.npy", help="write the logits of the first window")
    ap.add_argument("--dump-cores", metavar="FILE.npz", help="write the cores of the first window")
    ap.add_argument("--nlls", action="store_true", help="add the list of all scores")
    ap.add_argument("-o", "--out", metavar="FILE.json")
    ap.add_argument("-v", "--verbose", action="store_true")
    opt = ap.parse_args(argv)
    opt.entropy = opt.entropy == "on"
    opt.dense = [int(x) for x in opt.dense.split(",") if x]
    if opt.s % opt.g or opt.s < opt.g:
        ap.error("s must be a multiple of g, and at least g")
    return opt


def main():
    opt = parse_args()
    model = Model(opt.model, np.float64 if opt.float64 else np.float32)
    tokens = read_tokens(opt.tokens)
    size = opt.window or len(tokens)
    windows = [tokens[i:i + size] for i in range(0, len(tokens), size)]
    windows = [w for w in windows if len(w) > 1 and (len(w) == size or len(windows) == 1)]
    windows = windows[:opt.max_windows or None]
    nlls, top1 = [], []
    for w, window in enumerate(windows):
        dump = {} if opt.dump_cores and w == 0 else None
        hidden = forward(model, window, opt, dump)
        logits = None
        if opt.logits and w == 0:
            logits = np.lib.format.open_memmap(opt.logits, "w+", np.float32, (len(window), len(model.output)))
        if dump is not None:
            np.savez(opt.dump_cores, **dump)
        nll, top = score(model, hidden, window, logits)
        nlls.append(nll)
        top1 += top.tolist()
    nll = np.concatenate(nlls)
    at = np.concatenate([np.arange(1, len(x) + 1) for x in nlls])
    buckets = []
    for lo, hi in bucket_edges(size):
        part = nll[(at >= lo) & (at < hi)]
        if len(part):
            buckets.append({"from": lo, "to": hi, "tokens": len(part), "nll": part.mean(), "ppl": np.exp(part.mean())})
    result = {"windows": len(windows), "window": size, "tokens": len(nll), "nll": nll.mean(),
              "ppl": np.exp(nll.mean()), "buckets": buckets}
    print(json.dumps(result, indent=1))
    if opt.out:
        result["top1"] = top1
        if opt.nlls:
            result["nlls"] = nll.tolist()
        with open(opt.out, "w") as f:
            json.dump(result, f)


if __name__ == "__main__":
    main()
