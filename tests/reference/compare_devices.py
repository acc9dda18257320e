# SPDX-License-Identifier: MIT
"""Compare pith on two devices: greedy text after long prompts, and perplexity.

usage: compare_devices.py -m MODEL.gguf --pith PITH --device GPU -f TEXT [-f TEXT ...] [--attn cca] ...
The prompts are --prompts pieces of the texts, of --least to --most tokens. The CPU multiplies exactly (--exact), so that
what differs is the device's rounding alone; where a continuation of -n tokens parts from the CPU's, the CPU's own
distribution there says by how much: the difference of the two tokens' log-probabilities has to be at most --near.
Perplexity is taken over one window of --most tokens of each text. Passing means: every continuation equal or parted at a
near tie, and perplexity within 0.1 %. Exit status 1 if anything fails.
"""
import argparse
import json
import math
import os
import shlex
import subprocess
import sys
import tempfile

LIMIT_PPL = 0.001
TOP = 10


def run(args, line, extra):
    command = [args.pith] + shlex.split(line) + ["-m", args.model, "--json"] + extra
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit("%s failed:\n%s" % (" ".join(command), done.stderr[-2000:]))
    return json.loads(done.stdout)


def row(what, value, detail, ok=None):
    print("%-4s %-44s %-12s %s" % ({True: "ok", False: "FAIL", None: ""}[ok], what, value, detail), flush=True)
    return ok is False


def pieces(args, scratch):
    """Files of growing length, of about --least to --most tokens, from the texts in turn."""
    files = []
    for i in range(args.prompts):
        with open(args.file[i % len(args.file)], encoding="utf-8") as f:
            text = f.read()
        share = i / max(1, args.prompts - 1)
        tokens = args.least + share * (args.most - args.n - args.least)
        # Counted on the text itself: languages and code differ in characters per token.
        start = len(text) // 10 + (i // len(args.file)) * len(text) // 4
        piece = text[start:start + int(4 * tokens)]
        path = os.path.join(scratch, "prompt-%d.txt" % i)
        while True:
            with open(path, "w", encoding="utf-8", newline="") as f:
                f.write(piece)
            count = len(run(args, "tokenize", ["-f", path])["tokens"])
            if count <= tokens:
                break
            piece = piece[:max(1, int(len(piece) * tokens / count * 0.99))]
        files.append((path, count))
    return files


def compare_text(args, path, count, index):
    line = "run --raw -q --temp 0 -n %d --logprobs %d --attn %s -f %s" % (args.n, TOP, args.attn, shlex.quote(path))
    exact = run(args, line, shlex.split(args.cpu_args))
    other = run(args, line, ["--device", args.device])
    a, b = exact["tokens"], other["tokens"]
    name = "greedy, prompt %d of %d tokens" % (index, count)
    at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    if at == len(a) == len(b):
        return row(name, "equal", "%d tokens" % at, True), True
    if at == min(len(a), len(b)):
        return row(name, "lengths", "%d and %d tokens" % (len(a), len(b)), False), False
    there = {t["token"]: t["logprob"] for t in exact["logprobs"][at]["top"]}
    gap = there[a[at]] - there.get(b[at], -math.inf)
    return row(name, "differ", "after %d tokens, by %.4f nats" % (at, gap), gap <= args.near), False


def compare_perplexity(args, path):
    line = "perplexity -c %d --limit 1 --attn %s -f %s" % (args.most, args.attn, shlex.quote(path))
    exact = run(args, line, shlex.split(args.cpu_args))["ppl"]
    other = run(args, line, ["--device", args.device])["ppl"]
    away = other / exact - 1
    return row("perplexity, " + os.path.basename(path)[:30], "%+.4f %%" % (100 * away),
               "%.4f and %.4f" % (exact, other), abs(away) <= LIMIT_PPL)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("-m", "--model", required=True)
    ap.add_argument("-f", "--file", action="append", required=True)
    ap.add_argument("--pith", required=True)
    ap.add_argument("--device", default="gpu")
    ap.add_argument("--attn", default="cca")
    ap.add_argument("--cpu-args", default="--exact")
    ap.add_argument("--prompts", type=int, default=20)
    ap.add_argument("--least", type=int, default=2048)
    ap.add_argument("--most", type=int, default=8192)
    ap.add_argument("--near", type=float, default=0.05, help="nats between two tokens that count as a tie")
    ap.add_argument("-n", type=int, default=100, help="greedy tokens")
    args = ap.parse_args()
    failures = equal = 0
    with tempfile.TemporaryDirectory() as scratch:
        for i, (path, count) in enumerate(pieces(args, scratch)):
            failed, same = compare_text(args, path, count, i)
            failures += failed
            equal += same
    row("greedy continuations equal", "%d of %d" % (equal, args.prompts), "%s attention, %s" % (args.attn, args.device))
    for path in args.file:
        failures += compare_perplexity(args, path)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
