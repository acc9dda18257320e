# SPDX-License-Identifier: MIT
"""The shared library exports what pith.h declares and nothing else; no global name of the static one lacks the prefix.

usage: symbols.py NM HEADER SHARED STATIC
"""
import re
import subprocess
import sys


def symbols(nm, *args):
    """Names of nm's output, with their letters."""
    out = subprocess.run([nm, *args], check=True, capture_output=True, text=True).stdout
    return {m.group(2): m.group(1) for m in re.finditer(r"^[0-9a-f]+ ([A-Za-z]) (\S+)$", out, re.M)}


def main():
    nm, header, shared, static = sys.argv[1:]
    with open(header, encoding="ascii") as f:
        code = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    declared = set(re.findall(r"PITH_API[^;]*?\b(pith_\w+)\s*\(", code))
    exported = set(symbols(nm, "-D", "--defined-only", shared))
    errors = ["exported, not in pith.h: " + s for s in sorted(exported - declared)]
    errors += ["in pith.h, not exported: " + s for s in sorted(declared - exported)]
    # Globals of the archive. The Vulkan backend brings volk's table of functions, under their own names.
    globals_ = symbols(nm, "-g", "--defined-only", static)
    errors += ["global without the prefix: " + s for s in sorted(globals_) if not re.match(r"pith_|vk[A-Z]|volk[A-Z]", s)]
    for text in errors:
        print("error:", text)
    print("%d functions in pith.h, %d exported, %d global inside" % (len(declared), len(exported), len(globals_)))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
