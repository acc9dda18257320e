// SPDX-License-Identifier: MIT
// Rotation of pairs of elements (RoPE). Needs A.

// Elements of pair p.
uvec2 pair_of(uint p)
{
    return A.rope_half != 0 ? uvec2(p, p + uint(A.n_rot) / 2u) : uvec2(2u * p, 2u * p + 1u);
}

// cos and sin of a modest angle (built-ins may be off by 2^-11): reduced by pi/2 in three parts, then polynomials.
vec2 turn_of(float a)
{
    float n = roundEven(a * 0.636619772);
    float x = fma(-n, 1.5703125, a);
    x = fma(-n, 4.837512969970703e-4, x);
    x = fma(-n, 7.549789948768648e-8, x);
    float z = x * x;
    float s = x + x * z * fma(z, fma(z, fma(z, 2.7557319e-6, -1.9841270e-4), 8.3333333e-3), -1.6666667e-1);
    float c = 1.0 + z * fma(z, fma(z, fma(z, fma(z, -2.7557319e-7, 2.4801587e-5), -1.3888889e-3), 4.1666667e-2), -0.5);
    int k = int(n) & 3;
    return k == 0 ? vec2(c, s) : k == 1 ? vec2(-s, c) : k == 2 ? vec2(-c, -s) : vec2(s, -c);
}

vec2 turned(vec2 v, vec2 cs) { return vec2(v.x * cs.x - v.y * cs.y, v.x * cs.y + v.y * cs.x); }
