#version 450
// SPDX-License-Identifier: MIT
// y[r] = sum_k w[r][k] x[k] for one token: decode. The workgroup stages x, times the norm's weights, in shared memory,
// where every unit of 32 elements begins on a bank of its own; groups of LANES invocations then each take ROWS packed
// rows, a unit per invocation. The RMS norm is folded in: staging sums x^2, the results are scaled by 1/rms at the end.
// Grid: workgroup (x, then y) = (WG / LANES) * ROWS packed rows; z = token.
// Bindings: 0 packed slab; 1 x; 2 y; 3 norm weights; 4 bias, one per row of the group in the order of y's columns; 5 what y is
//           added to or multiplied by, y itself or another place.
// Shared memory: 144 STAGE bytes, one float per invocation. Matches pith_cpu_matmul, pith_cpu_rms_norm_f32.
#include "lib/types.glsl"
#include "push/matmul.h"
#ifdef USE_SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint LANES = 32u;   // along K
layout(constant_id = 2) const uint ROWS = 2u;     // packed rows per group of lanes
layout(constant_id = 3) const bool NORM = false;
layout(constant_id = 4) const uint EPILOGUE = 0u; // EPI_*
layout(constant_id = 5) const bool BIAS = false;
layout(constant_id = 6) const bool PAIRS = false; // packed rows 2j, 2j + 1 are row j of part 0 and of part 1
layout(constant_id = 7) const bool RAGGED = false; // K or a stride is not a multiple of 4, or K not of 32
layout(constant_id = 8) const uint STAGE = 64u;   // units of x in shared memory at a time
layout(constant_id = 9) const uint DEPTH = 1u;    // units of an invocation whose loads are in flight together

layout(push_constant) uniform Push { pith_vk_push_matvec P; };
layout(std430, binding = 0) readonly buffer Slab4 { uvec4 W4[]; };
layout(std430, binding = 0) readonly buffer Slab1 { uint W1[]; };
layout(std430, binding = 1) readonly buffer X1 { float x1[]; };
layout(std430, binding = 1) readonly buffer X4 { vec4 x4[]; };
layout(std430, binding = 2) buffer Y { float y[]; };
layout(std430, binding = 3) readonly buffer G1 { float g1[]; };
layout(std430, binding = 3) readonly buffer G4 { vec4 g4[]; };
layout(std430, binding = 4) readonly buffer B { float bias[]; };
layout(std430, binding = 5) readonly buffer Old { float old[]; };
#include "lib/format.glsl"
#include "lib/reduce.glsl"
#define OLD(at) old[at]
// Not a link of a chain itself, but one may read what several products wrote (lib/link.glsl).
#define FINAL(v) (floatBitsToUint(v) == PITH_VK_LINK_NOTHING ? uintBitsToFloat(0x7FC00000u) : (v))
#include "lib/epilogue.glsl"

const uint PITCH = 9u; // vec4 per staged unit
shared vec4 xs[STAGE * PITCH];
shared float sums[gl_WorkGroupSize.x];

// Four elements of x from 4 j on, times the norm's weights; adds to the sum of squares.
vec4 load_x(uint j, uint token, inout float squares)
{
    vec4 v, g = vec4(1);
    if (RAGGED) {
        [[unroll]] for (uint l = 0u; l < 4u; l++) {
            uint k = j * 4u + l;
            v[l] = k < P.cols ? x1[token * P.ldx + k] : 0.0;
            if (NORM)
                g[l] = k < P.cols ? g1[k] : 0.0;
        }
    } else {
        v = x4[token * (P.ldx / 4u) + j];
        if (NORM)
            g = g4[j];
    }
    if (NORM) {
        squares += dot(v, v);
        v *= g;
    }
    return v;
}

void main()
{
    uint i = lane_index(), lane = i % LANES, token = gl_WorkGroupID.z;
    uint wg = gl_WorkGroupID.x + gl_WorkGroupID.y * gl_NumWorkGroups.x;
    uint first = (wg * (gl_WorkGroupSize.x / LANES) + i / LANES) * ROWS;
    float acc[ROWS], squares = 0.0;
    [[unroll]] for (uint r = 0u; r < ROWS; r++)
        acc[r] = 0.0;
    for (uint u0 = 0u; u0 < P.units; u0 += STAGE) {
        uint n = min(STAGE, P.units - u0);
        if (u0 > 0u)
            barrier();
        for (uint j = i; j < n * 8u; j += gl_WorkGroupSize.x)
            xs[j / 8u * PITCH + j % 8u] = load_x(u0 * 8u + j, token, squares);
        barrier();
        for (uint u = lane; u < n; u += LANES * DEPTH) {
            [[unroll]] for (uint d = 0u; d < DEPTH; d++) {
                uint at = u + d * LANES;
                bool live = at < n;
                at = min(at, n - 1u);
                vec4 x[8];
                [[unroll]] for (uint j = 0u; j < 8u; j++)
                    x[j] = xs[at * PITCH + j];
#if HAS_MIN
                vec4 lo4 = x[0] + x[1] + x[2] + x[3], hi4 = x[4] + x[5] + x[6] + x[7];
                float xlo = dot(lo4, vec4(1)), xhi = dot(hi4, vec4(1));
#endif
                [[unroll]] for (uint r = 0u; r < ROWS; r++) {
                    vec4 q[8], s;
                    unit_values(min(first + r, P.rows - 1u) * P.units + u0 + at, q, s);
                    vec4 lo = q[0] * x[0], hi = q[4] * x[4];
                    [[unroll]] for (uint j = 1u; j < 4u; j++) {
                        lo = fma(q[j], x[j], lo);
                        hi = fma(q[4u + j], x[4u + j], hi);
                    }
                    float v = s.x * dot(lo, vec4(1)) + s.y * dot(hi, vec4(1));
#if HAS_MIN
                    v += s.z * xlo + s.w * xhi;
#endif
                    acc[r] += live ? v : 0.0;
                }
            }
        }
    }
    float rms = 1.0;
    if (NORM) { // every invocation's share of the squares
        sums[i] = squares;
        barrier();
        for (uint m = gl_WorkGroupSize.x / 2u; m > 0u; m >>= 1) {
            if (i < m)
                sums[i] += sums[i + m];
            barrier();
        }
        rms = inversesqrt(sums[0] / float(P.cols) + P.eps);
    }
    [[unroll]] for (uint r = 0u; r < ROWS; r++)
        acc[r] = lanes_sum(acc[r]) * rms;
    if (lane != 0u)
        return;
    if (EPILOGUE == EPI_SWIGLU) {
        [[unroll]] for (uint r = 0u; r < ROWS; r += 2u)
            if (first + r < P.rows)
                store_swiglu(token, P.row0 + first + r, acc[r], acc[r + 1u]);
    } else {
        [[unroll]] for (uint r = 0u; r < ROWS; r++)
            if (first + r < P.rows)
                store_one(token, P.row0 + first + r, acc[r]);
    }
}
