#version 450
// SPDX-License-Identifier: MIT
// y[t][n] = sum_k x[t][k] w[n][k] with KHR cooperative matrices: halves in, f32 sums, products of TM x TN x TK.
// Grid: workgroup = BM tokens x BN packed rows, numbered in bands of 8 tiles of rows so that neighbours share both
// operands in the cache; a subgroup computes WM x WN. Two buffers in shared memory: while one is multiplied, the next
// step's tiles travel through registers into the other; one barrier per step.
// Bindings: 0 x, [m rounded up to BM][k]; 1 w, [n rounded up to BN][k], halves; 2 y; 4 bias.
// k is a multiple of 32; rows beyond m and n are read, never stored.
// Shared memory: 2 (BM + BN) (BK + 8) halves, TM TN floats per subgroup. Matches pith_cpu_matmul.
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#include "lib/types.glsl"
#include "push/matmul.h"
#pragma use_vulkan_memory_model

layout(local_size_x_id = 0) in; // subgroup size * (BM / WM) * (BN / WN)
layout(constant_id = 1) const uint BM = 128u;
layout(constant_id = 2) const uint BN = 128u;
layout(constant_id = 3) const uint BK = 32u;
layout(constant_id = 4) const uint WM = 64u;
layout(constant_id = 5) const uint WN = 32u;
layout(constant_id = 6) const uint FLAGS = 0u; // epilogue | bias << 2 | pairs << 3
layout(constant_id = 7) const uint TM = 16u;   // divisors of 16
layout(constant_id = 8) const uint TN = 16u;
layout(constant_id = 9) const uint TK = 16u;
const uint EPILOGUE = FLAGS & 3u;
const bool BIAS = (FLAGS & 4u) != 0u;
const bool PAIRS = (FLAGS & 8u) != 0u;

layout(push_constant) uniform Push { pith_vk_push_gemm P; };
layout(std430, binding = 0) readonly buffer X { uvec4 x8[]; };
layout(std430, binding = 1) readonly buffer W { uvec4 w8[]; };
layout(std430, binding = 2) buffer Y { float y[]; };
layout(std430, binding = 4) readonly buffer B { float bias[]; };
#include "lib/epilogue.glsl"

const uint PITCH = BK / 8u + 1u;            // uvec4 (8 halves) per staged row: padding against bank conflicts
const uint SUBGROUPS = (BM / WM) * (BN / WN);
const uint FM = WM / TM, FN = WN / TN;    // fragments of a subgroup
const uint XS = BM * PITCH, WS = BN * PITCH;
shared uvec4 xs[2u * XS];
shared uvec4 ws[2u * WS];
shared float patch_[SUBGROUPS * TM * TN];

const uint STEP = BK / 8u;                  // loads of 8 halves per row and step
const uint LX = (BM * STEP + gl_WorkGroupSize.x - 1u) / gl_WorkGroupSize.x; // loads per invocation
const uint LW = (BN * STEP + gl_WorkGroupSize.x - 1u) / gl_WorkGroupSize.x;

void main()
{
    uint tiles_n = gl_NumWorkGroups.x, tiles_m = gl_NumWorkGroups.y;
    uint id = gl_WorkGroupID.x + gl_WorkGroupID.y * tiles_n;
    uint band = id / (8u * tiles_m), in_band = id % (8u * tiles_m), width = min(8u, tiles_n - band * 8u);
    uint n0 = (band * 8u + in_band % width) * BN, m0 = in_band / width * BM;
    uint i = gl_LocalInvocationIndex, k8 = P.k / 8u;
    uint wm = gl_SubgroupID % (BM / WM) * WM, wn = gl_SubgroupID / (BM / WM) * WN;

    coopmat<float, gl_ScopeSubgroup, TM, TN, gl_MatrixUseAccumulator> acc[FM * FN];
    [[unroll]] for (uint f = 0u; f < FM * FN; f++)
        acc[f] = coopmat<float, gl_ScopeSubgroup, TM, TN, gl_MatrixUseAccumulator>(0.0);

    uvec4 rx[LX], rw[LW];
#define FETCH(k0)                                                                                    \
    [[unroll]] for (uint j = 0u; j < LX; j++) {                                                      \
        uint e = i + j * gl_WorkGroupSize.x;                                                         \
        if (BM * STEP % gl_WorkGroupSize.x == 0u || e < BM * STEP)                                   \
            rx[j] = x8[(m0 + e / STEP) * k8 + (k0) / 8u + e % STEP];                                 \
    }                                                                                                \
    [[unroll]] for (uint j = 0u; j < LW; j++) {                                                      \
        uint e = i + j * gl_WorkGroupSize.x;                                                         \
        if (BN * STEP % gl_WorkGroupSize.x == 0u || e < BN * STEP)                                   \
            rw[j] = w8[(n0 + e / STEP) * k8 + (k0) / 8u + e % STEP];                                 \
    }
#define STAGE(buffer_)                                                                               \
    [[unroll]] for (uint j = 0u; j < LX; j++) {                                                      \
        uint e = i + j * gl_WorkGroupSize.x;                                                         \
        if (BM * STEP % gl_WorkGroupSize.x == 0u || e < BM * STEP)                                   \
            xs[(buffer_) * XS + e / STEP * PITCH + e % STEP] = rx[j];                                \
    }                                                                                                \
    [[unroll]] for (uint j = 0u; j < LW; j++) {                                                      \
        uint e = i + j * gl_WorkGroupSize.x;                                                         \
        if (BN * STEP % gl_WorkGroupSize.x == 0u || e < BN * STEP)                                   \
            ws[(buffer_) * WS + e / STEP * PITCH + e % STEP] = rw[j];                                \
    }

    FETCH(0u)
    STAGE(0u)
    barrier();
    uint current = 0u;
    for (uint k0 = 0u; k0 < P.k; k0 += BK) {
        bool more = k0 + BK < P.k;
        if (more) {
            FETCH(k0 + BK)
        }
        [[unroll]] for (uint k = 0u; k < BK / TK; k++) {
            coopmat<float16_t, gl_ScopeSubgroup, TM, TK, gl_MatrixUseA> a[FM];
            [[unroll]] for (uint f = 0u; f < FM; f++)
                coopMatLoad(a[f], xs, current * XS + (wm + f * TM) * PITCH + k * (TK / 8u), PITCH, gl_CooperativeMatrixLayoutRowMajor);
            [[unroll]] for (uint g = 0u; g < FN; g++) {
                coopmat<float16_t, gl_ScopeSubgroup, TK, TN, gl_MatrixUseB> b;
                coopMatLoad(b, ws, current * WS + (wn + g * TN) * PITCH + k * (TK / 8u), PITCH, gl_CooperativeMatrixLayoutColumnMajor);
                [[unroll]] for (uint f = 0u; f < FM; f++)
                    acc[f * FN + g] = coopMatMulAdd(a[f], b, acc[f * FN + g]);
            }
        }
        if (more) {
            STAGE(current ^ 1u)
        }
        barrier();
        current ^= 1u;
    }

    uint lane = gl_SubgroupInvocationID, mine = gl_SubgroupID * TM * TN;
    [[unroll]] for (uint f = 0u; f < FM; f++) {
        [[unroll]] for (uint g = 0u; g < FN; g++) {
            coopMatStore(acc[f * FN + g], patch_, mine, TN, gl_CooperativeMatrixLayoutRowMajor);
            controlBarrier(gl_ScopeSubgroup, gl_ScopeSubgroup, gl_StorageSemanticsShared, gl_SemanticsAcquireRelease);
            uint t0 = m0 + wm + f * TM, r0 = n0 + wn + g * TN;
            if (EPILOGUE == EPI_SWIGLU) {
                for (uint e = lane; e < TM * TN / 2u; e += gl_SubgroupSize) {
                    uint t = t0 + e / (TN / 2u), r = r0 + e % (TN / 2u) * 2u;
                    if (t < P.m && r < P.n)
                        store_swiglu(t, P.row0 + r, patch_[mine + 2u * e], patch_[mine + 2u * e + 1u]);
                }
            } else {
                for (uint e = lane; e < TM * TN; e += gl_SubgroupSize)
                    if (t0 + e / TN < P.m && r0 + e % TN < P.n)
                        store_one(t0 + e / TN, P.row0 + r0 + e % TN, patch_[mine + e]);
            }
            controlBarrier(gl_ScopeSubgroup, gl_ScopeSubgroup, gl_StorageSemanticsShared, gl_SemanticsAcquireRelease);
        }
    }
}
