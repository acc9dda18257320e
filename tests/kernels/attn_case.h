/* SPDX-License-Identifier: MIT */
/* One attention layer run from random q, k, v through the store, chunk by chunk with a sliding raw window, and the same
 * layer by brute force in double, straight from the definition: token t <= i counts as a sink, through its group's core,
 * or raw. Rows of the store that nothing may read are NaN all along. */
#ifndef PITH_TEST_ATTN_CASE_H
#define PITH_TEST_ATTN_CASE_H

#include "attn.h"

#include <stdio.h>

typedef enum attn_values {
    ATTN_NORMAL, ATTN_EQUAL /* all logits alike */, ATTN_DOMINANT /* one key takes all */, ATTN_HUGE /* logits of 1e5 */
} attn_values;

typedef struct attn_case {
    int64_t n_tokens, chunk; /* chunk 0: all at once */
    int32_t n_head, n_kv, dim;
    pith_dtype dtype;
    int32_t group, window, sinks; /* group 0: full attention */
    bool per_query, bias, rope_half, qk_norm;
    int32_t n_rot;                /* 0: dim */
    float magnitude;              /* of cos and sin; 0: 1 */
    pith_cca_position position;
    attn_values values;
    int threads;                  /* 0: 1 */
    uint32_t flags;
    uint64_t seed;
    bool halves;                  /* bounds: queries, weights and q8_0 rows are rounded to halves on the way */
    double turn_error;            /* bounds: of cos and sin beyond the rounding of exact ones, in units of 2^-24 */
} attn_case;

typedef struct attn_result {
    float *qkv;               /* [T][(H + 2K) E] as given */
    float *q, *out;           /* [T][H E]: rotated queries, result */
    float *k, *v;             /* [T][K E]: as read back from the store right after their chunk */
    float *core_k, *core_v;   /* [cores][core heads][E], NaN where there is none */
    float *bias;              /* [cores][core heads] */
    float *cos, *sin;         /* [T][n_rot / 2] */
    double freq[512];
    float norm[2][1024];      /* of q and k */
    float scale;
    int64_t n_cores;          /* groups complete at the end */
    int32_t core_heads, n_rot;
} attn_result;

attn_result *attn_case_run(const attn_case *c);
/* What a run is made of, for other backends: inputs, nothing computed; the store's layout; the policy's segments; rows
 * that slide, [from, from + n) of the sliding ones to the front, the rest poisoned; and reading the store's bytes into a
 * result: rotated q and rows of positions [pos, pos + n), cores. */
attn_result *attn_result_make(const attn_case *c);
pith_kv_layout attn_layout_make(const attn_case *c, const attn_result *r);
int32_t attn_segments_make(const attn_case *c, pith_segment *segments);
void attn_slide(const pith_kv_layout *l, uint8_t *kv, int64_t from, int64_t n);
void attn_rows_read(const attn_case *c, attn_result *r, const pith_kv_layout *l, const uint8_t *kv, int64_t base, const float *qkv, int64_t pos,
                    int64_t n);
void attn_cores_read(const attn_case *c, attn_result *r, const pith_kv_layout *l, const uint8_t *kv);
void attn_result_free(attn_result *r);

/* Each query's result in double from r->q and the rows that were read back (cores too), and how far a correct f32
 * implementation may be off. False and a message when some element is beyond. */
bool attn_check_out(const attn_case *c, const attn_result *r, const char *what);
/* Rotated q and stored k, v against the definition from qkv. */
bool attn_check_rows(const attn_case *c, const attn_result *r, const char *what);
/* Cores against eq. 2 to 4 from r->q, r->k, r->v. */
bool attn_check_cores(const attn_case *c, const attn_result *r, const char *what);

/* J(n) = max(0, floor((n - s) / g)), eq. 1; 0 for full attention. */
int64_t attn_visible_cores(const attn_case *c, int64_t i);
void attn_case_name(const attn_case *c, char *text, size_t size);
/* Unit in the last place, relative, of what a store type keeps of x; q8_0: of the largest of the 32 around it. */
double attn_store_error(pith_dtype dtype, double x, double block_max);
/* Every tier that this processor can run: flags[0..n-1], scalar first. */
int attn_tiers(uint32_t flags[3]);
/* Prints a table of speeds (attn_bench.c). */
void attn_bench(int threads);

#endif
