#version 450
// SPDX-License-Identifier: MIT
// y[t][n] = sum_k x[t][k] w[n][k] with plain f32 arithmetic: the form that runs on every device.
// Grid: workgroup = BM tokens x BN packed rows, 4 x 4 results per invocation; x over rows, y over tokens.
// Bindings: 0 x, [m rounded up to BM][k]; 1 w, [n rounded up to BN][k], both halves or floats (FLOATS); 2 y; 4 bias.
// Halves of x are in the order of act.comp.
// k is a multiple of 32; rows beyond m and n are read, never stored. Shared memory: (BM + BN) * 17 floats.
// Matches pith_cpu_matmul.
#include "lib/types.glsl"
#include "push/matmul.h"

layout(local_size_x_id = 0) in;                     // (BM / 4) * (BN / 4)
layout(constant_id = 1) const uint BM = 64u;
layout(constant_id = 2) const uint BN = 32u;
layout(constant_id = 3) const bool FLOATS = false;
layout(constant_id = 4) const uint EPILOGUE = 0u;
layout(constant_id = 5) const bool BIAS = false;
layout(constant_id = 6) const bool PAIRS = false;

layout(push_constant) uniform Push { pith_vk_push_gemm P; };
layout(std430, binding = 0) readonly buffer X2 { uvec2 x2[]; };
layout(std430, binding = 0) readonly buffer X4 { vec4 x4[]; };
layout(std430, binding = 1) readonly buffer W2 { uvec2 w2[]; };
layout(std430, binding = 1) readonly buffer W4b { vec4 w4[]; };
layout(std430, binding = 2) buffer Y { float y[]; };
layout(std430, binding = 4) readonly buffer B { float bias[]; };
#include "lib/epilogue.glsl"

const uint BK = 16u;
shared float xs[BK * (BM + 1u)]; // [k][token]
shared float ws[BK * (BN + 1u)]; // [k][row]

void main()
{
    uint i = gl_LocalInvocationIndex, tn = i % (BN / 4u), tm = i / (BN / 4u);
    uint m0 = gl_WorkGroupID.y * BM, n0 = gl_WorkGroupID.x * BN;
    float acc[4][4];
    [[unroll]] for (int a = 0; a < 4; a++)
        [[unroll]] for (int b = 0; b < 4; b++)
            acc[a][b] = 0.0;
    for (uint k0 = 0u; k0 < P.k; k0 += BK) {
        for (uint j = i; j < BM * BK / 4u; j += gl_WorkGroupSize.x) {
            uint row = j / (BK / 4u), c = j % (BK / 4u), at = ((m0 + row) * P.k + k0) / 4u + c;
            vec4 v = FLOATS ? x4[at] : quad_floats(x2[at]).xzyw;
            [[unroll]] for (uint l = 0u; l < 4u; l++)
                xs[(4u * c + l) * (BM + 1u) + row] = v[l];
        }
        for (uint j = i; j < BN * BK / 4u; j += gl_WorkGroupSize.x) {
            uint row = j / (BK / 4u), c = j % (BK / 4u), at = ((n0 + row) * P.k + k0) / 4u + c;
            vec4 v = FLOATS ? w4[at] : quad_floats(w2[at]);
            [[unroll]] for (uint l = 0u; l < 4u; l++)
                ws[(4u * c + l) * (BN + 1u) + row] = v[l];
        }
        barrier();
        [[unroll]] for (uint k = 0u; k < BK; k++) {
            float a[4], b[4];
            [[unroll]] for (uint l = 0u; l < 4u; l++) {
                a[l] = xs[k * (BM + 1u) + tm * 4u + l];
                b[l] = ws[k * (BN + 1u) + tn * 4u + l];
            }
            [[unroll]] for (int r = 0; r < 4; r++)
                [[unroll]] for (int c = 0; c < 4; c++)
                    acc[r][c] = fma(a[r], b[c], acc[r][c]);
        }
        barrier();
    }
    [[unroll]] for (uint r = 0u; r < 4u; r++) {
        uint token = m0 + tm * 4u + r;
        if (token >= P.m)
            continue;
        if (EPILOGUE == EPI_SWIGLU) {
            [[unroll]] for (uint c = 0u; c < 4u; c += 2u)
                if (n0 + tn * 4u + c < P.n)
                    store_swiglu(token, P.row0 + n0 + tn * 4u + c, acc[r][c], acc[r][c + 1u]);
        } else {
            [[unroll]] for (uint c = 0u; c < 4u; c++)
                if (n0 + tn * 4u + c < P.n)
                    store_one(token, P.row0 + n0 + tn * 4u + c, acc[r][c]);
        }
    }
}
