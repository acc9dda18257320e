#version 450
// SPDX-License-Identifier: MIT
// Rows of a packed weight as halves (scratch of the tile kernels) or floats (embedding lookup).
// Grid: one invocation per unit of 32 elements of a written row; workgroups in x, then y.
// Bindings: 0 packed slab; 1 result, rows of `ld` elements; 2 state (GATHER: ids).
// Written elements from `cols` on are zero. Shared memory: none. Matches pith_dequantize, pith_cpu_matrix_row.
#include "lib/types.glsl"
#include "push/matmul.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool GATHER = false;  // row of the table = id of the token
layout(constant_id = 2) const bool FLOATS = false;  // result f32, else f16

layout(push_constant) uniform Push { pith_vk_push_dequant P; };
layout(std430, binding = 0) readonly buffer Slab4 { uvec4 W4[]; };
layout(std430, binding = 0) readonly buffer Slab1 { uint W1[]; };
layout(std430, binding = 1) writeonly buffer Out1 { uint out1[]; };
layout(std430, binding = 1) writeonly buffer Out4 { uvec4 out4[]; };
layout(std430, binding = 2) readonly buffer State { uint state[]; };
#include "lib/format.glsl"

void main()
{
    uint i = (gl_WorkGroupID.x + gl_WorkGroupID.y * gl_NumWorkGroups.x) * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    uint t = i / P.units, u = i % P.units;
    if (t >= P.n)
        return;
    uint row = P.row0 + t;
    if (GATHER) {
        row = state[P.list + t] - P.row0;
        if (row >= P.rows) // another slab's; ids below row0 wrap around
            return;
    }
    vec4 q[8], s;
    unit_values(row * P.units + u, q, s);
    [[unroll]] for (uint j = 0u; j < 8u; j++)
        q[j] = q[j] * (j < 4u ? s.x : s.y) + (j < 4u ? s.z : s.w);
    uint e = u * 32u, to = t * P.ld + e;
    if (e + 32u > P.cols) {
        [[unroll]] for (uint j = 0u; j < 8u; j++)
            [[unroll]] for (uint l = 0u; l < 4u; l++)
                if (e + 4u * j + l >= P.cols)
                    q[j][l] = 0.0;
    }
    if (FLOATS) {
        if (P.ld % 4u == 0u && e + 32u <= P.ld) {
            [[unroll]] for (uint j = 0u; j < 8u; j++)
                out4[to / 4u + j] = floatBitsToUint(q[j]);
        } else {
            for (uint j = 0u; j < 32u && e + j < P.ld; j++)
                out1[to + j] = floatBitsToUint(q[j / 4u][j % 4u]);
        }
    } else {
        [[unroll]] for (uint j = 0u; j < 4u; j++)
            out4[to / 8u + j] = uvec4(half_quad(half_clamp(q[2u * j])), half_quad(half_clamp(q[2u * j + 1u])));
    }
}
