#version 450
// SPDX-License-Identifier: MIT
// y[r] = x[rows[r]]: the tokens whose logits are wanted.
// Grid: workgroup = one wanted row. Bindings: 0 x; 1 y; 2 state. Shared memory: none. Matches run_rows of backends/cpu.
#include "lib/types.glsl"
#include "push/matmul.h"

layout(local_size_x_id = 0) in;
layout(push_constant) uniform Push { pith_vk_push_rows P; };
layout(std430, binding = 0) readonly buffer X { float x[]; };
layout(std430, binding = 1) writeonly buffer Y { float y[]; };
layout(std430, binding = 2) readonly buffer State { uint state[]; };

void main()
{
    uint r = gl_WorkGroupID.x, row = state[P.list + r];
    for (uint c = gl_LocalInvocationIndex; c < P.cols; c += gl_WorkGroupSize.x)
        y[r * P.cols + c] = x[row * P.cols + c];
}
