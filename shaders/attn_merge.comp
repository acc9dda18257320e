#version 450
// SPDX-License-Identifier: MIT
// Joins the parts that attn_split wrote, in their order: out = sum_p 2^(m_p - m) o_p / sum_p 2^(m_p - m) l_p.
// Grid: x = query head, y = token. Bindings: 0 parts; 1 result. Shared memory: none. Matches parts_join of backends/cpu.
#include "lib/types.glsl"
#include "push/attn.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 2) const uint DIM = 64u;

layout(push_constant) uniform Push { pith_vk_push_attend P; };
layout(std430, binding = 0) readonly buffer Parts { float parts[]; };
layout(std430, binding = 1) writeonly buffer Out { float out1[]; };

void main()
{
    uint head = gl_WorkGroupID.x, token = gl_WorkGroupID.y + P.token0, pitch = DIM + 2u;
    uint first = (token * gl_NumWorkGroups.x + head) * P.splits * pitch;
    float top = -1.0e38, sum = 0.0;
    for (uint p = 0u; p < P.splits; p++)
        top = max(top, parts[first + p * pitch]);
    for (uint p = 0u; p < P.splits; p++)
        sum += parts[first + p * pitch + 1u] * exp2(parts[first + p * pitch] - top);
    for (uint e = gl_LocalInvocationIndex; e < DIM; e += gl_WorkGroupSize.x) {
        float v = 0.0;
        for (uint p = 0u; p < P.splits; p++)
            v += parts[first + p * pitch + 2u + e] * exp2(parts[first + p * pitch] - top);
        out1[token * P.ldo + head * DIM + e] = sum != 0.0 ? v / sum : 0.0;
    }
}
