/* SPDX-License-Identifier: MIT */
/* Hyper-parameters of a transformer, read from GGUF metadata and validated: after pith_config_read every field is in
 * the range its comment states, and products of fields fit their types. */
#ifndef PITH_MODEL_CONFIG_H
#define PITH_MODEL_CONFIG_H

#include "model/gguf.h"

#define PITH_LAYERS_MAX 4096
#define PITH_HEAD_DIM_MAX 1024

typedef enum pith_rope_pairing { PITH_ROPE_INTERLEAVED /* (2i, 2i+1) */, PITH_ROPE_HALF /* (i, i + n_rot/2) */ } pith_rope_pairing;
typedef enum pith_rope_scaling { PITH_ROPE_NONE, PITH_ROPE_LINEAR, PITH_ROPE_YARN } pith_rope_scaling;

/* One row per architecture (arch.c). */
typedef struct pith_arch {
    const char *name; /* general.architecture */
    pith_rope_pairing pairing;
    bool qkv_bias_required; /* qwen2 */
    bool qk_norm_required;  /* qwen3 */
} pith_arch;

const pith_arch *pith_arch_find(pith_str name); /* NULL: not supported */
/* Names of all supported architectures, comma-separated, for messages. */
const char *pith_arch_names(void);

typedef struct pith_config {
    const pith_arch *arch;
    char name[128];         /* general.name, "" when absent */
    int32_t n_layer;        /* 1..PITH_LAYERS_MAX */
    int32_t n_embd;         /* D, 1..2^20 */
    int32_t n_head;         /* H, 1..4096 */
    int32_t n_head_kv;      /* K, divides n_head */
    int32_t head_dim;       /* E, even, 2..PITH_HEAD_DIM_MAX */
    int32_t n_rot;          /* even, 2..head_dim */
    int32_t n_ff;           /* F, 1..2^22 */
    int32_t n_vocab;        /* V, rows of token_embd.weight, 1..2^24 */
    int32_t context_length; /* 1..2^27 */
    float rms_eps;          /* finite, > 0 */
    float attn_scale;       /* > 0; 1/sqrt(E) unless the file says otherwise */
    struct {
        double base;        /* finite, > 1, at most 1e30 */
        pith_rope_scaling scaling; /* NONE when the factor changes nothing */
        double factor;      /* 2^-20..2^20; 1 without scaling */
        int32_t original_context_length; /* 1..2^27 */
        double attn_factor;     /* > 0; all the file's factors on cos and sin but YaRN's own 1 + 0.1 ln(factor) */
        double yarn_ext_factor; /* 0..1 */
        double yarn_beta_fast, yarn_beta_slow; /* fast >= slow > 0 */
    } rope;
    /* Keys of a model trained with CCA; the first two are required when any pith.cca.* key is there, no others may be:
     *   pith.cca.group         integer, 1 to context_length     g: tokens that one core stands for
     *   pith.cca.window        integer, multiple of group, to 2^28  s: raw tokens at least
     *   pith.cca.sinks         integer, 0 to context_length     first tokens kept raw; default 0
     *   pith.cca.heads         "kv" (default) or "query"        one core per KV head, or per query head
     *   pith.cca.position      "pooled" (default), "last", "middle" or "centroid": where a core key stands
     *   pith.cca.bias          "none" (default) or "entropy"    added to the core's logit
     *   pith.cca.dense_layers  array of integers                layers with full attention; default none */
    struct {                /* pith.cca.*: the model was trained with CCA */
        bool present;
        int32_t group, window, sinks; /* window % group == 0, window >= group >= 1, sinks >= 0 */
        bool heads_query, bias_entropy;
        int32_t position;   /* pith_cca_position */
        uint8_t dense[PITH_LAYERS_MAX]; /* 1: layer has full attention */
    } cca;
} pith_config;

/* Errors: FORMAT and NOT_FOUND naming the key; UNSUPPORTED (architecture, experts, soft-capping, longrope, ...). */
pith_status pith_config_read(const pith_gguf *gguf, pith_config *out);

/* Rotation of pair i at position p is angle p * freq[i], cos and sin times *magnitude: linear, llama3 (factor tensor
 * `freq_factors`, [n_rot/2] or NULL) and YaRN scaling folded into one frequency per pair (gguf specification, "RoPE
 * mathematics"). freq: [n_rot/2]. */
void pith_config_rope_freqs(const pith_config *config, const float *freq_factors, double *freq, float *magnitude);

#endif
