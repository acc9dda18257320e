# SPDX-License-Identifier: MIT
"""Ctrl-C and SIGTERM: the first one stops cleanly and keeps what there is, the second ends the program at once."""
import json
import os
import re
import signal
import subprocess
import time

from harness import ENV, MODEL, PITH, check, done, need_tiny, path

need_tiny()
SLOW = ["-m", MODEL, "--cpu-mask", "scalar", "-t", "1"]
LONG = path("long.txt", "word " * 2500)


def start(*args):
    """A run that is slow enough to be interrupted; stderr in a file, so that it can be watched."""
    err = open(path("stderr"), "wb")
    return subprocess.Popen([PITH, *args], stdout=subprocess.PIPE, stderr=err, env=ENV, stdin=subprocess.DEVNULL)


def errors():
    with open(path("stderr"), encoding="utf-8", errors="replace") as f:
        return f.read()


def wait_for(text, seconds=120):
    end = time.time() + seconds
    while time.time() < end:
        if text in errors():
            return True
        time.sleep(0.02)
    return False


def finish(p, seconds=60):
    t = time.time()
    out, _ = p.communicate(timeout=seconds)
    return p.returncode, out.decode("utf-8", "replace"), time.time() - t


# while the prompt is read
p = start("run", *SLOW, "--attn", "full", "-f", LONG, "-n", "5", "--chunk", "64")
check(wait_for("reading: 10 %"), "the prompt is being read", errors())
p.send_signal(signal.SIGINT)
code, out, seconds = finish(p)
check(code == 130 and out == "" and seconds < 10, "Ctrl-C while reading", code, out, seconds, errors())
check("(stopped)" in errors() and re.search(r"prompt: (64|[0-9]*[0-9]{3}) tokens", errors())
      and "prompt: 7515" not in errors(), "says how far it came", errors())

# while it answers: what was said stays, as text and as JSON
p = start("run", *SLOW, "-p", "hello", "-n", "-1", "--ignore-end")
first = p.stdout.read(8)
p.send_signal(signal.SIGINT)
code, out, seconds = finish(p)
check(code == 130 and len(first) == 8 and out.endswith("\n") and seconds < 10, "Ctrl-C while answering", code, out, seconds)
p = start("run", *SLOW, "-p", "hello", "-n", "-1", "--ignore-end", "--json")
check(wait_for("reading: 100 %"), "the prompt was read", errors())
time.sleep(0.5)
p.send_signal(signal.SIGINT)
code, out, seconds = finish(p)
r = json.loads(out)
check(code == 130 and r["finish"] == "cancelled" and r["generated_tokens"] > 0 and r["text"], "Ctrl-C with --json", code, out)

# the second ends at once, in whatever state
p = start("run", *SLOW, "--attn", "full", "-f", LONG, "-n", "5", "--chunk", "4096")
check(wait_for("loaded"), "loaded", errors())
time.sleep(0.3)
p.send_signal(signal.SIGINT)
time.sleep(0.05)
p.send_signal(signal.SIGINT)
code, out, seconds = finish(p)
check(code == 130 and seconds < 1, "a second Ctrl-C ends at once", code, seconds)

# SIGTERM, and a run with nothing to keep
p = start("run", *SLOW, "-p", "hello", "-n", "-1", "--ignore-end")
p.stdout.read(8)
p.send_signal(signal.SIGTERM)
code, out, seconds = finish(p)
check(code == 143 and out.endswith("\n"), "SIGTERM", code, out)
reader, writer = os.pipe()
p = subprocess.Popen([PITH, "run", "-m", MODEL, "-f", "-"], stdin=reader, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENV)
time.sleep(0.3)
p.send_signal(signal.SIGINT)
code, out, seconds = finish(p)
check(code == 130 and out == "" and seconds < 1, "Ctrl-C while stdin is awaited", code, seconds)
os.close(reader)
os.close(writer)

# the other long commands
p = start("perplexity", *SLOW, "-f", LONG, "--json", "--chunk", "64")
check(wait_for("scoring: 10 %"), "scoring", errors())
p.send_signal(signal.SIGINT)
code, out, seconds = finish(p)
check(code == 130 and out == "" and seconds < 10, "Ctrl-C while scoring", code, out, seconds)
p = start("bench", *SLOW[:-2], "-p", "16", "-n", "4", "-r", "100", "--format", "csv")
check(wait_for("measuring: 10 %"), "measuring", errors())
p.send_signal(signal.SIGINT)
code, out, seconds = finish(p)
check(code == 130 and out.startswith("model,") and out.count("\n") == 5 and seconds < 10, "an interrupted bench shows what it has",
      code, out, seconds)

# pull: the child is ended too, nothing is left
slow = path("python", "#!/bin/sh\nexec sleep 30\n")
os.chmod(slow, 0o755)
os.makedirs(path("tmp"), exist_ok=True)
p = subprocess.Popen([PITH, "pull", "smollm2"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                     env={**ENV, "PITH_PYTHON": slow, "PITH_CACHE": path("cache"), "TMPDIR": path("tmp")})
time.sleep(0.5)
p.send_signal(signal.SIGINT)
code, out, seconds = finish(p)
check(code == 130 and seconds < 2 and os.listdir(path("tmp")) == [] and os.listdir(path("cache")) == [], "Ctrl-C while pip works",
      code, seconds, os.listdir(path("tmp")))
done()
