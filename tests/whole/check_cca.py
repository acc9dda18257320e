# SPDX-License-Identifier: MIT
"""Perplexity of the engine beside the brute-force evaluation of the formulas (tests/reference/dense_cca.py).

usage: check_cca.py --pith PITH -m MODEL [--tokens FILE | --random N] [-c N] [--tolerance 0.001] [--only NAME]
Both see the same token ids and a float32 KV store, and the engine runs in its exact mode (f32 weights, activations never
rounded), so that the two compute the same numbers but for the order of sums.
Prints a row per setting and exits 1 when one differs by more than the tolerance (of the perplexity).
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

REFERENCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "reference", "dense_cca.py")

# name: (g, s, cores, sinks, bias, position, dense layers)
SETTINGS = {
    "full": None,
    "default": (16, 1024, "kv", 4, "entropy", "P0", ""),
    "authors": (16, 1024, "query", 0, "none", "P0", ""),
    "g8 s512": (8, 512, "kv", 4, "entropy", "P0", ""),
    "g64 s512": (64, 512, "kv", 4, "entropy", "P0", ""),
    "last": (16, 512, "kv", 4, "entropy", "P1", ""),
    "middle": (16, 512, "query", 4, "none", "P2", ""),
    "centroid": (32, 256, "kv", 20, "entropy", "P3", ""),
    "dense 0": (16, 256, "kv", 4, "entropy", "P0", "0"),
}
POSITIONS = {"P0": "pooled", "P1": "last", "P2": "middle", "P3": "centroid"}


def reference(args, tokens, setting):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.json")
        command = [sys.executable, REFERENCE, "-m", args.model, "-t", tokens, "-o", out]
        if args.context:
            command += ["-c", str(args.context)]
        if setting is None:
            command += ["--attn", "full"]
        else:
            g, s, cores, sinks, bias, position, dense = setting
            command += ["--attn", "cca", "-g", str(g), "-s", str(s), "--cores", cores, "--sinks", str(sinks),
                        "--entropy", "on" if bias == "entropy" else "off", "--core-pos", position]
            command += ["--dense", dense] if dense else []
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with open(out, encoding="utf-8") as f:
            return json.load(f)


def engine(args, tokens, setting):
    command = [args.pith, "perplexity", "-m", args.model, "--tokens-file", tokens, "--kv-type", "f32", "--exact", "--json", "--quiet"]
    if args.context:
        command += ["-c", str(args.context)]
    if setting is None:
        command += ["--attn", "full"]
    else:
        g, s, cores, sinks, bias, position, dense = setting
        command += ["--attn", "cca", "--group", str(g), "--window", str(s), "--cca-heads", cores, "--sinks", str(sinks),
                    "--cca-bias", bias, "--cca-position", POSITIONS[position]]
        command += ["--dense-layers", dense] if dense else []
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--pith", required=True)
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("--tokens")
    parser.add_argument("--random", type=int, default=2000, help="this many random tokens below --vocab")
    parser.add_argument("--vocab", type=int, default=400)
    parser.add_argument("-c", "--context", type=int)
    parser.add_argument("--tolerance", type=float, default=0.001)
    parser.add_argument("--only", action="append", help="name of a setting; may be repeated")
    args = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        tokens = args.tokens
        if not tokens:
            rng = random.Random(5)
            tokens = os.path.join(folder, "tokens.json")
            with open(tokens, "w", encoding="utf-8") as f:
                json.dump([rng.randrange(args.vocab) for _ in range(args.random)], f)
        print(f"{'setting':10} {'tokens':>7} {'reference':>12} {'engine':>12} {'off by':>10}")
        for name, setting in SETTINGS.items():
            if args.only and name not in args.only:
                continue
            want, got = reference(args, tokens, setting), engine(args, tokens, setting)
            off = got["ppl"] / want["ppl"] - 1
            good = abs(off) <= args.tolerance and got["tokens"] == want["tokens"]
            bad += not good
            print(f"{name:10} {got['tokens']:7d} {want['ppl']:12.4f} {got['ppl']:12.4f} {off:10.2e} {'' if good else 'FAIL'}")
    sys.exit(1 if bad else 0)


main()
