#version 450
// SPDX-License-Identifier: MIT
// Activations as gemm_int8.comp reads them: signed bytes in units of 32 (lib/bytes.glsl), after an optional RMS norm.
// A token's units follow each other; columns from `cols` to ldy, a multiple of 32, are zeros.
// Grid: workgroup = one token, an invocation takes whole units. Bindings: 0 x; 1 result; 2 norm weights.
// Shared memory: one float per invocation. Matches pith_cpu_rms_norm_f32, then rounding as in lib/bytes.glsl.
#include "lib/types.glsl"
#include "push/matmul.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool NORM = false;
layout(constant_id = 3) const bool RAGGED = false; // cols or ldx not a multiple of 4

layout(push_constant) uniform Push { pith_vk_push_act P; };
layout(std430, binding = 0) readonly buffer X1 { float x1[]; };
layout(std430, binding = 0) readonly buffer X4 { vec4 x4[]; };
layout(std430, binding = 1) writeonly buffer Y { uvec4 y[]; };
layout(std430, binding = 2) readonly buffer G1 { float g1[]; };
layout(std430, binding = 2) readonly buffer G4 { vec4 g4[]; };

shared float sums[gl_WorkGroupSize.x];
#include "lib/tokens.glsl"
#include "lib/bytes.glsl"

void main()
{
    uint i = gl_LocalInvocationIndex, token = gl_WorkGroupID.x + gl_WorkGroupID.y * gl_NumWorkGroups.x, units = P.ldy / 32u;
    float factor = norm_factor(token);
    for (uint u = i; u < units; u += gl_WorkGroupSize.x) {
        vec4 v[8];
        uint most = 0u;
        [[unroll]] for (uint j = 0u; j < 8u; j++) {
            v[j] = load(token, 8u * u + j);
            if (NORM)
                v[j] *= weight(8u * u + j) * factor;
            most = max(most, magnitude_bits(v[j]));
        }
        float by = bytes_factor(most);
        uvec4 codes[2];
        int sum[2] = int[2](0, 0);
        [[unroll]] for (uint j = 0u; j < 8u; j++)
            codes[j / 4u][j % 4u] = bytes_codes(v[j], by, sum[j / 4u]);
        uint to = (token * units + u) * BYTES_UNIT;
        y[to] = codes[0];
        y[to + 1u] = codes[1];
        y[to + 2u] = bytes_scales(most, sum[0], sum[1]);
    }
}
