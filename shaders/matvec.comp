#version 450
// SPDX-License-Identifier: MIT
// y[r] = sum_k w[r][k] x[k] for one token: decode. An optional RMS norm of x is folded in: every group of lanes reads
// all of x anyway, so it sums x^2 beside the products and scales its results by 1/rms at the end.
// Grid: workgroup (x, then y) = (WG / LANES) * ROWS packed rows; z = token.
// Bindings: 0 packed slab; 1 x; 2 y; 3 norm weights; 4 bias, one per row of the group in the order of y's columns.
// Shared memory: one float per invocation, none with USE_SUBGROUP. Matches pith_cpu_matmul, pith_cpu_rms_norm_f32.
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

layout(push_constant) uniform Push { pith_vk_push_matvec P; };
layout(std430, binding = 0) readonly buffer Slab4 { uvec4 W4[]; };
layout(std430, binding = 0) readonly buffer Slab1 { uint W1[]; };
layout(std430, binding = 1) readonly buffer X1 { float x1[]; };
layout(std430, binding = 1) readonly buffer X4 { vec4 x4[]; };
layout(std430, binding = 2) buffer Y { float y[]; };
layout(std430, binding = 3) readonly buffer G1 { float g1[]; };
layout(std430, binding = 3) readonly buffer G4 { vec4 g4[]; };
layout(std430, binding = 4) readonly buffer B { float bias[]; };
#include "lib/format.glsl"
#include "lib/reduce.glsl"
#include "lib/epilogue.glsl"

void load_x(uint u, uint token, out vec4 x[8], inout float squares)
{
    [[unroll]] for (uint j = 0u; j < 8u; j++) {
        vec4 v, g = vec4(1);
        if (RAGGED) {
            [[unroll]] for (uint l = 0u; l < 4u; l++) {
                uint k = u * 32u + j * 4u + l;
                v[l] = k < P.cols ? x1[token * P.ldx + k] : 0.0;
                if (NORM)
                    g[l] = k < P.cols ? g1[k] : 0.0;
            }
        } else {
            v = x4[token * (P.ldx / 4u) + u * 8u + j];
            if (NORM)
                g = g4[u * 8u + j];
        }
        if (NORM) {
            squares += dot(v, v);
            v *= g;
        }
        x[j] = v;
    }
}

void main()
{
    uint i = lane_index(), lane = i % LANES, token = gl_WorkGroupID.z;
    uint wg = gl_WorkGroupID.x + gl_WorkGroupID.y * gl_NumWorkGroups.x;
    uint first = (wg * (gl_WorkGroupSize.x / LANES) + i / LANES) * ROWS;
    float acc[ROWS], squares = 0.0;
    for (uint r = 0u; r < ROWS; r++)
        acc[r] = 0.0;
    for (uint u = lane; u < P.units; u += LANES) {
        vec4 x[8];
        load_x(u, token, x, squares);
#if HAS_MIN
        vec4 lo4 = x[0] + x[1] + x[2] + x[3], hi4 = x[4] + x[5] + x[6] + x[7];
        float xlo = dot(lo4, vec4(1)), xhi = dot(hi4, vec4(1));
#endif
        [[unroll]] for (uint r = 0u; r < ROWS; r++) {
            vec4 q[8], s;
            unit_values(min(first + r, P.rows - 1u) * P.units + u, q, s);
            float lo = 0.0, hi = 0.0;
            [[unroll]] for (uint j = 0u; j < 4u; j++) {
                lo += dot(q[j], x[j]);
                hi += dot(q[4u + j], x[4u + j]);
            }
            acc[r] += s.x * lo + s.y * hi;
#if HAS_MIN
            acc[r] += s.z * xlo + s.w * xhi;
#endif
        }
    }
    float rms = 1.0;
    if (NORM)
        rms = inversesqrt(lanes_sum(squares) / float(P.cols) + P.eps);
    for (uint r = 0u; r < ROWS; r++)
        acc[r] = lanes_sum(acc[r]) * rms;
    if (lane != 0u)
        return;
    if (EPILOGUE == EPI_SWIGLU) {
        for (uint r = 0u; r < ROWS; r += 2u)
            if (first + r < P.rows)
                store_swiglu(token, P.row0 + first + r, acc[r], acc[r + 1u]);
    } else {
        for (uint r = 0u; r < ROWS; r++)
            if (first + r < P.rows)
                store_one(token, P.row0 + first + r, acc[r]);
    }
}
