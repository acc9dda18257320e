/* SPDX-License-Identifier: MIT */
/* From the QKV product to the store: head norms, rotation, rows of K and V.
 *
 *     qkv row of a token:  [q head 0 .. H-1][k head 0 .. K-1][v head 0 .. K-1], E floats each
 *
 * q and k are normed and rotated where they stand; k and v then go to row pith_kv_raw_row(position) of their plane. */
#include "attn.h"
#include "attn_store.h"

/* Norm (w may be NULL) and rotation of one head. */
static void head_prepare(const pith_cpu_kernels *k, const pith_cpu_append_args *a, float *x, const float *w, int64_t t)
{
    int64_t pairs = a->n_rot / 2;
    if (w)
        k->rms_norm_f32(x, x, w, a->layout->head_dim, a->norm_eps);
    if (a->rope_half)
        k->rope_halves_f32(x, a->rope_cos + t * pairs, a->rope_sin + t * pairs, pairs);
    else
        k->rope_pairs_f32(x, a->rope_cos + t * pairs, a->rope_sin + t * pairs, pairs);
}

void pith_cpu_append_rows(const pith_cpu_kernels *k, const pith_cpu_append_args *a, int64_t t0, int64_t t1)
{
    const pith_kv_layout *l = a->layout;
    int64_t dim = l->head_dim;
    for (int64_t t = t0; t < t1; t++) {
        int64_t row = pith_kv_raw_row(l, a->raw_base, a->pos0 + t);
        float *x = a->qkv + t * a->ld;
        for (int32_t h = 0; h < a->n_head; h++, x += dim)
            head_prepare(k, a, x, a->q_norm, t);
        for (int32_t h = 0; h < l->n_kv; h++, x += dim) {
            head_prepare(k, a, x, a->k_norm, t);
            pith_cpu_kv_write(k, l, &l->raw_k, a->kv, h, row, x);
        }
        for (int32_t h = 0; h < l->n_kv; h++, x += dim)
            pith_cpu_kv_write(k, l, &l->raw_v, a->kv, h, row, x);
    }
}
