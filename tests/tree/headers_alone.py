# SPDX-License-Identifier: MIT
"""Every header compiles alone: pith.h as strict C11 and C++17, the internal ones as C11.

usage: headers_alone.py ROOT CC CXX [FOLDER...]      (CXX empty: that part is left out, and said)
FOLDERs are searched for generated headers; without one of its generated headers a header is left out.
"""
import os
import subprocess
import sys

STRICT = ["-fsyntax-only", "-Wall", "-Wextra", "-Werror"]
# Parts of a bigger header, included by it alone; headers beside the kernels are templates and are left out too.
FRAGMENTS = {"backends/cpu/attn_kernels.h", "backends/cpu/matmul_kernels.h", "backends/cpu/vector_kernels.h"}


def compile_text(command, text):
    run = subprocess.run(command + ["-"], input=text, capture_output=True, text=True)
    return run.returncode == 0, run.stderr


def main():
    root, cc, cxx = sys.argv[1:4]
    generated = [f for f in sys.argv[4:] if os.path.isdir(f)]
    include = ["-I", os.path.join(root, "include")]
    public = "#include <pith/pith.h>\nint main(void) { return pith_version() == 0; }\n"
    cases = [("pith.h, C11", [cc, "-std=c11", "-pedantic", "-xc"] + STRICT + include, public)]
    if cxx and not cxx.endswith("NOTFOUND"):
        cases.append(("pith.h, C++17", [cxx, "-std=c++17", "-pedantic", "-xc++"] + STRICT + include, public))
    else:
        print("no C++ compiler here: pith.h was not compiled as C++")
    for top in ("src", "backends"):
        for folder, names, files in os.walk(os.path.join(root, top)):
            names.sort()
            for name in sorted(files):
                path = os.path.relpath(os.path.join(folder, name), root)
                if not name.endswith(".h") or path in FRAGMENTS or "/kernels/" in path:
                    continue
                dirs = ["-I", os.path.join(root, "src")]
                parts = path.split(os.sep)
                if parts[1] == "vulkan" and not generated:
                    continue
                if top == "backends":
                    dirs += ["-I", os.path.join(root, *parts[:2]), "-I", root, "-I", os.path.join(root, "shaders")]
                    dirs += [x for f in generated for x in ("-I", f)]
                command = [cc, "-std=c11", "-D_GNU_SOURCE", "-xc", "-Wno-unused-function"] + STRICT + include + dirs
                cases.append((path, command, '#include "%s"\ntypedef int not_empty;\n' % os.path.abspath(os.path.join(folder, name))))
    failed = 0
    for what, command, text in cases:
        ok, message = compile_text(command, text)
        if not ok:
            failed += 1
            print("error: %s does not compile alone: %s" % (what, "\n".join(message.splitlines()[:4])))
    print("%d headers alone, %d failed" % (len(cases), failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
