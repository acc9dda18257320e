#version 450
// SPDX-License-Identifier: MIT
// Attention of one token, or a few: the keys are cut into parts for parallelism (lib/split.glsl). Rows = query heads that
// share the KV head. Few keys make few parts: the other workgroups end at once, and a single part is the result.
// Grid: x = part, from P.split0 on (several dispatches may share the parts; who finishes last joins), y = block of query
// heads, z = token.
// Bindings: 0 q [T][ldq]; 1 result [T][ldo]; 2 state; 3 arguments; 4..7 raw K, raw V, core K, core V;
//           8 parts: o [token][head][part][E], then {m, l} [token][head][part]; 9 arrivals: [token][block] counters, zero between runs.
// Shared memory: the larger of (WG / LANES) * (E + 2) and 128 ROWS floats, 4 floats per invocation, beside it one float per
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
#include "lib/split.glsl"

void main()
{
    uint i = lane_index(), lane = i % LANES, group = i / LANES, token = gl_WorkGroupID.z + P.token0;
    uint share = uint(A.n_head / A.n_kv), blocks = (share + P.heads - 1u) / P.heads;
    uint kv = gl_WorkGroupID.y / blocks, in_share = gl_WorkGroupID.y % blocks * P.heads;
    uint h0 = kv * share + in_share, heads = min(P.heads, share - in_share);
    bool live = lane * 8u < DIM;
    [[unroll]] for (uint r = 0u; r < ROWS; r++) { // on their way while the segments are looked at
        uint at = token * (P.ldq / 4u) + ((h0 + min(r, heads - 1u)) * DIM) / 4u + 2u * lane;
        qa[r] = live ? q4[at] * (A.scale * LOG2E) : vec4(0);
        qb[r] = live ? q4[at + 1u] * (A.scale * LOG2E) : vec4(0);
    }
    int total = segments_see(i, S.pos0 + int(token), false), size = part_size(total);
    uint part = gl_WorkGroupID.x + P.split0;
    int begin = int(part) * size, end = min(begin + size, total);
    uint live_parts = SPLIT ? uint(max((total + size - 1) / size, 1)) : 1u;
    if (part >= live_parts)
        return;
    rows_clear();
    rows_walk(lane, group, kv, A.core_heads != A.n_kv ? h0 : kv, begin, end);
    rows_store(i, token, h0, heads, part, live_parts);
}
