# SPDX-License-Identifier: MIT
"""Runs the program for the check_*.py scripts: `harness.py` itself does nothing.

usage of a script: check_X.py PITH TINY_DIR. The environment of the runs has no PITH_* variables and a home of its own.
"""
import os
import shutil
import subprocess
import sys
import tempfile

PITH = os.path.abspath(sys.argv[1])
TINY = os.path.abspath(sys.argv[2])
MODEL = os.path.join(TINY, "llama-f32.gguf")
HOME = tempfile.mkdtemp(prefix="pith-check-")
ENV = {k: v for k, v in os.environ.items() if not k.startswith(("PITH_", "XDG_"))}
ENV["HOME"] = HOME
failures = 0


def pith(*args, stdin=None, env=None, timeout=300):
    """(exit code, stdout, stderr) of a run; text in and out."""
    if isinstance(stdin, str):
        stdin = stdin.encode()
    done = subprocess.run([PITH, *args], input=stdin, capture_output=True, timeout=timeout, env={**ENV, **(env or {})},
                          stdin=subprocess.DEVNULL if stdin is None else None)
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def check(good, what, *details):
    """Counts and shows what does not hold."""
    global failures
    if not good:
        failures += 1
        print("FAILED:", what, *[repr(d) for d in details], sep="\n    ")
    return good


def need_tiny():
    """Skips the script when the tiny models were not written."""
    if not os.path.exists(MODEL):
        print("skipped: no tiny models in", TINY)
        sys.exit(77)


def path(name, content=None):
    """A path in the scratch home, with this content."""
    p = os.path.join(HOME, name)
    if content is not None:
        with open(p, "wb") as f:
            f.write(content if isinstance(content, bytes) else content.encode())
    return p


def done():
    shutil.rmtree(HOME, ignore_errors=True)
    print("failed: %d" % failures if failures else "ok")
    sys.exit(1 if failures else 0)
