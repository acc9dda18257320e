# SPDX-License-Identifier: MIT
"""The command line itself: help, manual page, completion, wrong options, the environment."""
import re
import shutil
import subprocess

from harness import HOME, PITH, check, done, path, pith

COMMANDS = ["run", "info", "tokenize", "devices", "perplexity", "bench", "pull", "help"]


def usage_error(*args, says="", **more):
    code, out, err = pith(*args, **more)
    check(code == 2 and out == "" and err.startswith("pith: ") and err.count("\n") == 1 and says in err,
          "exit 2 and one line with %r" % says, args, code, out, err)


# help
code, out, err = pith("help")
check(code == 0 and err == "" and all(re.search(r"^  %s " % c, out, re.M) for c in COMMANDS), "overview", out, err)
for c in COMMANDS:
    code, out, err = pith("help", c)
    check(code == 0 and err == "" and "Usage: pith %s" % c in out and "Examples:" in out, "help " + c, out, err)
    check(all(len(line) <= 110 for line in out.splitlines()), "lines of help " + c,
          [line for line in out.splitlines() if len(line) > 110])
    check(pith(c, "--help")[1] == out and pith(c, "-h")[1] == out, c + " --help is help " + c)
    # every example of the help parses: its options exist in the command
    for example in re.findall(r"^  (?:[^|\n]*\| )?pith (.*)$", out, re.M):
        for option in re.findall(r" (--?[a-z][a-z0-9-]*)", re.sub(r"'[^']*'", "", example.split(" > ")[0].split(" | ")[0])):
            command = example.split()[0]
            text = out if command == c else pith("help", command)[1]
            check(re.search(r"(^|\s)%s\b" % re.escape(option), text), "example uses a known option", example, option)
check(pith("--help")[1] == pith("help")[1], "--help")
code, out, _ = pith("--version")
check(code == 0 and re.match(r"pith \d+\.\d+\.\d+ \(.+\)\n$", out), "--version", out)
code, out, err = pith()
check(code == 2 and out == "" and "Commands:" in err, "no command", code, out)

# manual page and completion
code, page, _ = pith("help", "--man")
check(code == 0 and ".TH PITH 1" in page and all(".SS pith %s" % c in page for c in COMMANDS), "manual page")
if shutil.which("mandoc"):
    lint = subprocess.run(["mandoc", "-T", "lint", path("pith.1", page)], capture_output=True, text=True)
    check(lint.returncode == 0 and lint.stdout == "", "manual page lints", lint.stdout)
code, script, _ = pith("help", "--completion", "bash")
check(code == 0 and subprocess.run(["bash", "-n", path("c.bash", script)]).returncode == 0, "bash completion parses")


def complete(*words):
    line = "source %s; COMP_WORDS=(%s); COMP_CWORD=%d; _pith; echo ${COMPREPLY[@]}" % (
        path("c.bash"), " ".join("'%s'" % w for w in words), len(words) - 1)
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=HOME).stdout.split()


check(set(COMMANDS) <= set(complete("pith", "")), "completes commands", complete("pith", ""))
check(complete("pith", "pe") == ["perplexity"], "completes a command")
check(complete("pith", "run", "--att") == ["--attn"], "completes an option")
check(complete("pith", "run", "--attn", "") == ["full", "cca"], "completes a choice")
check(complete("pith", "run", "-f", "c.b") == ["c.bash"], "completes a file", complete("pith", "run", "-f", "c.b"))
for shell in ("zsh", "fish"):
    code, script, _ = pith("help", "--completion", shell)
    check(code == 0 and "bench" in script and "--attn" in script or "-l attn" in script, shell + " completion")
    if shutil.which(shell):
        check(subprocess.run([shell, "-n", path("c." + shell, script)]).returncode == 0, shell + " completion parses")

# commands and options that are wrong
usage_error("rnu", says="did you mean 'run'")
usage_error("benhc", says="did you mean 'bench'")
usage_error("qqqqqq", says="'pith help' lists them")
usage_error("-x", says="expected a command")
usage_error("help", "nothing", says="no command 'nothing'")
usage_error("run", "--tmep", "1", says="did you mean --temp")
usage_error("run", "--zzzzzzzz", says="unknown option '--zzzzzzzz'")
usage_error("run", "-Z", says="unknown option '-Z'")
usage_error("run", "-temp", "1", says="unknown option '-temp'; did you mean --temp")
usage_error("info", "--temp", "1", says="unknown option '--temp'")
usage_error("run", "hello", says="text goes after -p")
usage_error("run", "-p", "x", "--", "-y", says="unexpected argument '-y'")
usage_error("devices", "x", says="unexpected argument")
usage_error("run", "-p", says="expected a value")
usage_error("run", "--json=1", "-p", "x", says="takes no value")

INTS = [("--context", 0), ("-c", 0), ("--predict", -1), ("-n", -1), ("--top-k", 0), ("--penalty-last-n", -1), ("--seed", 0),
        ("--logprobs", 0), ("--group", 1), ("--window", 1), ("--sinks", 0), ("--chunk", 0), ("--threads", 0), ("-t", 0)]
for option, least in INTS:
    for bad in ("x", "", "1.5", "1x", " 1", "+1", str(least - 1), "99999999999999999999", "0x10", "--json"):
        usage_error("run", "-p", "x", option, bad, says="%s: expected a whole number from" % option)
NUMBERS = [("--temp", "-1"), ("--temp", "101"), ("--top-p", "0"), ("--top-p", "1.01"), ("--min-p", "1"), ("--min-p", "-0.1"),
           ("--repeat-penalty", "0"), ("--presence-penalty", "101"), ("--frequency-penalty", "-101"), ("--rope-base", "0")]
for option, bad in NUMBERS + [(o, b) for o, _ in NUMBERS for b in ("x", "", "nan", "inf", "1,5", " 1", "1 ")]:
    usage_error("run", "-p", "x", option, bad, says="%s: expected a number from" % option)
for option in ("--attn", "--cca-heads", "--cca-bias", "--cca-position", "--kv-type"):
    for bad in ("x", "", "Full", "full,cca"):
        usage_error("run", "-p", "x", option, bad, says="%s: expected one of" % option)
for bad in ("x", "1", "=1", "1=", "1=x", "-1=1", "1=nan", "1=inf", "1:2"):
    usage_error("run", "-p", "x", "--logit-bias", bad, says="expected TOKEN=BIAS")
for bad in ("x", "sse", "avx2,x", "4294967296", "1x"):
    usage_error("run", "-p", "x", "--cpu-mask", bad, says="--cpu-mask: expected")
for option in ("--prompt", "--gen", "--depth", "--threads"):
    for bad in ("", "1,", ",1", "1,x", "-1", "1;2"):
        usage_error("bench", option, bad, says="%s: expected a whole number" % option)
usage_error("bench", "--attn", "full,x", says="expected one of full, cca, got 'x'")
usage_error("bench", "--format", "xml", says="expected one of md, csv, json")
usage_error("bench", "--repeat", "0", says="--repeat")
usage_error("bench", "--prompt", "0", "--gen", "0", says="nothing to measure")
usage_error("run", "-p", "x", "--dense-layers", "0,a", says="--dense-layers: expected")
usage_error("run", "-p", "x", "--stop", "", says="--stop")
usage_error("run", "-m", "", "-p", "x", says="-m: expected a path")
usage_error("run", "-p", "x", "--logprobs", "3", says="needs --json")
usage_error("run", "-p", "x", "--raw", "--system", "s", says="--system")
usage_error("run", "-p", "x", "--raw", "--chat-format", "chatml", says="--chat-format")
usage_error("run", "-p", "x", "--parse-special", says="needs --raw")
usage_error("run", "--chat", "--json", says="--chat: contradicts --json")
usage_error("run", "--chat", "-f", "-", says="stdin")
usage_error("run", "-f", "-", "-f", "-", stdin="x", says="only once")
usage_error("pull", says="which model")
usage_error("pull", "nothing", says="no model 'nothing'; there is: smollm2")
usage_error("pull", "a", "b", says="unexpected argument 'b'")

# the environment: below the command line, above the defaults, checked as strictly
usage_error("run", "-p", "x", env={"PITH_TEMP": "hot"}, says="PITH_TEMP: expected a number from 0 to 100, got 'hot'")
usage_error("run", "-p", "x", env={"PITH_QUIET": "maybe"}, says="PITH_QUIET: expected on or off")
usage_error("run", "-p", "x", env={"PITH_ATTN": "none"}, says="PITH_ATTN: expected one of")
code, _, err = pith("run", "-p", "x", "--temp", "1", env={"PITH_TEMP": "hot", "PITH_MODEL": "/nonexistent.gguf"})
check(code == 3 and "/nonexistent.gguf" in err, "the command line hides the environment", code, err)
code, _, err = pith("run", "-p", "x", env={"PITH_TEMP": ""})
check(code == 3, "an empty variable is no variable", code, err)

# files that are not there
code, out, err = pith("run", "-p", "x")
check(code == 3 and out == "" and "pith pull smollm2" in err and "-m" in err, "no model names the way out", code, err)
for command in ("run", "info", "tokenize"):
    code, out, err = pith(command, "-m", path("absent.gguf"), *([] if command == "info" else ["-p", "x"]))
    check(code == 3 and out == "" and "absent.gguf" in err and err.count("\n") == 1, "absent model", command, code, err)
    code, out, err = pith(command, "-m", path("broken.gguf", b"GGUF" + bytes(20)), *([] if command == "info" else ["-p", "x"]))
    check(code == 3 and out == "" and "broken.gguf" in err, "broken model", command, code, err)
code, out, err = pith("run", "-f", path("absent.txt"))
check(code == 3 and "absent.txt" in err, "absent input", code, err)
code, out, err = pith("perplexity", "-m", path("broken.gguf"), "-f", path("absent.txt"))
check(code == 3, "perplexity of nothing", code, err)

# devices, and a closed stdout
code, out, err = pith("devices")
check(code == 0 and out.startswith("cpu ") and "features" in out, "devices", out, err)
full = subprocess.run("%s help > /dev/full" % PITH, shell=True, capture_output=True, text=True)
check(full.returncode == 1 and "stdout" in full.stderr, "a full disk is an error", full.returncode, full.stderr)
done()
