/* SPDX-License-Identifier: MIT */
/* JSON on stdout: one document, one newline. */
#ifndef CLI_JSON_OUT_H
#define CLI_JSON_OUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Prints and releases `root` (NULL: memory is gone). `compact`: one line. Exit code. */
int cli_json_print(json_t *root, bool compact);
/* A string of any bytes: text as it is when it is valid UTF-8, else with U+FFFD for what is not. */
json_t *cli_json_bytes(const char *bytes, size_t n);
/* NaN and infinities have no JSON form: null. */
json_t *cli_json_real(double value);

#endif
