#version 450
// SPDX-License-Identifier: MIT
// Attention of one token, or a few: the keys are cut into parts for parallelism. Within a workgroup, groups of LANES
// invocations (8 elements each) walk over keys of their own, KEYS at a time, with a softmax of their own, all rows at
// once, and are joined at the end. Of the parts of one token and KV head the workgroup that finishes last joins all,
// in their order, so that results do not depend on who it was. Rows = query heads that share the KV head.
// Grid: x = part, y = block of query heads, z = token.
// Bindings: 0 q [T][ldq]; 1 result [T][ldo]; 2 state; 3 arguments; 4..7 raw K, raw V, core K, core V;
//           8 parts: [token][head][part] {m, l, o[E]} floats; 9 arrivals: [token][block] counters, zero between runs.
// Shared memory: (WG / LANES) * (E + 2) floats, beside it one float per invocation without USE_SUBGROUP.
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
layout(std430, binding = 8) coherent buffer Parts { float parts[]; };
layout(std430, binding = 9) coherent buffer Arrivals { uint arrivals[]; };
#define KV_BINDING 4
#include "lib/kv.glsl"
#include "lib/segment.glsl"
#include "lib/reduce.glsl"

const uint GROUPS = gl_WorkGroupSize.x / LANES;
shared float joined[GROUPS * (DIM + 2u)]; // later the weights of parts: at most 8 rows x 64 parts
shared bool is_last;

// The parts of this token and block of heads, all written: out = sum_p 2^(m_p - m) o_p / sum_p 2^(m_p - m) l_p.
void join_parts(uint i, uint token, uint h0, uint heads)
{
    const uint pitch = DIM + 2u;
    uint from = (token * uint(A.n_head) + h0) * P.splits * pitch;
    for (uint k = i; k < heads * P.splits; k += gl_WorkGroupSize.x) {
        uint row = from + k / P.splits * P.splits * pitch;
        float top = LEAST;
        for (uint p = 0u; p < P.splits; p++)
            top = max(top, parts[row + p * pitch]);
        joined[k] = exp2(parts[row + k % P.splits * pitch] - top);
    }
    barrier();
    for (uint k = i; k < heads * DIM; k += gl_WorkGroupSize.x) {
        uint r = k / DIM, row = from + r * P.splits * pitch;
        float sum = 0.0, v = 0.0;
        for (uint p = 0u; p < P.splits; p++) {
            float w = joined[r * P.splits + p];
            sum += w * parts[row + p * pitch + 1u];
            v += w * parts[row + p * pitch + 2u + k % DIM];
        }
        out1[token * P.ldo + h0 * DIM + k] = sum != 0.0 ? v / sum : 0.0;
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
    int begin = int(gl_WorkGroupID.x) * size, end = min(begin + size, total);

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
        uint to = ((token * uint(A.n_head) + h0 + r) * P.splits + gl_WorkGroupID.x) * pitch;
        for (uint e = i; e < DIM; e += gl_WorkGroupSize.x) {
            float v = 0.0;
            for (uint g = 0u; g < GROUPS; g++)
                v += joined[g * pitch + 2u + e] * exp2(joined[g * pitch] - top);
            if (SPLIT)
                parts[to + 2u + e] = v;
            else
                out1[token * P.ldo + (h0 + r) * DIM + e] = sum != 0.0 ? v / sum : 0.0;
        }
        if (SPLIT && i == 0u) {
            parts[to] = top;
            parts[to + 1u] = sum;
        }
    }
    if (!SPLIT)
        return;
    memoryBarrierBuffer();
    barrier();
    uint slot = gl_WorkGroupID.z * gl_NumWorkGroups.y + gl_WorkGroupID.y;
    if (i == 0u)
        is_last = atomicAdd(arrivals[slot], 1u) == P.splits - 1u;
    barrier();
    if (!is_last)
        return;
    memoryBarrierBuffer();
    join_parts(i, token, h0, heads);
    if (i == 0u)
        arrivals[slot] = 0u; // for the next run
}
