/* SPDX-License-Identifier: MIT */
/* Rotary positions: reading their keys, and folding every kind of scaling into one frequency per pair.
 *   base     w_i = base^(-2i / n_rot) / factors[i]                 (llama3 models bring the factors as a tensor)
 *   linear   w_i / factor
 *   YaRN     fast pairs keep w_i, slow pairs get w_i / factor, a ramp between; cos and sin grow by 1 + 0.1 ln(factor)
 * gguf specification, "RoPE mathematics". */
#include "model/config_keys.h"
#include "base/status.h"

#include <inttypes.h>
#include <math.h>

static const double factor_max = 0x1p20;

static pith_status read_scaling_type(const pith_gguf *gguf, pith_config *c)
{
    pith_str type = {"linear", 6};
    char key[PITH_KEY_BYTES], text[64];
    PITH_TRY(pith_config_opt_string(gguf, c, "{a}.rope.scaling.type", &type));
    if (pith_str_is(type, "none"))
        c->rope.scaling = PITH_ROPE_NONE;
    else if (pith_str_is(type, "linear"))
        c->rope.scaling = PITH_ROPE_LINEAR;
    else if (pith_str_is(type, "yarn"))
        c->rope.scaling = PITH_ROPE_YARN;
    else
        return pith_fail(PITH_ERROR_UNSUPPORTED, "%s: key %s: '%s' is not supported; supported: none, linear, yarn",
                         pith_gguf_path(gguf), pith_config_key(c, "{a}.rope.scaling.type", key),
                         pith_str_print(type, text, sizeof text));
    return PITH_OK;
}

/* rope.scaling.factor, or the older rope.scale_linear; 0 stands for "none". */
static pith_status read_factor(const pith_gguf *gguf, pith_config *c)
{
    static const char *const names[] = {"{a}.rope.scaling.factor", "{a}.rope.scale_linear"};
    char key[PITH_KEY_BYTES];
    double factor = 0;
    for (int i = 0; i < 2 && factor == 0; i++) {
        PITH_TRY(pith_config_opt_float(gguf, c, names[i], 0, factor_max, &factor));
        if (factor != 0 && factor < 1 / factor_max)
            return pith_fail(PITH_ERROR_FORMAT, "%s: key %s: %g is too small", pith_gguf_path(gguf),
                             pith_config_key(c, names[i], key), factor);
    }
    c->rope.factor = factor != 0 && c->rope.scaling != PITH_ROPE_NONE ? factor : 1;
    if (c->rope.scaling == PITH_ROPE_LINEAR && c->rope.factor == 1)
        c->rope.scaling = PITH_ROPE_NONE;
    return PITH_OK;
}

static pith_status read_yarn(const pith_gguf *gguf, pith_config *c)
{
    double attn = 1, ext = -1;
    c->rope.original_context_length = c->context_length;
    c->rope.attn_factor = 1;
    c->rope.yarn_beta_fast = 32;
    c->rope.yarn_beta_slow = 1;
    PITH_TRY(pith_config_opt_int(gguf, c, "{a}.rope.scaling.original_context_length", 1, 1 << 27, &c->rope.original_context_length));
    PITH_TRY(pith_config_opt_float(gguf, c, "{a}.rope.scaling.attn_factor", 1e-6, 1e6, &c->rope.attn_factor));
    PITH_TRY(pith_config_opt_float(gguf, c, "{a}.rope.scaling.yarn_attn_factor", 1e-6, 1e6, &attn));
    PITH_TRY(pith_config_opt_float(gguf, c, "{a}.rope.scaling.yarn_ext_factor", -1e6, 1, &ext));
    PITH_TRY(pith_config_opt_float(gguf, c, "{a}.rope.scaling.yarn_beta_fast", 1e-6, 1e6, &c->rope.yarn_beta_fast));
    PITH_TRY(pith_config_opt_float(gguf, c, "{a}.rope.scaling.yarn_beta_slow", 1e-6, 1e6, &c->rope.yarn_beta_slow));
    c->rope.attn_factor *= attn;
    c->rope.yarn_ext_factor = ext >= 0 ? ext : c->rope.scaling == PITH_ROPE_YARN ? 1 : 0; /* below 0: "by type" */
    if (c->rope.yarn_beta_fast < c->rope.yarn_beta_slow)
        return pith_fail(PITH_ERROR_FORMAT, "%s: YaRN: expected beta_fast >= beta_slow, got %g and %g", pith_gguf_path(gguf),
                         c->rope.yarn_beta_fast, c->rope.yarn_beta_slow);
    return PITH_OK;
}

/* Growth of cos and sin. */
static double magnitude_of(const pith_config *c)
{
    double yarn = c->rope.scaling == PITH_ROPE_YARN && c->rope.yarn_ext_factor != 0 ? 1 + 0.1 * log(c->rope.factor) : 1;
    return c->rope.attn_factor * yarn;
}

pith_status pith_config_read_rope(const pith_gguf *gguf, pith_config *c)
{
    char key[PITH_KEY_BYTES];
    c->n_rot = c->head_dim;
    PITH_TRY(pith_config_opt_int(gguf, c, "{a}.rope.dimension_count", 2, c->head_dim, &c->n_rot));
    if (c->n_rot % 2 != 0)
        return pith_fail(PITH_ERROR_FORMAT, "%s: key %s: expected an even number, got %" PRId32, pith_gguf_path(gguf),
                         pith_config_key(c, "{a}.rope.dimension_count", key), c->n_rot);
    c->rope.base = 10000;
    PITH_TRY(pith_config_opt_float(gguf, c, "{a}.rope.freq_base", 0, 1e30, &c->rope.base));
    if (!(c->rope.base > 1))
        return pith_fail(PITH_ERROR_FORMAT, "%s: key %s: expected a number above 1, got %g", pith_gguf_path(gguf),
                         pith_config_key(c, "{a}.rope.freq_base", key), c->rope.base);
    PITH_TRY(read_scaling_type(gguf, c));
    PITH_TRY(read_factor(gguf, c));
    PITH_TRY(read_yarn(gguf, c));
    if (!(magnitude_of(c) > 0))
        return pith_fail(PITH_ERROR_FORMAT, "%s: key %s: %g makes YaRN's magnitude negative", pith_gguf_path(gguf),
                         pith_config_key(c, "{a}.rope.scaling.factor", key), c->rope.factor);
    return PITH_OK;
}

/* The pair, as a real number, that turns `turns` times over the original context. */
static double yarn_corner(const pith_config *c, double turns)
{
    const double two_pi = 6.283185307179586476925286766559;
    return c->n_rot * log(c->rope.original_context_length / (turns * two_pi)) / (2 * log(c->rope.base));
}

void pith_config_rope_freqs(const pith_config *c, const float *freq_factors, double *freq, float *magnitude)
{
    bool yarn = c->rope.scaling == PITH_ROPE_YARN;
    double lo = 0, hi = 0;
    if (yarn) {
        lo = fmax(0, floor(yarn_corner(c, c->rope.yarn_beta_fast)));
        hi = fmin(c->n_rot - 1, ceil(yarn_corner(c, c->rope.yarn_beta_slow)));
    }
    for (int32_t i = 0; i < c->n_rot / 2; i++) {
        double w = pow(c->rope.base, -2.0 * i / c->n_rot);
        if (freq_factors)
            w /= (double)freq_factors[i];
        if (yarn) {
            double ramp = fmin(1, fmax(0, (i - lo) / fmax(0.001, hi - lo)));
            double keep = (1 - ramp) * c->rope.yarn_ext_factor; /* share of the unscaled frequency */
            w = w / c->rope.factor * (1 - keep) + w * keep;
        } else {
            w /= c->rope.factor;
        }
        freq[i] = w;
    }
    *magnitude = (float)magnitude_of(c);
}
