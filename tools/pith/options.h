/* SPDX-License-Identifier: MIT */
/* The command line as data. One table of commands and one of options (option_table.c) drive the parser, --help, the
 * man page, shell completion and the PITH_* environment variables, so that none of them can tell a different story. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cli_args;

typedef enum cli_kind {
    CLI_FLAG,    /* no value */
    CLI_INT,     /* value->i, from min to max */
    CLI_NUMBER,  /* value->f, from min to max */
    CLI_TEXT,    /* value->text */
    CLI_PATH,    /* value->text, completed as a file */
    CLI_CHOICE,  /* value->i: index in `choices` */
    CLI_INTS,    /* comma list, value->ints[n] */
    CLI_CHOICES, /* comma list of choices, value->ints[n] */
    CLI_TEXTS,   /* repeatable, value->texts[n] */
    CLI_BIAS,    /* repeatable ID=B, value->ints[n] and value->numbers[n] */
    CLI_MASK,    /* a number, or a comma list of choices: value->i, choice k is the bit of 1 << (k - 1), choice 0 none */
    CLI_PART,    /* repeatable piece of input: args->parts, in the order of the command line */
    CLI_PART_FILE
} cli_kind;

enum { /* commands, as bits */
    CLI_RUN = 1, CLI_INFO = 2, CLI_TOKENIZE = 4, CLI_DEVICES = 8, CLI_PERPLEXITY = 16, CLI_BENCH = 32, CLI_PULL = 64,
    CLI_HELP = 128, CLI_ALL = 255
};

typedef enum cli_option_id {
    OPT_MODEL, OPT_PROMPT, OPT_FILE, OPT_TEXT_FILE, OPT_CONTEXT, OPT_PREDICT, OPT_CHAT, OPT_RAW, OPT_CHAT_FORMAT, OPT_SYSTEM,
    OPT_TEMP, OPT_TOP_K, OPT_TOP_P, OPT_MIN_P, OPT_REPEAT_PENALTY, OPT_PRESENCE_PENALTY, OPT_FREQUENCY_PENALTY,
    OPT_PENALTY_LAST_N, OPT_SEED, OPT_STOP, OPT_LOGIT_BIAS, OPT_LOGPROBS, OPT_IGNORE_END, OPT_SHOW_SPECIAL,
    OPT_ATTN, OPT_ATTN_LIST, OPT_GROUP, OPT_WINDOW, OPT_SINKS, OPT_CCA_HEADS, OPT_CCA_BIAS, OPT_CCA_POSITION,
    OPT_DENSE_LAYERS, OPT_KV_TYPE, OPT_KV_LIST, OPT_CHUNK, OPT_ROPE_BASE,
    OPT_DEVICE, OPT_THREADS, OPT_THREADS_LIST, OPT_CPU_MASK, OPT_ON_DEVICE_LOSS, OPT_SAFE, OPT_VK_HIDE, OPT_EXACT, OPT_CHECK_TENSORS,
    OPT_TENSORS, OPT_SPECIAL, OPT_PARSE_SPECIAL, OPT_TOKENS_FILE, OPT_TOP1, OPT_LIMIT, OPT_LIMIT_TOKENS,
    OPT_BENCH_PROMPT, OPT_BENCH_GEN, OPT_BENCH_DEPTH, OPT_REPEAT, OPT_PROFILE, OPT_RETUNE, OPT_FORMAT, OPT_WHEEL,
    OPT_JSON, OPT_MAN, OPT_COMPLETION, OPT_QUIET, OPT_VERBOSE, OPT_HELP,
    OPT_COUNT
} cli_option_id;

typedef struct cli_option {
    const char *name;     /* without the dashes */
    char letter;          /* 0: none */
    cli_kind kind;
    unsigned commands;    /* where it is valid */
    const char *group;    /* heading in --help */
    const char *argument; /* its value's name in --help; NULL for flags and choices */
    const char *choices;  /* "full|cca" */
    double min, max;
    const char *value;    /* the default, parsed like any other value; NULL: absent */
    const char *otherwise; /* what happens when absent, for --help */
    const char *help;
    const char *alias;    /* another accepted name, not advertised in completion */
    bool no_env;          /* PITH_<NAME> makes no sense for it */
} cli_option;

typedef struct cli_command {
    const char *name;
    unsigned bit;
    const char *operand;  /* "NAME", "[COMMAND]", NULL: none */
    const char *summary;  /* one line */
    const char *about;    /* paragraphs, split at blank lines */
    const char *const *examples; /* pairs: command line, what it does; NULL-terminated */
    int (*run)(const struct cli_args *args);
} cli_command;

extern const cli_option cli_options[OPT_COUNT];
extern const cli_command cli_commands[];
extern const size_t cli_n_commands;

typedef struct cli_value {
    bool given; /* on the command line or in the environment */
    int64_t i;
    double f;
    const char *text;
    size_t n;
    int64_t *ints;
    double *numbers;
    const char **texts;
} cli_value;

typedef struct cli_part { bool file; const char *value; } cli_part;

typedef struct cli_args {
    const cli_command *command;
    cli_value v[OPT_COUNT];
    cli_part *parts;
    size_t n_parts;
    const char **operands; /* what is not an option */
    size_t n_operands;
} cli_args;

/* Parses argv[0..argc) (after the command's name), then the environment, then the defaults. CLI_OK or CLI_USAGE, with
 * one line on stderr. Strings are borrowed from argv and the environment. */
int cli_args_parse(cli_args *args, const cli_command *command, int argc, char **argv);
void cli_args_free(cli_args *args);

/* The option called `name` (without dashes) in the commands of `bits`; OPT_COUNT: none. */
cli_option_id cli_option_find(unsigned bits, const char *name, size_t length);
const cli_command *cli_command_find(const char *name);
/* The nearest of the names that are within a third of its letters; NULL: none. */
const char *cli_command_nearest(const char *name);
/* "PITH_TOP_K" for "top-k", in `out`. */
void cli_env_name(const cli_option *option, char *out, size_t size);
/* Calls fn for each choice of "a|b|c". */
void cli_choices_each(const char *choices, void (*fn)(const char *choice, size_t length, void *user), void *user);
/* The name of the k-th choice of an option, static per thread. */
const char *cli_choice_name(cli_option_id id, int64_t k);

#endif
