# SPDX-License-Identifier: MIT
"""Each rule of tools/check_tree.py turns red when it is broken: a small correct tree, then one fault at a time."""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CHECK = os.path.join(HERE, os.pardir, os.pardir, "tools", "check_tree.py")
C, CM = "/* SPDX-License-Identifier: MIT */\n", "# SPDX-License-Identifier: MIT\n"
TABLE = """<!-- includes -->
| folder | includes |
|---|---|
| `include` | - |
| `src/base` | `include` |
| `src/graph` | `src/base` |
| `src/run` | `src/graph` |
| `backends/cpu` | `src/base`, `src/run/backend.h` |
| `backends/trace` | - |
| `tools` | `include` |
<!-- /includes -->
"""
TREE = {
    "CMakeLists.txt": CM, "CMakePresets.json": "{}\n", "README.md": "pith\n", "LICENSE": "MIT\n", ".gitignore": "/build*/\n",
    ".clang-format": CM, ".ci/run": "#!/bin/sh\n" + CM, "docs/ARCHITECTURE.md": TABLE, "shaders/README.md": "none\n",
    "tests/CMakeLists.txt": CM + "x(test_${part}.c)\n", "tests/test_a.c": C + "#include <cmocka.h>\n",
    "include/pith/pith.h": C,
    "src/base/CMakeLists.txt": CM + "target_sources(b PRIVATE a.c)\n",
    "src/base/a.h": C + "#include <pith/pith.h>\n", "src/base/a.c": C + '#include "base/a.h"\n#include <unistd.h>\n',
    "src/graph/g.h": C + '#include "base/a.h"\n', "src/run/backend.h": C + '#include "graph/g.h"\n',
    "backends/cpu/c.h": C + '#include "base/a.h"\n#include "run/backend.h"\n#include <cblas.h>\n',
    "backends/trace/t.h": C, "tools/t.h": C + "#include <pith/pith.h>\n#include <jansson.h>\n",
}
# name of the fault, file, its new text (None: removed), part of the message
FAULTS = [
    ("upward include", "src/base/a.h", C + '#include <pith/pith.h>\n#include "graph/g.h"\n', "not allowed for src/base"),
    ("backend includes backend", "backends/trace/t.h", C + '#include "c.h"\n#include "../cpu/c.h"\n', "not allowed for backends/trace"),
    ("tool includes inside", "tools/t.h", C + "#include <pith/pith.h>\n#include <jansson.h>\n" + '#include "base/a.h"\n', "not allowed for tools"),
    ("missing header", "src/graph/g.h", C + '#include "base/a.h"\n#include "base/b.h"\n', "no such file in the tree"),
    ("system header above base", "src/graph/g.h", C + '#include "base/a.h"\n#include <unistd.h>\n', "through src/base only"),
    ("outside header", "src/graph/g.h", C + '#include "base/a.h"\n#include <jansson.h>\n', "belongs to tools"),
    ("document says too much", "docs/ARCHITECTURE.md", TABLE.replace("`src/graph` | `src/base`", "`src/graph` | `include`, `src/base`"), "include table"),
    ("document without table", "docs/ARCHITECTURE.md", "none\n", "is missing"),
    ("too long", "src/base/a.c", C + '#include "base/a.h"\n#include <unistd.h>\n' + "int x;\n" * 600, "split it"),
    ("not ASCII", "README.md", "caf\u00e9\n", "not ASCII"),
    ("trailing space", "README.md", "pith \n", "trailing space"),
    ("tab", "src/base/a.c", C + '#include "base/a.h"\n#include <unistd.h>\n\tint x;\n', "tab"),
    ("carriage return", "README.md", "pith\r\n", "carriage return"),
    ("no last newline", "README.md", "pith", "no newline"),
    ("document names a file", "README.md", "see `src/base/b.c`\n", "which is not there"),
    ("document links a file", "README.md", "see [this](docs/NO.md)\n", "which is not there"),
    ("no licence line", "src/base/a.c", '#include "base/a.h"\n#include <unistd.h>\n', "no SPDX"),
    ("top level name", "extra.txt", "x\n", "not a name of the top level"),
    ("top level missing", "shaders/README.md", None, "missing at the top level"),
    ("machine path", "README.md", "see " + "/ho" + "me/someone\n", "path of one machine"),
    ("source not listed", "src/base/b.c", C, "no CMake file lists it"),
    ("listed source absent", "src/base/a.c", None, "which is not there"),
]


def run(tree):
    folder = tempfile.mkdtemp()
    try:
        for path, text in tree.items():
            full = os.path.join(folder, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "wb") as f:
                f.write(text.encode())
        out = subprocess.run([sys.executable, CHECK, folder], capture_output=True, text=True)
        return out.returncode, out.stdout + out.stderr
    finally:
        shutil.rmtree(folder)


def main():
    failed = 0
    code, out = run(TREE)
    if code != 0:
        failed += 1
        print("error: the correct tree does not pass\n" + out)
    for what, path, text, message in FAULTS:
        tree = dict(TREE)
        if text is None:
            del tree[path]
        else:
            tree[path] = text
        code, out = run(tree)
        if code != 1 or message not in out:
            failed += 1
            print("error: %s: exit %d, expected 1 and %r in\n%s" % (what, code, message, out))
    print("%d faults, %d not found" % (len(FAULTS), failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
