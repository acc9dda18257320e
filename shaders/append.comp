#version 450
// SPDX-License-Identifier: MIT
// From the QKV product to the store, and cores: head norms, rotation, rows of K and V, pooling of complete groups.
//
//   eq. 2   alpha_t = softmax over the group's members of scale <q_e, k_t>     e = last token of the group
//   eq. 3   core key = sum alpha_t k_t,  core value = sum alpha_t v_t          k_t, v_t as the store holds them
//   eq. 4   bias = H(alpha) = -sum alpha_t log alpha_t
//
// A group's rows in this chunk and its core are one workgroup's, so one dispatch does all of it.
// Grid: x = tile of `tile` positions aligned to multiples of it (the group, where there is pooling); y = KV head.
// Bindings: 0 qkv [T][ld], q and k in place; 1 state; 2 arguments; 3 rotation of token t [T][n_rot/2]{cos, sin};
//           4..7 raw K, raw V, core K, core V; 8 rotation of pos0 [n_rot/2]{cos, sin}; 9 frequencies [n_rot/2];
//           10, 11 norm weights of q and k [E].
// Shared memory: WG / LANES vectors of E floats, one float per invocation, GROUP_MAX logits.
// Matches pith_cpu_append_rows, pith_cpu_append_cores.
#include "lib/types.glsl"
#include "push/attn.h"
#include "push/state.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint KV_TYPE = 1u;
layout(constant_id = 2) const uint DIM = 64u;
layout(constant_id = 3) const uint GROUP_MAX = 1u;
layout(constant_id = 4) const bool Q_NORM = false;
layout(constant_id = 5) const bool K_NORM = false;
const uint LANES = 32u;

layout(push_constant) uniform Push { pith_vk_push_append P; };
layout(std430, binding = 0) coherent buffer Qkv { float qkv[]; };
layout(std430, binding = 1) readonly buffer State { pith_vk_state S; };
layout(std430, binding = 2) readonly buffer Args { pith_vk_attn A; };
layout(std430, binding = 3) readonly buffer Turn { vec2 turns[]; };
layout(std430, binding = 8) readonly buffer Base { vec2 bases[]; };
layout(std430, binding = 9) readonly buffer Freq { float freqs[]; };
layout(std430, binding = 10) readonly buffer NormQ { float norm_q[]; };
layout(std430, binding = 11) readonly buffer NormK { float norm_k[]; };
#define KV_BINDING 4
#define KV_ACCESS coherent
#include "lib/kv.glsl"
#include "lib/reduce.glsl"

const uint VECS = gl_WorkGroupSize.x / LANES;
shared float vecs[VECS * DIM];
shared float logits[GROUP_MAX];

// Half i of a buffer of words; its neighbour may be written by another workgroup at the same time.
#define PUT_HALF(words, i, value)                                         \
    {                                                                     \
        uint put_shift = 16u * ((i) & 1u), put_bits = half_bits(value);   \
        atomicAnd(words[(i) >> 1], ~(0xFFFFu << put_shift));              \
        atomicOr(words[(i) >> 1], put_bits << put_shift);                 \
    }

// Scale of a block of 32, as a half keeps it.
float block_scale(uint v, uint block)
{
    float most = 0.0;
    for (uint e = 0u; e < 32u; e++)
        most = max(most, abs(vecs[v * DIM + block * 32u + e]));
    return unpackHalf2x16(half_bits(min(most / 127.0, 65504.0))).x;
}

uint quant_byte(float x, float d) { return uint(int(roundEven(clamp(d > 0.0 ? x * (1.0 / d) : 0.0, -127.0, 127.0)))) & 255u; }

// Vector v of shared memory into row `row` of a plane; done by LANES invocations.
#define PUT_ROW(window, plane, hd, rw, v, lane)                                                     \
    {                                                                                               \
        uint w = plane.base + (hd) * plane.head + (rw) * plane.row, o = (v) * DIM;                  \
        if (KV_TYPE == 0u) {                                                                        \
            for (uint e = lane; e < DIM; e += LANES)                                                \
                window##1[w + e] = floatBitsToUint(vecs[o + e]);                                    \
        } else if (KV_TYPE == 1u) {                                                                 \
            for (uint e = lane; e < DIM / 2u; e += LANES)                                           \
                window##1[w + e] = half_pair(vecs[o + 2u * e], vecs[o + 2u * e + 1u]);              \
        } else {                                                                                    \
            for (uint e = lane; e < DIM / 4u; e += LANES) {                                         \
                float d = block_scale(v, e / 8u);                                                   \
                uint word = 0u;                                                                     \
                for (uint b = 0u; b < 4u; b++)                                                      \
                    word |= quant_byte(vecs[o + 4u * e + b], d) << (8u * b);                        \
                window##1[w + e] = word;                                                            \
                if (e % 8u == 0u) {                                                                 \
                    uint at = plane.scale + (hd) * plane.scale_head + (rw) * (DIM / 32u) + e / 8u;  \
                    PUT_HALF(window##1, at, d)                                                      \
                }                                                                                   \
            }                                                                                       \
        }                                                                                           \
    }

// Elements of pair p.
uvec2 pair_of(uint p)
{
    return A.rope_half != 0 ? uvec2(p, p + uint(A.n_rot) / 2u) : uvec2(2u * p, 2u * p + 1u);
}

// cos and sin of a modest angle (built-ins may be off by 2^-11): reduced by pi/2 in three parts, then polynomials.
vec2 turn_of(float a)
{
    float n = roundEven(a * 0.636619772);
    float x = fma(-n, 1.5703125, a);
    x = fma(-n, 4.837512969970703e-4, x);
    x = fma(-n, 7.549789948768648e-8, x);
    float z = x * x;
    float s = x + x * z * fma(z, fma(z, fma(z, 2.7557319e-6, -1.9841270e-4), 8.3333333e-3), -1.6666667e-1);
    float c = 1.0 + z * fma(z, fma(z, fma(z, fma(z, -2.7557319e-7, 2.4801587e-5), -1.3888889e-3), 4.1666667e-2), -0.5);
    int k = int(n) & 3;
    return k == 0 ? vec2(c, s) : k == 1 ? vec2(-s, c) : k == 2 ? vec2(-c, -s) : vec2(s, -c);
}

vec2 turned(vec2 v, vec2 cs) { return vec2(v.x * cs.x - v.y * cs.y, v.x * cs.y + v.y * cs.x); }

// Norm, rotation and storing of vectors of one token: heads of q, then k, then v.
void append_rows(uint kv, uint share, int p0, int p1)
{
    uint i = lane_index(), lane = i % LANES, v = i / LANES, kinds = share + 2u;
    uint n = uint(p1 - p0) * kinds;
    for (uint first = 0u; first < n; first += VECS) {
        uint item = first + v, which = item % kinds;
        bool live = item < n, is_q = which < share, is_k = which == share;
        int position = p0 + int(min(item, n - 1u) / kinds);
        uint token = uint(position - S.pos0);
        uint col = is_q ? (kv * share + which) * DIM : (uint(A.n_head) + kv + (is_k ? 0u : uint(A.n_kv))) * DIM;
        uint at = token * P.ld + col;
        float squares = 0.0;
        const uint PAIRS = (DIM / 2u + LANES - 1u) / LANES; // of a lane
        uint pairs = uint(A.n_rot) / 2u;
        vec2 turn_a[PAIRS], turn_b[PAIRS];                  // on their way together with the elements
        [[unroll]] for (uint k = 0u; k < PAIRS; k++) {
            uint p = min(lane + k * LANES, max(pairs, 1u) - 1u);
            turn_a[k] = bases[p];
            turn_b[k] = turns[token * pairs + p];
        }
        if (live)
            for (uint e = lane; e < DIM; e += LANES) {
                float x = qkv[at + e];
                vecs[v * DIM + e] = x;
                squares += x * x;
            }
        bool norm = is_q ? Q_NORM : is_k && K_NORM;
        if (Q_NORM || K_NORM) {
            float rms = inversesqrt(lanes_sum(squares) / float(DIM) + A.eps);
            if (live && norm)
                for (uint e = lane; e < DIM; e += LANES)
                    vecs[v * DIM + e] *= rms * (is_q ? norm_q[e] : norm_k[e]);
        }
        barrier();
        if (live && (is_q || is_k)) {
            [[unroll]] for (uint k = 0u; k < PAIRS; k++) {
                uint p = lane + k * LANES;
                if (p < pairs) {
                    uvec2 e = v * DIM + pair_of(p);
                    vec2 r = turned(vec2(vecs[e.x], vecs[e.y]), turned(turn_a[k], turn_b[k]));
                    vecs[e.x] = r.x;
                    vecs[e.y] = r.y;
                }
            }
        }
        barrier();
        if (live) {
            uint row = raw_row(position, S.raw_base[A.kv_class]);
            if (is_q || is_k)
                for (uint e = lane; e < DIM; e += LANES)
                    qkv[at + e] = vecs[v * DIM + e];
            if (is_k)
                PUT_ROW(raw_k, A.raw_k, kv, row, v, lane)
            else if (!is_q)
                PUT_ROW(raw_v, A.raw_v, kv, row, v, lane)
        }
        barrier();
    }
}

// The core of group j for core head `head`; members t0..e. Afterwards vecs holds key and value in turn.
void core_make(uint kv, uint share, uint head, int j, int t0, int e)
{
    uint i = lane_index(), lane = i % LANES, v = i / LANES;
    int base = S.raw_base[A.kv_class];
    uint row_q = uint(e - S.pos0) * P.ld;
    bool per_query = A.core_heads != A.n_kv;
    for (uint d = i; d < DIM; d += gl_WorkGroupSize.x) {
        float q = 0.0;
        if (per_query)
            q = qkv[row_q + head * DIM + d];
        else {
            for (uint h = 0u; h < share; h++)
                q += qkv[row_q + (kv * share + h) * DIM + d];
            q /= float(share);
        }
        vecs[d] = q;
    }
    barrier();
    int n = e - t0 + 1;
    for (int first = 0; first < n; first += int(VECS)) { // the same number of turns for all
        int t = first + int(v);
        float sum = 0.0;
        if (t < n)
            for (uint o = lane; o < DIM / 8u; o += LANES) {
                vec4 a, b;
                raw_k_oct(kv, raw_row(t0 + t, base), o, a, b);
                uint at = 8u * o;
                sum += dot(a, vec4(vecs[at], vecs[at + 1u], vecs[at + 2u], vecs[at + 3u])) +
                       dot(b, vec4(vecs[at + 4u], vecs[at + 5u], vecs[at + 6u], vecs[at + 7u]));
            }
        sum = lanes_sum(sum);
        if (t < n && lane == 0u)
            logits[t] = sum * A.scale;
    }
    barrier();
    float top = logits[0], total = 0.0, mean = 0.0, middle_of = 0.0;
    for (int t = 1; t < n; t++)
        top = max(top, logits[t]);
    for (int t = 0; t < n; t++)
        total += exp(logits[t] - top);
    for (int t = 0; t < n; t++) {
        float z = logits[t] - top, alpha = exp(z) / total;
        mean += alpha > 0.0 ? alpha * z : 0.0;
        middle_of += alpha * float(t0 + t - e);
    }
    // Value, and a pooled key: element by element.
    bool pooled = A.position == 0;
    for (uint which = pooled ? 0u : 1u; which < 2u; which++) {
        for (uint o = i; o < DIM / 8u; o += gl_WorkGroupSize.x) {
            vec4 sa = vec4(0), sb = vec4(0);
            for (int t = 0; t < n; t++) {
                vec4 a, b;
                if (which == 0u)
                    raw_k_oct(kv, raw_row(t0 + t, base), o, a, b);
                else
                    raw_v_oct(kv, raw_row(t0 + t, base), o, a, b);
                float alpha = exp(logits[t] - top) / total;
                sa += alpha * a;
                sb += alpha * b;
            }
            [[unroll]] for (uint l = 0u; l < 4u; l++) {
                vecs[8u * o + l] = sa[l];
                vecs[8u * o + 4u + l] = sb[l];
            }
        }
        barrier();
        if (v == 0u) {
            if (which == 0u)
                PUT_ROW(core_k, A.core_k, head, uint(j), 0u, lane)
            else
                PUT_ROW(core_v, A.core_v, head, uint(j), 0u, lane)
        }
        barrier();
    }
    if (!pooled) {
        // A key at a position of its own, p behind e: sum alpha_t R(p + e - t) k_t; Horner, one turn per member.
        float p = A.position == 3 ? middle_of : A.position == 2 ? -0.5 * float(A.group - 1) : 0.0;
        uint pairs = uint(A.n_rot) / 2u;
        for (uint u = i; u < DIM / 2u; u += gl_WorkGroupSize.x) {
            bool turns_pair = u < pairs;
            uvec2 el = turns_pair ? pair_of(u) : uvec2(2u * u, 2u * u + 1u);
            vec2 one = turns_pair ? turn_of(freqs[u]) : vec2(1, 0), last = turns_pair ? turn_of(p * freqs[u]) : vec2(1, 0);
            vec2 x = vec2(0);
            for (int t = 0; t < n; t++) {
                vec4 a, b;
                vec2 k;
                raw_k_oct(kv, raw_row(t0 + t, base), el.x / 8u, a, b);
                k.x = el.x % 8u < 4u ? a[el.x % 4u] : b[el.x % 4u];
                raw_k_oct(kv, raw_row(t0 + t, base), el.y / 8u, a, b);
                k.y = el.y % 8u < 4u ? a[el.y % 4u] : b[el.y % 4u];
                x = turned(x, one) + exp(logits[t] - top) / total * k;
            }
            x = turned(x, last);
            vecs[el.x] = x.x;
            vecs[el.y] = x.y;
        }
        barrier();
        if (v == 0u)
            PUT_ROW(core_k, A.core_k, head, uint(j), 0u, lane)
        barrier();
    }
    if (i == 0u) {
        float entropy = max(log(total) - mean, 0.0);
        uint at = A.bias_base + head * A.bias_head + uint(j);
        PUT_HALF(core_v1, at, entropy)
    }
}

void main()
{
    uint kv = gl_WorkGroupID.y, share = uint(A.n_head / A.n_kv);
    int tile = int(P.tile), j = S.pos0 / tile + int(gl_WorkGroupID.x), end = S.pos0 + S.n_tokens;
    int p0 = max(j * tile, S.pos0), p1 = min((j + 1) * tile, end);
    if (p0 >= p1)
        return;
    append_rows(kv, share, p0, p1);
    if (A.group == 0 || A.core_heads == 0 || (j + 1) * tile > end || j < A.n_sinks / tile)
        return;
    memoryBarrierBuffer();
    barrier();
    int e = (j + 1) * tile - 1, t0 = max(j * tile, A.n_sinks);
    if (A.core_heads == A.n_kv)
        core_make(kv, share, kv, j, t0, e);
    else
        for (uint h = 0u; h < share; h++)
            core_make(kv, share, kv * share + h, j, t0, e);
}
