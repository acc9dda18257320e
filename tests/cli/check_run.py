# SPDX-License-Identifier: MIT
"""`pith run` and `pith tokenize` on a tiny model: what goes where, what is refused, what is the same twice, chats."""
import json
import os
import pty
import re
import select
import subprocess
import time

from harness import ENV, MODEL, PITH, TINY, check, done, need_tiny, path, pith

need_tiny()
M = ["-m", MODEL]


def ids(*args, **more):
    code, out, err = pith("tokenize", *M, "--json", *args, **more)
    check(code == 0, "tokenize", args, err)
    return json.loads(out)["tokens"]


def run_json(*args, **more):
    code, out, err = pith("run", *M, "--json", *args, **more)
    check(code == 0, "run --json", args, code, err)
    return json.loads(out)


# stdout has the answer only, stderr the rest; --quiet leaves stderr empty; the same bits twice
code, out, err = pith("run", *M, "-p", "hello there", "-n", "12")
check(code == 0 and out.endswith("\n") and out.strip(), "an answer", code, out, err)
for word in ("model:", "memory: weights", "full attention would keep", "attention: cca", "not trained with cca", "loaded in",
             "reading: 100 %", "prompt:", "answer: 12 tokens", "memory: peak"):
    check(word in err and word not in out, "stderr tells %r" % word, err)
check("\r" not in err and "\033" not in err, "no redrawing where there is no terminal", err)
again = pith("run", *M, "-p", "hello there", "-n", "12", "--quiet")
check(again[1] == out and again[2] == "", "--quiet: the same answer and nothing on stderr", again, out)
code, out2, err = pith("run", *M, "-p", "hello there", "-n", "12", "-q", "--attn", "full", "--group", "16")
check(out2 == out, "a short text: full attention answers the same", out, out2)
check("--group has no effect" in pith("run", *M, "-p", "x", "-n", "1", "--attn", "full", "--group", "16")[2], "a note on idle options")
check("exact details" in pith("run", *M, "-f", "-", "-n", "1", stdin="word " * 400)[2], "what cca loses in a long text is said")
code, _, err = pith("run", *M, "-p", "x", "--group", "16", "--window", "40")
check(code == 2 and "window" in err, "window and group that do not fit together", code, err)
check(pith("run", "-p", "hello there", "-n", "12", "-q", env={"PITH_MODEL": MODEL})[1] == out, "PITH_MODEL")
spm = ["-m", os.path.join(TINY, "spm-f16.gguf")]
check(pith("run", *spm, "-p", "hello", "-n", "4", "-q")[0] == 0, "a model with the other tokenizer")
split = os.path.join(TINY, "llama-split-00001-of-00003.gguf")
check(pith("run", "-m", split, "-p", "hello", "-n", "4", "-q")[0] == 0, "a split model")

# JSON
r = run_json("-p", "hello there", "-n", "12", "--logprobs", "3")
check(r["text"] + "\n" == out or r["text"] == out, "JSON has the same text", r["text"], out)
for key in ("text", "finish", "prompt_tokens", "generated_tokens", "load_seconds", "prompt_seconds", "generate_seconds",
            "prompt_tokens_per_second", "generated_tokens_per_second", "context", "attention", "kv_type", "device", "model",
            "seed", "memory", "logprobs"):
    check(key in r, "JSON key " + key, list(r))
check(set(r["memory"]) == {"weights", "kv_raw", "kv_cores", "scratch", "other", "total", "kv_full_attention", "available",
                           "fits", "peak"}, "JSON memory", r["memory"])
check(r["finish"] == "length" and r["generated_tokens"] == 12 and len(r["logprobs"]) == 12, "JSON counts", r)
for entry in r["logprobs"]:
    check(entry["logprob"] <= 0 and len(entry["top"]) == 3 and entry["top"][0]["token"] == entry["token"]
          and entry["top"][0]["logprob"] == entry["logprob"] >= entry["top"][1]["logprob"], "greedy is the first of the top", entry)
check(r["context"] == r["prompt_tokens"] + 12, "automatic context: what the input and -n need", r["context"])
zero = run_json("-p", "hello there", "-n", "2", "--logprobs", "0")["logprobs"]
check([e["logprob"] for e in zero] == [e["logprob"] for e in r["logprobs"][:2]] and zero[0]["top"] == [], "--logprobs 0", zero)
check("logprobs" not in run_json("-p", "x", "-n", "1"), "no log-probabilities unless asked")

# sampling: seeds, bias, stop
draws = [run_json("-p", "a", "-n", "8", "--temp", "2", *more)["text"] for more in
         (["--seed", "1"], ["--seed", "1"], ["--seed", "2"])]
check(draws[0] == draws[1] != draws[2], "the seed decides", draws)
first = r["logprobs"][0]["token"]
check(run_json("-p", "hello there", "-n", "1", "--logprobs", "0", "--logit-bias", "%d=-inf" % first)["logprobs"][0]["token"]
      != first, "a banned token")
forced = run_json("-p", "hello there", "-n", "3", "--logprobs", "0", "--logit-bias", "300=1000")
check([e["token"] for e in forced["logprobs"]] == [300] * 3, "a forced token", forced)
code, _, err = pith("run", *M, "-p", "x", "--logit-bias", "499=1")
check(code == 2 and "499" in err, "a bias outside the vocabulary", code, err)
text = r["text"]
stop = text[len(text) // 2:len(text) // 2 + 2]
s = run_json("-p", "hello there", "-n", "12", "--stop", stop)
check(s["finish"] == "stop" and s["text"] == text[:text.index(stop)], "a stop text ends the answer before it", s, text, stop)
code, out0, err = pith("run", *M, "-p", "hello", "-n", "0")
check(code == 0 and out0 == "", "-n 0 reads and says nothing", code, out0, err)

# raw text, chat formats, system
base = run_json("-p", "hello", "-n", "1")["prompt_tokens"]
raw = run_json("--raw", "-p", "hello", "-n", "1")["prompt_tokens"]
check(raw == len(ids("-p", "hello", "--special")) < base, "--raw has no chat format", raw, base)
check(run_json("-p", "hello", "-n", "1", "--system", "Be brief.")["prompt_tokens"] != base, "--system")
code, _, err = pith("run", *M, "-p", "x", "--chat-format", "nonsense")
check(code == 2 and "nonsense" in err, "an unknown chat format", code, err)

# pieces of input, in order, and stdin
one, two = path("one.txt", "first file\n"), path("two.txt", b"\xef\xbb\xbfsecond\r\nfile")
joined = "question\n\nfirst file\n\nstdin text\n\nsecond\r\nfile\n\nend"
parts = ["-p", "question", "-f", one, "-f", "-", "-f", two, "-p", "end"]
check(ids(*parts, stdin="stdin text") == ids("-p", joined), "pieces in the order of the command line")
check(ids("-f", "-", stdin="just stdin\n") == ids(stdin="just stdin\n") == ids("-p", "just stdin\n"), "stdin with -f - and alone")
big = "The quick brown fox. " * 60000
check(len(ids("-f", "-", stdin=big)) > 60000, "more than a megabyte of stdin")
check(len(ids("-f", path("letters", "a" * 1000000))) > 0, "a megabyte of one letter")
check(ids("-f", path("zero", b"a\0b\xff")) != ids("-p", "ab"), "any bytes can be tokenized")
code, _, err = pith("run", *M, "-f", path("zero"), "-n", "1")
check(code == 3 and "NUL" in err, "a NUL byte in a chat message is named", code, err)
check(pith("run", *M, "--raw", "-f", path("zero"), "-n", "1", "-q")[0] == 0, "--raw takes any bytes")
check(pith("run", *M, "-f", "-", "--raw", "-n", "1", stdin="")[0] == 2, "an empty raw input is refused")
code, out, err = pith("tokenize", *M, "-p", "hi\n\tyou")
check(code == 0 and all(re.match(r"\d+\t", line) for line in out.splitlines()) and "\\n" in out, "tokenize as text", out)
check(ids("-p", "<|im_end|>") != ids("-p", "<|im_end|>", "--parse-special"), "--parse-special")

# what does not fit is refused, with the numbers, and never cut
n_tokens = len(ids("-f", "-", "--special", stdin="word " * 200))
code, out, err = pith("run", *M, "--raw", "-f", "-", "-c", "100", "-n", "5", stdin="word " * 200)
check(code == 1 and out == "" and "exceeds the available context size" in err and str(n_tokens) in err and "100" in err,
      "an input longer than -c", code, err)
code, out, err = pith("run", *M, "--raw", "-f", "-", "-n", "5", stdin="word " * 9000)
check(code == 1 and out == "" and "exceeds the available context size" in err and "8192" in err and "--rope-base" in err,
      "an input longer than the model", code, err)
code, _, err = pith("run", *M, "-p", "x", "-c", "9000")
check(code == 2 and "8192" in err and "--rope-base" in err, "-c beyond the trained length", code, err)
code, out, err = pith("run", *M, "-p", "x", "-c", "9000", "--rope-base", "100000", "-n", "2", "-q")
check(code == 0, "--rope-base raises the length", code, err)
code, out, err = pith("run", *M, "-p", "x", "-n", "2", "-q", "-c", "134217728", "--rope-base", "1e9", "--attn", "full",
                      "--kv-type", "f32")
check(code == 4 and out == "" and "refused before loading" in err and "free" in err, "a plan that cannot fit", code, err)
exact = run_json("--raw", "-f", "-", "-c", str(n_tokens), "-n", "5", stdin="word " * 200)
check(exact["finish"] == "length" and exact["prompt_tokens"] == n_tokens, "an input as long as the context", exact)
code, _, err = pith("run", *M, "-p", "x", "--device", "no such device")
check(code == 4 and "no such device" in err, "an absent device is never replaced", code, err)

# weights that are not numbers: the last rows of the output matrix
with open(MODEL, "rb") as f:
    broken = f.read()[:-4096] + b"\xff\xff\xff\x7f" * 1024
code, out, err = pith("run", "-m", path("broken.gguf", broken), "-p", "hello", "-n", "4")
check(code == 1 and out == "" and "not finite" in err and "position" in err and "fault in a kernel of cpu" in err,
      "logits that are not finite end the run", code, out, err)

# a reader that leaves
p = subprocess.Popen([PITH, "run", *M, "-p", "x", "-n", "-1", "--ignore-end", "-q"], stdout=subprocess.PIPE,
                     stderr=subprocess.PIPE, env=ENV, stdin=subprocess.DEVNULL)
p.stdout.read(1)
p.stdout.close()
check(p.wait(300) == 1 and b"stdout" in p.stderr.read(), "a closed pipe ends the run", p.returncode)

# chats through a pipe: a line is a message
code, out, err = pith("run", *M, "--chat", "-n", "6", stdin="hello\n/help\n\nhow are you\n/nonsense\n/clear\nhello\n/quit\nmore\n")
lines = out.split("\n")
check(code == 0 and "/clear" in err and "no command /nonsense" in err, "a chat", code, out, err)
single = pith("run", *M, "-n", "6", "-p", "hello", "-q")[1]
check(out.startswith(single) and out.endswith(single) and len(out) > 2 * len(single), "the first answer, and after /clear again",
      single, out)
code, out, err = pith("run", *M, "--chat", "-n", "6", "-p", "hello", "-q", stdin="a \\\nb\n")
check(code == 0 and out.startswith(single), "-p is the first message", code, out, err)
code, out, err = pith("run", *M, "--chat", "-c", "60", "-n", "6", stdin="hello\n" + "word " * 100 + "\nhello\n")
check(code == 0 and "exceeds" in err and "/clear" in err, "a message too long for a chat is refused, the chat goes on", code, err)


def on_terminal(args, script, seconds=240):
    """Runs on a pseudo terminal; script: pairs (wait for this text, then send that). Everything that came back."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(PITH, [PITH, *args], {**ENV, "TERM": "xterm"})
    seen, at, end = b"", 0, time.monotonic() + seconds
    script = list(script)
    while time.monotonic() < end:
        if script and re.search(script[0][0], seen[at:]):
            at = len(seen)
            os.write(fd, script.pop(0)[1])
        if select.select([fd], [], [], 1)[0]:
            try:
                data = os.read(fd, 65536)
            except OSError:
                break
            if not data:
                break
            seen += data
    else:
        os.kill(pid, 9)
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode("utf-8", "replace"), not script


# A key pressed as soon as the prompt is there counts: several times, since losing it is a matter of microseconds.
PROMPT = rb"\n> \Z"
for again in range(3):
    code, seen, ended = on_terminal(["run", *M, "--chat", "-n", "6"],
                                    [(PROMPT, b"hello\r"), (PROMPT, b"\x03"), (rb"leaves\)\r\n> \Z", b"/quit\r")])
    check(ended and code == 0, "a chat on a terminal: Ctrl-C at the prompt stays, /quit leaves", code, seen)
    code, seen, ended = on_terminal(["run", *M, "--chat", "-n", "6"], [(PROMPT, b"\x04")])
    check(ended and code == 0, "Ctrl-D leaves", code, seen)
code, seen, ended = on_terminal(["run", *M, "--chat", "-n", "-1", "--ignore-end", "--cpu-mask", "scalar"],
                                [(PROMPT, b"hello\r"), (rb"\x1b\[K\r\x1b\[K[^\x1b]{200}", b"\x03"), (PROMPT, b"/quit\r")])
check(ended and code == 0 and "^C" in seen and "before the question was read" not in seen,
      "Ctrl-C stops an answer and the chat goes on", code, seen[-300:])
code, seen, ended = on_terminal(["run", *M, "-f", path("long", "word " * 300), "-n", "2", "--cpu-mask", "scalar", "-t", "1",
                                 "--chunk", "32"], [])
check(code == 0 and "\r" in seen and re.search(r"reading +\d+ % \[#*\.*\] \d+ of \d+ tokens, .*tokens/s, .* left", seen),
      "a progress line on a terminal", code, seen)
done()
