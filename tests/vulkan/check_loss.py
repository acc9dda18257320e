# SPDX-License-Identifier: MIT
"""The program on a device that is lost: taken anew, given up, or replaced by the CPU.

usage: check_loss.py PITH TINY_DIR; PITH is the copy of the program that loses its device (fault_env.c).
"""
import json
import os
import re

from harness import MODEL, check, done, need_tiny, pith

need_tiny()
DEVICE = os.environ.get("PITH_TEST_DEVICE") or "llvmpipe"
RUN = ["run", "-m", MODEL, "--device", DEVICE, "-p", "hello there, how are you", "-n", "8", "--chunk", "8"]
KEEP = {k: v for k, v in os.environ.items() if k.startswith("PITH_VK_")}

code, out, err = pith("devices")
if DEVICE not in out:
    print("skipped: no device", DEVICE)
    raise SystemExit(77)

code, want, err = pith(*RUN, env={**KEEP, "PITH_TEST_LOSE": "0"})
check(code == 0 and want, "without a loss", code, want, err)
# Until the first step; the steps are cut by measured time, and where the driver compiles meanwhile into many more pieces.
code, out, err = pith("run", "-m", MODEL, "--device", DEVICE, "-p", "a", "-n", "1", env={**KEEP, "PITH_TEST_LOSE": "0"})
n = int(re.search(r"submissions: (\d+)", err).group(1)) - 2
code, out, err = pith(*RUN, env={**KEEP, "PITH_TEST_LOSE": "2"})
check(code == 0 and out == want and "was lost" in err and "taking it anew" in err, "lost while loading: taken anew", code, out, err)
code, out, err = pith(*RUN, env={**KEEP, "PITH_TEST_LOSE": "2,4"})
check(code == 4 and out == "" and "was lost" in err and DEVICE in err and "did not help" in err and "--on-device-loss cpu" in err,
      "lost again while loading: an error that says what to do", code, out, err)
code, out, err = pith(*RUN, "--on-device-loss", "cpu", "--exact", env={**KEEP, "PITH_TEST_LOSE": "2,4"})
check(code == 0 and out == want and "going on on the CPU" in err, "lost again while loading: the CPU does it", code, out, err)
ONCE, TWICE = str(n + 3), "%d,%d" % (n + 3, n + 3 + n + 2)  # in the second pass; then while what was lost is read again
code, out, err = pith(*RUN, env={**KEEP, "PITH_TEST_LOSE": ONCE})
check(code == 0 and out == want and "was lost" in err and "taking it anew" in err, "taken anew, the same answer", code, out, err)
code, out, err = pith(*RUN, env={**KEEP, "PITH_TEST_LOSE": TWICE})
check(code == 4 and "was lost" in err and DEVICE in err and "did not help" in err and "--on-device-loss cpu" in err,
      "lost again: an error that says what to do", code, out, err)
code, out, err = pith(*RUN, "--on-device-loss", "cpu", "--exact", "--json", env={**KEEP, "PITH_TEST_LOSE": TWICE})
r = json.loads(out) if code == 0 else {}
check(code == 0 and r["text"] == want.rstrip("\n") and r["device"].startswith("cpu:") and "going on on the CPU" in err,
      "lost again: the CPU goes on", code, out, err, want)
check(re.search(r"reading \d+ tokens again on cpu", err), "it says what it reads again", err)
done()
