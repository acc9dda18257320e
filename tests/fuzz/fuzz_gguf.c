/* SPDX-License-Identifier: MIT */
/* libFuzzer: any bytes as a model file. Opens it, describes and reads every key by every getter, touches the first and
 * last byte of every tensor, then reads the hyper-parameters and binds the weights. Nothing may crash or leak. */
#include "base/log.h"
#include "model/weights.h"

#include <stdlib.h>

static void no_log(pith_log_level level, const char *line, void *user)
{
    (void)level, (void)line, (void)user;
}

static void read_key(const pith_gguf *gguf, size_t i)
{
    pith_str key, text;
    pith_gguf_type type;
    pith_gguf_array array;
    char line[200], name[256];
    int64_t integer;
    double number;
    bool flag;
    volatile double sink = 0;
    pith_gguf_key_describe(gguf, i, &key, &type, line, sizeof line);
    if (key.n >= sizeof name)
        return;
    for (size_t k = 0; k < key.n; k++)
        name[k] = key.data[k];
    name[key.n] = '\0';
    if (!pith_gguf_has(gguf, name))
        abort();
    (void)pith_gguf_get_int(gguf, name, -5, 1 << 20, &integer);
    (void)pith_gguf_get_float(gguf, name, &number);
    (void)pith_gguf_get_bool(gguf, name, &flag);
    if (pith_gguf_get_string(gguf, name, &text) == PITH_OK)
        for (size_t k = 0; k < text.n; k++)
            sink += text.data[k];
    if (pith_gguf_get_array(gguf, name, &array) == PITH_OK)
        for (size_t k = 0; k < array.n; k++) {
            if (array.type == PITH_GGUF_STRING)
                sink += array.strings[k].n ? array.strings[k].data[array.strings[k].n - 1] : 0;
            else
                sink += (double)pith_gguf_array_int(&array, k) + pith_gguf_array_float(&array, k);
        }
    (void)sink;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static pith_config config;
    pith_gguf *gguf;
    pith_weights weights;
    volatile uint8_t sink = 0;
    pith_log_set(no_log, NULL);
    if (pith_gguf_open_memory(data, size, &gguf) != PITH_OK)
        return 0;
    for (size_t i = 0; i < pith_gguf_key_count(gguf); i++)
        read_key(gguf, i);
    for (size_t i = 0; i < pith_gguf_tensor_count(gguf); i++) {
        const pith_gguf_tensor *t = pith_gguf_tensor_at(gguf, i);
        if (pith_gguf_tensor_find(gguf, t->name) != t)
            abort();
        sink = (uint8_t)(sink + t->data[0] + t->data[t->bytes - 1]);
    }
    if (pith_config_read(gguf, &config) == PITH_OK) {
        double freq[PITH_HEAD_DIM_MAX / 2];
        float magnitude;
        pith_config_rope_freqs(&config, NULL, freq, &magnitude);
        if (pith_weights_bind(gguf, &config, &weights) == PITH_OK) {
            (void)pith_weights_check_finite(weights.token_embd);
            pith_weights_fini(&weights);
        }
    }
    pith_gguf_close(&gguf);
    return 0;
}
