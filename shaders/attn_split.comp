#version 450
// SPDX-License-Identifier: MIT
// Attention of one token, or a few: the keys are cut into parts for parallelism. Within a workgroup, groups of LANES
// invocations (8 elements each) walk over keys of their own, KEYS at a time, with a softmax of their own, all rows at
// once, and are joined at the end. Of the parts of one token and KV head the workgroup that finishes last joins all,
// in their order, so that results do not depend on who it was. Rows = query heads that share the KV head. Few keys make
// few parts: the other workgroups end at once, and a single part is the result.
// Grid: x = part, from P.split0 on (several dispatches may share the parts; who finishes last joins), y = block of query
// heads, z = token.
// Bindings: 0 q [T][ldq]; 1 result [T][ldo]; 2 state; 3 arguments; 4..7 raw K, raw V, core K, core V;
//           8 parts: o [token][head][part][E], then {m, l} [token][head][part]; 9 arrivals: [token][block] counters, zero between runs.
// Shared memory: the larger of (WG / LANES) * (E + 2) and 1024 floats, 4 floats per invocation, beside it one float per
// invocation without USE_SUBGROUP.
// Matches pith_cpu_attend (few rows).
#include "lib/types.glsl"
#include "push/attn.h"
#include "push/state.h"
#ifdef USE_SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint KV_TYPE = 1u;
layout(constant_id = 2) const uint DIM = 64u;
layout(constant_id = 3) const uint LANES = 8u;  // a power of two, 8 LANES >= E
layout(constant_id = 4) const uint ROWS = 4u;   // query heads of a workgroup at most
layout(constant_id = 5) const bool SPLIT = false;
layout(constant_id = 6) const uint KEYS = 1u;

layout(push_constant) uniform Push { pith_vk_push_attend P; };
layout(std430, binding = 0) readonly buffer Q { vec4 q4[]; };
layout(std430, binding = 1) writeonly buffer Out { float out1[]; };
layout(std430, binding = 2) readonly buffer State { pith_vk_state S; };
layout(std430, binding = 3) readonly buffer Args { pith_vk_attn A; };
layout(std430, binding = 8) coherent buffer Parts1 { float parts[]; };
layout(std430, binding = 8) coherent buffer Parts4 { vec4 parts4[]; };
layout(std430, binding = 9) coherent buffer Arrivals { uint arrivals[]; };
#define KV_BINDING 4
#include "lib/kv.glsl"
#include "lib/segment.glsl"
#include "lib/reduce.glsl"

const uint GROUPS = gl_WorkGroupSize.x / LANES;
const uint MOST = 512u; // rows x parts
shared float joined[GROUPS * (DIM + 2u) > 2u * MOST ? GROUPS * (DIM + 2u) : 2u * MOST];
shared vec4 sums[gl_WorkGroupSize.x];
shared bool is_last;

// First float of {m, l} of part 0 of this token and head.
uint scale_at(uint head)
{
    uint rows = gl_NumWorkGroups.z * uint(A.n_head);
    return rows * P.splits * DIM + 2u * (gl_WorkGroupID.z * uint(A.n_head) + head) * P.splits;
}

// The parts of this token and block of heads, all written: out = sum_p 2^(m_p - m) o_p / sum_p 2^(m_p - m) l_p.
void join_parts(uint i, uint token, uint h0, uint heads, uint n)
{
    for (uint k = i; k < heads * n; k += gl_WorkGroupSize.x) {
        uint at = scale_at(h0 + k / n) + 2u * (k % n);
        joined[k] = parts[at];
        joined[MOST + k] = parts[at + 1u];
    }
    barrier();
    float weight[MOST / 64u]; // of this invocation's k: workgroups have 64 invocations or more
    for (uint k = i, t = 0u; k < heads * n; k += gl_WorkGroupSize.x, t++) {
        float top = LEAST;
        for (uint p = 0u; p < n; p++)
            top = max(top, joined[k / n * n + p]);
        weight[t] = exp2(joined[k] - top);
    }
    barrier();
    for (uint k = i, t = 0u; k < heads * n; k += gl_WorkGroupSize.x, t++) {
        joined[k] = weight[t];
        joined[MOST + k] *= weight[t];
    }
    barrier();
    // Four elements an invocation; where these are few, several invocations share the parts.
    uint items = heads * DIM / 4u, sharing = max(gl_WorkGroupSize.x / items, 1u);
    for (uint first = 0u; first < items; first += gl_WorkGroupSize.x) { // the same number of turns for all
        uint item = sharing > 1u ? i % items : first + i, slot = sharing > 1u ? i / items : 0u;
        uint r = min(item, items - 1u) / (DIM / 4u), e = item % (DIM / 4u);
        vec4 v = vec4(0);
        if (item < items && slot < sharing) {
            uint from = ((gl_WorkGroupID.z * uint(A.n_head) + h0 + r) * P.splits) * (DIM / 4u) + e;
            for (uint p = slot; p < n; p += 4u * sharing) {
                vec4 o[4];
                [[unroll]] for (uint b = 0u; b < 4u; b++)
                    o[b] = parts4[from + min(p + b * sharing, n - 1u) * (DIM / 4u)];
                [[unroll]] for (uint b = 0u; b < 4u; b++)
                    v += p + b * sharing < n ? joined[r * n + p + b * sharing] * o[b] : vec4(0);
            }
        }
        if (sharing > 1u) {
            sums[i] = v;
            barrier();
            for (uint b = 1u; slot == 0u && b < sharing; b++)
                v += sums[b * items + item];
        }
        if (item < items && slot == 0u) {
            float sum = 0.0;
            for (uint p = 0u; p < n; p++)
                sum += joined[MOST + r * n + p];
            float factor = sum != 0.0 ? 1.0 / sum : 0.0;
            uint to = token * P.ldo + h0 * DIM + 4u * item;
            [[unroll]] for (uint b = 0u; b < 4u; b++)
                out1[to + b] = v[b] * factor;
        }
    }
}

void main()
{
    uint i = lane_index(), lane = i % LANES, group = i / LANES, token = gl_WorkGroupID.z + P.token0;
    uint share = uint(A.n_head / A.n_kv), blocks = (share + P.heads - 1u) / P.heads;
    uint kv = gl_WorkGroupID.y / blocks, in_share = gl_WorkGroupID.y % blocks * P.heads;
    uint h0 = kv * share + in_share, heads = min(P.heads, share - in_share);
    uint core_head = A.core_heads != A.n_kv ? h0 : kv;
    int position = S.pos0 + int(token), base = S.raw_base[A.kv_class];
    bool live = lane * 8u < DIM;

    int total = 0;
    for (uint s = 0u; s < uint(A.n_segments); s++) {
        ivec2 b = segment_of(s, position);
        total += max(b.y - b.x, 0);
    }
    int size = (total + int(P.splits) - 1) / int(P.splits);
    size = (max(size, 64) + 31) / 32 * 32;
    uint part = gl_WorkGroupID.x + P.split0;
    int begin = int(part) * size, end = min(begin + size, total);
    uint live_parts = SPLIT ? uint(max((total + size - 1) / size, 1)) : 1u;
    if (part >= live_parts)
        return;
    bool alone = live_parts == 1u;

    vec4 qa[ROWS], qb[ROWS], oa[ROWS], ob[ROWS];
    float m[ROWS], l[ROWS];
    [[unroll]] for (uint r = 0u; r < ROWS; r++) {
        uint at = token * (P.ldq / 4u) + ((h0 + min(r, heads - 1u)) * DIM) / 4u + 2u * lane;
        qa[r] = live ? q4[at] * (A.scale * LOG2E) : vec4(0);
        qb[r] = live ? q4[at + 1u] * (A.scale * LOG2E) : vec4(0);
        oa[r] = ob[r] = vec4(0);
        m[r] = LEAST;
        l[r] = 0.0;
    }
    int before = 0; // keys of the segments done
    for (uint s = 0u; s < uint(A.n_segments); s++) {
        ivec2 b = segment_of(s, position);
        int n = max(b.y - b.x, 0), from = max(begin - before, 0), to = min(end - before, n);
        bool core = A.segments[s].core != 0, bias = core && A.segments[s].bias != 0;
        // Every invocation makes the same number of turns: reductions may hold barriers.
        for (int at = from; at < to; at += int(GROUPS * KEYS)) {
            vec4 ka[KEYS], kb[KEYS], va[KEYS], vb[KEYS];
            float extra[KEYS];
            bool sees[KEYS];
            [[unroll]] for (uint k = 0u; k < KEYS; k++) {
                int index = at + int(k * GROUPS + group);
                sees[k] = index < to;
                int key = b.x + min(index, to - 1);
                uint row = core ? uint(key) : raw_row(key, base);
                ka[k] = kb[k] = va[k] = vb[k] = vec4(0);
                if (live) {
                    if (core) {
                        core_k_oct(core_head, row, lane, ka[k], kb[k]);
                        core_v_oct(core_head, row, lane, va[k], vb[k]);
                    } else {
                        raw_k_oct(kv, row, lane, ka[k], kb[k]);
                        raw_v_oct(kv, row, lane, va[k], vb[k]);
                    }
                }
                extra[k] = 0.0;
                if (bias) {
                    uint w = A.bias_base + core_head * A.bias_head + uint(key);
                    extra[k] = half_at(core_v1[w >> 1], w) * LOG2E;
                }
            }
            [[unroll]] for (uint r = 0u; r < ROWS; r++) {
                float z[KEYS], top = m[r];
                [[unroll]] for (uint k = 0u; k < KEYS; k++) {
                    z[k] = lanes_sum(dot(qa[r], ka[k]) + dot(qb[r], kb[k])) + extra[k];
                    top = sees[k] ? max(top, z[k]) : top;
                }
                float factor = exp2(m[r] - top);
                m[r] = top;
                l[r] *= factor;
                oa[r] *= factor;
                ob[r] *= factor;
                [[unroll]] for (uint k = 0u; k < KEYS; k++) {
                    float p = sees[k] ? exp2(z[k] - top) : 0.0;
                    l[r] += p;
                    oa[r] += p * va[k];
                    ob[r] += p * vb[k];
                }
            }
        }
        before += n;
    }
    // Join the groups, row by row.
    const uint pitch = DIM + 2u;
    for (uint r = 0u; r < ROWS; r++) {
        if (r >= heads)
            break;
        barrier();
        if (lane == 0u) {
            joined[group * pitch] = m[r];
            joined[group * pitch + 1u] = l[r];
        }
        if (live) {
            [[unroll]] for (uint e = 0u; e < 4u; e++) {
                joined[group * pitch + 2u + lane * 8u + e] = oa[r][e];
                joined[group * pitch + 6u + lane * 8u + e] = ob[r][e];
            }
        }
        barrier();
        float top = LEAST, sum = 0.0;
        for (uint g = 0u; g < GROUPS; g++)
            top = max(top, joined[g * pitch]);
        for (uint g = 0u; g < GROUPS; g++)
            sum += joined[g * pitch + 1u] * exp2(joined[g * pitch] - top);
        uint to = ((gl_WorkGroupID.z * uint(A.n_head) + h0 + r) * P.splits + part) * DIM;
        for (uint e = i; e < DIM; e += gl_WorkGroupSize.x) {
            float v = 0.0;
            for (uint g = 0u; g < GROUPS; g++)
                v += joined[g * pitch + 2u + e] * exp2(joined[g * pitch] - top);
            if (!alone)
                parts[to + e] = v;
            else
                out1[token * P.ldo + (h0 + r) * DIM + e] = sum != 0.0 ? v / sum : 0.0;
        }
        if (!alone && i == 0u) {
            uint at = scale_at(h0 + r) + 2u * part;
            parts[at] = top;
            parts[at + 1u] = sum;
        }
    }
    if (alone)
        return;
    memoryBarrierBuffer();
    barrier();
    uint slot = gl_WorkGroupID.z * gl_NumWorkGroups.y + gl_WorkGroupID.y;
    if (i == 0u)
        is_last = atomicAdd(arrivals[slot], 1u) == live_parts - 1u;
    barrier();
    if (!is_last)
        return;
    memoryBarrierBuffer();
    join_parts(i, token, h0, heads, live_parts);
    if (i == 0u)
        arrivals[slot] = 0u; // for the next run
}
