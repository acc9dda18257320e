/* SPDX-License-Identifier: MIT */
/* Attention kernels whose lanes are queries, in the words of vector_simd_<tier>.h. Both products are one register tile:
 * B elements of the left side, each broadcast, times W vectors of queries, summed over n steps.
 *
 *                     W vectors of queries
 *      b: 1 .. B   [ c c c ]      c[b] += left[b * step_b + n * step_n] * right[n][W]
 *                  [ c c c ]
 *                  [ . . . ]      scores: b = key, n = element of the head      values: b = element, n = key
 *
 * AVX-512: 8 x 3 tiles, 24 sums of 32 registers. AVX2: 4 x 3, 12 of 16. */
#ifndef PITH_CPU_ATTN_TEMPLATE_MANY_H
#define PITH_CPU_ATTN_TEMPLATE_MANY_H

#include "attn_kernels.h"
#include "attn_unroll.h"
#include "vector_exp.h"

#include <math.h>

#define TILE_B (VF_REGISTERS / 4)
#define TILE_W 3

struct left { const float *p; int64_t step_b, step_n; };

/* begin: c starts from `start[b]` in every lane, or from c * factor; either may be NULL (0; 1). */
PITH_TEMPLATE void tile_product(float *c, int64_t width, struct left left, const float *right, int n_steps,
                                const float *start, bool add, const float *factor, const int B, const int W)
{
    vf sum[TILE_B][TILE_W];
    PITH_UNROLL
    for (int b = 0; b < B; b++) {
        PITH_UNROLL
        for (int w = 0; w < W; w++) {
            sum[b][w] = add ? vf_load(c + b * width + w * VL) : vf_set1(start ? start[b] : 0);
            if (add && factor)
                sum[b][w] = vf_mul(sum[b][w], vf_load(factor + w * VL));
        }
    }
    for (int n = 0; n < n_steps; n++) {
        vf r[TILE_W];
        PITH_UNROLL
        for (int w = 0; w < W; w++)
            r[w] = vf_load(right + w * VL);
        PITH_UNROLL
        for (int b = 0; b < B; b++) {
            vf l = vf_set1(left.p[b * left.step_b]);
            PITH_UNROLL
            for (int w = 0; w < W; w++)
                sum[b][w] = vf_fma(l, r[w], sum[b][w]);
        }
        left.p += left.step_n;
        right += width;
    }
    PITH_UNROLL
    for (int b = 0; b < B; b++) {
        PITH_UNROLL
        for (int w = 0; w < W; w++)
            vf_store(c + b * width + w * VL, sum[b][w]);
    }
}

/* All n_b elements of the left side: whole tiles, then one by one. */
PITH_TEMPLATE void panel_product(float *c, int64_t width, struct left left, int n_b, const float *right, int n_steps,
                                 const float *start, bool add, const float *factor, const int W)
{
    int b = 0;
    for (; b + TILE_B <= n_b; b += TILE_B) {
        struct left l = {left.p + b * left.step_b, left.step_b, left.step_n};
        tile_product(c + b * width, width, l, right, n_steps, start ? start + b : NULL, add, factor, TILE_B, W);
    }
    for (; b < n_b; b++) {
        struct left l = {left.p + b * left.step_b, left.step_b, left.step_n};
        tile_product(c + b * width, width, l, right, n_steps, start ? start + b : NULL, add, factor, 1, W);
    }
}

/* A panel is `width` / VL vectors: taken three at a time, two, or (AVX-512 only) one. */
PITH_TEMPLATE void width_product(float *c, int64_t width, struct left left, int n_b, const float *right, int n_steps,
                                 const float *start, bool add, const float *factor)
{
    int64_t vectors = width / VL;
    if (vectors % 3 == 0) {
        for (int64_t r = 0; r < width; r += 3 * VL)
            panel_product(c + r, width, left, n_b, right + r, n_steps, start, add, factor ? factor + r : NULL, 3);
    } else if (vectors % 2 == 0) {
        for (int64_t r = 0; r < width; r += 2 * VL)
            panel_product(c + r, width, left, n_b, right + r, n_steps, start, add, factor ? factor + r : NULL, 2);
    } else {
        for (int64_t r = 0; r < width; r += VL)
            panel_product(c + r, width, left, n_b, right + r, n_steps, start, add, factor ? factor + r : NULL, 1);
    }
}

static inline void attn_scores_f32(float *s, const float *q, const float *keys, int64_t ldk, const float *bias, int n_keys,
                                   int dim, int width)
{
    width_product(s, width, (struct left){keys, ldk, 1}, n_keys, q, dim, bias, false, NULL);
}

static inline void attn_values_f32(float *o, const float *p, const float *values, int64_t ldv, const float *factor,
                                   int n_keys, int dim, int width)
{
    width_product(o, width, (struct left){values, 1, ldv}, dim, p, n_keys, NULL, true, factor);
}

static inline void attn_mask_f32(float *s, const int32_t *lo, const int32_t *hi, int n_keys, int width)
{
    for (int k = 0; k < n_keys; k++) {
        for (int r = 0; r < width; r += VL)
            vf_store(s + k * width + r, vf_within(vf_load(s + k * width + r), lo + r, hi + r, k));
    }
}

/* One vector of queries at a time: its maximum over the keys, then its powers and their sum. */
static inline bool attn_softmax_f32(float *s, float *m, float *l, float *factor, int n_keys, int width)
{
    const vf nothing = vf_set1(-INFINITY);
    bool grew = false;
    for (int r = 0; r < width; r += VL) {
        vf t0 = nothing, t1 = nothing, before = vf_load(m + r), grown = vf_set1(1);
        int k = 0;
        for (; k + 2 <= n_keys; k += 2) {
            t0 = vf_max(vf_load(s + k * width + r), t0);
            t1 = vf_max(vf_load(s + (k + 1) * width + r), t1);
        }
        if (k < n_keys)
            t0 = vf_max(vf_load(s + k * width + r), t0);
        vf top = vf_max(t0, t1), limit = vf_add(before, vf_set1(PITH_CPU_ATTN_LAZY)), after = before;
        if (vf_any_greater(top, limit)) {
            after = vf_if_greater(top, limit, top, before);
            grown = vf_if_greater(top, limit, vf_exp2(vf_sub(before, top)), grown);
            grew = true;
        }
        vf shift = vf_if_greater(after, nothing, after, vf_zero()), s0 = vf_zero(), s1 = vf_zero();
        for (k = 0; k + 2 <= n_keys; k += 2) {
            vf p0 = vf_exp2(vf_sub(vf_load(s + k * width + r), shift));
            vf p1 = vf_exp2(vf_sub(vf_load(s + (k + 1) * width + r), shift));
            vf_store(s + k * width + r, p0);
            vf_store(s + (k + 1) * width + r, p1);
            s0 = vf_add(s0, p0);
            s1 = vf_add(s1, p1);
        }
        if (k < n_keys) {
            vf p0 = vf_exp2(vf_sub(vf_load(s + k * width + r), shift));
            vf_store(s + k * width + r, p0);
            s0 = vf_add(s0, p0);
        }
        vf_store(m + r, after);
        vf_store(l + r, vf_fma(vf_load(l + r), grown, vf_add(s0, s1)));
        vf_store(factor + r, grown);
    }
    return grew;
}

#endif
