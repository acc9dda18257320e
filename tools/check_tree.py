#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check the rules of the house that a machine can check; docs/ARCHITECTURE.md gives their reasons.

usage: check_tree.py [ROOT] [--includes]
--includes prints the include table as docs/ARCHITECTURE.md should have it.

Rules: who includes whom, and the table in docs/ARCHITECTURE.md equal to what is included; system and outside headers
only where they belong; file length; ASCII; no trailing space, tabs in C or carriage returns; licence line; names at
the top level; no path of one machine; every source listed in CMake and every listed source present; files that documents
name present.
"""
import os
import re
import subprocess
import sys

TOP = {"CMakeLists.txt", "CMakePresets.json", "src", "shaders", "backends", "include", "tests", "tools", "README.md",
       "LICENSE", "docs", ".ci", ".gitignore", ".clang-format"}
LAYERS = ["base", "graph", "model", "text", "attention", "run"]
# The device interface is seen from both sides: by those who fill it and by those who hold device memory.
INTERFACE = "src/run/backend.h"
BACKEND_SEES = {"src/base", "src/graph"}
# C11's own headers, and strings.h (strcasecmp), which every system but one has.
C11 = set("assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg "
          "stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string strings tgmath threads time uchar wchar wctype".split())
# Outside headers and the folders that may use them. What is in neither list is taken for the operating system's.
GENERATED = {"pith_spv.h"}  # written by the build
OUTSIDE = {
    "pcre2.h": ("src/text", "tests", "tools"), "cblas.h": ("backends/cpu", "tests"),
    "jansson.h": ("tools", "tests"), "curl/curl.h": ("tools",), "histedit.h": ("tools",), "editline/readline.h": ("tools",),
    "cmocka.h": ("tests",), "immintrin.h": ("backends/cpu", "tests"), "cpuid.h": ("backends/cpu", "tests"),
    "dlfcn.h": ("backends", "tests"), "vulkan/vulkan.h": ("backends/vulkan",), "volk.h": ("backends/vulkan",),
    "zlib.h": ("tools", "tests"), "pthread.h": ("src/base", "backends", "tools", "tests"),
}
# Where the operating system's headers may be included; the last one keeps a cache file of its own.
SYSTEM_PLACES = ("src/base", "tools", "tests", "backends/vulkan/pipeline.c")
LENGTH_WARN, LENGTH_FAIL = 400, 600
CODE = (".c", ".h", ".def", ".py", ".sh", ".cmake", ".comp", ".glsl", ".cpp")
C_LIKE = (".c", ".h", ".def", ".comp", ".glsl")
TEXT_DATA = ("docs/texts/",)  # shipped texts: exempt from length and layout, not from ASCII
MACHINE = re.compile(r"(?<![\w.${}/~-])/(?:%s)(?:/|\b(?![\w-]))" % "|".join(["wo" + "rk", "ho" + "me", "ro" + "ot", "fa" + "rm",
                                                                          "Us" + "ers", "m" + "nt", "tm" + "p(?=/)"]))
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.M)
TABLE = re.compile(r"<!-- includes -->\n(.*?)<!-- /includes -->", re.S)

problems, warnings = [], []


def problem(path, text):
    problems.append("%s: %s" % (path, text))


def list_files(root):
    """Files of the tree as git sees them (ignored ones left out) and folders that have a file under version control;
    without git, all but build folders, and None."""
    found = []
    try:
        for kind in ("-c", "-o"):
            out = subprocess.run(["git", "-C", root, "ls-files", kind, "--exclude-standard", "-z"], check=True,
                                 capture_output=True).stdout.decode().split("\0")
            found.append({f for f in out if f and os.path.isfile(os.path.join(root, f))})
        if found[0]:
            return sorted(found[0] | found[1]), {folder_of(f) for f in found[0]}
    except (OSError, subprocess.CalledProcessError):
        pass
    found = []
    for folder, names, files in os.walk(root):
        names[:] = [n for n in names if n not in (".git", "__pycache__") and not n.startswith("build")]
        found += [os.path.relpath(os.path.join(folder, f), root) for f in files]
    return sorted(found), None


def folder_of(path):
    """The unit of the include rules: src/<layer>, backends/<name>, include, tools, tests."""
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] in ("src", "backends") and len(parts) > 2 else parts[0]


def resolve(path, name, files):
    """The file of the tree that #include "name" in `path` means; None: not in the tree."""
    places = [os.path.dirname(path), "src", "include", "tests", "shaders", "tools"]
    if path.startswith(("backends/", "tests/")):
        places += sorted({"/".join(f.split("/")[:2]) for f in files if f.startswith("backends/") and f.count("/") > 1})
    for place in places:
        candidate = os.path.normpath(os.path.join(place, name)).replace(os.sep, "/")
        if candidate in files:
            return candidate
    return None


def may_include(user, target):
    """Does the order of the layers allow a file of folder `user` to include the file `target`?"""
    to = folder_of(target)
    if to == user or to == "include" or user == "tests":
        return True
    if user.startswith("src/") and to.startswith("src/"):
        return LAYERS.index(to[4:]) < LAYERS.index(user[4:]) or (target == INTERFACE and user == "src/attention")
    if user.startswith("backends/"):
        return to in BACKEND_SEES or target == INTERFACE or target.startswith("shaders/push/")
    return False  # tools and include see nothing but include


def check_outside(path, name, outside):
    user = folder_of(path)
    if name == "pith/pith.h" or (name.endswith(".h") and name[:-2] in C11):
        return
    if name in OUTSIDE:
        if not path.startswith(OUTSIDE[name]):
            problem(path, "<%s> belongs to %s only" % (name, ", ".join(OUTSIDE[name])))
        outside.setdefault(user, set()).add(name)
    elif not path.startswith(SYSTEM_PLACES):
        problem(path, "<%s>: the operating system is reached through src/base only" % name)


def check_includes(files, texts):
    """Checks directions; returns {folder: set of folders or files that it includes}, tests left out."""
    table, outside, known = {}, {}, set(files)
    for path in files:
        user = folder_of(path)
        if not path.endswith((".c", ".h")) or user not in ("include", "tools", "tests") and not user.startswith(("src/", "backends/")):
            continue
        table.setdefault(user, set())
        for kind, name in INCLUDE.findall(texts[path]):
            if kind == "<" and not name.startswith("pith/"):
                check_outside(path, name, outside)
                continue
            if name in GENERATED:
                continue
            target = resolve(path, name, known)
            if not target:
                problem(path, '#include "%s": no such file in the tree' % name)
                continue
            if not may_include(user, target):
                problem(path, "includes %s: not allowed for %s" % (target, user))
            if user != folder_of(target) and user != "tests":
                table[user].add(target if target == INTERFACE and user != "src/run" else folder_of(target))
    table.pop("tests", None)
    return table


def format_table(table):
    order = ["include"] + ["src/" + layer for layer in LAYERS]
    rows = sorted(table, key=lambda f: (order.index(f) if f in order else len(order) + (f == "tools"), f))
    cell = lambda names: ", ".join("`%s`" % n for n in sorted(names, key=lambda n: (order.index(n) if n in order else 99, n))) or "-"
    return "| folder | includes |\n|---|---|\n" + "".join("| `%s` | %s |\n" % (f, cell(table[f])) for f in rows)


def check_document(texts, table):
    doc = "docs/ARCHITECTURE.md"
    match = TABLE.search(texts.get(doc, ""))
    if not match:
        problem(doc, "the include table between <!-- includes --> marks is missing")
    elif match.group(1).strip() != format_table(table).strip():
        said = set(match.group(1).strip().splitlines())
        true = set(format_table(table).strip().splitlines())
        lines = ["  document: " + s for s in sorted(said - true)] + ["  includes: " + s for s in sorted(true - said)]
        problem(doc, "its include table is not what the files include (check_tree.py --includes prints it):\n" + "\n".join(lines))


def check_names(files, texts):
    """Files that README.md and docs name in backticks or links are there."""
    known = set(files) | {"/".join(f.split("/")[:n]) for f in files for n in range(1, f.count("/") + 1)}
    for path in files:
        if not path.endswith(".md"):
            continue
        names = re.findall(r"`((?:src|backends|tests|tools|docs|shaders|include|\.ci)/[\w./-]+)`", texts[path])
        names += [os.path.join(os.path.dirname(path), n) for n in re.findall(r"\]\(([\w./-]+)\)", texts[path])]
        for name in names:
            if os.path.normpath(name) not in known:
                problem(path, "names %s, which is not there" % name)


def check_layout(path, text, raw):
    base = os.path.basename(path)
    if b"\r" in raw:
        problem(path, "carriage returns")
    if raw and not raw.endswith(b"\n"):
        problem(path, "no newline at the end")
    for i, line in enumerate(text.split("\n"), 1):
        if line != line.rstrip():
            problem(path, "line %d: trailing space" % i)
        if "\t" in line and path.endswith(C_LIKE):
            problem(path, "line %d: tab" % i)
        if MACHINE.search(line) and "XXXXXX" not in line:  # a template of mkstemp is no one machine's
            problem(path, "line %d: a path of one machine: %s" % (i, line.strip()[:80]))
    two = text.startswith(("#!", "#version"))  # the licence line is the second
    if path.endswith(CODE) or base in ("CMakeLists.txt", ".clang-format") or text.startswith("#!"):
        lines = text.split("\n")
        if not any("SPDX-License-Identifier: MIT" in line for line in lines[:2 if two else 1]):
            problem(path, "no SPDX-License-Identifier: MIT in its first line")
        n = len(lines) - 1
        if n > LENGTH_FAIL:
            problem(path, "%d lines; split it (at most %d)" % (n, LENGTH_FAIL))
        elif n > LENGTH_WARN:
            warnings.append("%s: %d lines; happy below %d" % (path, n, LENGTH_WARN))


def check_sources(files, texts):
    """Every .c is named by a CMake file of its own or a parent folder, and what CMake names is there."""
    listed = []  # regular expressions over paths
    for path in files:
        if os.path.basename(path) != "CMakeLists.txt" and not path.endswith(".cmake"):
            continue
        code = re.sub(r"#.*", "", texts[path])
        for token in re.findall(r"[\w./${}-]+\.c\b", code):
            if "BINARY_DIR" in token:
                continue
            token = token.replace("${CMAKE_SOURCE_DIR}/", "/").replace("${CMAKE_CURRENT_SOURCE_DIR}/", "")
            joined = token[1:] if token.startswith("/") else os.path.join(os.path.dirname(path), token)
            full = os.path.normpath(joined).replace(os.sep, "/")
            if "${" not in full and full not in files and not re.search(r"EXISTS.*" + re.escape(token), code):
                problem(path, "names %s, which is not there" % full)
            listed.append(re.sub(r"\\\$\\\{\w+\\\}", r"[\\w-]+", re.escape(full)))
    pattern = re.compile("|".join("(?:%s)" % e for e in listed) or "$^")
    for path in files:
        if path.endswith(".c") and not pattern.fullmatch(path):
            problem(path, "no CMake file lists it")


def main():
    args = [a for a in sys.argv[1:] if not a.startswith("-")]
    if "--help" in sys.argv or "-h" in sys.argv:
        print(__doc__)
        return 0
    root = args[0] if args else os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
    files, kept = list_files(root)
    for name in sorted({f.split("/")[0] for f in files} ^ TOP):
        problem(name, "not a name of the top level" if name not in TOP else "missing at the top level")
    texts = {}
    for path in files:
        with open(os.path.join(root, path), "rb") as f:
            raw = f.read()
        if b"\0" in raw:
            problem(path, "a binary file")
            raw = b""
        try:
            texts[path] = raw.decode("ascii")
        except UnicodeDecodeError as e:
            line = raw[:e.start].count(b"\n") + 1
            problem(path, "line %d: not ASCII" % line)
            texts[path] = raw.decode("latin-1")
        if not path.startswith(TEXT_DATA):
            check_layout(path, texts[path], raw)
    table = check_includes(files, texts)
    if kept:  # a folder that is only being begun is not yet part of the document
        table = {folder: names for folder, names in table.items() if folder in kept}
    if "--includes" in sys.argv:
        print(format_table(table), end="")
        return 0
    check_document(texts, table)
    check_sources(files, texts)
    check_names(files, texts)
    for text in warnings:
        print("warning:", text)
    for text in problems:
        print("error:", text)
    print("%d files, %d warnings, %d errors" % (len(files), len(warnings), len(problems)))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
