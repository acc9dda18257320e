/* SPDX-License-Identifier: MIT */
/* Everything between the QKV product and the output product: norms of heads, rotation, the KV store, pooling of cores,
 * and the one softmax over a list of segments. Above the kernels, below the graph; no allocation. */
#ifndef PITH_CPU_ATTN_H
#define PITH_CPU_ATTN_H

#include "base/thread.h"
#include "graph/kv.h"
#include "graph/segment.h"
#include "kernels.h"

#include <pith/pith.h>

/* One layer's arguments of kv_append. Token t of the chunk stands at position pos0 + t. */
typedef struct pith_cpu_append_args {
    float *qkv;              /* [T][ld]: H*E of q, K*E of k, K*E of v; q and k are normed and rotated in place */
    int64_t ld;
    int64_t n_tokens, pos0;
    int32_t n_head;
    const float *q_norm, *k_norm; /* [E] or NULL: RMS norm of each head before the rotation */
    float norm_eps;
    const float *rope_cos, *rope_sin; /* [T][n_rot/2], magnitude included */
    const double *rope_freq; /* [n_rot/2]: for core positions other than POOLED */
    float rope_magnitude;
    int32_t n_rot;
    bool rope_half;          /* pairs (i, i + n_rot/2); else (2i, 2i+1) */
    const pith_kv_layout *layout;
    uint8_t *kv;             /* the layer's buffer */
    int64_t raw_base;        /* position of the first sliding row */
    int32_t group;           /* g; 0: no pooling */
    int32_t n_sinks;         /* first positions that no core contains */
    pith_cca_position position;
    float scale;             /* of logits, 1/sqrt(E) */
} pith_cpu_append_args;

/* Tokens [t0, t1): head norms, rotation of q and k, rows of K and V into the store. */
void pith_cpu_append_rows(const pith_cpu_kernels *k, const pith_cpu_append_args *a, int64_t t0, int64_t t1);
/* Number of (group, core head) items that this chunk completes; their cores are made by pith_cpu_append_cores for items
 * [i0, i1), after every row of the chunk was appended. docs/MODEL.md "cores": K and V are read back from the store, so
 * the result does not depend on the chunking. */
int64_t pith_cpu_append_core_items(const pith_cpu_append_args *a);
void pith_cpu_append_cores(const pith_cpu_kernels *k, const pith_cpu_append_args *a, int64_t i0, int64_t i1);

typedef struct pith_cpu_attend_args {
    const float *q;          /* [T][ldq], H*E rotated queries */
    int64_t ldq;
    float *out;              /* [T][ldo], H*E */
    int64_t ldo;
    int64_t n_tokens, pos0;
    int32_t n_head;
    float scale;
    const pith_segment *segments;
    int32_t n_segments;
    const int32_t *lists[PITH_SEGMENTS_MAX]; /* values of segments with a list, else NULL */
    const pith_kv_layout *layout;
    const uint8_t *kv;
    int64_t raw_base;
    void *scratch;           /* shared by all threads: pith_cpu_attend_scratch_bytes, PITH_ALIGN aligned */
} pith_cpu_attend_args;

size_t pith_cpu_attend_scratch_bytes(int64_t n_tokens_max, int32_t n_head, int32_t head_dim, int32_t n_threads);
/* Called by every member i of n of the pool with the same arguments; uses the pool's barrier inside. On return of all,
 * `out` is complete: a barrier must stand between this call and whatever reads `out` or uses `scratch` next. The result
 * does not depend on n. `out` must not overlap `q`. */
void pith_cpu_attend(const pith_cpu_kernels *k, const pith_cpu_attend_args *a, pith_pool *pool, int i, int n);

#endif
