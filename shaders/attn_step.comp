#version 450
// SPDX-License-Identifier: MIT
// Append and attention of one token as one dispatch: what append.comp and attn_split.comp do, without the wait between
// them. Nothing that the append writes is read here:
//
//   parts        workgroups of part < splits turn the queries that they need themselves; the token's own key and value, as the
//                store will hold them, come from shared memory: the first part begins with them
//   the append   the workgroup of part = splits of the KV head's first block writes the rows and, where the token completes a
//                group, its cores, which no query of this step sees
//
// The values q and k of the product stay as they came. Eligible: backends/vulkan/ops_step.c.
// Grid: x = part, from P.split0 on, the append behind them; y = block of query heads.
// Bindings: 0 qkv [ld]; 1 result; 2 state, at P.bases the rotation of pos0 [n_rot/2]{cos, sin}; 3 arguments, at P.freqs
//           the frequencies; 4..7 raw K, raw V, core K, core V; 8, 9 parts and arrivals: attn_split.comp; 9 the chain's mark;
//           10, 11 norms of q, k.
// Shared memory: (ROWS + 2) DIM floats, GROUP_MAX logits, beside that of attn_split.comp. LANES lie in a subgroup.
// Matches pith_cpu_append_rows, pith_cpu_append_cores, pith_cpu_attend (few rows).
#include "lib/types.glsl"
#include "push/attn.h"
#include "push/state.h"
#define USE_SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint KV_TYPE = 1u;
layout(constant_id = 2) const uint DIM = 64u;
layout(constant_id = 3) const uint LANES = 8u;  // a power of two, 8 LANES >= E
layout(constant_id = 4) const uint ROWS = 4u;   // query heads of a workgroup at most
layout(constant_id = 5) const bool SPLIT = false;
layout(constant_id = 6) const uint KEYS = 1u;
layout(constant_id = 7) const uint GROUP_MAX = 1u;
layout(constant_id = 8) const bool Q_NORM = false;
layout(constant_id = 9) const bool K_NORM = false;
layout(constant_id = 10) const bool MAY_POLL = false; // parts have a place of their own in a chain
layout(constant_id = 11) const bool CHAIN = false;
const bool POLLED = MAY_POLL && CHAIN;

layout(push_constant) uniform Push { pith_vk_push_step P; };
layout(std430, binding = 0) coherent volatile readonly buffer Q { vec4 q4[]; };
layout(std430, binding = 1) coherent writeonly buffer Out { float out1[]; };
layout(std430, binding = 2) readonly buffer State { pith_vk_state S; };
layout(std430, binding = 2) readonly buffer Base { vec2 bases[]; };
layout(std430, binding = 3) readonly buffer Args { pith_vk_attn A; };
layout(std430, binding = 3) readonly buffer Freq { float table[]; };
layout(std430, binding = 8) coherent volatile buffer Parts1 { float parts[]; };
layout(std430, binding = 8) coherent volatile buffer Parts4 { vec4 parts4[]; };
layout(std430, binding = 9) coherent buffer Arrivals { uint arrivals[]; };
layout(std430, binding = 10) readonly buffer NormQ { vec4 norm_q[]; };
layout(std430, binding = 11) readonly buffer NormK { vec4 norm_k[]; };
#define KV_BINDING 4
#define KV_ACCESS
#include "lib/kv.glsl"
#include "lib/segment.glsl"
#include "lib/reduce.glsl"
#include "lib/link.glsl"
#define LINKED
#include "lib/split.glsl"

const uint VECS = GROUPS, OWN_K = ROWS, OWN_V = ROWS + 1u;
shared float vecs[(ROWS + 2u) * DIM]; // queries, then the token's key and value
shared float logits[GROUP_MAX];
#include "lib/store.glsl"
#include "lib/turn.glsl"

vec4 vec_quad(uint at) { return vec4(vecs[at], vecs[at + 1u], vecs[at + 2u], vecs[at + 3u]); }

// Rows of the store; the token's own come from shared memory, their row is being written.
void key_oct(uint kv, int t, uint j, out vec4 a, out vec4 b)
{
    raw_k_oct(kv, raw_row(t, S.raw_base[A.kv_class]), j, a, b);
    if (t == S.pos0) {
        a = vec_quad(OWN_K * DIM + 8u * j);
        b = vec_quad(OWN_K * DIM + 8u * j + 4u);
    }
}

void value_oct(uint kv, int t, uint j, out vec4 a, out vec4 b)
{
    raw_v_oct(kv, raw_row(t, S.raw_base[A.kv_class]), j, a, b);
    if (t == S.pos0) {
        a = vec_quad(OWN_V * DIM + 8u * j);
        b = vec_quad(OWN_V * DIM + 8u * j + 4u);
    }
}

#define FREQ(pair) table[P.freqs + (pair)]
#include "lib/core.glsl"

const uint PAIRS = (DIM / 2u + LANES - 1u) / LANES; // of a lane
vec2 turn[PAIRS];                                     // the lane's rotations
vec4 fetched_a, fetched_b;                            // eight elements of the group's first vector

// Vector `item` of: query heads from h0 on, the token's key, its value.
uint vector_at(uint lane, uint kv, uint h0, uint n, uint item)
{
    uint head = item < n ? h0 + item : uint(A.n_head) + min(item - n, 1u) * uint(A.n_kv) + kv;
    return head * (DIM / 4u) + 2u * min(lane, DIM / 8u - 1u);
}

// Eight elements of the product, read again until they are there.
void octet_await(uint at, inout vec4 a, inout vec4 b)
{
    for (uint looks = 0u; (link_nothing(0u, a) || link_nothing(0u, b)) && link_patient(looks); looks++) {
        a = q4[at];
        b = q4[at + 1u];
    }
    link_waited(link_nothing(0u, a) || link_nothing(0u, b));
}

// What vectors_load begins with, on its way.
void vectors_fetch(uint lane, uint group, uint kv, uint h0, uint n)
{
    uint last = max(uint(A.n_rot) / 2u, 1u) - 1u, at = vector_at(lane, kv, h0, n, group);
    [[unroll]] for (uint k = 0u; k < PAIRS; k++)
        turn[k] = bases[P.bases + min(lane + k * LANES, last)];
    fetched_a = q4[at];
    fetched_b = q4[at + 1u];
}

// Query heads [h0, h0 + n) into vecs, norms and rotation applied; `own`: the token's key and value too.
void vectors_load(uint lane, uint group, uint kv, uint h0, uint n, bool own)
{
    uint pairs = uint(A.n_rot) / 2u, items = n + (own ? 2u : 0u);
    for (uint first = 0u; first < items; first += GROUPS) { // the same number of turns for all
        uint item = first + group, which = item < n ? 0u : item - n + 1u; // q, k, v
        bool live = item < items && lane * 8u < DIM;
        uint v = which == 0u ? item : which == 1u ? OWN_K : OWN_V;
        vec4 a = live ? fetched_a : vec4(0), b = live ? fetched_b : vec4(0);
        if (live) {
            uint at = vector_at(lane, kv, h0, n, item);
            if (first > 0u) {
                a = q4[at];
                b = q4[at + 1u];
            }
            octet_await(at, a, b);
        }
        if (Q_NORM || K_NORM) {
            float rms = inversesqrt(lanes_sum(dot(a, a) + dot(b, b)) / float(DIM) + A.eps);
            if (live && Q_NORM && which == 0u) {
                a *= rms * norm_q[2u * lane];
                b *= rms * norm_q[2u * lane + 1u];
            }
            if (live && K_NORM && which == 1u) {
                a *= rms * norm_k[2u * lane];
                b *= rms * norm_k[2u * lane + 1u];
            }
        }
        if (live)
            [[unroll]] for (uint e = 0u; e < 4u; e++) {
                vecs[v * DIM + 8u * lane + e] = a[e];
                vecs[v * DIM + 8u * lane + 4u + e] = b[e];
            }
        barrier();
        if (item < items && which < 2u) {
            [[unroll]] for (uint k = 0u; k < PAIRS; k++) {
                uint p = lane + k * LANES;
                if (p < pairs) {
                    uvec2 e = v * DIM + pair_of(p);
                    vec2 r = turned(vec2(vecs[e.x], vecs[e.y]), turn[k]);
                    vecs[e.x] = r.x;
                    vecs[e.y] = r.y;
                }
            }
        }
        barrier();
    }
}

// The token's key and value as the store keeps them, by the first two groups of lanes.
void own_round(uint lane, uint group)
{
    uint v = OWN_K + group;
    bool live = group < 2u && lane * 8u < DIM && KV_TYPE != 0u;
    float d = live && KV_TYPE == 2u ? block_scale(v, lane / 4u) : 0.0;
    barrier();
    if (live)
        [[unroll]] for (uint e = 0u; e < 8u; e++) {
            uint at = v * DIM + 8u * lane + e;
            vecs[at] = KV_TYPE == 1u ? unpackHalf2x16(half_bits(vecs[at])).x : d * float(byte_i8(quant_byte(vecs[at], d), 0u));
        }
    barrier();
}

// Cores of the group that the token completes; the token's own key and value are in vecs.
void append_cores(uint lane, uint group, uint kv, uint share)
{
    const uint MINE = (DIM + gl_WorkGroupSize.x - 1u) / gl_WorkGroupSize.x;
    uint i = group * LANES + lane;
    int n = A.group, j = n > 0 ? S.pos0 / n : 0;
    if (n == 0 || A.core_heads == 0 || S.pos0 + 1 != (j + 1) * n || j < A.n_sinks / n)
        return;
    bool per_query = A.core_heads != A.n_kv; // pooled by a query head of its own, or by the mean of all
    uint cores = per_query ? share : 1u, count = per_query ? 1u : share;
    for (uint c = 0u; c < cores; c++) {
        float mean[MINE];
        [[unroll]] for (uint k = 0u; k < MINE; k++)
            mean[k] = 0.0;
        for (uint h = 0u; h < count; h += ROWS) {
            uint heads = min(ROWS, count - h);
            vectors_fetch(lane, group, kv, kv * share + c + h, heads);
            vectors_load(lane, group, kv, kv * share + c + h, heads, false);
            [[unroll]] for (uint k = 0u; k < MINE; k++)
                for (uint r = 0u; r < heads; r++)
                    mean[k] += vecs[r * DIM + min(i + k * gl_WorkGroupSize.x, DIM - 1u)];
            barrier();
        }
        [[unroll]] for (uint k = 0u; k < MINE; k++)
            if (i + k * gl_WorkGroupSize.x < DIM)
                vecs[i + k * gl_WorkGroupSize.x] = mean[k] / float(count);
        barrier();
        core_make(kv, per_query ? kv * share + c : kv, j, max(j * n, A.n_sinks), S.pos0);
    }
}

void attend(uint i)
{
    uint lane = i % LANES, group = i / LANES, part = gl_WorkGroupID.x + P.split0;
    uint share = uint(A.n_head / A.n_kv), blocks = (share + P.heads - 1u) / P.heads;
    uint kv = gl_WorkGroupID.y / blocks, in_share = gl_WorkGroupID.y % blocks * P.heads;
    uint h0 = kv * share + in_share, heads = min(P.heads, share - in_share);
    bool appends = part == P.splits, begins = part == 0u, live = lane * 8u < DIM;
    vectors_fetch(lane, group, kv, h0, appends ? 0u : heads); // on their way while the segments are looked at
    int total = segments_see(i, S.pos0, true), size = part_size(total);
    uint live_parts = SPLIT ? uint(max((total + size - 1) / size, 1)) : 1u;
    if (appends ? in_share != 0u : part >= live_parts)
        return;
    vectors_load(lane, group, kv, h0, appends ? 0u : heads, appends || begins);
    if (appends) {
        uint row = raw_row(S.pos0, S.raw_base[A.kv_class]);
        if (group == 0u)
            PUT_ROW(raw_k, A.raw_k, kv, row, OWN_K, lane)
        if (group == 1u)
            PUT_ROW(raw_v, A.raw_v, kv, row, OWN_V, lane)
        barrier();
    }
    if (appends || begins)
        own_round(lane, group);
    if (appends) {
        append_cores(lane, group, kv, share);
        return;
    }
    rows_clear();
    [[unroll]] for (uint r = 0u; r < ROWS; r++) {
        uint at = min(r, heads - 1u) * DIM + 8u * lane;
        qa[r] = live ? vec_quad(at) * (A.scale * LOG2E) : vec4(0);
        qb[r] = live ? vec_quad(at + 4u) * (A.scale * LOG2E) : vec4(0);
    }
    if (begins) { // with the token's own key, whose weight alone is 1
        vec4 ka = vec4(0), kb = vec4(0), va = vec4(0), vb = vec4(0);
        if (live) {
            ka = vec_quad(OWN_K * DIM + 8u * lane);
            kb = vec_quad(OWN_K * DIM + 8u * lane + 4u);
            va = vec_quad(OWN_V * DIM + 8u * lane);
            vb = vec_quad(OWN_V * DIM + 8u * lane + 4u);
        }
        [[unroll]] for (uint r = 0u; r < ROWS; r++) {
            float z = lanes_sum(dot(qa[r], ka) + dot(qb[r], kb));
            if (group == 0u) {
                m[r] = z;
                l[r] = 1.0;
                oa[r] = va;
                ob[r] = vb;
            }
        }
    }
    int begin = int(part) * size;
    rows_walk(lane, group, kv, A.core_heads != A.n_kv ? h0 : kv, begin, min(begin + size, total));
    rows_store(i, 0u, h0, heads, part, live_parts);
}

void main() { attend(lane_index()); }
