#version 450
// SPDX-License-Identifier: MIT
// y[r] = sum_k w[r][k] x[k] for one token and quantised weights, with products in half precision: decode. Converting codes
// to floats one by one, as matvec.comp does, costs more than the memory takes to bring them; here a pair of codes
// becomes a pair of halves in two operations (lib/halves.glsl).
//
//   staging   x, times the norm's weights, in shared memory. Each unit of 32 elements is divided by the power of two
//             below its largest, so that halves neither overflow nor lose small units (TINY: and raised again by what
//             subnormal codes lack):
//               uvec4 0..3   x as pairs, in the order of lib/halves.glsl
//               uvec4 4      {the power of two, sum of the first 16 elements, sum of the others, -} as floats
//             five uvec4 a unit: neighbours lie on different banks
//   products  groups of SPLIT times LANES invocations take ROWS packed rows, a unit per invocation and turn, the next
//             turn's weights in flight; 16 products summed in halves, everything else in f32
//
// Matrices of few rows keep enough loads in flight only when SPLIT > 1 groups of lanes share a row.
// A workgroup stages x once and goes through neighbouring rows: loading x takes as long as many rows do.
// The RMS norm is folded in: staging sums x^2, the results are scaled by 1/rms at the end.
// In a chain (lib/link.glsl) the first weights are on their way before x is waited for.
// Grid: x = any number of workgroups, among which the rows are dealt evenly, ROWS at a time; z = token.
// Bindings: 0 packed slab; 1 x; 2 y; 3 norm weights; 4 bias, one per row of the group in the order of y's columns;
//           5 what y is added to or multiplied by, y itself or another place; 9 the chain's mark.
// Shared memory: 80 STAGE bytes, 4 ROWS WG / LANES bytes; IQ4: 1024 bytes more. Subgroups of 8 or more. K, ldx: multiples of 32 and 4.
// Matches pith_cpu_matmul, pith_cpu_rms_norm_f32 within the rounding of halves.
#include "lib/types.glsl"
#include "push/matmul.h"
#define USE_SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint LANES = 32u;   // along K
layout(constant_id = 2) const uint ROWS = 2u;     // packed rows per group of lanes, even
layout(constant_id = 9) const uint SPLIT = 1u;
layout(constant_id = 10) const bool TINY = false; // codes as subnormal halves, which the device must not take for zero
layout(constant_id = 3) const bool NORM = false;
layout(constant_id = 4) const uint EPILOGUE = 0u; // EPI_*
layout(constant_id = 5) const bool BIAS = false;
layout(constant_id = 6) const bool PAIRS = false; // packed rows 2j, 2j + 1 are row j of part 0 and of part 1
layout(constant_id = 7) const uint STAGE = 64u;   // units of x in shared memory at a time, a multiple of SPAN or all
layout(constant_id = 8) const uint BATCH = 4u;    // loads of an invocation in flight while staging
layout(constant_id = 11) const bool CHAIN = false;

layout(push_constant) uniform Push { pith_vk_push_matvec P; };
layout(std430, binding = 0) readonly buffer Slab4 { uvec4 W4[]; };
layout(std430, binding = 0) readonly buffer Slab1 { uint W1[]; };
layout(std430, binding = 1) readonly buffer X4 { vec4 x4[]; };
layout(std430, binding = 1) coherent volatile readonly buffer XChained { vec4 x4_chained[]; };
layout(std430, binding = 2) coherent buffer Y { float y[]; };
layout(std430, binding = 3) readonly buffer G4 { vec4 g4[]; };
layout(std430, binding = 4) readonly buffer B { float bias[]; };
layout(std430, binding = 5) coherent volatile readonly buffer Old { float old[]; };
#include "lib/format.glsl"
#define LEVELS_SHARED
#include "lib/halves.glsl"
#include "lib/reduce.glsl"
#include "lib/link.glsl"
float before; // what the result's place held
#define OLD(at) before
#define FINAL(v) link_result(v)
#include "lib/epilogue.glsl"

const uint PITCH = 5u; // uvec4 per staged unit
const uint PARTS = gl_WorkGroupSize.x / LANES, GROUPS = PARTS / SPLIT, SPAN = LANES * SPLIT;
shared uvec4 xs[STAGE * PITCH];
shared float sums[PARTS * ROWS];
#ifdef RAW_NIBBLES
const bool SUBNORMAL = TINY;
#else
const bool SUBNORMAL = false;
#endif

// Four elements of x, eight invocations to a unit of shared memory: piece j counts from the first staged unit.
void stage_piece(uint j, bool live, vec4 v)
{
    vec4 a = abs(v);
    float most = max(max(a.x, a.y), max(a.z, a.w)), sum = dot(v, vec4(1));
    most = max(most, subgroupShuffleXor(most, 1u));
    sum += subgroupShuffleXor(sum, 1u);
    most = max(most, subgroupShuffleXor(most, 2u));
    sum += subgroupShuffleXor(sum, 2u);
    most = max(most, subgroupShuffleXor(most, 4u));
    float other = subgroupShuffleXor(sum, 4u);
    uint power = clamp(floatBitsToUint(most) & 0x7F800000u, 0x08000000u, 0x7E800000u); // 2^-111: its inverse can still be raised
    uint part = j % 8u, at = j / 8u * PITCH;
    v *= uintBitsToFloat(0x7F000000u - power) * (!SUBNORMAL ? 1.0 : part < 4u ? 16384.0 : 1024.0);
    uvec2 pairs = uvec2(packHalf2x16(v.xz), packHalf2x16(v.yw));
    if (!live)
        return;
    if ((part & 1u) == 0u)
        xs[at + part / 2u].xy = pairs;
    else
        xs[at + part / 2u].zw = pairs;
    if (part == 0u)
        xs[at + 4u] = uvec4(power, floatBitsToUint(sum), floatBitsToUint(other), 0u);
}

// Units u0 .. u0 + n - 1 of x. Returns the sum of squares of this invocation's pieces.
float stage(uint i, uint u0, uint n, uint token)
{
    float squares = 0.0;
    uint from = token * (P.ldx / 4u) + u0 * 8u, last = n * 8u - 1u;
    for (uint j0 = 0u; j0 <= last; j0 += BATCH * gl_WorkGroupSize.x) {
        vec4 v[BATCH], g[BATCH];
        [[unroll]] for (uint b = 0u; b < BATCH; b++) {
            uint j = min(j0 + b * gl_WorkGroupSize.x + i, last);
            v[b] = CHAIN ? x4_chained[from + j] : x4[from + j];
            if (NORM)
                g[b] = g4[u0 * 8u + j];
        }
        [[unroll]] for (uint b = 0u; b < BATCH; b++) { // a loop each: one for all took too many registers
            for (uint looks = 0u; link_nothing(1u, v[b]) && link_patient(looks); looks++)
                v[b] = x4_chained[from + min(j0 + b * gl_WorkGroupSize.x + i, last)];
            link_waited(link_nothing(1u, v[b]));
        }
        [[unroll]] for (uint b = 0u; b < BATCH; b++) {
            uint j = j0 + b * gl_WorkGroupSize.x + i;
            if (NORM) {
                squares += j <= last ? dot(v[b], v[b]) : 0.0;
                v[b] *= g[b];
            }
            stage_piece(j, j <= last, v[b]);
        }
    }
    return squares;
}

// 1 / rms of x from every invocation's share of the squares.
float norm_factor(uint i, uint lane, float squares)
{
    squares = lanes_sum(squares);
    if (lane == 0u)
        sums[i / LANES] = squares;
    barrier();
    float sum = 0.0;
    for (uint g = 0u; g < PARTS; g++)
        sum += sums[g];
    if (SPLIT > 1u)
        barrier(); // rows_sum writes there
    return inversesqrt(sum / float(P.cols) + P.eps);
}

// Of each row the sum over all invocations of its group.
void rows_sum(uint i, inout float acc[ROWS])
{
    [[unroll]] for (uint r = 0u; r < ROWS; r++)
        acc[r] = lanes_sum(acc[r]);
    if (SPLIT == 1u)
        return;
    if (i % LANES == 0u)
        [[unroll]] for (uint r = 0u; r < ROWS; r++)
            sums[i / LANES * ROWS + r] = acc[r];
    barrier();
    [[unroll]] for (uint r = 0u; r < ROWS; r++) {
        acc[r] = 0.0;
        for (uint k = 0u; k < SPLIT; k++)
            acc[r] += sums[(i / SPAN * SPLIT + k) * ROWS + r];
    }
    barrier(); // before the next block's
}

void main()
{
    uint i = lane_index(), lane = i % SPAN, group = i / SPAN, token = gl_WorkGroupID.z;
    const bool adds = EPILOGUE == EPI_ADD || EPILOGUE == EPI_SILU_MUL;
    uint items = (P.rows + ROWS - 1u) / ROWS; // ROWS rows each; this workgroup's:
    uint each = items / gl_NumWorkGroups.x, over = items % gl_NumWorkGroups.x, wg = gl_WorkGroupID.x;
    uint at = wg * each + min(wg, over), end = at + each + (wg < over ? 1u : 0u);
    Raw next[ROWS];
    uint row[ROWS];
    float squares = 0.0, rms = 1.0;
    [[unroll]] for (uint r = 0u; r < ROWS; r++) {
        row[r] = min((at + group) * ROWS + r, P.rows - 1u) * P.units;
        next[r] = unit_load(row[r] + min(lane, P.units - 1u)); // on its way while x is waited for and staged
    }
#ifdef RAW_LEVELS
    levels_fill(i); // barriers of staging are between
#endif
    for (bool begin = true; at < end; at += GROUPS, begin = false) {
        uint first = (at + group) * ROWS;
        bool mine = at + group < end, more = at + group + GROUPS < end;
        float acc[ROWS], was[ROWS];
        [[unroll]] for (uint r = 0u; r < ROWS; r++) {
            acc[r] = 0.0;
            was[r] = adds && mine && r % SPAN == lane && first + r < P.rows ? old[result_at(token, P.row0 + first + r)] : 0.0;
        }
        for (uint u0 = 0u; u0 < P.units; u0 += STAGE) {
            uint n = min(STAGE, P.units - u0);
            if (begin || STAGE < P.units) {
                if (!begin || u0 > 0u)
                    barrier();
                float sum = stage(i, u0, n, token);
                squares += begin ? sum : 0.0;
                barrier();
            }
            [[dont_unroll]] for (uint t = 0u; mine && t < n; t += SPAN) {
                Raw now[ROWS];
                uint unit[ROWS];
                [[unroll]] for (uint r = 0u; r < ROWS; r++) {
                    now[r] = next[r];
                    unit[r] = row[r];
                }
                uint ahead = u0 + t + SPAN;
                if (ahead >= P.units) { // the next rows' first
                    ahead = 0u;
                    [[unroll]] for (uint r = 0u; r < ROWS; r++)
                        row[r] = min(first + GROUPS * ROWS + r, P.rows - 1u) * P.units;
                }
                if (ahead > 0u || more) {
                    [[unroll]] for (uint r = 0u; r < ROWS; r++)
                        next[r] = unit_load(row[r] + min(ahead + lane, P.units - 1u));
                }
                bool live = t + lane < n;
                uint u = min(t + lane, n - 1u), at = u * PITCH;
                f16vec2 x[16];
                [[unroll]] for (uint j = 0u; j < 4u; j++) {
                    uvec4 w = xs[at + j];
                    [[unroll]] for (uint k = 0u; k < 4u; k++)
                        x[4u * j + k] = unpackFloat2x16(w[k]);
                }
                vec4 extra = uintBitsToFloat(xs[at + 4u]);
                [[unroll]] for (uint r = 0u; r < ROWS; r++) {
                    f16vec2 q[16];
                    vec4 s;
#ifdef RAW_NIBBLES
                    if (SUBNORMAL) {
                        unit_tiny(now[r], q);
                        s = unit_scales(now[r], unit[r] + u0 + u);
                    } else
#endif
                        unit_pairs(now[r], unit[r] + u0 + u, q, s);
                    f16vec2 lo = q[0] * x[0], hi = q[8] * x[8];
                    [[unroll]] for (uint j = 1u; j < 8u; j++) {
                        lo = fma(q[j], x[j], lo);
                        hi = fma(q[j + 8u], x[j + 8u], hi);
                    }
                    float v = float(lo.x) + float(lo.y), w = float(hi.x) + float(hi.y);
                    v = SUBNORMAL ? s.x * (extra.x * ((v + w) * 1024.0)) - OFFSET * s.x * (extra.y + extra.z) : extra.x * (s.x * v + s.y * w);
#if HAS_MIN
                    v += s.z * extra.y + s.w * extra.z;
#endif
                    acc[r] += live ? v : 0.0;
                }
            }
        }
        if (NORM && begin)
            rms = norm_factor(i, i % LANES, squares);
        rows_sum(i, acc);
        if (!mine)
            continue;
        [[unroll]] for (uint r = 0u; r < ROWS; r++)
            acc[r] *= rms;
        if (EPILOGUE == EPI_SWIGLU) {
            [[unroll]] for (uint r = 0u; r < ROWS; r += 2u)
                if (r / 2u % SPAN == lane && first + r < P.rows)
                    store_swiglu(token, P.row0 + first + r, acc[r], acc[r + 1u]);
        } else {
            [[unroll]] for (uint r = 0u; r < ROWS; r++)
                if (r % SPAN == lane && first + r < P.rows) {
                    before = was[r];
                    for (uint looks = 0u; adds && link_nothing(5u, before) && link_patient(looks); looks++)
                        before = old[result_at(token, P.row0 + first + r)];
                    link_waited(adds && link_nothing(5u, before));
                    store_one(token, P.row0 + first + r, acc[r]);
                }
        }
    }
}
