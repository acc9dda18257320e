/* SPDX-License-Identifier: MIT */
/* A layer's attention as data: where the planes of its KV store are and which segments a query sees (graph/segment.h).
 * Written once, when an executor is made; one struct per node, read as a storage buffer. */
#ifndef PITH_PUSH_ATTN_H
#define PITH_PUSH_ATTN_H
#include "link.h"

struct pith_vk_bound {
    PITH_I32 min, max, shift, mul, group;
};

struct pith_vk_segment {
    PITH_STRUCT(pith_vk_bound) lo, hi;
    PITH_I32 core;       /* 0: raw rows, 1: cores */
    PITH_I32 bias;
};

/* One plane of rows; words of 4 bytes from its binding's start. */
struct pith_vk_plane {
    PITH_U32 base, head, row;       /* first word, words from head to head, from row to row */
    PITH_U32 scale, scale_head;     /* q8_0: in halves */
};

struct pith_vk_attn {
    PITH_I32 n_head, n_kv, core_heads, head_dim;
    PITH_I32 n_fixed, kv_class, n_segments, group;
    PITH_I32 n_sinks, position, n_rot, rope_half;
    PITH_F32 scale, eps;
    PITH_U32 bias_base, bias_head;  /* halves */
    PITH_STRUCT(pith_vk_plane) raw_k, raw_v, core_k, core_v;
    PITH_STRUCT(pith_vk_segment) segments[4];
};

/* attn_*.comp */
struct pith_vk_push_attend {
    PITH_U32 ldq, ldo;   /* elements between tokens */
    PITH_U32 heads;      /* query heads that share a workgroup */
    PITH_U32 tokens;     /* tokens that share a workgroup */
    PITH_U32 splits;
    PITH_U32 token0;     /* first token of this dispatch */
    PITH_U32 split0;     /* few tokens: first part of this dispatch */
    PITH_U32 range, ranges; /* many tokens, keys in ranges: which one this dispatch reads */
};

/* append.comp */
struct pith_vk_push_append {
    PITH_U32 ld;
    PITH_U32 tile;       /* tokens of a workgroup: the group, or any number without pooling */
};

/* attn_step.comp */
struct pith_vk_push_step {
    PITH_U32 ldo;
    PITH_U32 heads, splits, split0; /* as in attend */
    PITH_U32 bases;         /* pairs from the state's begin to the rotation of pos0 */
    PITH_U32 freqs;         /* words from the struct of arguments to the frequencies */
    PITH_STRUCT(pith_vk_push_link) link;
};

#endif
