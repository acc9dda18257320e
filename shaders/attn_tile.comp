#version 450
// SPDX-License-Identifier: MIT
// Attention of many tokens: one online softmax over the layer's segments for a tile of 32 rows, row = query head of one
// KV head x token, so that a key is read once for all heads that share it. No mask exists: bounds are formulas.
// Grid: x = tile of tokens, latest first (they have the most keys); y = block of query heads.
// Bindings: 0 q (front of qkv) [T][ldq]; 1 result [T][ldo]; 2 state; 3 arguments; 4..7 raw K, raw V, core K, core V.
// With RANGES a dispatch reads one range of the keys; between them an invocation's sums wait in binding 8:
//           [workgroup][{m, l}, then o of both rows, chunk by chunk][invocation] vectors of four.
// 128 invocations, 8 for each pair of rows. Shared memory: 12.6 KiB. Matches pith_cpu_attend.
#include "lib/types.glsl"
#include "push/attn.h"
#include "push/state.h"

layout(local_size_x = 128) in;
layout(constant_id = 1) const uint KV_TYPE = 1u;
layout(constant_id = 2) const uint DIM = 64u; // E, a multiple of 8

layout(push_constant) uniform Push { pith_vk_push_attend P; };
layout(std430, binding = 0) readonly buffer Q { vec4 q4[]; };
layout(std430, binding = 1) writeonly buffer Out { vec4 out4[]; };
layout(std430, binding = 2) readonly buffer State { pith_vk_state S; };
layout(std430, binding = 3) readonly buffer Args { pith_vk_attn A; };
#ifdef RANGES
layout(std430, binding = 8) buffer Kept { vec4 kept4[]; };
#endif
#define KV_BINDING 4
#include "lib/kv.glsl"
#include "lib/segment.glsl"

const uint BR = 32u, BC = 32u, BD = 32u;      // rows, keys, elements staged at a time
const uint CHUNKS = (DIM + BD - 1u) / BD;
shared float qs[BR * (BD + 1u)];
shared float ks[BC * (BD + 1u)];
shared float ps[BR * (BC + 1u)];

uint share, h0, heads, kv, rows;
int t0, n_tok, base;

// Elements d0 .. d0 + BD - 1 of every row's query.
void stage_q(uint d0)
{
    for (uint j = gl_LocalInvocationIndex; j < BR * BD / 4u; j += 128u) {
        uint r = j / (BD / 4u), d = d0 + j % (BD / 4u) * 4u;
        vec4 v = vec4(0);
        if (r < rows && d < DIM)
            v = q4[(uint(t0) + r / heads) * (P.ldq / 4u) + ((h0 + r % heads) * DIM + d) / 4u] * (A.scale * LOG2E);
        [[unroll]] for (uint l = 0u; l < 4u; l++)
            qs[r * (BD + 1u) + j % (BD / 4u) * 4u + l] = v[l];
    }
}

// The same of keys first .. first + n - 1 of a segment, from K or from V.
void stage_keys(bool core, bool values, int first, int n, uint d0)
{
    uint head = core && A.core_heads != A.n_kv ? h0 : kv;
    for (uint j = gl_LocalInvocationIndex; j < BC * BD / 8u; j += 128u) {
        uint c = j / (BD / 8u), o = d0 / 8u + j % (BD / 8u);
        vec4 a = vec4(0), b = vec4(0);
        if (int(c) < n && o * 8u < DIM) {
            uint row = core ? uint(first) + c : raw_row(first + int(c), base);
            if (core && values)
                core_v_oct(head, row, o, a, b);
            else if (core)
                core_k_oct(head, row, o, a, b);
            else if (values)
                raw_v_oct(head, row, o, a, b);
            else
                raw_k_oct(head, row, o, a, b);
        }
        uint at = c * (BD + 1u) + j % (BD / 8u) * 8u;
        [[unroll]] for (uint l = 0u; l < 4u; l++) {
            ks[at + l] = a[l];
            ks[at + 4u + l] = b[l];
        }
    }
}

void main()
{
    uint i = gl_LocalInvocationIndex, pair = i / 8u, lane = i % 8u;
    share = uint(A.n_head / A.n_kv);
    uint blocks = (share + P.heads - 1u) / P.heads;
    kv = gl_WorkGroupID.y / blocks;
    uint in_share = gl_WorkGroupID.y % blocks * P.heads;
    h0 = kv * share + in_share;
    heads = min(P.heads, share - in_share);
    t0 = int((gl_NumWorkGroups.x - 1u - gl_WorkGroupID.x) * P.tokens + P.token0);
    n_tok = min(int(P.tokens), S.n_tokens - t0);
    rows = n_tok > 0 ? uint(n_tok) * heads : 0u;
    if (rows == 0u)
        return;
    base = S.raw_base[A.kv_class];
    int p0 = S.pos0 + t0;

    float m[2] = float[2](LEAST, LEAST), l[2] = float[2](0.0, 0.0);
    float o[2][CHUNKS][4]; // elements 4 lane + c of chunk k
    for (uint k = 0u; k < CHUNKS; k++)
        for (uint c = 0u; c < 4u; c++)
            o[0][k][c] = o[1][k][c] = 0.0;
#ifdef RANGES
    uint kept = (gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * (2u * CHUNKS + 1u) * 128u + i;
    ivec2 cut = range_blocks(p0, p0 + n_tok - 1, int(BC));
    int before = 0;
    if (cut.x == cut.y && P.range > 0u && P.range + 1u < P.ranges)
        return; // what waits stays as it is
    if (P.range > 0u) {
        vec4 v = kept4[kept];
        m = float[2](v.x, v.y);
        l = float[2](v.z, v.w);
        [[unroll]] for (uint k = 0u; k < CHUNKS; k++)
            [[unroll]] for (uint r = 0u; r < 2u; r++) {
                v = kept4[kept + (1u + 2u * k + r) * 128u];
                o[r][k] = float[4](v.x, v.y, v.z, v.w);
            }
    }
#endif

    for (uint s = 0u; s < uint(A.n_segments); s++) {
        ivec2 all = segment_union(s, p0, p0 + n_tok - 1);
        ivec2 own[2];
        [[unroll]] for (uint r = 0u; r < 2u; r++)
            own[r] = segment_of(s, p0 + int(min((2u * pair + r) / heads, uint(n_tok) - 1u)));
        bool core = A.segments[s].core != 0;
#ifdef RANGES
        all = range_keys(all, int(BC), cut, before);
#endif
        for (int first = all.x; first < all.y; first += int(BC)) {
            int n = min(int(BC), all.y - first);
            float z[2][4];
            [[unroll]] for (int c = 0; c < 4; c++)
                z[0][c] = z[1][c] = 0.0;
            for (uint k = 0u; k < CHUNKS; k++) {
                stage_q(k * BD);
                stage_keys(core, false, first, n, k * BD);
                barrier();
                for (uint d = 0u; d < BD; d++) {
                    float a0 = qs[2u * pair * (BD + 1u) + d], a1 = qs[(2u * pair + 1u) * (BD + 1u) + d];
                    [[unroll]] for (uint c = 0u; c < 4u; c++) {
                        float b = ks[(lane + 8u * c) * (BD + 1u) + d];
                        z[0][c] = fma(a0, b, z[0][c]);
                        z[1][c] = fma(a1, b, z[1][c]);
                    }
                }
                barrier();
            }
            [[unroll]] for (uint c = 0u; c < 4u; c++) {
                int key = first + int(lane + 8u * c);
                float bias = 0.0;
                if (core && A.segments[s].bias != 0 && key < all.y) {
                    uint head = A.core_heads != A.n_kv ? h0 : kv, at = A.bias_base + head * A.bias_head + uint(key);
                    bias = half_at(core_v1[at >> 1], at) * LOG2E;
                }
                [[unroll]] for (uint r = 0u; r < 2u; r++) {
                    bool sees = key >= own[r].x && key < own[r].y;
                    ps[(2u * pair + r) * (BC + 1u) + lane + 8u * c] = sees ? z[r][c] + bias : LEAST;
                }
            }
            barrier();
            float factor[2];
            [[unroll]] for (uint r = 0u; r < 2u; r++) {
                float top = m[r];
                for (uint c = 0u; c < BC; c++)
                    top = max(top, ps[(2u * pair + r) * (BC + 1u) + c]);
                factor[r] = exp2(m[r] - top);
                m[r] = top;
            }
            barrier();
            [[unroll]] for (uint c = 0u; c < 4u; c++) {
                int key = first + int(lane + 8u * c);
                [[unroll]] for (uint r = 0u; r < 2u; r++) {
                    uint at = (2u * pair + r) * (BC + 1u) + lane + 8u * c;
                    bool sees = key >= own[r].x && key < own[r].y;
                    ps[at] = sees ? exp2(ps[at] - m[r]) : 0.0;
                }
            }
            barrier();
            [[unroll]] for (uint r = 0u; r < 2u; r++) {
                float sum = 0.0;
                for (uint c = 0u; c < BC; c++)
                    sum += ps[(2u * pair + r) * (BC + 1u) + c];
                l[r] = l[r] * factor[r] + sum;
            }
            [[unroll]] for (uint k = 0u; k < CHUNKS; k++) {
                stage_keys(core, true, first, n, k * BD);
                barrier();
                [[unroll]] for (uint c = 0u; c < 4u; c++) {
                    o[0][k][c] *= factor[0];
                    o[1][k][c] *= factor[1];
                }
                for (uint key = 0u; key < BC; key++) {
                    float w0 = ps[2u * pair * (BC + 1u) + key], w1 = ps[(2u * pair + 1u) * (BC + 1u) + key];
                    [[unroll]] for (uint c = 0u; c < 4u; c++) {
                        float v = ks[key * (BD + 1u) + lane * 4u + c];
                        o[0][k][c] = fma(w0, v, o[0][k][c]);
                        o[1][k][c] = fma(w1, v, o[1][k][c]);
                    }
                }
                barrier();
            }
        }
    }
#ifdef RANGES
    if (P.range + 1u < P.ranges) {
        kept4[kept] = vec4(m[0], m[1], l[0], l[1]);
        [[unroll]] for (uint k = 0u; k < CHUNKS; k++)
            [[unroll]] for (uint r = 0u; r < 2u; r++)
                kept4[kept + (1u + 2u * k + r) * 128u] = vec4(o[r][k][0], o[r][k][1], o[r][k][2], o[r][k][3]);
        return;
    }
#endif
    [[unroll]] for (uint r = 0u; r < 2u; r++) {
        uint row = 2u * pair + r;
        if (row >= rows)
            continue;
        float inv = l[r] != 0.0 ? 1.0 / l[r] : 0.0;
        uint at = (uint(t0) + row / heads) * (P.ldo / 4u) + (h0 + row % heads) * DIM / 4u;
        [[unroll]] for (uint k = 0u; k < CHUNKS; k++)
            if (k * BD + lane * 4u < DIM)
                out4[at + (k * BD) / 4u + lane] = vec4(o[r][k][0], o[r][k][1], o[r][k][2], o[r][k][3]) * inv;
    }
}
