/* SPDX-License-Identifier: MIT */
/* 2^x and e^x on vectors. Both split x = n + f (n integral), take a polynomial 1 + f q(f) on the small rest and scale by
 * 2^n. The coefficients are minimax in relative error (Lawson's iteration, then rounded to float), so 2^0 = 1 exactly.
 *
 *     2^x   |f| <= 1/2        degree 5   error below 1.7e-7   (softmax: x <= 126, 0 at -inf)
 *     e^x   |f| <= ln(2)/2    degree 6   error below 0.8e-7   (x = n ln 2 + f with ln 2 in two parts) */
#ifndef PITH_CPU_VECTOR_EXP_H
#define PITH_CPU_VECTOR_EXP_H

static inline vf vf_exp2(vf x)
{
    x = vf_max(vf_set1(VF_EXP2_LEAST), x);
    vf n = vf_round(x), f = vf_sub(x, n), p = vf_set1(0x1.5bb9fcp-10f);
    p = vf_fma(p, f, vf_set1(0x1.3cea9ep-7f));
    p = vf_fma(p, f, vf_set1(0x1.c6b754p-5f));
    p = vf_fma(p, f, vf_set1(0x1.ebf9bcp-3f));
    p = vf_fma(p, f, vf_set1(0x1.62e42ap-1f));
    p = vf_fma(p, f, vf_set1(1));
    return vf_scale2(p, n);
}

static inline vf vf_exp(vf x)
{
    x = vf_min(vf_set1(88.3f), vf_max(vf_set1(-87.3f), x)); /* 2^n stays a normal float */
    vf n = vf_round(vf_mul(x, vf_set1(0x1.715476p+0f)));
    vf f = vf_fnma(n, vf_set1(0x1.62e400p-1f), x), p = vf_set1(0x1.6ae720p-10f);
    f = vf_fnma(n, vf_set1(0x1.7f7d1cp-20f), f);
    p = vf_fma(p, f, vf_set1(0x1.126792p-7f));
    p = vf_fma(p, f, vf_set1(0x1.555822p-5f));
    p = vf_fma(p, f, vf_set1(0x1.55541ap-3f));
    p = vf_fma(p, f, vf_set1(0x1.fffffcp-2f));
    p = vf_fma(p, f, vf_set1(1));
    p = vf_fma(p, f, vf_set1(1));
    return vf_scale2(p, n);
}

#endif
