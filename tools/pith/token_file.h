/* SPDX-License-Identifier: MIT */
/* Sequences of token ids for measuring: from text files, or from a file of ids. */
#ifndef CLI_TOKEN_FILE_H
#define CLI_TOKEN_FILE_H

#include "engine.h"

/* Ids from a JSON list, an object with "tokens", or text with one id per line. ids owned with free(). Exit code. */
int cli_token_file_read(const char *path, int32_t n_vocab, pith_tokens *out);

#endif
