#version 450
// SPDX-License-Identifier: MIT
// Attention of many tokens as in attn_matrix.comp, with what NV cooperative matrix 2 adds: logits never leave the
// registers. Masks and biases are functions of an element's row and column, maxima and sums are reductions along rows,
// weights become the left operand of the next product by conversion. A subgroup owns 16 rows; matrices are 16x16.
// All matrices of logits have one layout, so that what concerns the same element of each is done component by component.
// The running maximum is lazy: it moves, and results are rescaled, only when a logit exceeds it by 8.
// Grid, bindings, RANGES: attn_matrix.comp; between ranges {o, matrix by matrix; m; l} of a subgroup wait in binding 8.
// Shared memory: the larger of 2 BC (E + 8) and 1024 SUBS bytes, 2 BC (E + 8) bytes; per subgroup 16 rows of 48 bytes and
// two integers; BC floats.
// Matches pith_cpu_attend.
#extension GL_KHR_cooperative_matrix : require
#extension GL_NV_cooperative_matrix2 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_vote : require
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
layout(constant_id = 5) const uint SIZE = 32u; // of a subgroup, at least 16

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
const uint OUT = 64u;                         // uvec4 of a matrix of results on its way out
#define KS_LEAST (SUBS * OUT)
#include "lib/stage_kv.glsl"

const uint SF = BC / 16u, OF = DIM / 16u;     // matrices of logits, of results
const uint QP = 3u;                           // uvec4 per row of queries on their way in
shared uvec4 qs[SUBS * 16u * QP];
shared ivec2 sees[SUBS * 16u];                // keys [x, y) of the segment that a row sees

#define SUBGROUP_SYNC() controlBarrier(gl_ScopeSubgroup, gl_ScopeSubgroup, gl_StorageSemanticsShared, gl_SemanticsAcquireRelease)
#define ACC coopmat<float, gl_ScopeSubgroup, 16, 16, gl_MatrixUseAccumulator>
#define LEFT coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseA>
#define RIGHT coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseB>
#define EACH(i) [[unroll]] for (int i = 0; i < m.length(); i++)

float larger(const in float a, const in float b) { return max(a, b); }
float plus(const in float a, const in float b) { return a + b; }

// Logits of keys 16 c .. 16 c + 15 of those that are staged, of which the first is key `first`.
float biased(const in uint row, const in uint col, const in float z, const in uint c)
{
    uint k = 16u * c + col;
    return z + biases[k / 4u][k % 4u];
}

float masked(const in uint row, const in uint col, const in float z, const in uint c, const in int first, const in uint r0)
{
    ivec2 b = sees[r0 + row];
    int key = first + int(16u * c + col);
    return key >= b.x && key < b.y ? z : 2.0 * LEAST;
}

void main()
{
    if (!tile_see())
        return;
    uint sub = gl_SubgroupID, lane = gl_SubgroupInvocationID, r0 = sub * 16u;

    // Queries, scaled, into registers: 16 columns at a time through this subgroup's corner of qs.
    LEFT q[OF];
    [[unroll]] for (uint k = 0u; k < OF; k++) {
        for (uint e = lane; e < 32u; e += SIZE) // eight elements each
            qs[(r0 + e / 2u) * QP + e % 2u] = query_oct(r0 + e / 2u, 2u * k + e % 2u);
        SUBGROUP_SYNC();
        coopMatLoad(q[k], qs, r0 * QP, QP, gl_CooperativeMatrixLayoutRowMajor);
        SUBGROUP_SYNC();
    }
    ACC o[OF], m = ACC(LEAST), l = ACC(0.0); // m: alike in a row; l: sums of the columns 0, 16, .. of each
    [[unroll]] for (uint g = 0u; g < OF; g++)
        o[g] = ACC(0.0);
#ifdef RANGES
    uint kept = ((gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * SUBS + sub) * (OF + 2u) * OUT;
    ivec2 cut = range_blocks(p0, p1, int(BC));
    int before = 0;
    if (cut.x == cut.y && P.range > 0u && P.range + 1u < P.ranges)
        return; // what waits stays as it is
    if (P.range > 0u) {
        [[unroll]] for (uint g = 0u; g < OF; g++)
            coopMatLoad(o[g], kept4, kept + g * OUT, 4u, gl_CooperativeMatrixLayoutRowMajor);
        coopMatLoad(m, kept4, kept + OF * OUT, 4u, gl_CooperativeMatrixLayoutRowMajor);
        coopMatLoad(l, kept4, kept + (OF + 1u) * OUT, 4u, gl_CooperativeMatrixLayoutRowMajor);
    }
#endif

    for (uint s = 0u; s < uint(A.n_segments); s++) {
        ivec2 all = segment_union(s, p0, p1);
        int whole_lo = max(bound_at(A.segments[s].lo, p0), bound_at(A.segments[s].lo, p1));
        int whole_hi = min(bound_at(A.segments[s].hi, p0), bound_at(A.segments[s].hi, p1));
        SUBGROUP_SYNC();
        if (lane < 16u)
            sees[r0 + lane] = segment_of(s, p0 + int(min((r0 + lane) / heads, uint(n_tok) - 1u)));
        SUBGROUP_SYNC();
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
            ACC z[SF];
            [[unroll]] for (uint c = 0u; c < SF; c++) {
                z[c] = ACC(0.0);
                [[unroll]] for (uint k = 0u; k < OF; k++) {
                    RIGHT b;
                    coopMatLoad(b, ks, c * 16u * PITCH + 2u * k, PITCH, gl_CooperativeMatrixLayoutColumnMajor);
                    z[c] = coopMatMulAdd(q[k], b, z[c]);
                }
                if (bias)
                    coopMatPerElementNV(z[c], z[c], biased, c);
                if (!whole)
                    coopMatPerElementNV(z[c], z[c], masked, c, first, r0);
            }
            ACC top = z[0];
            bool grew = false;
            EACH(i) {
                [[unroll]] for (uint c = 1u; c < SF; c++)
                    top[i] = max(top[i], z[c][i]);
                grew = grew || top[i] > m[i] + 8.0;
            }
            if (subgroupAny(grew)) {
                ACC factor;
                coopMatReduceNV(top, top, gl_CooperativeMatrixReduceRowNV, larger);
                EACH(i) {
                    float next = max(m[i], top[i]);
                    factor[i] = exp2(m[i] - next);
                    m[i] = next;
                }
                l = l * factor;
                [[unroll]] for (uint g = 0u; g < OF; g++)
                    o[g] = o[g] * factor;
            }
            LEFT w[SF];
            [[unroll]] for (uint c = 0u; c < SF; c++) {
                EACH(i) {
                    z[c][i] = exp2(z[c][i] - m[i]);
                    l[i] += z[c][i];
                }
                w[c] = LEFT(z[c]);
            }
            [[unroll]] for (uint g = 0u; g < OF; g++) {
                [[unroll]] for (uint c = 0u; c < SF; c++) {
                    RIGHT b;
                    coopMatLoad(b, vs, c * 16u * PITCH + 2u * g, PITCH, gl_CooperativeMatrixLayoutRowMajor);
                    o[g] = coopMatMulAdd(w[c], b, o[g]);
                }
            }
        }
    }
#ifdef RANGES
    if (P.range + 1u < P.ranges) {
        [[unroll]] for (uint g = 0u; g < OF; g++)
            coopMatStore(o[g], kept4, kept + g * OUT, 4u, gl_CooperativeMatrixLayoutRowMajor);
        coopMatStore(m, kept4, kept + OF * OUT, 4u, gl_CooperativeMatrixLayoutRowMajor);
        coopMatStore(l, kept4, kept + (OF + 1u) * OUT, 4u, gl_CooperativeMatrixLayoutRowMajor);
        return;
    }
#endif
    coopMatReduceNV(l, l, gl_CooperativeMatrixReduceRowNV, plus);
    EACH(i)
        l[i] = l[i] != 0.0 ? 1.0 / l[i] : 0.0;
    barrier(); // nobody reads ks any more
    uint corner = sub * OUT;
    [[unroll]] for (uint g = 0u; g < OF; g++) {
        SUBGROUP_SYNC();
        coopMatStore(o[g] * l, ks, corner, 4u, gl_CooperativeMatrixLayoutRowMajor);
        SUBGROUP_SYNC();
        for (uint e = lane; e < 256u; e += SIZE) {
            uint r = r0 + e / 16u;
            if (r < rows)
                out1[result_at(r, g * 16u + e % 16u)] = uintBitsToFloat(ks[corner + e / 4u][e % 4u]);
        }
    }
}
