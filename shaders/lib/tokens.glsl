// SPDX-License-Identifier: MIT
// Activations of a token as they come, four elements at a time, and the factor of their RMS norm.
// Needs x1[], x4[], g1[], g4[], NORM, RAGGED, P.{cols, ldx, eps}, `float sums[gl_WorkGroupSize.x]` in shared memory.
// Matches pith_cpu_rms_norm_f32.

// Elements 4 j .. 4 j + 3 of the token; zeros beyond its end.
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

// 1 / rms of the token, 1 without a norm. The whole workgroup must take part.
float norm_factor(uint token)
{
    if (!NORM)
        return 1.0;
    uint i = gl_LocalInvocationIndex;
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
    return inversesqrt(sums[0] / float(P.cols) + P.eps);
}
