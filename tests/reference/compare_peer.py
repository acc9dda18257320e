# SPDX-License-Identifier: MIT
"""Compare pith with llama.cpp (the peer): tokens, perplexity, most likely tokens and greedy text.

usage: compare_peer.py -m MODEL.gguf -f TEXT [-f TEXT ...] --pith PITH --peer ROOT [--float-copy] ...
Each text is cut to N tokens, or a few less, for each window N; both score every token of it but the first.
Passing means: the same tokens, perplexity within 0.2 %, the same most likely token at 99.5 % of the
positions, and the same 200 greedy tokens after 9 of 10 prompts. Exit status 1 if anything fails.

The peer rounds activations to 8 bits before it multiplies with quantised weights (to bf16 with BF16
weights), and so may we; each rounding moves perplexity by some tenths of a per cent and one most likely
token in thirty. Only with float weights do two right programs agree within the limits above: --float-copy
expands the model to F32 and gives that to both, --float-peer only to the peer. --reference adds rows that
hold both programs against the numpy evaluation.

Of pith this uses: tokenize -m M -f F --json -> {"tokens": [ids]};
  perplexity -m M --tokens-file F -c N --attn full --kv-type f32 --json --top1 -> {"ppl": .., "top1": [[id after each position] per window]};
  run --raw -q -m M -f F -n N --temp 0 --attn full --kv-type f32 --json -> {"tokens": [new ids]} (see --generate).
"""
import argparse
import json
import os
import shlex
import subprocess
import sys

import numpy as np

import dense_cca
from peer import Peer

PROMPTS = [
    "The capital of France is",
    "Once upon a time, in a village by the sea, there lived",
    "To make a good cup of tea, first",
    "The three most important inventions of the nineteenth century were",
    "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n",
    "Dear Sir or Madam,\n\nI am writing to complain about",
    "Water boils at a lower temperature on high mountains because",
    "Q: What is the difference between a virus and a bacterium?\nA:",
    "The history of the bicycle begins with",
    "In order to prove that there are infinitely many primes, suppose that",
]
LIMITS = {"ppl": 0.002, "top1": 0.995, "greedy": 0.9}


class Report:
    def __init__(self):
        self.failures = 0

    def row(self, what, value, detail, ok=None):
        ok = None if ok is None else bool(ok)
        self.failures += ok is False
        print("%-6s %-42s %-14s %s" % ({True: "ok", False: "FAIL", None: ""}[ok], what, value, detail), flush=True)


class Pith:
    def __init__(self, args):
        self.args, self.model = args, args.model

    def run(self, line, **names):
        command = [self.args.pith] + [w.format(model=self.model, **names) for w in shlex.split(line)]
        if command[1] != "tokenize":
            command += shlex.split(self.args.pith_args)
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit("%s failed:\n%s" % (" ".join(command), done.stderr[-2000:]))
        return json.loads(done.stdout)

    def tokenize(self, path):
        return self.run("tokenize -m {model} -f {file} --json", file=path)["tokens"]


def write(path, text):
    with open(path, "w", encoding="utf-8", newline="") as f:
        f.write(text)
    return path


def peer_scores(ids, logits):
    """Mean negative log likelihood of tokens 1.. and the most likely token after each position."""
    nll, top1 = np.empty(len(ids)), np.empty(len(ids), np.int64)
    following = np.append(ids[1:], 0)
    for r in range(0, len(ids), 256):
        z = logits[r:r + 256].astype(np.float64)
        peak = z.max(axis=1, keepdims=True)
        lse = (peak + np.log(np.exp(z - peak).sum(axis=1, keepdims=True)))[:, 0]
        nll[r:r + 256] = lse - z[np.arange(len(z)), following[r:r + 256]]
        top1[r:r + 256] = z.argmax(axis=1)
    return nll[:-1].mean(), top1


def agreement(a, b):
    n = min(len(a), len(b))
    return float(np.mean(np.asarray(a[:n]) == np.asarray(b[:n])))


def reference_scores(model, ids):
    opt = dense_cca.parse_args(["-m", "", "-t", ""])
    nll, top1 = dense_cca.score(model, dense_cca.forward(model, ids, opt), ids)
    return nll.mean(), top1


def compare_window(report, pith, peer, args, path, text, n):
    name = "%s, %d tokens" % (os.path.basename(path)[:24], n)
    piece, n = peer.cut(args.peer_model, text, n)
    if piece is None:
        report.row(name, "-", "the text is too short: skipped")
        return
    file = write(os.path.join(peer.dir, "piece.txt"), piece)
    ids, logits = peer.logits(args.peer_model, piece)
    ours = pith.tokenize(file)
    report.row(name + ": tokens", "equal" if ours == ids.tolist() else "differ", "%d and %d" % (len(ours), len(ids)),
               ours == ids.tolist())
    if ours != ids.tolist():
        return
    peer_nll, peer_top1 = peer_scores(ids, logits)
    del logits
    # The same ids to both: a model may ask for a begin token before a text, which the peer's logits are without.
    same_ids = write(os.path.join(peer.dir, "ids.json"), json.dumps(ours))
    got = pith.run("perplexity -m {model} --tokens-file {file} -c {n} --attn full --kv-type f32 --json --top1", file=same_ids, n=n)
    away = got["ppl"] / np.exp(peer_nll) - 1
    report.row(name + ": perplexity", "%+.4f %%" % (100 * away),
               "pith %.4f, peer %.4f" % (got["ppl"], np.exp(peer_nll)), abs(away) <= LIMITS["ppl"])
    got["top1"] = [i for window in got["top1"] for i in window]
    same = agreement(got["top1"], peer_top1)
    report.row(name + ": most likely token", "%.2f %%" % (100 * same), "%d positions" % min(n, len(got["top1"])),
               same >= LIMITS["top1"])
    if args.reference:
        nll, top1 = reference_scores(args.reference, ids)
        for who, ppl, top in (("pith", got["ppl"], got["top1"]), ("peer", np.exp(peer_nll), peer_top1)):
            report.row("   %s against the reference" % who, "%+.4f %%" % (100 * (ppl / np.exp(nll) - 1)),
                       "reference %.4f, top-1 equal %.2f %%" % (np.exp(nll), 100 * agreement(top, top1)))


def explain_difference(model, prompt, ours, theirs):
    """What the exact model says at the first token where two continuations part."""
    at = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
    if at == min(len(ours), len(theirs)):
        return "one stops after %d tokens, the other after %d" % (len(ours), len(theirs))
    ids = np.array(prompt + ours[:at])
    opt = dense_cca.parse_args(["-m", "", "-t", ""])
    z = dense_cca.forward(model, ids, opt)[-1] @ model.output.T
    top = np.sort(z)[::-1]
    return "token %d: %d and %d; reference logits %.3f and %.3f, its top-2 gap %.4f" % (
        at, ours[at], theirs[at], z[ours[at]], z[theirs[at]], top[0] - top[1])


def compare_greedy(report, pith, peer, args):
    texts = PROMPTS
    if args.prompts:
        with open(args.prompts, encoding="utf-8") as f:
            texts = json.load(f)
    prompts, ours, equal = [], [], 0
    for text in texts:
        file = write(os.path.join(peer.dir, "prompt.txt"), text)
        prompts.append(pith.tokenize(file))
        ours.append(pith.run(args.generate, file=file, n=args.n)["tokens"])
    theirs = peer.greedy(args.peer_model, prompts, args.n)
    for i, (prompt, a, b) in enumerate(zip(prompts, ours, theirs)):
        n = min(len(a), len(b))
        # A program may or may not list the token that ended its text.
        same = a[:n] == b[:n] and n > 0 and abs(len(a) - len(b)) <= 1
        equal += same
        detail = "%d tokens" % n if same else explain_difference(args.exact(), prompt, a, b)
        report.row("greedy, prompt %d" % i, "equal" if same else "differ", detail)
    report.row("greedy continuations", "%d of %d" % (equal, len(prompts)), "",
               equal >= LIMITS["greedy"] * len(prompts))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("-m", "--model", required=True)
    ap.add_argument("-f", "--file", action="append", default=[])
    ap.add_argument("--pith", required=True)
    ap.add_argument("--peer", required=True, metavar="ROOT", help="root of the peer's file system, or \"\"")
    ap.add_argument("--windows", default="2048,8192")
    ap.add_argument("--float-copy", action="store_true", help="compare on the model expanded to F32")
    ap.add_argument("--float-peer", action="store_true", help="give only the peer the F32 copy")
    ap.add_argument("--reference", action="store_true", help="add the numpy evaluation's view")
    ap.add_argument("--prompts", help="JSON list of prompts in place of the built-in ten")
    ap.add_argument("-n", type=int, default=200, help="greedy tokens; 0: skip")
    ap.add_argument("-t", "--threads", type=int, default=2)
    ap.add_argument("--pith-args", default="", help="more arguments for every pith command")
    ap.add_argument("--generate",
                    default="run --raw -q -m {model} -f {file} -n {n} --temp 0 --attn full --kv-type f32 --json")
    args = ap.parse_args()
    report, peer = Report(), Peer(args.peer, args.threads)
    try:
        args.peer_model = peer.float_copy(args.model) if args.float_copy or args.float_peer else args.model
        if args.float_copy:
            args.model = args.peer_model
        loaded = []

        def exact():
            if not loaded:
                loaded.append(dense_cca.Model(args.model))
            return loaded[0]

        args.exact = exact
        args.reference = exact() if args.reference else None
        pith = Pith(args)
        for path in args.file:
            with open(path, encoding="utf-8", newline="") as f:
                text = f.read()
            for n in map(int, args.windows.split(",")):
                # A token is a handful of bytes; searching the whole of a long book would be slow.
                compare_window(report, pith, peer, args, path, text[:16 * n], n)
        if args.n:
            compare_greedy(report, pith, peer, args)
    finally:
        peer.close()
    print("%d failure(s)" % report.failures)
    sys.exit(1 if report.failures else 0)


if __name__ == "__main__":
    main()
