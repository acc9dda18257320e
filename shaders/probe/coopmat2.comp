#version 450
// SPDX-License-Identifier: MIT
// Compiles where the compiler knows GL_NV_cooperative_matrix2.
#extension GL_KHR_cooperative_matrix : require
#extension GL_NV_cooperative_matrix2 : require
#extension GL_KHR_memory_scope_semantics : require
layout(local_size_x = 32) in;
float larger(const in float a, const in float b) { return max(a, b); }
void main()
{
    coopmat<float, gl_ScopeSubgroup, 16, 16, gl_MatrixUseAccumulator> a = coopmat<float, gl_ScopeSubgroup, 16, 16, gl_MatrixUseAccumulator>(0.0);
    coopMatReduceNV(a, a, gl_CooperativeMatrixReduceRowNV, larger);
}
