#version 450
// SPDX-License-Identifier: MIT
// y[t][n] = sum_k x[t][k] w[n][k] with KHR cooperative matrices: halves in, f32 sums, products of TM x TN x TK.
// Grid: workgroup = BM tokens x BN packed rows, numbered in bands of 8 tiles of rows so that neighbours share both
// operands in the cache; a subgroup computes WM x WN. While a step is multiplied, the next step's tiles travel through
// registers: into the other of two buffers in shared memory (STAGES 2, one barrier per step), or into the same one
// behind a second barrier (STAGES 1: half the shared memory, for larger tiles and more workgroups at a time).
// Weights are halves, or with PACKED a packed slab whose units are unpacked on their way into shared memory. There both
// operands have the order of act.comp along k, which leaves sums as they are.
// Bindings: 0 x, [m rounded up to BM][k] halves; 1 w, [n][k] halves from uvec4 P.w0 on, or the slab; 2 y; 4 bias.
// k is a multiple of BK; rows of x beyond m are read, never stored.
// Shared memory: the larger of 2 STAGES (BM + BN) (BK + 8) bytes and 4 TM (WN + 4) bytes per subgroup.
// Matches pith_cpu_matmul.
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
layout(constant_id = 6) const uint FLAGS = 0u; // epilogue | bias << 2 | pairs << 3 | subnormal << 4
layout(constant_id = 7) const uint TM = 16u;   // divisors of 16
layout(constant_id = 8) const uint TN = 16u;
layout(constant_id = 9) const uint TK = 16u;
layout(constant_id = 10) const uint STAGES = 2u;
const uint EPILOGUE = FLAGS & 3u;
const bool BIAS = (FLAGS & 4u) != 0u;
const bool PAIRS = (FLAGS & 8u) != 0u;
const bool SUBNORMAL = (FLAGS & 16u) != 0u;

layout(push_constant) uniform Push { pith_vk_push_gemm P; };
layout(std430, binding = 0) readonly buffer X { uvec4 x8[]; };
layout(std430, binding = 1) readonly buffer W { uvec4 W4[]; };
#ifdef PACKED
layout(std430, binding = 1) readonly buffer W_ { uint W1[]; };
#include "lib/format.glsl"
#include "lib/halves.glsl"
#include "lib/scaled.glsl"
#endif
layout(std430, binding = 2) buffer Y { float y[]; };
layout(std430, binding = 4) readonly buffer B { float bias[]; };
#include "lib/epilogue.glsl"

const uint PITCH = BK / 8u + 1u;            // uvec4 (8 halves) per staged row: padding against bank conflicts
const uint SUBGROUPS = (BM / WM) * (BN / WN);
const uint FM = WM / TM, FN = WN / TN;    // fragments of a subgroup
const uint XS = BM * PITCH, WS = BN * PITCH, BUFFER = XS + WS;
const uint OUT_PITCH = WN / 4u + 1u;        // uvec4 (4 floats) per row of results on their way out
const uint OUT = TM * OUT_PITCH;            // of a subgroup
const uint TILES = STAGES * BUFFER;
shared uvec4 tiles[TILES > SUBGROUPS * OUT ? TILES : SUBGROUPS * OUT]; // [STAGES]{x [BM], w [BN]}; results at last

const uint STEP = BK / 8u;                  // loads of 8 halves per row and step
const uint LX = (BM * STEP + gl_WorkGroupSize.x - 1u) / gl_WorkGroupSize.x; // loads per invocation
#ifdef PACKED
const uint PIECES = BK / 32u;               // of w per row and step: units, or 8 halves
#define PIECE Raw
#else
const uint PIECES = STEP;
#define PIECE uvec4
#endif
const uint LW = (BN * PIECES + gl_WorkGroupSize.x - 1u) / gl_WorkGroupSize.x;

// Gate and up of one result are neighbours among packed rows. Staged a matrix apart, they are the same element of two
// matrices of results. Row of the tile that is staged as row r:
const bool EVEN = FN % 2u == 0u;
const bool APART = EPILOGUE == EPI_SWIGLU && EVEN;
uint row_at(uint r) { return APART ? r - r % (2u * TN) + r % TN * 2u + r / TN % 2u : r; }

// Piece `at` of packed row `row`.
PIECE fetch_w(uint row, uint at)
{
#ifdef PACKED
    return unit_load(row * P.units + at);
#else
    return W4[P.w0 + row * (P.k / 8u) + at];
#endif
}

// The same piece into shared memory at uvec4 `to`; at: as above.
void stage_w(PIECE piece, uint row, uint at, uint to)
{
#ifdef PACKED
    uint w[16];
    unit_scaled(piece, row * P.units + at, w);
    [[unroll]] for (uint j = 0u; j < 4u; j++)
        tiles[to + j] = uvec4(w[4u * j], w[4u * j + 1u], w[4u * j + 2u], w[4u * j + 3u]);
#else
    uvec2 even = (piece.xz & 0xFFFFu) | (piece.yw << 16), odd = (piece.xz >> 16) | (piece.yw & 0xFFFF0000u);
    tiles[to] = uvec4(even.x, odd.x, even.y, odd.y); // each four as 0 2 1 3
#endif
}

#define ACC coopmat<float, gl_ScopeSubgroup, TM, TN, gl_MatrixUseAccumulator>

void main()
{
    uint tiles_n = gl_NumWorkGroups.x, tiles_m = gl_NumWorkGroups.y;
    uint id = gl_WorkGroupID.x + gl_WorkGroupID.y * tiles_n;
    uint band = id / (8u * tiles_m), in_band = id % (8u * tiles_m), width = min(8u, tiles_n - band * 8u);
    uint n0 = (band * 8u + in_band % width) * BN, m0 = in_band / width * BM;
    uint i = gl_LocalInvocationIndex, k8 = P.k / 8u;
    uint wm = gl_SubgroupID % (BM / WM) * WM, wn = gl_SubgroupID / (BM / WM) * WN;

    ACC acc[FM * FN];
    [[unroll]] for (uint f = 0u; f < FM * FN; f++)
        acc[f] = ACC(0.0);

    uvec4 rx[LX];
    PIECE rw[LW];
#define FETCH(k0)                                                                                    \
    [[unroll]] for (uint j = 0u; j < LX; j++) {                                                      \
        uint e = i + j * gl_WorkGroupSize.x;                                                         \
        if (BM * STEP % gl_WorkGroupSize.x == 0u || e < BM * STEP)                                   \
            rx[j] = x8[(m0 + e / STEP) * k8 + (k0) / 8u + e % STEP];                                 \
    }                                                                                                \
    [[unroll]] for (uint j = 0u; j < LW; j++) {                                                      \
        uint e = i + j * gl_WorkGroupSize.x;                                                         \
        if (BN * PIECES % gl_WorkGroupSize.x == 0u || e < BN * PIECES)                               \
            rw[j] = fetch_w(min(n0 + row_at(e / PIECES), P.n - 1u), (k0) / (BK / PIECES) + e % PIECES); \
    }
#define STAGE(buffer_, k_)                                                                           \
    [[unroll]] for (uint j = 0u; j < LX; j++) {                                                      \
        uint e = i + j * gl_WorkGroupSize.x;                                                         \
        if (BM * STEP % gl_WorkGroupSize.x == 0u || e < BM * STEP)                                   \
            tiles[(buffer_) * BUFFER + e / STEP * PITCH + e % STEP] = rx[j];                         \
    }                                                                                                \
    [[unroll]] for (uint j = 0u; j < LW; j++) {                                                      \
        uint e = i + j * gl_WorkGroupSize.x;                                                         \
        if (BN * PIECES % gl_WorkGroupSize.x == 0u || e < BN * PIECES)                               \
            stage_w(rw[j], min(n0 + row_at(e / PIECES), P.n - 1u), (k_) / (BK / PIECES) + e % PIECES, \
                    (buffer_) * BUFFER + XS + e / PIECES * PITCH + e % PIECES * (BK / 8u / PIECES)); \
    }

    FETCH(0u)
    STAGE(0u, 0u)
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
                coopMatLoad(a[f], tiles, current * BUFFER + (wm + f * TM) * PITCH + k * (TK / 8u), PITCH,
                            gl_CooperativeMatrixLayoutRowMajor);
            [[unroll]] for (uint g = 0u; g < FN; g++) {
                coopmat<float16_t, gl_ScopeSubgroup, TK, TN, gl_MatrixUseB> b;
                coopMatLoad(b, tiles, current * BUFFER + XS + (wn + g * TN) * PITCH + k * (TK / 8u), PITCH,
                            gl_CooperativeMatrixLayoutColumnMajor);
                [[unroll]] for (uint f = 0u; f < FM; f++)
                    acc[f * FN + g] = coopMatMulAdd(a[f], b, acc[f * FN + g]);
            }
        }
        if (STAGES == 1u) {
            barrier(); // all have read it
            if (more) {
                STAGE(0u, k0 + BK)
            }
            barrier();
        } else {
            if (more) {
                STAGE(current ^ 1u, k0 + BK)
            }
            barrier();
            current ^= 1u;
        }
    }

    // A whole tile: between registers and memory. Rows of matrices there must begin at multiples of 16 bytes.
    bool whole = !BIAS && m0 + BM <= P.m && n0 + BN <= P.n;
    if (APART && whole && ((P.ldy | P.row0 / 2u) & 3u) == 0u) {
        uint at = (m0 + wm) * P.ldy + (P.row0 + n0 + wn) / 2u;
        [[unroll]] for (uint f = 0u; f < FM; f++)
            [[unroll]] for (uint g = 0u; g + 1u < FN; g += 2u) {
                ACC v = acc[f * FN + g], up = acc[f * FN + g + 1u];
                for (int l = 0; l < v.length(); l++)
                    v[l] = silu(v[l]) * up[l];
                coopMatStore(v, y, at + f * TM * P.ldy + g / 2u * TN, P.ldy, gl_CooperativeMatrixLayoutRowMajor);
            }
        return;
    }
    // Stored, or added to what is there, whose next rows are on their way meanwhile.
    if (EPILOGUE <= EPI_ADD && !PAIRS && whole && ((P.ldy | (P.col0 + P.row0)) & 3u) == 0u) {
        uint at = (m0 + wm) * P.ldy + P.col0 + P.row0 + n0 + wn;
        ACC old[2u * FN];
        if (EPILOGUE == EPI_ADD)
            [[unroll]] for (uint g = 0u; g < FN; g++)
                coopMatLoad(old[g], y, at + g * TN, P.ldy, gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint f = 0u; f < FM; f++) {
            uint to = at + f * TM * P.ldy, now = f % 2u * FN;
            if (EPILOGUE == EPI_ADD && f + 1u < FM)
                [[unroll]] for (uint g = 0u; g < FN; g++)
                    coopMatLoad(old[FN - now + g], y, to + TM * P.ldy + g * TN, P.ldy, gl_CooperativeMatrixLayoutRowMajor);
            [[unroll]] for (uint g = 0u; g < FN; g++) {
                if (EPILOGUE == EPI_ADD)
                    acc[f * FN + g] = acc[f * FN + g] + old[now + g];
                coopMatStore(acc[f * FN + g], y, to + g * TN, P.ldy, gl_CooperativeMatrixLayoutRowMajor);
            }
        }
        return;
    }

    // TM rows of results at a time through this subgroup's corner of what held the tiles.
    uint lane = gl_SubgroupInvocationID, mine = gl_SubgroupID * OUT;
    [[unroll]] for (uint f = 0u; f < FM; f++) {
        [[unroll]] for (uint g = 0u; g < FN; g++)
            coopMatStore(acc[f * FN + g], tiles, mine + g * (TN / 4u), OUT_PITCH, gl_CooperativeMatrixLayoutRowMajor);
        controlBarrier(gl_ScopeSubgroup, gl_ScopeSubgroup, gl_StorageSemanticsShared, gl_SemanticsAcquireRelease);
        uint t0 = m0 + wm + f * TM, r0 = n0 + wn;
        if (EPILOGUE == EPI_SWIGLU) {
            for (uint e = lane; e < TM * WN / 2u; e += gl_SubgroupSize) {
                uint t = e / (WN / 2u), r = e % (WN / 2u) * 2u, at = APART ? r - r % (2u * TN) + r / 2u % TN : r, to = mine + t * OUT_PITCH;
                uint other = APART ? at + TN : at + 1u;
                if (t0 + t < P.m && r0 + r < P.n)
                    store_swiglu(t0 + t, P.row0 + r0 + r, uintBitsToFloat(tiles[to + at / 4u][at % 4u]),
                                 uintBitsToFloat(tiles[to + other / 4u][other % 4u]));
            }
        } else {
            for (uint e = lane; e < TM * WN; e += gl_SubgroupSize) {
                uint t = e / WN, r = e % WN;
                if (t0 + t < P.m && r0 + r < P.n)
                    store_one(t0 + t, P.row0 + r0 + r, uintBitsToFloat(tiles[mine + t * OUT_PITCH + r / 4u][r % 4u]));
            }
        }
        controlBarrier(gl_ScopeSubgroup, gl_ScopeSubgroup, gl_StorageSemanticsShared, gl_SemanticsAcquireRelease);
    }
}
