# SPDX-License-Identifier: MIT
"""The program with --safe: the same text, with none of what is optional in a device.

usage: check_safe.py PITH TINY_DIR; PITH is the copy of the program that tells which modules it made (fault_env.c).
"""
import json
import os
import re

from harness import MODEL, check, done, need_tiny, pith

need_tiny()
DEVICE = os.environ.get("PITH_TEST_DEVICE") or "llvmpipe"
RUN = ["run", "-m", MODEL, "--device", DEVICE, "-p", "hello there, how are you", "-n", "8", "--chunk", "16", "--json"]
KEEP = {k: v for k, v in os.environ.items() if k.startswith("PITH_VK_")}
OPTIONAL = re.compile(r"_sg|half|step|coopmat|packed|matrix|int8")  # in a module's name


def run(*more, **env):
    """Tokens, device and modules of a run."""
    code, out, err = pith(*RUN, *more, env={**KEEP, "PITH_TEST_LOSE": "0", **env})
    if not check(code == 0 and "validation" not in err, "runs", more, env, code, out, err):
        done()
    r = json.loads(out)
    return r["tokens"], r["device"], re.search(r"modules:(.*)", err).group(1).split()


code, out, err = pith("devices")
if DEVICE not in out:
    print("skipped: no device", DEVICE)
    raise SystemExit(77)

want, device, modules = run()
check(len(want) == 8 and "subgroup" in device and any(OPTIONAL.search(m) for m in modules), "without --safe", want, device, modules)
tokens, device, modules = run("--vk-hide", "subgroup")
check(tokens == want and "subgroup" not in device and not device.endswith("no optional feature"), "--vk-hide: the same tokens without one feature", tokens, device)
code, out, err = pith(*RUN, "--vk-hide", "subgroup,wings", env={**KEEP, "PITH_TEST_LOSE": "0"})
check(code != 0 and out == "" and "subgroup" in err and "wings" in err, "--vk-hide: what is no feature is named", code, out, err)
for more, env in ((["--safe"], {}), ([], {"PITH_SAFE": "1"}), (["--vk-hide", "all"], {})):
    how = more or env
    tokens, device, modules = run(*more, **env)
    check(tokens == want, "--safe: the same tokens", how, tokens, want)
    check(device.endswith("no optional feature"), "--safe: no optional feature", how, device)
    check(modules and not any(OPTIONAL.search(m) for m in modules), "--safe: no module needs any", how, modules)
done()
