#version 450
// SPDX-License-Identifier: MIT
// Activations as the tile kernels read them: halves (or floats), after an optional RMS norm, padded with zeros to ldy.
// Of halves each four lie in the order 0 2 1 3: that of packed weights' pairs (lib/halves.glsl), which stay as they are.
// Grid: workgroup = one token. Bindings: 0 x; 1 result; 2 norm weights.
// Shared memory: one float per invocation. Matches pith_cpu_rms_norm_f32.
#include "lib/types.glsl"
#include "push/matmul.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool NORM = false;
layout(constant_id = 2) const bool FLOATS = false;
layout(constant_id = 3) const bool RAGGED = false; // cols or ldx not a multiple of 4

layout(push_constant) uniform Push { pith_vk_push_act P; };
layout(std430, binding = 0) readonly buffer X1 { float x1[]; };
layout(std430, binding = 0) readonly buffer X4 { vec4 x4[]; };
layout(std430, binding = 1) writeonly buffer Y2 { uvec2 y2[]; };
layout(std430, binding = 1) writeonly buffer Y4 { vec4 y4[]; };
layout(std430, binding = 2) readonly buffer G1 { float g1[]; };
layout(std430, binding = 2) readonly buffer G4 { vec4 g4[]; };

shared float sums[gl_WorkGroupSize.x];
#include "lib/tokens.glsl"

void main()
{
    uint i = gl_LocalInvocationIndex, token = gl_WorkGroupID.x + gl_WorkGroupID.y * gl_NumWorkGroups.x;
    float factor = norm_factor(token);
    for (uint j = i; 4u * j < P.ldy; j += gl_WorkGroupSize.x) {
        vec4 v = load(token, j);
        if (NORM)
            v *= weight(j) * factor;
        if (FLOATS)
            y4[token * (P.ldy / 4u) + j] = v;
        else
            y2[token * (P.ldy / 4u) + j] = half_quad(half_clamp(v.xzyw));
    }
}
