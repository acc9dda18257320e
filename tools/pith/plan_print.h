/* SPDX-License-Identifier: MIT */
/* The memory plan for people and for programs, and the refusal of what cannot fit. */
#ifndef CLI_PLAN_PRINT_H
#define CLI_PLAN_PRINT_H

#include <pith/pith.h>

#include <jansson.h>
#include <stdio.h>

void cli_plan_print(FILE *out, const pith_memory_plan *plan, int32_t context);
/* Makes the plan, prints it to stderr unless --quiet, refuses with the numbers when it does not fit. Exit code. */
int cli_plan_check(const pith_model *model, const pith_backend *backend, const pith_session_params *params,
                   pith_memory_plan *out);
json_t *cli_plan_json(const pith_memory_plan *plan);

#endif
