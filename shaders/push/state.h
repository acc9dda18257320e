/* SPDX-License-Identifier: MIT */
/* What changes from step to step, in a small buffer that the host writes before a submission; command buffers are
 * recorded once and read their positions here. Behind the header: token ids [n_tokens_max], rows wanted [n_rows_max]. */
#ifndef PITH_PUSH_STATE_H
#define PITH_PUSH_STATE_H
#include "base.h"

struct pith_vk_state {
    PITH_I32 pos0;         /* position of the first token */
    PITH_I32 n_tokens;
    PITH_I32 n_rows;
    PITH_I32 raw_base[2];  /* position of the first sliding row, per KV class */
    PITH_U32 epoch;        /* copied to the result by a submission's last command */
    PITH_U32 unused[10];
};
#define PITH_VK_STATE_WORDS 16

#endif
