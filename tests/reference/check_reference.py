# SPDX-License-Identifier: MIT
"""Check the reference against itself: CCA attention once more, query by query and token by token, in double.

usage: check_reference.py            takes a few seconds, needs numpy only
It also counts that every token up to the query is represented exactly once, raw or inside one core, and that
CCA is full attention while n < s + g.
"""
import os
import sys
import tempfile

import numpy as np

import dense_cca
import tiny_models

CASES = ["--sinks 4", "--sinks 0 --entropy off --cores query", "--sinks 21", "--sinks 16 --core-pos P1",
         "--sinks 0 --core-pos P2", "--sinks 4 --core-pos P3 --cores query", "--sinks 4 -s 8"]


def plain_query(model, q, k, v, k_plain, opt, h, i, count):
    """One query of one head, straight from the definition; `count` gathers how often each token is used."""
    kv, share, scale = h // (model.n_heads // model.n_kv), model.n_heads // model.n_kv, model.hd ** -0.5
    J = max(0, (i + 1 - opt.s) // opt.g)
    logits, values = [], []
    for t in range(i + 1):
        if t < opt.sinks or t >= J * opt.g:
            logits.append(q[h, i] @ k[kv, t] * scale)
            values.append(v[kv, t])
            count[t] += 1
    for j in range(J):
        members = [t for t in range(j * opt.g, (j + 1) * opt.g) if t >= opt.sinks]
        if not members:
            continue
        last = (j + 1) * opt.g - 1
        heads = [h] if opt.cores == "query" else range(kv * share, (kv + 1) * share)
        z = np.array([np.mean([q[x, last] @ k[kv, t] for x in heads]) * scale for t in members])
        a = np.exp(z) / np.exp(z).sum()
        if opt.core_pos == "P0":
            key = sum(x * k[kv, t] for x, t in zip(a, members))
        else:
            at = {"P1": last, "P2": j * opt.g + (opt.g - 1) / 2, "P3": sum(x * t for x, t in zip(a, members))}
            key = model.rotate(sum(x * k_plain[kv, t] for x, t in zip(a, members))[None], [at[opt.core_pos]])[0]
        logits.append(q[h, i] @ key * scale + (-(a * np.log(a)).sum() if opt.entropy else 0))
        values.append(sum(x * v[kv, t] for x, t in zip(a, members)))
        count[members] += 1
    w = np.exp(np.array(logits) - max(logits))
    return w / w.sum() @ np.array(values)


def check_case(model, words, n=140):
    opt = dense_cca.parse_args(["-m", "", "-t", "", "--attn", "cca", "-g", "8", "-s", "32"] + words.split())
    rng = np.random.default_rng(1)
    q, k_plain, v = (rng.standard_normal((h, n, model.hd)) for h in (model.n_heads, model.n_kv, model.n_kv))
    q, k = model.rotate(q, np.arange(n)), model.rotate(k_plain, np.arange(n))
    got = dense_cca.attend(model, q, k, v, dense_cca.build_cores(model, q, k, v, k_plain, opt), opt)
    got = got.reshape(n, model.n_heads, model.hd)
    full = dense_cca.attend(model, q, k, v, None, opt).reshape(got.shape)
    worst, m = 0.0, opt.s + opt.g - 1
    for i in range(n):
        for h in range(model.n_heads):
            count = np.zeros(n, int)
            want = plain_query(model, q, k, v, k_plain, opt, h, i, count)
            worst = max(worst, np.abs(want - got[i, h]).max())
            if count[:i + 1].tolist() != [1] * (i + 1):
                raise SystemExit("%s: query %d does not see every token once" % (words, i))
    ok = worst < 1e-12 and np.allclose(got[:m], full[:m], 0, 1e-12)
    ok = ok and not np.allclose(got[m + opt.g:], full[m + opt.g:])
    print("%-40s worst difference %.1e  %s" % (words, worst, "ok" if ok else "FAIL"))
    return ok


def main():
    with tempfile.TemporaryDirectory() as folder:
        tiny_models.build(folder, "llama-f32")
        model = dense_cca.Model(os.path.join(folder, "llama-f32.gguf"), np.float64)
        results = [check_case(model, words) for words in CASES]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
