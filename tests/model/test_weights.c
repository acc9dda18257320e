/* SPDX-License-Identifier: MIT */
/* Binding: every tensor of every architecture removed, misshapen and mistyped in turn (row 12 of the checklist, "shapes
 * contradicting hyper-parameters"), the warning about unused ones, and values that are not finite (row 13). */
#include "model/open_check.h"

#include "base/half.h"
#include "model/weights.h"

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

static char warning[1000];
static int n_warnings;

static void keep_warning(pith_log_level level, const char *line, void *user)
{
    (void)user;
    if (level != PITH_LOG_WARNING)
        return;
    snprintf(warning, sizeof warning, "%s", line);
    n_warnings++;
}

static int setup(void **state)
{
    (void)state;
    pith_log_set(keep_warning, NULL);
    n_warnings = 0;
    return 0;
}

struct opened { pith_gguf *gguf; pith_config config; pith_weights weights; };
static struct opened o;

static void open_model(pith_builder *b)
{
    size_t size;
    const uint8_t *data = pith_builder_finish(b, &size);
    assert_int_equal(pith_gguf_open_memory(data, size, &o.gguf), PITH_OK);
    assert_int_equal(pith_config_read(o.gguf, &o.config), PITH_OK);
}

/* Opens and binds, expecting this result; everything is released, b too. */
static void expect(pith_builder *b, pith_status status, const char *text)
{
    open_model(b);
    pith_status got = pith_weights_bind(o.gguf, &o.config, &o.weights);
    const char *message = got == PITH_OK ? "" : pith_last_error();
    if (got != status || !strstr(message, text))
        fail_msg("expected %s with '%s', got %s: %s", pith_status_name(status), text, pith_status_name(got), message);
    if (got != PITH_OK)
        assert_null(o.weights.layers);
    pith_weights_fini(&o.weights);
    pith_gguf_close(&o.gguf);
    pith_builder_destroy(&b);
}

static pith_builder *model(const char *arch, pith_dtype type)
{
    pith_builder *b = pith_builder_create();
    pith_builder_tiny_model(b, arch, type);
    return b;
}

static void test_good(void **state)
{
    (void)state;
    static const pith_dtype types[] = {PITH_DTYPE_F32, PITH_DTYPE_F16, PITH_DTYPE_BF16, PITH_DTYPE_Q4_0, PITH_DTYPE_Q4_1,
                                       PITH_DTYPE_Q5_0, PITH_DTYPE_Q5_1, PITH_DTYPE_Q8_0, PITH_DTYPE_IQ4_NL};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        pith_builder *b = model("qwen3", types[i]);
        open_model(b);
        assert_int_equal(pith_weights_bind(o.gguf, &o.config, &o.weights), PITH_OK);
        assert_ptr_equal(o.weights.output, o.weights.token_embd);
        assert_string_equal(o.weights.layers[1].ffn_down->name, "blk.1.ffn_down.weight");
        assert_string_equal(o.weights.layers[0].attn_k_norm->name, "blk.0.attn_k_norm.weight");
        assert_null(o.weights.layers[0].attn_q_bias);
        assert_null(o.weights.rope_freqs);
        for (size_t t = 0; t < pith_gguf_tensor_count(o.gguf); t++)
            assert_int_equal(pith_weights_check_finite(pith_gguf_tensor_at(o.gguf, t)), PITH_OK);
        pith_weights_fini(&o.weights);
        pith_gguf_close(&o.gguf);
        pith_builder_destroy(&b);
    }
    expect(model("llama", PITH_DTYPE_F16), PITH_OK, "");
    pith_builder *b = model("qwen2", PITH_DTYPE_F16);
    pith_builder_tensor(b, "output.weight", PITH_DTYPE_Q8_0, 2, (const uint64_t[]){64, 40}, NULL);
    open_model(b);
    assert_int_equal(pith_weights_bind(o.gguf, &o.config, &o.weights), PITH_OK);
    assert_string_equal(o.weights.output->name, "output.weight");
    assert_string_equal(o.weights.layers[1].attn_v_bias->name, "blk.1.attn_v.bias");
    pith_weights_fini(&o.weights);
    pith_gguf_close(&o.gguf);
    pith_builder_destroy(&b);
    assert_int_equal(n_warnings, 0);
}

/* Replaces one tensor of a tiny model. */
static pith_builder *with(const char *arch, const char *name, pith_dtype type, uint32_t n_dims, const uint64_t *dims)
{
    pith_builder *b = model(arch, PITH_DTYPE_F16);
    pith_builder_remove_tensor(b, name);
    pith_builder_tensor(b, name, type, n_dims, dims, NULL);
    return b;
}

static void test_d12_every_tensor(void **state)
{
    (void)state;
    static const char *const archs[] = {"llama", "qwen2", "qwen3"};
    for (int a = 0; a < 3; a++) {
        pith_builder *names = model(archs[a], PITH_DTYPE_F16);
        size_t size;
        const uint8_t *data = pith_builder_finish(names, &size);
        pith_gguf *g;
        assert_int_equal(pith_gguf_open_memory(data, size, &g), PITH_OK);
        for (size_t i = 1; i < pith_gguf_tensor_count(g); i++) { /* the first, token_embd, has its own test */
            const pith_gguf_tensor *t = pith_gguf_tensor_at(g, i);
            bool matrix = t->n_dims == 2;
            char text[100];
            pith_builder *b = model(archs[a], PITH_DTYPE_F16);
            pith_builder_remove_tensor(b, t->name);
            snprintf(text, sizeof text, "tensor %s is missing", t->name);
            expect(b, BAD, text);
            const uint64_t shapes[][4] = {{t->dims[0] + 32, t->dims[1], 1, 1}, {t->dims[0], t->dims[1] + 1, 1, 1},
                                          {t->dims[0] / 2, t->dims[1], 1, 1}, {t->dims[0], t->dims[1], 2, 1},
                                          {t->dims[0], t->dims[1], 1, 2}, {1, t->dims[0], t->dims[1], 1}};
            snprintf(text, sizeof text, "tensor %s: expected shape {%llu, %llu}", t->name, (unsigned long long)t->dims[0],
                     (unsigned long long)t->dims[1]);
            for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
                expect(with(archs[a], t->name, t->dtype, 4, shapes[s]), BAD, text);
            expect(with(archs[a], t->name, PITH_DTYPE_I32, 2, t->dims), NO, t->name);
            expect(with(archs[a], t->name, PITH_DTYPE_F64, 2, t->dims), NO, "type F64");
            bool norm = strstr(t->name, "norm") != NULL;
            expect(with(archs[a], t->name, PITH_DTYPE_F16, 4, t->dims), matrix || norm ? PITH_OK : NO, "");
            expect(with(archs[a], t->name, PITH_DTYPE_BF16, 2, t->dims), matrix ? PITH_OK : NO, "");
        }
        pith_gguf_close(&g);
        pith_builder_destroy(&names);
    }
}

static void test_d12_embedding(void **state)
{
    (void)state;
    expect(with("llama", "token_embd.weight", PITH_DTYPE_F16, 2, (const uint64_t[]){32, 40}), BAD, "expected shape {64, 40}, got {32, 40}");
    expect(with("llama", "token_embd.weight", PITH_DTYPE_MXFP4, 2, (const uint64_t[]){64, 40}), NO, "MXFP4");
    pith_builder *b = model("llama", PITH_DTYPE_F16);
    pith_builder_tensor(b, "output.weight", PITH_DTYPE_F16, 2, (const uint64_t[]){64, 41}, NULL);
    expect(b, BAD, "output.weight");
    b = model("llama", PITH_DTYPE_F16);
    pith_builder_remove(b, "llama.block_count");
    pith_builder_u32(b, "llama.block_count", 4096);
    expect(b, BAD, "tensor blk.2.attn_norm.weight is missing");
    b = model("llama", PITH_DTYPE_F16);
    pith_builder_remove(b, "llama.feed_forward_length");
    pith_builder_u32(b, "llama.feed_forward_length", 128);
    expect(b, BAD, "blk.0.ffn_gate.weight: expected shape {64, 128}, got {64, 96}");
}

static void test_optional_tensors(void **state)
{
    (void)state;
    pith_builder *b = model("llama", PITH_DTYPE_F16);
    pith_builder_tensor(b, "blk.1.ffn_up.bias", PITH_DTYPE_F32, 1, (const uint64_t[]){96}, NULL);
    pith_builder_tensor(b, "blk.0.attn_output.bias", PITH_DTYPE_F32, 1, (const uint64_t[]){64}, NULL);
    open_model(b);
    assert_int_equal(pith_weights_bind(o.gguf, &o.config, &o.weights), PITH_OK);
    assert_non_null(o.weights.layers[1].ffn_up_bias);
    assert_null(o.weights.layers[0].ffn_up_bias);
    assert_non_null(o.weights.layers[0].attn_output_bias);
    pith_weights_fini(&o.weights);
    pith_gguf_close(&o.gguf);
    pith_builder_destroy(&b);
    b = model("llama", PITH_DTYPE_F16);
    pith_builder_tensor(b, "blk.1.ffn_up.bias", PITH_DTYPE_F32, 1, (const uint64_t[]){95}, NULL);
    expect(b, BAD, "blk.1.ffn_up.bias");
    static const float good[8] = {1, 1, 1, 1, 2, 4, 8, 8}, zero[8] = {1, 1, 0, 1, 1, 1, 1, 1}, nan[8] = {1, 1, 1, 1, 1, 1, 1, NAN};
    const struct { const float *values; uint64_t n; pith_status status; } freqs[] = {
        {good, 8, PITH_OK}, {good, 7, BAD}, {zero, 8, BAD}, {nan, 8, BAD}};
    for (size_t i = 0; i < 4; i++) {
        b = model("llama", PITH_DTYPE_F16);
        pith_builder_tensor(b, "rope_freqs.weight", PITH_DTYPE_F32, 1, &freqs[i].n, freqs[i].values);
        expect(b, freqs[i].status, freqs[i].status == PITH_OK ? "" : "rope_freqs.weight");
    }
    assert_int_equal(n_warnings, 0);
}

static void test_unused_tensors(void **state)
{
    (void)state;
    pith_builder *b = model("llama", PITH_DTYPE_F16);
    pith_builder_tensor(b, "blk.0.attn_rot_embd", PITH_DTYPE_F32, 1, (const uint64_t[]){8}, NULL);
    expect(b, PITH_OK, "");
    assert_int_equal(n_warnings, 0);
    b = model("llama", PITH_DTYPE_F16);
    pith_builder_tensor(b, "blk.2.attn_q.weight", PITH_DTYPE_F32, 1, (const uint64_t[]){8}, NULL);
    expect(b, PITH_OK, "");
    assert_int_equal(n_warnings, 1);
    assert_non_null(strstr(warning, "1 tensor is not used by architecture llama, the first is blk.2.attn_q.weight"));
    b = model("llama", PITH_DTYPE_F16);
    pith_builder_tensor(b, "odd\x1b", PITH_DTYPE_F32, 1, (const uint64_t[]){8}, NULL);
    pith_builder_tensor(b, "even", PITH_DTYPE_I8, 1, (const uint64_t[]){8}, NULL);
    expect(b, PITH_OK, "");
    assert_int_equal(n_warnings, 2);
    assert_non_null(strstr(warning, "2 tensors are not used by architecture llama, the first is odd\\x1b"));
}

static void test_d13_not_finite(void **state)
{
    (void)state;
    /* at: bytes into a block where a scale (or the value) lies; value: infinity and NaN of its type */
    static const struct { pith_dtype type; int at, width; uint32_t infinity, nan; } cases[] = {
        {PITH_DTYPE_F32, 0, 4, 0xff800000, 0x7fc00001}, {PITH_DTYPE_F16, 0, 2, 0x7c00, 0xfe01}, {PITH_DTYPE_BF16, 0, 2, 0x7f80, 0xffc1},
        {PITH_DTYPE_Q4_0, 0, 2, 0xfc00, 0x7c01}, {PITH_DTYPE_Q4_1, 0, 2, 0x7c00, 0x7e00}, {PITH_DTYPE_Q4_1, 2, 2, 0x7c00, 0x7e00},
        {PITH_DTYPE_Q5_0, 0, 2, 0x7c00, 0x7e00}, {PITH_DTYPE_Q5_1, 0, 2, 0x7c00, 0x7e00}, {PITH_DTYPE_Q5_1, 2, 2, 0x7c00, 0x7e00},
        {PITH_DTYPE_Q8_0, 0, 2, 0x7c00, 0x7e00}, {PITH_DTYPE_Q2_K, 80, 2, 0x7c00, 0x7e00}, {PITH_DTYPE_Q2_K, 82, 2, 0x7c00, 0x7e00},
        {PITH_DTYPE_Q3_K, 108, 2, 0x7c00, 0x7e00}, {PITH_DTYPE_Q4_K, 0, 2, 0x7c00, 0x7e00}, {PITH_DTYPE_Q4_K, 2, 2, 0x7c00, 0x7e00},
        {PITH_DTYPE_Q5_K, 0, 2, 0x7c00, 0x7e00}, {PITH_DTYPE_Q5_K, 2, 2, 0x7c00, 0x7e00}, {PITH_DTYPE_Q6_K, 208, 2, 0x7c00, 0x7e00},
        {PITH_DTYPE_IQ4_NL, 0, 2, 0x7c00, 0x7e00}, {PITH_DTYPE_IQ4_XS, 0, 2, 0x7c00, 0x7e00}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        pith_dtype_info info = pith_dtype_get((uint32_t)cases[c].type);
        uint64_t dims[2] = {info.block_elems == 1 ? 5 : 2 * info.block_elems, 3};
        size_t n_blocks = dims[0] * dims[1] / info.block_elems, bytes = n_blocks * info.block_bytes;
        uint8_t *data = malloc(bytes);
        float *values = malloc(dims[0] * dims[1] * sizeof *values);
        memset(data, 0x3b, bytes); /* every half and float made of these bytes is finite */
        pith_gguf_tensor t = {.name = "w", .dtype = cases[c].type, .n_dims = 2, .dims = {dims[0], dims[1], 1, 1}, .data = data, .bytes = bytes,
                              .offset = 1000};
        assert_int_equal(pith_weights_check_finite(&t), PITH_OK);
        for (size_t block = 0; block < n_blocks; block++) {
            for (int k = 0; k < 2; k++) {
                uint32_t value = k ? cases[c].nan : cases[c].infinity;
                memset(data, 0x3b, bytes);
                for (int w = 0; w < cases[c].width; w++)
                    data[block * info.block_bytes + cases[c].at + w] = (uint8_t)(value >> 8 * w);
                assert_int_equal(pith_weights_check_finite(&t), BAD);
                char text[80];
                uint64_t element = block * info.block_elems;
                snprintf(text, sizeof text, "tensor w: row %d, element %d (byte %d of the file)", (int)(element / dims[0]),
                         (int)(element % dims[0]), (int)(1000 + block * info.block_bytes));
                if (!strstr(pith_last_error(), text))
                    fail_msg("expected '%s', got '%s'", text, pith_last_error());
                /* The dictionary agrees: something in this block, and only there, is not finite. */
                pith_dequantize(cases[c].type, data, values, dims[0] * dims[1]);
                bool inside = false, outside = false;
                for (size_t i = 0; i < dims[0] * dims[1]; i++) {
                    bool odd = !isfinite(values[i]);
                    inside |= odd && i / info.block_elems == block;
                    outside |= odd && i / info.block_elems != block;
                }
                assert_true(inside && !outside);
            }
        }
        free(data);
        free(values);
    }
    uint8_t byte = 0;
    pith_gguf_tensor t = {.name = "i", .dtype = PITH_DTYPE_I8, .n_dims = 1, .dims = {1, 1, 1, 1}, .data = &byte, .bytes = 1};
    assert_int_equal(pith_weights_check_finite(&t), NO);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup(test, setup)
    const struct CMUnitTest tests[] = {
        T(test_good), T(test_d12_every_tensor), T(test_d12_embedding), T(test_optional_tensors), T(test_unused_tensors),
        T(test_d13_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
