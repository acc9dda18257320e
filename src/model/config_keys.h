/* SPDX-License-Identifier: MIT */
/* Keys of one architecture, and the parts of reading a config. "{a}.x" in a name stands for "llama.x" and so on; names
 * without "{a}." are taken as they are. Inside the model layer only. */
#ifndef PITH_MODEL_CONFIG_KEYS_H
#define PITH_MODEL_CONFIG_KEYS_H

#include "model/config.h"
#include "model/gguf_read.h" /* pith_str_print */

enum { PITH_KEY_BYTES = 128 };

/* The full name of a key, in the caller's buffer, which it returns. */
const char *pith_config_key(const pith_config *config, const char *name, char key[PITH_KEY_BYTES]);

/* As the getters of gguf.h, but an absent key leaves *out as it is. *found (may be NULL): whether it was there. */
pith_status pith_config_opt_int(const pith_gguf *gguf, const pith_config *config, const char *name, int64_t lo, int64_t hi,
                                int32_t *out);
pith_status pith_config_opt_float(const pith_gguf *gguf, const pith_config *config, const char *name, double lo, double hi,
                                  double *out);
pith_status pith_config_opt_string(const pith_gguf *gguf, const pith_config *config, const char *name, pith_str *out);

static inline bool pith_str_is(pith_str s, const char *text)
{
    size_t i = 0;
    while (i < s.n && text[i] && s.data[i] == text[i])
        i++;
    return i == s.n && !text[i];
}

pith_status pith_config_read_rope(const pith_gguf *gguf, pith_config *config); /* config_rope.c */
pith_status pith_config_read_cca(const pith_gguf *gguf, pith_config *config);  /* config_cca.c */
/* Things that would change the result and that the engine does not do: UNSUPPORTED, by name. config_refuse.c */
pith_status pith_config_refuse(const pith_gguf *gguf, const pith_config *config);

#endif
