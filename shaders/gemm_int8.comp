#version 450
// SPDX-License-Identifier: MIT
// y[t][n] = sum_k x[t][k] w[n][k] for quantised weights, as packed dot products of bytes with 32-bit sums: for devices
// without cooperative matrices whose dot product of four bytes is one instruction.
//
//   x          bytes in units of 32, as act_int8.comp writes them; w: a packed slab, whose codes become signed bytes on
//              their way into shared memory: element = s.x q + s.z of the first 16, s.y q + s.w of the others
//   a step     STEP units of K of BM tokens and BN rows in shared memory, three uvec4 a unit: codes, codes, scales.
//              Neighbouring rows lie 12 banks apart: eight invocations read 16 bytes each without a conflict.
//   a result   per unit: 8 packed products summed in integers, exact; then d (s.x lo + s.y hi) + minima, in f32
//
// In shared memory the even rows lie before the odd ones, so that an invocation has both rows of a pair (gate, up) and
// neighbours read neighbouring rows.
// Grid: workgroup = BM tokens x BN packed rows, TM x TN results per invocation; x over rows, y over tokens.
// Bindings: 0 x, readable to m rounded up to BM; 1 slab; 2 y; 4 bias.
// Shared memory: 48 STEP (BM + BN) bytes. Matches pith_cpu_matmul with activations rounded as in lib/bytes.glsl.
#extension GL_EXT_integer_dot_product : require
#include "lib/types.glsl"
#include "push/matmul.h"

layout(local_size_x_id = 0) in;                // (BM / TM) * (BN / TN)
layout(constant_id = 1) const uint BM = 64u;
layout(constant_id = 2) const uint BN = 64u;
layout(constant_id = 3) const uint STEP = 2u;
layout(constant_id = 4) const uint TM = 4u;
layout(constant_id = 5) const uint TN = 8u;    // even
layout(constant_id = 6) const uint FLAGS = 0u; // epilogue | bias << 2 | pairs << 3
const uint EPILOGUE = FLAGS & 3u;
const bool BIAS = (FLAGS & 4u) != 0u;
const bool PAIRS = (FLAGS & 8u) != 0u;

layout(push_constant) uniform Push { pith_vk_push_gemm P; };
layout(std430, binding = 0) readonly buffer X { uvec4 x[]; };
layout(std430, binding = 1) readonly buffer Slab4 { uvec4 W4[]; };
layout(std430, binding = 1) readonly buffer Slab1 { uint W1[]; };
layout(std430, binding = 2) buffer Y { float y[]; };
layout(std430, binding = 4) readonly buffer B { float bias[]; };
#include "lib/format.glsl"
#include "lib/bytes.glsl"
#include "lib/epilogue.glsl"

const uint UNIT = BYTES_UNIT;
const uint LANES_N = BN / TN, LANES_M = BM / TM;
shared uvec4 xs[STEP * BM * UNIT]; // [unit][token][3]
shared uvec4 ws[STEP * BN * UNIT]; // [unit][row, even ones first][3]

// Row in the tile of place `at` in shared memory.
uint row_at(uint at) { return at < BN / 2u ? 2u * at : 2u * at - BN + 1u; }

void stage_x(uint i, uint m0, uint u0)
{
    for (uint j = i; j < BM * STEP * UNIT; j += gl_WorkGroupSize.x) {
        uint row = j / (STEP * UNIT), at = j % (STEP * UNIT), unit = at / UNIT;
        xs[(unit * BM + row) * UNIT + at % UNIT] = u0 + unit < P.units ? x[((m0 + row) * P.units + u0) * UNIT + at] : uvec4(0);
    }
}

void stage_w(uint i, uint n0, uint u0)
{
    for (uint j = i; j < BN * STEP; j += gl_WorkGroupSize.x) {
        uint at = j / STEP, unit = j % STEP, to = (unit * BN + at) * UNIT;
        uint c[8];
        vec4 s;
        unit_codes(min(n0 + row_at(at), P.n - 1u) * P.units + min(u0 + unit, P.units - 1u), c, s);
        ws[to] = uvec4(signed_codes(c[0]), signed_codes(c[1]), signed_codes(c[2]), signed_codes(c[3]));
        ws[to + 1u] = uvec4(signed_codes(c[4]), signed_codes(c[5]), signed_codes(c[6]), signed_codes(c[7]));
        ws[to + 2u] = floatBitsToUint(s);
    }
}

int dot16(uvec4 a, uvec4 b)
{
    return dotPacked4x8EXT(int(a.x), int(b.x)) + dotPacked4x8EXT(int(a.y), int(b.y)) + dotPacked4x8EXT(int(a.z), int(b.z)) +
           dotPacked4x8EXT(int(a.w), int(b.w));
}

// A unit's share of a result; a: its codes of x, e: the floats beside them.
float product(uvec4 a[2], vec4 e, uvec4 b[2], vec4 s)
{
    int lo = dot16(a[0], b[0]), hi = dot16(a[1], b[1]);
#ifdef SCALES_OF_16
    float v = e.x * (s.x * float(lo) + s.y * float(hi));
#if HAS_MIN
    v += s.z * e.y + s.w * e.z;
#endif
#else
    float v = e.x * (s.x * float(lo + hi));
#if HAS_MIN
    v = fma(s.z, e.w, v);
#endif
#endif
    return v;
}

void main()
{
    uint i = gl_LocalInvocationIndex, tn = i % LANES_N, tm = i / LANES_N;
    uint m0 = gl_WorkGroupID.y * BM, n0 = gl_WorkGroupID.x * BN;
    float acc[TM * TN];
    [[unroll]] for (uint f = 0u; f < TM * TN; f++)
        acc[f] = 0.0;
    for (uint u0 = 0u; u0 < P.units; u0 += STEP) {
        stage_x(i, m0, u0);
        stage_w(i, n0, u0);
        barrier();
        for (uint unit = 0u; unit < STEP; unit++) {
            uvec4 a[TM][2];
            vec4 e[TM];
            [[unroll]] for (uint r = 0u; r < TM; r++) {
                uint at = (unit * BM + tm + r * LANES_M) * UNIT;
                a[r][0] = xs[at];
                a[r][1] = xs[at + 1u];
                e[r] = uintBitsToFloat(xs[at + 2u]);
            }
            [[unroll]] for (uint c = 0u; c < TN; c++) {
                uint at = (unit * BN + tn + c * LANES_N) * UNIT;
                uvec4 b[2] = uvec4[2](ws[at], ws[at + 1u]);
                vec4 s = uintBitsToFloat(ws[at + 2u]);
                [[unroll]] for (uint r = 0u; r < TM; r++)
                    acc[r * TN + c] += product(a[r], e[r], b, s);
            }
        }
        barrier();
    }
    [[unroll]] for (uint r = 0u; r < TM; r++) {
        uint token = m0 + tm + r * LANES_M;
        if (token >= P.m)
            continue;
        [[unroll]] for (uint c = 0u; c < TN / 2u; c++) {
            uint row = n0 + 2u * (tn + c * LANES_N); // and the next one
            float even = acc[r * TN + c], odd = acc[r * TN + c + TN / 2u];
            if (EPILOGUE == EPI_SWIGLU) {
                if (row < P.n)
                    store_swiglu(token, P.row0 + row, even, odd);
            } else {
                if (row < P.n)
                    store_one(token, P.row0 + row, even);
                if (row + 1u < P.n)
                    store_one(token, P.row0 + row + 1u, odd);
            }
        }
    }
}
