#version 450
// SPDX-License-Identifier: MIT
// Compiles where the compiler knows GL_EXT_integer_dot_product.
#extension GL_EXT_integer_dot_product : require
layout(local_size_x = 32) in;
layout(binding = 0) buffer B { int b[]; };
void main() { b[0] = dotPacked4x8EXT(b[1], b[2]); }
