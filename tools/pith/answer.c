/* SPDX-License-Identifier: MIT */
/* Receiving pieces, and the options of generation. */
#include "answer.h"

#include "cli.h"
#include "json_out.h"
#include "progress.h"
#include "signals.h"

#include <stdlib.h>
#include <string.h>

static void *grown(void *list, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return list;
    size_t wanted = n + n / 2 + 256;
    void *p = wanted > SIZE_MAX / size ? NULL : realloc(list, wanted * size);
    if (!p)
        exit(cli_error(CLI_MEMORY, "no memory for the answer"));
    *cap = wanted;
    return p;
}

static json_t *token_json(const pith_model *model, int32_t token, float logprob)
{
    size_t n = 0;
    const char *bytes = pith_token_bytes(model, token, true, &n);
    return json_pack("{si so so}", "token", token, "text", cli_json_bytes(bytes ? bytes : "", n), "logprob",
                     cli_json_real((double)logprob));
}

bool cli_answer_piece(const pith_piece *piece, void *user)
{
    cli_answer *a = user;
    cli_progress_end(); /* the prompt has been read */
    if (piece->token >= 0) {
        a->ids = grown(a->ids, a->n_ids, &a->cap_ids, sizeof *a->ids);
        a->ids[a->n_ids++] = piece->token;
        if (a->logprobs) {
            json_t *entry = token_json(a->model, piece->token, piece->logprob), *top = json_array();
            for (int32_t i = 0; i < piece->n_top && i < a->n_top; i++)
                json_array_append_new(top, token_json(a->model, piece->top[i].token, piece->top[i].logprob));
            json_object_set_new(entry, "top", top);
            json_array_append_new(a->logprobs, entry);
        }
    }
    a->text = grown(a->text, a->n_text + piece->n_bytes + 1, &a->cap_text, 1);
    memcpy(a->text + a->n_text, piece->text, piece->n_bytes);
    a->n_text += piece->n_bytes;
    a->text[a->n_text] = '\0';
    if (a->print && piece->n_bytes > 0
        && (fwrite(piece->text, 1, piece->n_bytes, stdout) != piece->n_bytes || fflush(stdout) != 0))
        return false;
    return !cli_signals_caught(); /* a signal between two steps finds no step to cancel */
}

void cli_answer_end(const cli_answer *answer)
{
    if (answer->print && answer->n_text > 0 && answer->text[answer->n_text - 1] != '\n' && !ferror(stdout))
        fputc('\n', stdout);
}

void cli_answer_reset(cli_answer *answer)
{
    answer->n_text = answer->n_ids = 0;
}

void cli_answer_free(cli_answer *answer)
{
    free(answer->text);
    free(answer->ids);
    json_decref(answer->logprobs);
    memset(answer, 0, sizeof *answer);
}

pith_generate_params cli_generate_params(const cli_args *args, pith_logit_bias **bias)
{
    const cli_value *v = args->v;
    pith_generate_params p = pith_generate_params_default();
    p.max_tokens = (int32_t)v[OPT_PREDICT].i;
    p.sample.temperature = (float)v[OPT_TEMP].f;
    p.sample.top_k = (int32_t)v[OPT_TOP_K].i;
    p.sample.top_p = (float)v[OPT_TOP_P].f;
    p.sample.min_p = (float)v[OPT_MIN_P].f;
    p.sample.repeat_penalty = (float)v[OPT_REPEAT_PENALTY].f;
    p.sample.presence_penalty = (float)v[OPT_PRESENCE_PENALTY].f;
    p.sample.frequency_penalty = (float)v[OPT_FREQUENCY_PENALTY].f;
    p.sample.penalty_last_n = (int32_t)v[OPT_PENALTY_LAST_N].i;
    p.sample.seed = (uint64_t)v[OPT_SEED].i;
    if (!v[OPT_SEED].given && p.sample.temperature > 0.0f)
        p.sample.seed = cli_now_ns() / 1000 % 1000000007u;
    *bias = cli_alloc(v[OPT_LOGIT_BIAS].n, sizeof **bias);
    for (size_t i = 0; i < v[OPT_LOGIT_BIAS].n; i++)
        (*bias)[i] = (pith_logit_bias){(int32_t)v[OPT_LOGIT_BIAS].ints[i], (float)v[OPT_LOGIT_BIAS].numbers[i]};
    p.sample.logit_bias = *bias;
    p.sample.n_logit_bias = v[OPT_LOGIT_BIAS].n;
    p.stop = v[OPT_STOP].texts;
    p.n_stop = v[OPT_STOP].n;
    p.top_logprobs = (int32_t)v[OPT_LOGPROBS].i;
    if (v[OPT_LOGPROBS].given && p.top_logprobs == 0) /* the token's own comes only with a list */
        p.top_logprobs = 1;
    p.ignore_end = v[OPT_IGNORE_END].i != 0;
    p.special = v[OPT_SHOW_SPECIAL].i != 0;
    p.progress = cli_progress_update;
    return p;
}

const char *cli_finish_name(pith_finish finish)
{
    switch (finish) {
    case PITH_FINISH_END: return "end";
    case PITH_FINISH_LENGTH: return "length";
    case PITH_FINISH_STOP: return "stop";
    case PITH_FINISH_CANCELLED: return "cancelled";
    }
    return "?";
}
