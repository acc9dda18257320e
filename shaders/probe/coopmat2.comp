#version 450
// SPDX-License-Identifier: MIT
// Compiles where the compiler knows GL_NV_cooperative_matrix2.
#extension GL_KHR_cooperative_matrix : require
#extension GL_NV_cooperative_matrix2 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
layout(local_size_x = 128) in;
void main() { tensorLayoutNV<2> t = createTensorLayoutNV(2); }
