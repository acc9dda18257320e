/* SPDX-License-Identifier: MIT */
/* The answer while it comes: to stdout piece by piece, or kept for JSON; its text, ids and log-probabilities. */
#ifndef CLI_ANSWER_H
#define CLI_ANSWER_H

#include "options.h"

#include <pith/pith.h>

#include <jansson.h>

typedef struct cli_answer {
    const pith_model *model;
    bool print;        /* to stdout at once */
    json_t *logprobs;  /* array; NULL: not wanted */
    int32_t n_top;     /* alternatives of each token in it */
    char *text;        /* what came so far, NUL-terminated; owned */
    size_t n_text, cap_text;
    int32_t *ids;      /* generated tokens; owned */
    size_t n_ids, cap_ids;
} cli_answer;

/* A pith_piece_fn; `user` is the cli_answer. False when stdout is gone or a signal came. */
bool cli_answer_piece(const pith_piece *piece, void *user);
/* Ends the last line of what was printed. */
void cli_answer_end(const cli_answer *answer);
void cli_answer_reset(cli_answer *answer);
void cli_answer_free(cli_answer *answer);

/* Generation parameters from the options; logit biases are copied into *bias (owned by the caller). A missing --seed is
 * drawn from the clock when it matters. */
pith_generate_params cli_generate_params(const cli_args *args, pith_logit_bias **bias);
const char *cli_finish_name(pith_finish finish);

#endif
