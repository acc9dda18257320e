/* SPDX-License-Identifier: MIT */
/* Which number formats a model's weights have, in one line. */
#ifndef CLI_QUANT_MIX_H
#define CLI_QUANT_MIX_H

#include <pith/pith.h>

/* "Q4_1 86 %, F32 0.2 %, ...", by bytes, largest first. */
void cli_quant_mix(const pith_model *model, char *out, size_t size);

#endif
