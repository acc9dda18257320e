/* SPDX-License-Identifier: MIT */
/* Hyper-parameters: what good files give, rows 11 and 12 of the checklist (every key set to every kind of nonsense),
 * what is refused by name, and the rotary frequencies against values worked out from the formulas by hand. */
#include "model/open_check.h"

#include "model/config.h"

#include <pith/pith.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BAD PITH_ERROR_FORMAT
#define NO PITH_ERROR_UNSUPPORTED
#define NONE PITH_ERROR_NOT_FOUND

static pith_config config; /* large: kept off the stack */

static pith_builder *model(const char *arch)
{
    pith_builder *b = pith_builder_create();
    pith_builder_tiny_model(b, arch, PITH_DTYPE_F32);
    return b;
}

/* Reads the config of b into `config`, expecting this result; b is released. */
static void expect(pith_builder *b, pith_status status, const char *text)
{
    size_t size;
    const uint8_t *data = pith_builder_finish(b, &size);
    pith_gguf *g;
    assert_int_equal(pith_gguf_open_memory(data, size, &g), PITH_OK);
    pith_status got = pith_config_read(g, &config);
    const char *message = got == PITH_OK ? "" : pith_last_error();
    if (got != status || !strstr(message, text))
        fail_msg("expected %s with '%s', got %s: %s", pith_status_name(status), text, pith_status_name(got), message);
    pith_gguf_close(&g);
    pith_builder_destroy(&b);
}

static pith_builder *without(const char *key)
{
    pith_builder *b = model("llama");
    pith_builder_remove(b, key);
    return b;
}

static void expect_int(const char *key, int64_t value, pith_status status, const char *text)
{
    pith_builder *b = without(key);
    pith_builder_int(b, key, PITH_GGUF_I64, value);
    expect(b, status, text);
}

static void expect_float(const char *key, double value, pith_status status, const char *text)
{
    pith_builder *b = without(key);
    pith_builder_float(b, key, PITH_GGUF_F64, value);
    expect(b, status, text);
}

static void test_good(void **state)
{
    (void)state;
    expect(model("llama"), PITH_OK, "");
    assert_string_equal(config.arch->name, "llama");
    assert_string_equal(config.name, "tiny");
    assert_int_equal(config.arch->pairing, PITH_ROPE_INTERLEAVED);
    assert_int_equal(config.n_layer, 2);
    assert_int_equal(config.n_embd, 64);
    assert_int_equal(config.n_head, 4);
    assert_int_equal(config.n_head_kv, 2);
    assert_int_equal(config.head_dim, 16);
    assert_int_equal(config.n_rot, 16);
    assert_int_equal(config.n_ff, 96);
    assert_int_equal(config.n_vocab, 40);
    assert_int_equal(config.context_length, 256);
    assert_true(config.rms_eps == 1e-5f);
    assert_true(config.attn_scale == 0.25f);
    assert_true(config.rope.base == 10000);
    assert_int_equal(config.rope.scaling, PITH_ROPE_NONE);
    assert_false(config.cca.present);
    expect(model("qwen2"), PITH_OK, "");
    assert_true(config.arch->qkv_bias_required && config.arch->pairing == PITH_ROPE_HALF);
    expect(model("qwen3"), PITH_OK, "");
    assert_true(config.arch->qk_norm_required && config.arch->pairing == PITH_ROPE_HALF);
    assert_string_equal(pith_arch_names(), "llama, qwen2, qwen3");
    assert_null(pith_arch_find((pith_str){"llam", 4}));
    assert_null(pith_arch_find((pith_str){"llama2", 6}));
}

static void test_defaults(void **state)
{
    (void)state;
    static const char *const optional[] = {"general.name", "llama.attention.head_count_kv", "llama.attention.key_length",
                                           "llama.rope.dimension_count", "llama.rope.freq_base"};
    pith_builder *b = model("llama");
    for (size_t i = 0; i < 5; i++)
        pith_builder_remove(b, optional[i]);
    expect(b, PITH_OK, "");
    assert_string_equal(config.name, "");
    assert_int_equal(config.n_head_kv, 4);
    assert_int_equal(config.head_dim, 16);
    assert_int_equal(config.n_rot, 16);
    assert_true(config.rope.base == 10000);
    static const char *const required[] = {
        "general.architecture", "llama.block_count", "llama.context_length", "llama.embedding_length",
        "llama.feed_forward_length", "llama.attention.head_count", "llama.attention.layer_norm_rms_epsilon"};
    for (size_t i = 0; i < sizeof required / sizeof *required; i++)
        expect(without(required[i]), NONE, required[i]);
    b = model("llama");
    pith_builder_remove_tensor(b, "token_embd.weight");
    expect(b, NONE, "token_embd.weight");
}

static void test_names(void **state)
{
    (void)state;
    pith_builder *b = without("general.name");
    char name[200] = "a\x1b[2J\n";
    for (size_t i = 6; i < 197; i += 3)
        memcpy(name + i, "\xe2\x82\xac", 3);
    pith_builder_string(b, "general.name", name);
    expect(b, PITH_OK, "");
    assert_null(strpbrk(config.name, "\x1b\n"));
    assert_int_equal(strlen(config.name), 126); /* 6 + 40 whole characters */
    b = without("general.architecture");
    pith_builder_string(b, "general.architecture", "mamba");
    expect(b, NO, "architecture 'mamba' is not supported; supported: llama, qwen2, qwen3");
    static const char *const types[] = {"adapter", "vocab", "imatrix", "mmproj", ""};
    for (size_t i = 0; i < 5; i++) {
        b = model("llama");
        pith_builder_string(b, "general.type", types[i]);
        expect(b, NO, "general.type");
    }
    b = model("llama");
    pith_builder_string(b, "general.type", "model");
    expect(b, PITH_OK, "");
}

static void test_d11_integers(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "llama.block_count", "llama.context_length", "llama.embedding_length", "llama.feed_forward_length",
        "llama.attention.head_count", "llama.attention.head_count_kv", "llama.attention.key_length",
        "llama.rope.dimension_count"};
    static const int64_t bad[] = {0, -1, -16, (int64_t)1 << 31, (int64_t)1 << 32, INT64_MAX, INT64_MIN};
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
            expect_int(keys[k], bad[i], BAD, keys[k]);
        pith_builder *b = without(keys[k]);
        pith_builder_string(b, keys[k], "4");
        expect(b, BAD, keys[k]);
        b = without(keys[k]);
        pith_builder_f32(b, keys[k], 4);
        expect(b, BAD, keys[k]);
    }
    expect_int("llama.block_count", 4097, BAD, "expected 1 to 4096");
    expect_int("llama.attention.head_count", 3, BAD, "divisor of head_count 3");
    expect_int("llama.attention.head_count_kv", 3, BAD, "divisor");
    expect_int("llama.attention.head_count_kv", 8, BAD, "divisor");
    expect_int("llama.attention.key_length", 1, BAD, "");
    expect_int("llama.attention.key_length", 15, BAD, "even");
    expect_int("llama.attention.key_length", 1026, BAD, "2 to 1024");
    expect_int("llama.rope.dimension_count", 1, BAD, "");
    expect_int("llama.rope.dimension_count", 7, BAD, "even");
    expect_int("llama.rope.dimension_count", 18, BAD, "2 to 16");
    expect_int("llama.rope.dimension_count", 8, PITH_OK, "");
    expect_int("llama.context_length", (1 << 27) + 1, BAD, "");
    expect_int("llama.context_length", 1, PITH_OK, "");
    pith_builder *b = without("llama.attention.key_length");
    pith_builder_remove(b, "llama.embedding_length");
    pith_builder_u32(b, "llama.embedding_length", 65);
    expect(b, BAD, "not a multiple of head_count");
    b = model("llama");
    pith_builder_u32(b, "llama.attention.value_length", 8);
    expect(b, NO, "value_length");
}

static void test_d11_products(void **state)
{
    (void)state;
    static const struct { const char *key; int64_t value; } huge[] = {
        {"llama.block_count", 4096}, {"llama.context_length", 1 << 27}, {"llama.attention.head_count", 4096},
        {"llama.attention.head_count_kv", 4096}, {"llama.attention.key_length", 1024}};
    pith_builder *b = model("llama");
    for (size_t i = 0; i < 5; i++) {
        pith_builder_remove(b, huge[i].key);
        pith_builder_u32(b, huge[i].key, (uint32_t)huge[i].value);
    }
    expect(b, BAD, "overflows");
}

static void test_d11_floats(void **state)
{
    (void)state;
    static const double bad[] = {0, -1, NAN, INFINITY, -INFINITY, 1e-300};
    for (size_t i = 0; i < 6; i++) {
        expect_float("llama.attention.layer_norm_rms_epsilon", bad[i], BAD, "epsilon");
        expect_float("llama.rope.freq_base", bad[i], BAD, "freq_base");
    }
    expect_float("llama.attention.layer_norm_rms_epsilon", 2, BAD, "epsilon");
    expect_float("llama.rope.freq_base", 1, BAD, "above 1");
    expect_float("llama.rope.freq_base", 1e31, BAD, "");
    expect_float("llama.rope.freq_base", 5e5, PITH_OK, "");
    pith_builder *b = without("llama.rope.freq_base");
    pith_builder_u32(b, "llama.rope.freq_base", 10000);
    expect(b, BAD, "expected an f32 or f64, got a u32");
    static const char *const positive[] = {"llama.rope.scaling.factor", "llama.rope.scale_linear", "llama.attention.scale"};
    for (size_t k = 0; k < 3; k++) {
        static const double wrong[] = {-1, NAN, INFINITY, 1e-300, 1e300};
        for (size_t i = 0; i < 5; i++) {
            b = model("llama");
            pith_builder_float(b, positive[k], PITH_GGUF_F64, wrong[i]);
            expect(b, BAD, positive[k]);
        }
        b = model("llama");
        pith_builder_f32(b, positive[k], 0); /* 0: not used */
        expect(b, PITH_OK, "");
        assert_true(config.rope.factor == 1 && config.attn_scale == 0.25f);
    }
    b = model("llama");
    pith_builder_f32(b, "llama.attention.scale", 0.5);
    expect(b, PITH_OK, "");
    assert_true(config.attn_scale == 0.5f);
}

static void test_d11_vocabulary(void **state)
{
    (void)state;
    pith_builder *b = model("llama");
    pith_builder_remove_tensor(b, "token_embd.weight");
    pith_builder_tensor(b, "token_embd.weight", PITH_DTYPE_F32, 3, (const uint64_t[]){64, 4, 2}, NULL);
    expect(b, BAD, "token_embd.weight");
    b = model("llama");
    pith_builder_remove_tensor(b, "token_embd.weight");
    pith_builder_tensor(b, "token_embd.weight", PITH_DTYPE_I8, 2, (const uint64_t[]){1, (1 << 24) + 1}, NULL);
    expect(b, BAD, "at most 16777216 rows");
    b = model("llama");
    pith_builder_u32(b, "llama.vocab_size", 7); /* the table decides */
    expect(b, PITH_OK, "");
    assert_int_equal(config.n_vocab, 40);
}

static void test_per_layer_values(void **state)
{
    (void)state;
    static const char *const keys[] = {"llama.feed_forward_length", "llama.attention.head_count", "llama.attention.head_count_kv"};
    static const int64_t same[] = {4, 4}, differ[] = {4, 2}, zero[] = {0, 0}, huge[] = {1, INT64_MAX}, three[] = {4, 4, 4};
    for (size_t k = 0; k < 3; k++) {
        const struct { const int64_t *values; size_t n; pith_status status; } cases[] = {
            {same, 2, PITH_OK}, {differ, 2, NO}, {zero, 2, BAD}, {huge, 2, BAD}, {three, 3, BAD}, {same, 1, BAD}, {same, 0, BAD}};
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            pith_builder *b = without(keys[k]);
            pith_builder_ints(b, keys[k], PITH_GGUF_I64, cases[i].values, cases[i].n);
            expect(b, cases[i].status, cases[i].status == PITH_OK ? "" : keys[k]);
        }
        pith_builder *b = without(keys[k]);
        pith_builder_strings(b, keys[k], (const char *const[]){"4", "4"}, 2);
        expect(b, BAD, keys[k]);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct { const char *key; double value; } numbers[] = {
        {"llama.attn_logit_softcapping", 50}, {"llama.final_logit_softcapping", 30}, {"llama.attention.clamp_kqv", 8},
        {"llama.attention.max_alibi_bias", 8}, {"llama.embedding_scale", 12}, {"llama.residual_scale", 0.22},
        {"llama.logit_scale", 16}, {"llama.attention.temperature_scale", 0.1}, {"llama.rope.scaling.yarn_log_multiplier", 0.1}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        pith_builder *b = model("llama");
        pith_builder_f32(b, numbers[i].key, numbers[i].value);
        expect(b, NO, numbers[i].key);
        b = model("llama");
        pith_builder_f32(b, numbers[i].key, 0);
        expect(b, PITH_OK, "");
    }
    pith_builder *b = model("llama");
    pith_builder_u32(b, "llama.expert_count", 8);
    expect(b, NO, "key llama.expert_count: mixture of experts is not supported");
    b = model("llama");
    pith_builder_string(b, "llama.expert_count", "8");
    expect(b, NO, "llama.expert_count");
    b = model("llama");
    pith_builder_int(b, "llama.attention.causal", PITH_GGUF_BOOL, 0);
    expect(b, NO, "llama.attention.causal");
    b = model("llama");
    pith_builder_int(b, "llama.attention.causal", PITH_GGUF_BOOL, 1);
    expect(b, PITH_OK, "");
    b = model("llama");
    pith_builder_ints(b, "llama.rope.dimension_sections", PITH_GGUF_I32, (const int64_t[]){1, 1}, 2);
    expect(b, NO, "dimension_sections");
    b = model("llama");
    pith_builder_string(b, "llama.rope.scaling.type", "longrope");
    expect(b, NO, "'longrope' is not supported; supported: none, linear, yarn");
    b = model("llama");
    pith_builder_tensor(b, "rope_factors_long.weight", PITH_DTYPE_F32, 1, (const uint64_t[]){8}, NULL);
    expect(b, NO, "longrope");
}

static void add_cca(pith_builder *b)
{
    pith_builder_u32(b, "pith.cca.group", 16);
    pith_builder_int(b, "pith.cca.window", PITH_GGUF_U64, 64);
    pith_builder_int(b, "pith.cca.sinks", PITH_GGUF_U8, 4);
    pith_builder_string(b, "pith.cca.heads", "query");
    pith_builder_string(b, "pith.cca.position", "centroid");
    pith_builder_string(b, "pith.cca.bias", "entropy");
    pith_builder_ints(b, "pith.cca.dense_layers", PITH_GGUF_I32, (const int64_t[]){1}, 1);
}

static void expect_cca(const char *key, int64_t value, pith_status status, const char *text)
{
    pith_builder *b = model("llama");
    add_cca(b);
    pith_builder_remove(b, key);
    pith_builder_int(b, key, PITH_GGUF_I64, value);
    expect(b, status, text);
}

static void test_d12_cca(void **state)
{
    (void)state;
    pith_builder *b = model("llama");
    add_cca(b);
    expect(b, PITH_OK, "");
    assert_true(config.cca.present && config.cca.heads_query && config.cca.bias_entropy);
    assert_int_equal(config.cca.group, 16);
    assert_int_equal(config.cca.window, 64);
    assert_int_equal(config.cca.sinks, 4);
    assert_int_equal(config.cca.position, PITH_CCA_POSITION_CENTROID);
    assert_int_equal(config.cca.dense[0], 0);
    assert_int_equal(config.cca.dense[1], 1);
    b = model("llama");
    pith_builder_u32(b, "pith.cca.group", 8);
    pith_builder_u32(b, "pith.cca.window", 8);
    expect(b, PITH_OK, "");
    assert_true(config.cca.present && !config.cca.heads_query && !config.cca.bias_entropy);
    assert_int_equal(config.cca.sinks, 0);
    assert_int_equal(config.cca.position, PITH_CCA_POSITION_POOLED);

    expect_cca("pith.cca.group", 0, BAD, "pith.cca.group");
    expect_cca("pith.cca.group", -16, BAD, "pith.cca.group");
    expect_cca("pith.cca.group", 257, BAD, "expected 1 to 256"); /* more than the context */
    expect_cca("pith.cca.group", 24, BAD, "multiple of pith.cca.group 24");
    expect_cca("pith.cca.group", 1, PITH_OK, "");
    expect_cca("pith.cca.window", 0, BAD, "pith.cca.window");
    expect_cca("pith.cca.window", 8, BAD, "pith.cca.window");
    expect_cca("pith.cca.window", 65, BAD, "multiple");
    expect_cca("pith.cca.window", INT64_MAX, BAD, "pith.cca.window");
    expect_cca("pith.cca.sinks", -1, BAD, "pith.cca.sinks");
    expect_cca("pith.cca.sinks", 257, BAD, "pith.cca.sinks");
    expect_cca("pith.cca.heads", 1, BAD, "expected a string");
    expect_cca("pith.cca.dense_layers", 1, BAD, "expected an array");
    static const char *const names[] = {"pith.cca.heads", "pith.cca.position", "pith.cca.bias"};
    for (size_t i = 0; i < 3; i++) {
        b = model("llama");
        add_cca(b);
        pith_builder_remove(b, names[i]);
        pith_builder_string(b, names[i], "other");
        expect(b, BAD, "got 'other'");
    }
    static const int64_t layers[] = {2, -1, INT64_MAX};
    for (size_t i = 0; i < 3; i++) {
        b = model("llama");
        add_cca(b);
        pith_builder_remove(b, "pith.cca.dense_layers");
        pith_builder_ints(b, "pith.cca.dense_layers", PITH_GGUF_I64, &layers[i], 1);
        expect(b, BAD, "expected a layer from 0 to 1");
    }
    b = model("llama");
    pith_builder_u32(b, "pith.cca.group", 16);
    expect(b, NONE, "pith.cca.window");
    b = model("llama");
    pith_builder_u32(b, "pith.cca.window", 16);
    expect(b, NONE, "pith.cca.group");
    b = model("llama");
    add_cca(b);
    pith_builder_u32(b, "pith.cca.pooling", 1);
    expect(b, NO, "pith.cca.pooling is not known");
}

/* ---- rotary frequencies ----------------------------------------------------------------------------------------- */

static void expect_close(double got, double want)
{
    if (!(fabs(got - want) <= 1e-12 * fabs(want)))
        fail_msg("got %.17g, expected %.17g", got, want);
}

static void test_rope_plain_and_linear(void **state)
{
    (void)state;
    double freq[8];
    float magnitude;
    expect(model("llama"), PITH_OK, "");
    pith_config_rope_freqs(&config, NULL, freq, &magnitude);
    for (int i = 0; i < 8; i++)
        expect_close(freq[i], pow(10, -0.5 * i)); /* 10000^(-2i/16) */
    assert_true(magnitude == 1);
    const float factors[8] = {1, 1, 1, 1, 2, 4, 8, 8};
    pith_config_rope_freqs(&config, factors, freq, &magnitude);
    for (int i = 0; i < 8; i++)
        expect_close(freq[i], pow(10, -0.5 * i) / (double)factors[i]);
    static const char *const keys[] = {"llama.rope.scaling.factor", "llama.rope.scale_linear"};
    for (int k = 0; k < 2; k++) {
        pith_builder *b = model("llama");
        if (k == 0)
            pith_builder_string(b, "llama.rope.scaling.type", "linear");
        pith_builder_f32(b, keys[k], 4);
        expect(b, PITH_OK, "");
        assert_int_equal(config.rope.scaling, PITH_ROPE_LINEAR);
        pith_config_rope_freqs(&config, NULL, freq, &magnitude);
        for (int i = 0; i < 8; i++)
            expect_close(freq[i], pow(10, -0.5 * i) / 4);
        assert_true(magnitude == 1);
    }
    pith_builder *b = model("llama"); /* "none" turns the factor off */
    pith_builder_string(b, "llama.rope.scaling.type", "none");
    pith_builder_f32(b, "llama.rope.scaling.factor", 4);
    expect(b, PITH_OK, "");
    pith_config_rope_freqs(&config, NULL, freq, &magnitude);
    expect_close(freq[3], pow(10, -1.5));
}

/* E = n_rot = 16, base 10000, original context 4096: c(32) = 16 ln(4096/(64 pi)) / (2 ln 10000) = 2.618.. -> 2,
 * c(1) = 16 ln(4096/(2 pi)) / (2 ln 10000) = 5.628.. -> 6. So pairs 0..2 keep, 6.. are divided by 8, 3, 4, 5 between. */
static void test_rope_yarn(void **state)
{
    (void)state;
    double freq[8];
    float magnitude;
    pith_builder *b = model("qwen2");
    pith_builder_string(b, "qwen2.rope.scaling.type", "yarn");
    pith_builder_f32(b, "qwen2.rope.scaling.factor", 8);
    pith_builder_u32(b, "qwen2.rope.scaling.original_context_length", 4096);
    expect(b, PITH_OK, "");
    assert_int_equal(config.rope.scaling, PITH_ROPE_YARN);
    pith_config_rope_freqs(&config, NULL, freq, &magnitude);
    static const double keep[8] = {1, 1, 1, 0.75, 0.5, 0.25, 0, 0};
    for (int i = 0; i < 8; i++)
        expect_close(freq[i], pow(10, -0.5 * i) * (keep[i] + (1 - keep[i]) / 8));
    assert_true(magnitude == (float)(1 + 0.1 * log(8)));

    b = model("qwen2"); /* every override: corners move, half the ramp, two factors on the magnitude */
    pith_builder_string(b, "qwen2.rope.scaling.type", "yarn");
    pith_builder_f32(b, "qwen2.rope.scaling.factor", 8);
    pith_builder_u32(b, "qwen2.rope.scaling.original_context_length", 4096);
    pith_builder_f32(b, "qwen2.rope.scaling.attn_factor", 0.5);
    pith_builder_f32(b, "qwen2.rope.scaling.yarn_attn_factor", 0.25);
    pith_builder_f32(b, "qwen2.rope.scaling.yarn_ext_factor", 0.5);
    pith_builder_f32(b, "qwen2.rope.scaling.yarn_beta_fast", 1);
    pith_builder_f32(b, "qwen2.rope.scaling.yarn_beta_slow", 1);
    expect(b, PITH_OK, "");
    pith_config_rope_freqs(&config, NULL, freq, &magnitude);
    for (int i = 0; i < 8; i++) { /* lo 5, hi 6 */
        double k = i <= 5 ? 0.5 : 0;
        expect_close(freq[i], pow(10, -0.5 * i) * (k + (1 - k) / 8));
    }
    assert_true(magnitude == (float)(0.125 * (1 + 0.1 * log(8))));

    b = model("qwen2"); /* extrapolation off: plain interpolation, no growth */
    pith_builder_string(b, "qwen2.rope.scaling.type", "yarn");
    pith_builder_f32(b, "qwen2.rope.scaling.factor", 8);
    pith_builder_f32(b, "qwen2.rope.scaling.yarn_ext_factor", 0);
    expect(b, PITH_OK, "");
    assert_int_equal(config.rope.original_context_length, 256);
    pith_config_rope_freqs(&config, NULL, freq, &magnitude);
    for (int i = 0; i < 8; i++)
        expect_close(freq[i], pow(10, -0.5 * i) / 8);
    assert_true(magnitude == 1);

    static const struct { const char *key; double value; } bad[] = {
        {"qwen2.rope.scaling.attn_factor", 0}, {"qwen2.rope.scaling.yarn_attn_factor", -1},
        {"qwen2.rope.scaling.yarn_ext_factor", 2}, {"qwen2.rope.scaling.yarn_beta_fast", 0},
        {"qwen2.rope.scaling.yarn_beta_slow", NAN}, {"qwen2.rope.scaling.yarn_beta_slow", 33},
        {"qwen2.rope.scaling.factor", 1e-5}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        b = model("qwen2");
        pith_builder_string(b, "qwen2.rope.scaling.type", "yarn");
        pith_builder_f32(b, bad[i].key, bad[i].value);
        expect(b, BAD, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),           cmocka_unit_test(test_defaults),     cmocka_unit_test(test_names),
        cmocka_unit_test(test_d11_integers),   cmocka_unit_test(test_d11_products), cmocka_unit_test(test_d11_floats),
        cmocka_unit_test(test_d11_vocabulary), cmocka_unit_test(test_per_layer_values), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_d12_cca),        cmocka_unit_test(test_rope_plain_and_linear), cmocka_unit_test(test_rope_yarn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
