/* SPDX-License-Identifier: MIT */
/* Names of tensors bound to their places in the transformer, every shape and type checked once. */
#ifndef PITH_MODEL_WEIGHTS_H
#define PITH_MODEL_WEIGHTS_H

#include "model/config.h"

/* Shapes as dims {contiguous, rows}; `opt`: NULL when absent. D, H, K, E, F, V as in config.h. Norms are F32 or F16,
 * biases and rope_freqs F32 (the latter finite and > 0), matrices of any usable type. */
typedef struct pith_layer_weights {
    const pith_gguf_tensor *attn_norm;               /* {D} */
    const pith_gguf_tensor *attn_q;                  /* {D, H*E} */
    const pith_gguf_tensor *attn_k, *attn_v;         /* {D, K*E} */
    const pith_gguf_tensor *attn_q_bias, *attn_k_bias, *attn_v_bias; /* opt {rows} */
    const pith_gguf_tensor *attn_q_norm, *attn_k_norm; /* opt {E} */
    const pith_gguf_tensor *attn_output;             /* {H*E, D} */
    const pith_gguf_tensor *attn_output_bias;        /* opt {D} */
    const pith_gguf_tensor *ffn_norm;                /* {D} */
    const pith_gguf_tensor *ffn_gate, *ffn_up;       /* {D, F} */
    const pith_gguf_tensor *ffn_down;                /* {F, D} */
    const pith_gguf_tensor *ffn_gate_bias, *ffn_up_bias, *ffn_down_bias; /* opt {F}, {F}, {D} */
} pith_layer_weights;

typedef struct pith_weights {
    const pith_gguf_tensor *token_embd;  /* {D, V} */
    const pith_gguf_tensor *output_norm; /* {D} */
    const pith_gguf_tensor *output;      /* {D, V}; token_embd itself when the file ties them */
    const pith_gguf_tensor *rope_freqs;  /* opt {n_rot/2} */
    pith_layer_weights *layers;          /* [n_layer], owned */
} pith_weights;

/* Borrows the file's tensors. Missing, misshapen or unusable ones: FORMAT / UNSUPPORTED, naming the tensor, expected
 * and got shape; tensors that nothing uses are counted in one warning. Release with pith_weights_fini. */
pith_status pith_weights_bind(const pith_gguf *gguf, const pith_config *config, pith_weights *out);
void pith_weights_fini(pith_weights *weights);

/* Scans one tensor for NaN and infinity (quantised types: in block scales). FORMAT with the first place. UNSUPPORTED for a
 * type that is not usable as a weight. */
pith_status pith_weights_check_finite(const pith_gguf_tensor *tensor);

#endif
