/* SPDX-License-Identifier: MIT */
/* What other engines do and this one does not, looked for by name: a model that needs it would load, run, and be
 * quietly wrong. Neutral values (0, 1, false, as each row says) are what converters write for "not used". */
#include "model/config_keys.h"
#include "base/log.h"
#include "base/status.h"

#include <inttypes.h>

enum neutral { ZERO, ZERO_OR_ONE, FALSE_, TRUE_, NEVER };

static const struct { const char *name; enum neutral neutral; const char *what; } rows[] = {
    {"{a}.expert_count", ZERO, "mixture of experts"},
    {"{a}.expert_used_count", ZERO, "mixture of experts"},
    {"{a}.attn_logit_softcapping", ZERO, "soft-capped attention logits"},
    {"{a}.final_logit_softcapping", ZERO, "soft-capped output logits"},
    {"{a}.attention.clamp_kqv", ZERO, "clamped keys and queries"},
    {"{a}.attention.max_alibi_bias", ZERO, "ALiBi positions"},
    {"{a}.attention.temperature_scale", ZERO, "position-dependent attention temperature"},
    {"{a}.attention.temperature_length", ZERO, "position-dependent attention temperature"},
    {"{a}.attention.causal", TRUE_, "attention that is not causal"},
    {"{a}.use_parallel_residual", FALSE_, "parallel residual branches"},
    {"{a}.embedding_scale", ZERO_OR_ONE, "scaled embeddings"},
    {"{a}.residual_scale", ZERO_OR_ONE, "scaled residuals"},
    {"{a}.logit_scale", ZERO_OR_ONE, "scaled logits"},
    {"{a}.rope.dimension_sections", NEVER, "multi-axis rotary positions"},
    {"{a}.rope.scaling.yarn_log_multiplier", ZERO, "YaRN with a magnitude multiplier"},
};

/* A key that is not a number or bool is left to the file's author: here it counts as "used". */
static bool is_neutral(const pith_gguf *gguf, const char *key, enum neutral neutral)
{
    int64_t integer;
    double number;
    bool flag;
    if (pith_gguf_get_bool(gguf, key, &flag) == PITH_OK)
        return neutral == TRUE_ ? flag : neutral != NEVER && !flag;
    if (pith_gguf_get_int(gguf, key, INT64_MIN, INT64_MAX, &integer) == PITH_OK)
        number = integer == 0 ? 0 : integer == 1 ? 1 : 2;
    else if (pith_gguf_get_float(gguf, key, &number) != PITH_OK)
        return false;
    switch (neutral) {
    case ZERO: case FALSE_: return number == 0;
    case TRUE_: return number == 1;
    case ZERO_OR_ONE: return number == 0 || number == 1;
    default: return false;
    }
}

pith_status pith_config_refuse(const pith_gguf *gguf, const pith_config *config)
{
    char key[PITH_KEY_BYTES];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        pith_config_key(config, rows[i].name, key);
        if (!pith_gguf_has(gguf, key) || is_neutral(gguf, key, rows[i].neutral))
            continue;
        return pith_fail(PITH_ERROR_UNSUPPORTED, "%s: key %s: %s is not supported", pith_gguf_path(gguf), key, rows[i].what);
    }
    static const char *const long_rope[] = {"rope_factors_long.weight", "rope_factors_short.weight"};
    for (size_t i = 0; i < 2; i++) {
        if (pith_gguf_tensor_find(gguf, long_rope[i]))
            return pith_fail(PITH_ERROR_UNSUPPORTED, "%s: tensor %s: longrope scaling is not supported", pith_gguf_path(gguf),
                             long_rope[i]);
    }
    /* A window that was trained is a limit of quality, not of correctness: say so, go on, as other engines do. */
    int32_t window = 0;
    PITH_TRY(pith_config_opt_int(gguf, config, "{a}.attention.sliding_window", 0, INT32_MAX, &window));
    if (window > 0 && window < config->context_length)
        pith_log(PITH_LOG_WARNING, "%s: key %s = %" PRId32 " is ignored: attention reaches the whole context",
                 pith_gguf_path(gguf), pith_config_key(config, "{a}.attention.sliding_window", key), window);
    return PITH_OK;
}
