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

#include "lib/store.glsl"
#include "lib/turn.glsl"

void key_oct(uint kv, int t, uint j, out vec4 a, out vec4 b) { raw_k_oct(kv, raw_row(t, S.raw_base[A.kv_class]), j, a, b); }
void value_oct(uint kv, int t, uint j, out vec4 a, out vec4 b) { raw_v_oct(kv, raw_row(t, S.raw_base[A.kv_class]), j, a, b); }
#define FREQ(pair) freqs[pair]
#include "lib/core.glsl"

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

// The query that pools a group whose last token is e, for a core head: of its own query head, or the mean of the share.
void core_query(uint kv, uint share, uint head, int e)
{
    uint row = uint(e - S.pos0) * P.ld;
    for (uint d = lane_index(); d < DIM; d += gl_WorkGroupSize.x) {
        float q = 0.0;
        if (A.core_heads != A.n_kv)
            q = qkv[row + head * DIM + d];
        else {
            for (uint h = 0u; h < share; h++)
                q += qkv[row + (kv * share + h) * DIM + d];
            q /= float(share);
        }
        vecs[d] = q;
    }
    barrier();
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
    bool per_query = A.core_heads != A.n_kv;
    for (uint h = 0u; h < (per_query ? share : 1u); h++) {
        uint head = per_query ? kv * share + h : kv;
        core_query(kv, share, head, e);
        core_make(kv, head, j, t0, e);
    }
}
