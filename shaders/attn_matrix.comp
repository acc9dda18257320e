#version 450
// SPDX-License-Identifier: MIT
// Attention of many tokens with KHR cooperative matrices. A subgroup owns 16 rows (row = query head of one KV head x
// token): their queries and results stay in its registers; keys and values are staged as halves for all subgroups, the
// next ones on their way in registers while these are multiplied.
// The running maximum is lazy: results are rescaled only when a logit exceeds it by 8 (a factor of 256, which halves
// hold), so that the round trip through shared memory that a rescaling takes is rare.
// Grid: x = tile of tokens, latest first; y = block of query heads.
// Bindings: 0 q (front of qkv) [T][ldq]; 1 result [T][ldo]; 2 state; 3 arguments; 4..7 raw K, raw V, core K, core V.
// With RANGES a dispatch reads one range of the keys; between them what a workgroup has waits in binding 8, vectors of
//           four: [workgroup][subgroup][o, matrix by matrix; then {m, l} of each lane, pass by pass].
// A lane holds a stretch of one row's logits as vectors of four: they are read from shared memory once.
// Shared memory: 4 BC (E + 8) bytes, and per subgroup 16 (BC + 4) floats, 16 (BC + 8) halves, 16 floats; BC floats.
// Matches pith_cpu_attend.
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_vote : require
#extension GL_KHR_shader_subgroup_shuffle : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#include "lib/types.glsl"
#include "push/attn.h"
#include "push/state.h"
#pragma use_vulkan_memory_model

layout(local_size_x_id = 0) in;               // SUBS * subgroup size
layout(constant_id = 1) const uint KV_TYPE = 1u;
layout(constant_id = 2) const uint DIM = 64u; // E, a multiple of 16
layout(constant_id = 3) const uint SUBS = 4u;
layout(constant_id = 4) const uint BC = 32u;  // keys at a time, a multiple of 16
layout(constant_id = 5) const uint SIZE = 32u; // of a subgroup
layout(constant_id = 7) const uint TM = 16u;
layout(constant_id = 8) const uint TN = 16u;
layout(constant_id = 9) const uint TK = 16u;

layout(push_constant) uniform Push { pith_vk_push_attend P; };
layout(std430, binding = 0) readonly buffer Q { vec4 q4[]; };
layout(std430, binding = 1) writeonly buffer Out { float out1[]; };
layout(std430, binding = 2) readonly buffer State { pith_vk_state S; };
layout(std430, binding = 3) readonly buffer Args { pith_vk_attn A; };
#ifdef RANGES
layout(std430, binding = 8) buffer Kept { vec4 kept4[]; };
#endif
#define KV_BINDING 4
#include "lib/kv.glsl"
#include "lib/segment.glsl"
#define KS_LEAST 0u
#include "lib/stage_kv.glsl"

const uint PP = BC / 8u + 1u;         // uvec4 per row of weights
const uint SP = BC / 4u + 1u;         // vec4 per row of logits
const uint RF = 16u / TM, SF = BC / TN, OF = DIM / TN, KF = DIM / TK;
const uint LPR = SIZE >= 16u ? SIZE / 16u : 1u; // lanes that share a row
const uint RPP = SIZE / LPR;          // rows at a time
const uint PASSES = 16u / RPP;
const uint SPAN = BC / LPR;           // keys of a lane
const uint QUADS = SPAN / 4u;

shared vec4 zs[SUBS * 16u * SP];
shared uvec4 ps[SUBS * 16u * PP];
shared float fs[SUBS * 16u];

#define SUBGROUP_SYNC() controlBarrier(gl_ScopeSubgroup, gl_ScopeSubgroup, gl_StorageSemanticsShared, gl_SemanticsAcquireRelease)
#define ACC coopmat<float, gl_ScopeSubgroup, TM, TN, gl_MatrixUseAccumulator>
#define LEFT coopmat<float16_t, gl_ScopeSubgroup, TM, TK, gl_MatrixUseA>
#define RIGHT coopmat<float16_t, gl_ScopeSubgroup, TK, TN, gl_MatrixUseB>

void main()
{
    if (!tile_see())
        return;
    uint sub = gl_SubgroupID, lane = gl_SubgroupInvocationID;
    uint part = lane % LPR, own = lane / LPR, r0 = sub * 16u;
    uint zat = sub * 16u * SP, pat = sub * 16u * PP;

    // Queries, scaled, into registers: 16 columns at a time through this subgroup's corner of ps.
    LEFT q[RF * KF];
    [[unroll]] for (uint k = 0u; k < DIM / 16u; k++) {
        for (uint e = lane; e < 32u; e += SIZE) { // eight elements each
            ps[pat + e / 2u * PP + e % 2u] = query_oct(r0 + e / 2u, 2u * k + e % 2u);
        }
        SUBGROUP_SYNC();
        [[unroll]] for (uint f = 0u; f < RF; f++)
            [[unroll]] for (uint g = 0u; g < 16u / TK; g++)
                coopMatLoad(q[f * KF + k * (16u / TK) + g], ps, pat + f * TM * PP + g * (TK / 8u), PP, gl_CooperativeMatrixLayoutRowMajor);
        SUBGROUP_SYNC();
    }
    ACC o[RF * OF];
    [[unroll]] for (uint f = 0u; f < RF * OF; f++)
        o[f] = ACC(0.0);
    float m[PASSES], l[PASSES];
    [[unroll]] for (uint p = 0u; p < PASSES; p++) {
        m[p] = LEAST;
        l[p] = 0.0;
    }
    bool empty = true; // results are still zero: rescaling them changes nothing
#ifdef RANGES
    uint kept = ((gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * SUBS + sub) * (4u * DIM + SIZE * PASSES);
    uint kept_ml = kept + 4u * DIM + lane;
    ivec2 cut = range_blocks(p0, p1, int(BC));
    int before = 0;
    if (cut.x == cut.y && P.range > 0u && P.range + 1u < P.ranges)
        return; // what waits stays as it is
    if (P.range > 0u) {
        [[unroll]] for (uint f = 0u; f < RF * OF; f++)
            coopMatLoad(o[f], kept4, kept + f * (TM * TN / 4u), TN / 4u, gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint p = 0u; p < PASSES; p++) {
            vec2 v = kept4[kept_ml + p * SIZE].xy;
            m[p] = v.x;
            l[p] = v.y;
        }
        empty = false;
    }
#endif

    for (uint s = 0u; s < uint(A.n_segments); s++) {
        ivec2 all = segment_union(s, p0, p1);
        int whole_lo = max(bound_at(A.segments[s].lo, p0), bound_at(A.segments[s].lo, p1));
        int whole_hi = min(bound_at(A.segments[s].hi, p0), bound_at(A.segments[s].hi, p1));
        ivec2 mine[PASSES];
        [[unroll]] for (uint p = 0u; p < PASSES; p++)
            mine[p] = segment_of(s, p0 + int(min((r0 + p * RPP + own) / heads, uint(n_tok) - 1u)));
        bool core = A.segments[s].core != 0, bias = core && A.segments[s].bias != 0;
        next_bias = 0.0;
#ifdef RANGES
        all = range_keys(all, int(BC), cut, before);
#endif
        if (all.x < all.y)
            fetch(core, bias, all.x, min(int(BC), all.y - all.x));
        for (int first = all.x; first < all.y; first += int(BC)) {
            bool whole = first >= whole_lo && first + int(BC) <= whole_hi;
            barrier();
            stage();
            barrier();
            int after = first + int(BC);
            if (after < all.y)
                fetch(core, bias, after, min(int(BC), all.y - after));
            [[unroll]] for (uint c = 0u; c < SF; c++) {
                ACC z[RF];
                [[unroll]] for (uint f = 0u; f < RF; f++)
                    z[f] = ACC(0.0);
                [[unroll]] for (uint k = 0u; k < KF; k++) {
                    RIGHT b;
                    coopMatLoad(b, ks, c * TN * PITCH + k * (TK / 8u), PITCH, gl_CooperativeMatrixLayoutColumnMajor);
                    [[unroll]] for (uint f = 0u; f < RF; f++)
                        z[f] = coopMatMulAdd(q[f * KF + k], b, z[f]);
                }
                [[unroll]] for (uint f = 0u; f < RF; f++)
                    coopMatStore(z[f], zs, zat + f * TM * SP + c * (TN / 4u), SP, gl_CooperativeMatrixLayoutRowMajor);
            }
            SUBGROUP_SYNC();
            // Logits of this lane's stretch of its rows; the maximum first.
            bool grew = false;
            float top[PASSES];
            vec4 z[PASSES * QUADS];
            [[unroll]] for (uint p = 0u; p < PASSES; p++) {
                uint at = zat + (p * RPP + own) * SP + part * QUADS;
                vec4 t4 = vec4(LEAST);
                [[unroll]] for (uint c = 0u; c < QUADS; c++) {
                    vec4 v = zs[at + c] + biases[part * QUADS + c];
                    if (!whole) {
                        ivec4 key = first + int(part * SPAN + 4u * c) + ivec4(0, 1, 2, 3);
                        v = mix(vec4(2.0 * LEAST), v, bvec4(uvec4(greaterThanEqual(key, ivec4(mine[p].x))) & uvec4(lessThan(key, ivec4(mine[p].y)))));
                    }
                    z[p * QUADS + c] = v;
                    t4 = max(t4, v);
                }
                float t = max(max(t4.x, t4.y), max(t4.z, t4.w));
                for (uint d = 1u; d < LPR; d *= 2u)
                    t = max(t, subgroupShuffleXor(t, d));
                top[p] = t;
                grew = grew || t > m[p] + 8.0;
            }
            // No barrier stands inside a branch that only some subgroups take: the factors go out in one branch, a
            // matrix whose rows hold them, in ps, which is free here, comes back in the next.
            grew = subgroupAny(grew);
            if (grew) {
                [[unroll]] for (uint p = 0u; p < PASSES; p++) {
                    float next = max(m[p], top[p]), factor = exp2(m[p] - next);
                    m[p] = next;
                    l[p] *= factor;
                    for (uint c = part; c < TN / 4u; c += LPR)
                        ps[pat + (p * RPP + own) * PP + c] = uvec4(floatBitsToUint(factor));
                }
            }
            SUBGROUP_SYNC();
            if (grew && !empty) {
                [[unroll]] for (uint f = 0u; f < RF; f++) {
                    ACC scale;
                    coopMatLoad(scale, ps, pat + f * TM * PP, PP, gl_CooperativeMatrixLayoutRowMajor);
                    [[unroll]] for (uint g = 0u; g < OF; g++)
                        o[f * OF + g] = o[f * OF + g] * scale;
                }
            }
            SUBGROUP_SYNC();
            empty = false;
            [[unroll]] for (uint p = 0u; p < PASSES; p++) {
                uint to = pat + (p * RPP + own) * PP + part * SPAN / 8u;
                vec4 sums = vec4(0);
                [[unroll]] for (uint c = 0u; c < SPAN / 8u; c++) {
                    vec4 a = exp2(z[p * QUADS + 2u * c] - m[p]), b = exp2(z[p * QUADS + 2u * c + 1u] - m[p]);
                    sums += a + b;
                    ps[to + c] = halves(a, b);
                }
                float sum = sums.x + sums.y + sums.z + sums.w;
                for (uint d = 1u; d < LPR; d *= 2u)
                    sum += subgroupShuffleXor(sum, d);
                l[p] += sum;
            }
            SUBGROUP_SYNC();
            [[unroll]] for (uint k = 0u; k < BC / TK; k++) {
                LEFT w[RF];
                [[unroll]] for (uint f = 0u; f < RF; f++)
                    coopMatLoad(w[f], ps, pat + f * TM * PP + k * (TK / 8u), PP, gl_CooperativeMatrixLayoutRowMajor);
                [[unroll]] for (uint g = 0u; g < OF; g++) {
                    RIGHT b;
                    coopMatLoad(b, vs, k * TK * PITCH + g * (TN / 8u), PITCH, gl_CooperativeMatrixLayoutRowMajor);
                    [[unroll]] for (uint f = 0u; f < RF; f++)
                        o[f * OF + g] = coopMatMulAdd(w[f], b, o[f * OF + g]);
                }
            }
        }
    }
#ifdef RANGES
    if (P.range + 1u < P.ranges) {
        [[unroll]] for (uint f = 0u; f < RF * OF; f++)
            coopMatStore(o[f], kept4, kept + f * (TM * TN / 4u), TN / 4u, gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint p = 0u; p < PASSES; p++)
            kept4[kept_ml + p * SIZE] = vec4(m[p], l[p], 0, 0);
        return;
    }
#endif
    [[unroll]] for (uint p = 0u; p < PASSES; p++)
        if (part == 0u)
            fs[sub * 16u + p * RPP + own] = l[p] != 0.0 ? 1.0 / l[p] : 0.0;
    [[unroll]] for (uint f = 0u; f < RF; f++) {
        [[unroll]] for (uint g = 0u; g < OF; g++) {
            SUBGROUP_SYNC();
            coopMatStore(o[f * OF + g], zs, zat, TN / 4u, gl_CooperativeMatrixLayoutRowMajor);
            SUBGROUP_SYNC();
            for (uint e = lane; e < TM * TN; e += SIZE) {
                uint in_sub = f * TM + e / TN, r = r0 + in_sub;
                if (r < rows)
                    out1[result_at(r, g * TN + e % TN)] = zs[zat + e / 4u][e % 4u] * fs[sub * 16u + in_sub];
            }
        }
    }
}
