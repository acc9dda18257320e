#version 450
// SPDX-License-Identifier: MIT
// Activations as the tile kernels read them: halves (or floats), after an optional RMS norm, padded with zeros to ldy.
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

// Elements 4 j .. 4 j + 3 of the token.
vec4 load(uint token, uint j)
{
    if (!RAGGED)
        return 4u * j < P.cols ? x4[token * (P.ldx / 4u) + j] : vec4(0);
    vec4 v;
    for (uint l = 0u; l < 4u; l++)
        v[l] = 4u * j + l < P.cols ? x1[token * P.ldx + 4u * j + l] : 0.0;
    return v;
}

vec4 weight(uint j)
{
    if (!RAGGED)
        return 4u * j < P.cols ? g4[j] : vec4(0);
    vec4 v;
    for (uint l = 0u; l < 4u; l++)
        v[l] = 4u * j + l < P.cols ? g1[4u * j + l] : 0.0;
    return v;
}

void main()
{
    uint i = gl_LocalInvocationIndex, token = gl_WorkGroupID.x + gl_WorkGroupID.y * gl_NumWorkGroups.x;
    float rms = 1.0;
    if (NORM) {
        float sum = 0.0;
        for (uint j = i; 4u * j < P.cols; j += gl_WorkGroupSize.x) {
            vec4 v = load(token, j);
            sum += dot(v, v);
        }
        sums[i] = sum;
        barrier();
        for (uint m = gl_WorkGroupSize.x / 2u; m > 0u; m >>= 1) {
            if (i < m)
                sums[i] += sums[i + m];
            barrier();
        }
        rms = inversesqrt(sums[0] / float(P.cols) + P.eps);
    }
    for (uint j = i; 4u * j < P.ldy; j += gl_WorkGroupSize.x) {
        vec4 v = load(token, j);
        if (NORM)
            v *= weight(j) * rms;
        if (FLOATS)
            y4[token * (P.ldy / 4u) + j] = v;
        else
            y2[token * (P.ldy / 4u) + j] = half_quad(half_clamp(v));
    }
}
