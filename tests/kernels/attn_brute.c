/* SPDX-License-Identifier: MIT */
/* The definition, in double, by brute force (docs/MODEL.md eq. 1 to 4), and bounds from rounding theory. */
#include "attn_case.h"
#include "harness/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double u = 0x1p-24, half = 0x1p-11;

double attn_store_error(pith_dtype dtype, double x, double block_max)
{
    if (dtype == PITH_DTYPE_F16)
        return fabs(x) * 0x1p-11 + 0x1p-25;
    if (dtype == PITH_DTYPE_Q8_0) /* half a step, and the step's own rounding */
        return block_max / 127 * 0.5 * 1.01 + block_max * 0x1p-11 + 0x1p-25;
    return 0;
}

struct sums { double max, l, size; double *o, *abs; double logit_error; };

static double dot(const float *a, const float *b, int32_t n, double *size)
{
    double sum = 0, magnitude = 0;
    for (int32_t e = 0; e < n; e++) {
        sum += (double)a[e] * b[e];
        magnitude += fabs((double)a[e] * b[e]);
    }
    *size = magnitude;
    return sum;
}

struct key { const float *k, *v; double bias; };

/* Keys of query i and KV head (or query head, for cores of its own), straight from the rule. */
static int64_t keys_of(const attn_case *c, const attn_result *r, int64_t i, int32_t h, struct key *keys)
{
    int32_t share = c->n_head / c->n_kv, kv = h / share, ch = c->per_query ? h : kv;
    int64_t n = 0, visible = attn_visible_cores(c, i), last_core = -1;
    for (int64_t t = 0; t <= i; t++) {
        int64_t j = c->group ? t / c->group : 0;
        if (c->group && t >= c->sinks && j < visible) {
            if (j != last_core) {
                int64_t row = j * r->core_heads + ch;
                keys[n++] = (struct key){r->core_k + row * c->dim, r->core_v + row * c->dim, c->bias ? r->bias[row] : 0};
            }
            last_core = j;
        } else {
            keys[n++] = (struct key){r->k + (t * c->n_kv + kv) * c->dim, r->v + (t * c->n_kv + kv) * c->dim, 0};
        }
    }
    return n;
}

bool attn_check_out(const attn_case *c, const attn_result *r, const char *what)
{
    pith_compare cmp;
    pith_compare_init(&cmp);
    struct key *keys = malloc(sizeof *keys * (size_t)(c->n_tokens + 1));
    double *z = malloc(sizeof *z * (size_t)(c->n_tokens + 1));
    for (int64_t i = 0; i < c->n_tokens; i++) {
        for (int32_t h = 0; h < c->n_head; h++) {
            int64_t n = keys_of(c, r, i, h, keys);
            const float *q = r->q + (i * c->n_head + h) * c->dim;
            double max = -INFINITY, error = 0, l = 0;
            for (int64_t t = 0; t < n; t++) {
                double size;
                z[t] = dot(q, keys[t].k, c->dim, &size) * r->scale + keys[t].bias;
                double e = (4 * sqrt(c->dim) + 8) * u * (size * r->scale + fabs(keys[t].bias)) + 4 * u * fabs(z[t]);
                if (c->halves) /* q, and where rows are bytes k */
                    e += 2 * half * fmin(1, 4 / sqrt(c->dim)) * size * r->scale;
                error = e > error ? e : error;
                max = z[t] > max ? z[t] : max;
            }
            for (int64_t t = 0; t < n; t++)
                l += exp(z[t] - max);
            for (int32_t e = 0; e < c->dim; e++) {
                double o = 0, size = 0, most = 0;
                for (int64_t t = 0; t < n; t++) {
                    double p = exp(z[t] - max) / l;
                    most = fmax(most, fabs((double)keys[t].v[e]));
                    o += p * keys[t].v[e];
                    size += p * fabs((double)keys[t].v[e]);
                }
                double bound = (expm1(2 * error) + (16 + 4 * sqrt((double)n)) * u + (c->halves ? 2 * half : 0)) * size + 1e-30;
                if (c->halves) /* weights below the smallest half */
                    bound += (double)n * 0x1p-24 * most;
                size_t index = (size_t)((i * c->n_head + h) * c->dim + e);
                pith_compare_add(&cmp, index, r->out[index], o, bound);
            }
        }
    }
    free(keys);
    free(z);
    return pith_compare_ok(&cmp, what);
}

/* R(p) x with cos and sin rows or exact angles; magnitudes of the terms into `size` if not NULL. */
static void rotate(const attn_case *c, const attn_result *r, const double *cosines, const double *sines, double *x,
                   double *size)
{
    int32_t pairs = r->n_rot / 2;
    for (int32_t i = 0; i < pairs; i++) {
        int32_t a = c->rope_half ? i : 2 * i, b = c->rope_half ? i + pairs : 2 * i + 1;
        double s = hypot(x[a], x[b]), y = x[a] * cosines[i] - x[b] * sines[i];
        x[b] = x[a] * sines[i] + x[b] * cosines[i];
        x[a] = y;
        if (size)
            size[a] = size[b] = s * 1.5;
    }
}

bool attn_check_rows(const attn_case *c, const attn_result *r, const char *what)
{
    pith_compare cmp;
    pith_compare_init(&cmp);
    int32_t heads = c->n_head + 2 * c->n_kv;
    double x[1024], size[1024], cosines[512], sines[512];
    for (int64_t t = 0; t < c->n_tokens; t++) {
        for (int32_t i = 0; i < r->n_rot / 2; i++) {
            cosines[i] = r->cos[t * (r->n_rot / 2) + i];
            sines[i] = r->sin[t * (r->n_rot / 2) + i];
        }
        for (int32_t h = 0; h < heads; h++) {
            const float *given = r->qkv + (t * heads + h) * c->dim;
            bool is_q = h < c->n_head, is_v = h >= c->n_head + c->n_kv;
            int32_t kv = (h - c->n_head) % c->n_kv;
            const float *got = is_q   ? r->q + (t * c->n_head + h) * c->dim
                               : is_v ? r->v + (t * c->n_kv + kv) * c->dim
                                      : r->k + (t * c->n_kv + kv) * c->dim;
            double squares = 0;
            for (int32_t e = 0; e < c->dim; e++)
                squares += (double)given[e] * given[e];
            for (int32_t e = 0; e < c->dim; e++) {
                x[e] = given[e];
                if (c->qk_norm && !is_v)
                    x[e] *= r->norm[is_q ? 0 : 1][e] / sqrt(squares / c->dim + 1e-6f);
                size[e] = fabs(x[e]);
            }
            if (!is_v)
                rotate(c, r, cosines, sines, x, size);
            for (int32_t e = 0; e < c->dim; e++) {
                double top = 0;
                for (int32_t b = e / 32 * 32; b < e / 32 * 32 + 32 && b < c->dim; b++)
                    top = fabs(x[b]) > top ? fabs(x[b]) : top;
                double bound = is_v ? 0 : ((c->qk_norm ? 8 + 2 * sqrt(c->dim) : 4) + c->turn_error) * u * size[e] + 1e-37;
                bound += is_q ? 0 : attn_store_error(c->dtype, x[e], top * (1 + 8 * u));
                pith_compare_add(&cmp, (size_t)((t * heads + h) * c->dim + e), got[e], x[e], bound);
            }
        }
    }
    return pith_compare_ok(&cmp, what);
}

bool attn_check_cores(const attn_case *c, const attn_result *r, const char *what)
{
    pith_compare keys, values, bias;
    pith_compare_init(&keys), pith_compare_init(&values), pith_compare_init(&bias);
    int32_t share = c->n_head / c->n_kv;
    double *alpha = malloc(sizeof *alpha * (size_t)(c->group + 1));
    bool none_right = true;
    for (int64_t j = 0; j < r->n_cores; j++) {
        int64_t e = j * c->group + c->group - 1, t0 = j * c->group > c->sinks ? j * c->group : c->sinks;
        for (int32_t ch = 0; ch < r->core_heads; ch++) {
            int32_t kv = c->per_query ? ch / share : ch, h0 = c->per_query ? ch : ch * share,
                    h1 = c->per_query ? ch + 1 : h0 + share;
            int64_t row = j * r->core_heads + ch;
            if (t0 > e) { /* sinks only: nobody wrote */
                for (int32_t d = 0; d < c->dim && c->dtype != PITH_DTYPE_Q8_0; d++)
                    none_right &= isnan(r->core_k[row * c->dim + d]) && isnan(r->core_v[row * c->dim + d]);
                continue;
            }
            double max = -INFINITY, l = 0, error = 0, entropy = 0, centroid = 0;
            for (int64_t t = t0; t <= e; t++) {
                double z = 0, size = 0, s;
                for (int32_t h = h0; h < h1; h++) {
                    z += dot(r->q + (e * c->n_head + h) * c->dim, r->k + (t * c->n_kv + kv) * c->dim, c->dim, &s);
                    size += s;
                }
                z *= (double)r->scale / (h1 - h0);
                size *= (double)r->scale / (h1 - h0);
                error = fmax(error, (4 * sqrt(c->dim) + 12) * u * size + 4 * u * fabs(z));
                alpha[t - t0] = z;
                max = z > max ? z : max;
            }
            for (int64_t t = t0; t <= e; t++)
                l += exp(alpha[t - t0] - max);
            for (int64_t t = t0; t <= e; t++) {
                double a = exp(alpha[t - t0] - max) / l;
                alpha[t - t0] = a;
                entropy -= a > 0 ? a * log(a) : 0;
                centroid += a * (double)t;
            }
            double at = c->position == PITH_CCA_POSITION_LAST ? (double)e
                        : c->position == PITH_CCA_POSITION_MIDDLE ? (double)(j * c->group) + 0.5 * (c->group - 1)
                                                                  : centroid;
            double ck[1024] = {0}, cv[1024] = {0}, k_size[1024] = {0}, v_size[1024] = {0};
            for (int64_t t = t0; t <= e; t++) {
                double x[1024], cosines[512], sines[512], s[1024];
                for (int32_t d = 0; d < c->dim; d++) {
                    x[d] = r->k[(t * c->n_kv + kv) * c->dim + d];
                    s[d] = fabs(x[d]);
                }
                for (int32_t i = 0; i < r->n_rot / 2; i++) { /* un-rotate by t, rotate by `at`: one turn by the difference */
                    cosines[i] = cos(r->freq[i] * (at - (double)t));
                    sines[i] = sin(r->freq[i] * (at - (double)t));
                }
                if (c->position != PITH_CCA_POSITION_POOLED)
                    rotate(c, r, cosines, sines, x, s);
                for (int32_t d = 0; d < c->dim; d++) {
                    double v = r->v[(t * c->n_kv + kv) * c->dim + d];
                    ck[d] += alpha[t - t0] * x[d];
                    cv[d] += alpha[t - t0] * v;
                    k_size[d] += alpha[t - t0] * s[d];
                    v_size[d] += alpha[t - t0] * fabs(v);
                }
            }
            double members = (double)(e - t0 + 1), rel = expm1(2 * error) + (8 + 4 * sqrt(members)) * u;
            /* A centroid moves with the weights, and the key turns with it, by at most 1 radian a token. */
            double key_rel = rel + (c->position == PITH_CCA_POSITION_CENTROID ? rel * members : 0);
            for (int32_t d = 0; d < c->dim; d++) {
                double k_top = 0, v_top = 0;
                for (int32_t b = d / 32 * 32; b < d / 32 * 32 + 32 && b < c->dim; b++) {
                    k_top = fmax(k_top, fabs(ck[b]) + key_rel * k_size[b]);
                    v_top = fmax(v_top, fabs(cv[b]) + rel * v_size[b]);
                }
                size_t i = (size_t)(row * c->dim + d);
                double kb = key_rel * k_size[d], vb = rel * v_size[d];
                pith_compare_add(&keys, i, r->core_k[i], ck[d],
                                 kb + attn_store_error(c->dtype, fabs(ck[d]) + kb, k_top) + 1e-30);
                pith_compare_add(&values, i, r->core_v[i], cv[d],
                                 vb + attn_store_error(c->dtype, fabs(cv[d]) + vb, v_top) + 1e-30);
            }
            pith_compare_add(&bias, (size_t)row, r->bias[row], entropy,
                             rel * (1 + log(members)) * 2 + fabs(entropy) * 0x1p-11 + 0x1p-24);
        }
    }
    free(alpha);
    char text[400];
    snprintf(text, sizeof text, "%s: core keys", what);
    bool ok = pith_compare_ok(&keys, text);
    snprintf(text, sizeof text, "%s: core values", what);
    ok &= pith_compare_ok(&values, text);
    snprintf(text, sizeof text, "%s: core bias", what);
    ok &= pith_compare_ok(&bias, text);
    if (!none_right)
        fprintf(stderr, "%s: a group of sinks only has a core\n", what);
    return ok && none_right;
}
