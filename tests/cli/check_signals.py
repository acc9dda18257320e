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
LONG = path("long.txt", "word " * 1200)


def start(*args):
    """A run that is slow enough to be interrupted; stderr in a file, so that it can be watched."""
    err = open(path("stderr"), "wb")
    return subprocess.Popen([PITH, *args], stdout=subprocess.PIPE, stderr=err, env=ENV, stdin=subprocess.DEVNULL)


def errors():
    with open(path("stderr"), encoding="utf-8", errors="replace") as f:
        return f.read()


def wait_until(true, seconds=240):
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    return true()


def wait_for(text):
    return wait_until(lambda: text in errors())


def handles_signals(p):
    """Waits until the program has its own handler of SIGINT: from then on it, not the kernel, decides what happens."""
    def caught():
        with open("/proc/%d/status" % p.pid, encoding="ascii", errors="replace") as f:
            mask = re.search(r"SigCgt:\s*(\w+)", f.read())
        return bool(mask) and int(mask[1], 16) >> (signal.SIGINT - 1) & 1 == 1
    check(wait_until(caught), "SIGINT is handled")


def finish(p):
    """Its exit code and what it wrote; a run that does not end by itself fails here."""
    out, _ = p.communicate(timeout=240)
    return p.returncode, out.decode("utf-8", "replace")


# while the prompt is read
p = start("run", *SLOW, "--attn", "full", "-f", LONG, "-n", "5", "--chunk", "64")
check(wait_for("reading: 10 %"), "the prompt is being read", errors())
p.send_signal(signal.SIGINT)
code, out = finish(p)
check(code == 130 and out == "", "Ctrl-C while reading", code, out, errors())
check("(stopped)" in errors() and re.search(r"prompt: (64|[0-9]*[0-9]{3}) tokens", errors())
      and "prompt: 3615" not in errors(), "says how far it came", errors())

# while it answers: what was said stays, as text and as JSON
p = start("run", *SLOW, "-p", "hello", "-n", "-1", "--ignore-end")
first = p.stdout.read(8)
p.send_signal(signal.SIGINT)
code, out = finish(p)
check(code == 130 and len(first) == 8 and out.endswith("\n"), "Ctrl-C while answering", code, out)
p = start("run", *SLOW, "-p", "hello", "-n", "-1", "--ignore-end", "--json")
check(wait_for("reading: 100 %"), "the prompt was read", errors())
time.sleep(0.5) # a slow machine may still be without a token then: that is reported too
p.send_signal(signal.SIGINT)
code, out = finish(p)
r = json.loads(out)
check(code == 130 and r["finish"] == "cancelled" and (r["generated_tokens"] > 0) == (r["text"] != ""), "Ctrl-C with --json", code, out)

# the second ends at once, in whatever state: both are there before the program goes on, and nothing is said any more
p = start("run", *SLOW, "--attn", "full", "-f", LONG, "-n", "5", "--chunk", "64")
check(wait_for("reading: 10 %"), "the prompt is being read", errors())
p.send_signal(signal.SIGSTOP)
os.waitid(os.P_PID, p.pid, os.WSTOPPED)
before = errors()
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
    p.send_signal(number)
code, out = finish(p)
check(code in (130, 143) and errors() == before, "a second signal ends at once", code, errors()[len(before):])

# SIGTERM, and a run with nothing to keep
p = start("run", *SLOW, "-p", "hello", "-n", "-1", "--ignore-end")
p.stdout.read(8)
p.send_signal(signal.SIGTERM)
code, out = finish(p)
check(code == 143 and out.endswith("\n"), "SIGTERM", code, out)
reader, writer = os.pipe()
p = subprocess.Popen([PITH, "run", "-m", MODEL, "-f", "-"], stdin=reader, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENV)
handles_signals(p)
p.send_signal(signal.SIGINT)
code, out = finish(p)
check(code == 130 and out == "", "Ctrl-C while stdin is awaited", code, out)
os.close(reader)
os.close(writer)

# the other long commands
p = start("perplexity", *SLOW, "-f", LONG, "--json", "--chunk", "64")
check(wait_for("scoring: 10 %"), "scoring", errors())
p.send_signal(signal.SIGINT)
code, out = finish(p)
check(code == 130 and out == "", "Ctrl-C while scoring", code, out)
p = start("bench", *SLOW[:-2], "-p", "16", "-n", "4", "-r", "100", "--format", "csv")
check(wait_for("measuring: 10 %"), "measuring", errors())
p.send_signal(signal.SIGINT)
code, out = finish(p)
check(code == 130 and out.startswith("model,") and out.count("\n") == 5, "an interrupted bench shows what it has",
      code, out)

# pull: the child is ended too, nothing is left
slow = path("python", "#!/bin/sh\n: >%s\nexec sleep 3000\n" % path("started"))
os.chmod(slow, 0o755)
os.makedirs(path("tmp"), exist_ok=True)
p = subprocess.Popen([PITH, "pull", "smollm2"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                     env={**ENV, "PITH_PYTHON": slow, "PITH_CACHE": path("cache"), "TMPDIR": path("tmp")})
check(wait_until(lambda: os.path.exists(path("started"))), "pip was started")
p.send_signal(signal.SIGINT)
code, out = finish(p)
check(code == 130 and os.listdir(path("tmp")) == [] and os.listdir(path("cache")) == [], "Ctrl-C while pip works",
      code, os.listdir(path("tmp")))
done()
