#version 450
// SPDX-License-Identifier: MIT
// Attention of many tokens with workgroup-wide matrices (NV cooperative matrix 2): logits, maxima, weights and results
// never leave the registers; the driver moves keys and values. Halves in the store only.
//
//   z = Q K^T + bias        m' = max(m, row maximum of z)      w = 2^(z - m')       e = 2^(m - m')
//   l = e l + row sum of w  o = e o + w V                      at the end: o / l
//
// m, l and e are as wide as z, each row filled with one value; e is spread to the width of o by a reduction.
// Grid: x = tile of tokens, latest first; y = block of query heads. A tile's BR rows = tokens x heads that share a KV head.
// Bindings: 0 q (front of qkv) [T][ldq]; 1 result [T][ldo]; 2 state; 3 arguments; 4..7 raw K, raw V, core K, core V.
// Shared memory: 8 BR bytes, and what the driver reserves. Matches pith_cpu_attend.
#extension GL_KHR_cooperative_matrix : require
#extension GL_NV_cooperative_matrix2 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_EXT_shader_explicit_arithmetic_types_int32 : require
#extension GL_EXT_shader_16bit_storage : require
#include "lib/types.glsl"
#include "push/attn.h"
#include "push/state.h"
#pragma use_vulkan_memory_model

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint DIM = 128u; // E
layout(constant_id = 2) const uint BR = 64u;   // rows
layout(constant_id = 3) const uint BC = 64u;   // keys at a time

layout(push_constant) uniform Push { pith_vk_push_attend P; };
layout(std430, binding = 0) readonly buffer Q { float q1[]; };
layout(std430, binding = 1) writeonly buffer Out { float out1[]; };
layout(std430, binding = 2) readonly buffer State { pith_vk_state S; };
layout(std430, binding = 3) readonly buffer Args { pith_vk_attn A; };
layout(std430, binding = 4) readonly buffer RawK { float16_t raw_k[]; };
layout(std430, binding = 5) readonly buffer RawV { float16_t raw_v[]; };
layout(std430, binding = 6) readonly buffer CoreK { float16_t core_k[]; };
layout(std430, binding = 7) readonly buffer CoreV { float16_t core_v[]; };
#include "lib/segment.glsl"

#define LOGITS coopmat<float, gl_ScopeWorkgroup, BR, BC, gl_MatrixUseAccumulator>
#define RESULT coopmat<float, gl_ScopeWorkgroup, BR, DIM, gl_MatrixUseAccumulator>

// Query i sees keys [lo, hi) of the segment at hand.
shared int rows_lo[BR];
shared int rows_hi[BR];

const float NEVER = 2.0 * LEAST; // logit of a key that is not seen: below the least maximum, so that its weight is 0

uint h0, heads, rows;
int t0;

float load_q(const in uint32_t row, const in uint32_t col, const in float z)
{
    uint r = min(row, rows - 1u);
    float v = q1[(uint(t0) + r / heads) * P.ldq + (h0 + r % heads) * DIM + col] * (A.scale * LOG2E);
    return row < rows ? half_clamp(v) : 0.0;
}

float store_result(const in uint32_t row, const in uint32_t col, const in float v)
{
    if (row < rows)
        out1[(uint(t0) + row / heads) * P.ldo + (h0 + row % heads) * DIM + col] = v;
    return v;
}

float mask(const in uint32_t row, const in uint32_t col, const in float z, const in int first, const in int end)
{
    int key = first + int(col);
    return key >= rows_lo[row] && key < min(rows_hi[row], end) ? z : NEVER;
}

float larger(const in float a, const in float b) { return max(a, b); }
float first_of(const in float a, const in float b) { return a; }
float larger_of(const in uint32_t row, const in uint32_t col, const in float a, const in float b) { return max(a, b); }
float power(const in uint32_t row, const in uint32_t col, const in float a, const in float b) { return exp2(a - b); }
float inverse(const in uint32_t row, const in uint32_t col, const in float l) { return l != 0.0 ? 1.0 / l : 0.0; }

void main()
{
    uint share = uint(A.n_head / A.n_kv), blocks = (share + P.heads - 1u) / P.heads, kv = gl_WorkGroupID.y / blocks;
    uint in_share = gl_WorkGroupID.y % blocks * P.heads;
    h0 = kv * share + in_share;
    heads = min(P.heads, share - in_share);
    uint core_head = A.core_heads != A.n_kv ? h0 : kv;
    t0 = int((gl_NumWorkGroups.x - 1u - gl_WorkGroupID.x) * P.tokens + P.token0);
    int n_tok = min(int(P.tokens), S.n_tokens - t0);
    if (n_tok <= 0)
        return;
    rows = uint(n_tok) * heads;
    int base = S.raw_base[A.kv_class], p0 = S.pos0 + t0, p1 = p0 + n_tok - 1;

    RESULT qf = RESULT(0.0), o = RESULT(0.0);
    coopMatPerElementNV(qf, qf, load_q);
    coopmat<float16_t, gl_ScopeWorkgroup, BR, DIM, gl_MatrixUseA> q = coopmat<float16_t, gl_ScopeWorkgroup, BR, DIM, gl_MatrixUseA>(qf);
    LOGITS m = LOGITS(LEAST), l = LOGITS(0.0);
    const coopmat<float16_t, gl_ScopeWorkgroup, BC, BC, gl_MatrixUseB> ones = coopmat<float16_t, gl_ScopeWorkgroup, BC, BC, gl_MatrixUseB>(1.0);
    tensorViewNV<2, false, 1, 0> transposed = createTensorViewNV(2, false, 1, 0);

    for (uint s = 0u; s < uint(A.n_segments); s++) {
        ivec2 all = segment_union(s, p0, p1);
        int whole_lo = max(bound_at(A.segments[s].lo, p0), bound_at(A.segments[s].lo, p1));
        int whole_hi = min(bound_at(A.segments[s].hi, p0), bound_at(A.segments[s].hi, p1));
        bool core = A.segments[s].core != 0, bias = core && A.segments[s].bias != 0;
        barrier();
        for (uint r = gl_LocalInvocationIndex; r < BR; r += gl_WorkGroupSize.x) {
            ivec2 b = segment_of(s, p0 + int(min(r, rows - 1u) / heads));
            rows_lo[r] = b.x;
            rows_hi[r] = b.y;
        }
        barrier();
        for (int first = all.x; first < all.y;) {
            int n = min(int(BC), all.y - first);
            if (!core && first < A.n_fixed && base > A.n_fixed) // the fixed rows end, and the sliding ones begin elsewhere
                n = min(n, A.n_fixed - first);
            bool whole = first >= whole_lo && first + int(BC) <= whole_hi && n == int(BC);
            uint row = core || first < A.n_fixed ? uint(first) : uint(A.n_fixed + first - base);

            tensorLayoutNV<2, gl_CooperativeMatrixClampModeConstantNV> layout_k = createTensorLayoutNV(2, gl_CooperativeMatrixClampModeConstantNV);
            layout_k = setTensorLayoutDimensionNV(layout_k, row + uint(n), DIM);
            layout_k = setTensorLayoutStrideNV(layout_k, core ? 2u * A.core_k.row : 2u * A.raw_k.row, 1u);
            coopmat<float16_t, gl_ScopeWorkgroup, DIM, BC, gl_MatrixUseB> k;
            if (core)
                coopMatLoadTensorNV(k, core_k, 2u * (A.core_k.base + core_head * A.core_k.head), sliceTensorLayoutNV(layout_k, row, BC, 0u, DIM), transposed);
            else
                coopMatLoadTensorNV(k, raw_k, 2u * (A.raw_k.base + kv * A.raw_k.head), sliceTensorLayoutNV(layout_k, row, BC, 0u, DIM), transposed);
            LOGITS z = LOGITS(0.0);
            if (bias) {
                tensorLayoutNV<2, gl_CooperativeMatrixClampModeConstantNV> layout_b = createTensorLayoutNV(2, gl_CooperativeMatrixClampModeConstantNV);
                layout_b = setTensorLayoutDimensionNV(layout_b, BR, row + uint(n));
                layout_b = setTensorLayoutStrideNV(layout_b, 0u, 1u);
                coopmat<float16_t, gl_ScopeWorkgroup, BR, BC, gl_MatrixUseAccumulator> b;
                coopMatLoadTensorNV(b, core_v, A.bias_base + core_head * A.bias_head, sliceTensorLayoutNV(layout_b, 0u, BR, row, BC));
                z = LOGITS(b) * LOG2E;
            }
            z = coopMatMulAdd(q, k, z);
            if (!whole)
                coopMatPerElementNV(z, z, mask, first, first + n);
            LOGITS top, e;
            coopMatReduceNV(top, z, gl_CooperativeMatrixReduceRowNV, larger);
            coopMatPerElementNV(top, top, larger_of, m);
            coopMatPerElementNV(e, m, power, top);
            coopMatPerElementNV(z, z, power, top);
            m = top;
            coopmat<float16_t, gl_ScopeWorkgroup, BR, BC, gl_MatrixUseA> w = coopmat<float16_t, gl_ScopeWorkgroup, BR, BC, gl_MatrixUseA>(z);
            l = coopMatMulAdd(w, ones, e * l);

            tensorLayoutNV<2, gl_CooperativeMatrixClampModeConstantNV> layout_v = createTensorLayoutNV(2, gl_CooperativeMatrixClampModeConstantNV);
            layout_v = setTensorLayoutDimensionNV(layout_v, row + uint(n), DIM);
            layout_v = setTensorLayoutStrideNV(layout_v, core ? 2u * A.core_v.row : 2u * A.raw_v.row, 1u);
            coopmat<float16_t, gl_ScopeWorkgroup, BC, DIM, gl_MatrixUseB> v;
            if (core)
                coopMatLoadTensorNV(v, core_v, 2u * (A.core_v.base + core_head * A.core_v.head), sliceTensorLayoutNV(layout_v, row, BC, 0u, DIM));
            else
                coopMatLoadTensorNV(v, raw_v, 2u * (A.raw_v.base + kv * A.raw_v.head), sliceTensorLayoutNV(layout_v, row, BC, 0u, DIM));
            RESULT spread;
            coopMatReduceNV(spread, e, gl_CooperativeMatrixReduceRowNV, first_of);
            o = coopMatMulAdd(w, v, spread * o);
            first += n;
        }
    }
    RESULT spread;
    coopMatPerElementNV(l, l, inverse);
    coopMatReduceNV(spread, l, gl_CooperativeMatrixReduceRowNV, first_of);
    o = o * spread;
    coopMatPerElementNV(o, o, store_result);
}
