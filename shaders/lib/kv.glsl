// SPDX-License-Identifier: MIT
// Reading rows of a layer's KV store (src/graph/kv.h), eight elements at a time. Needs KV_TYPE (0 f32, 1 f16, 2 q8_0),
// A (struct pith_vk_attn) and the first of four consecutive bindings as KV_BINDING: raw K, raw V, core K, core V.
#ifndef KV_ACCESS
#define KV_ACCESS readonly
#endif

#define KV_WINDOW(name, at, plane)                                                              \
    layout(std430, binding = at) KV_ACCESS buffer name##1_ { uint name##1[]; };                 \
    layout(std430, binding = at) KV_ACCESS buffer name##2_ { uvec2 name##2[]; };                \
    layout(std430, binding = at) KV_ACCESS buffer name##4_ { uvec4 name##4[]; };                \
    void name##_oct(uint head, uint row, uint j, out vec4 a, out vec4 b)                        \
    {                                                                                           \
        uint w = plane.base + head * plane.head + row * plane.row;                              \
        if (KV_TYPE == 0u) {                                                                    \
            a = uintBitsToFloat(name##4[w / 4u + 2u * j]);                                      \
            b = uintBitsToFloat(name##4[w / 4u + 2u * j + 1u]);                                 \
        } else if (KV_TYPE == 1u) {                                                             \
            uvec4 v = name##4[w / 4u + j];                                                      \
            a = quad_floats(v.xy);                                                              \
            b = quad_floats(v.zw);                                                              \
        } else {                                                                                \
            uvec2 v = name##2[w / 2u + j];                                                      \
            uint s = plane.scale + head * plane.scale_head + row * (uint(A.head_dim) / 32u) + j / 4u; \
            float d = half_at(name##1[s >> 1], s);                                              \
            a = d * (bytes_u8(v.x ^ 0x80808080u) - 128.0);                                      \
            b = d * (bytes_u8(v.y ^ 0x80808080u) - 128.0);                                      \
        }                                                                                       \
    }

KV_WINDOW(raw_k, KV_BINDING, A.raw_k)
KV_WINDOW(raw_v, KV_BINDING + 1, A.raw_v)
KV_WINDOW(core_k, KV_BINDING + 2, A.core_k)
KV_WINDOW(core_v, KV_BINDING + 3, A.core_v)

// Row of a position among the raw rows; base: position of the first sliding row.
uint raw_row(int position, int base)
{
    return uint(position < A.n_fixed ? position : A.n_fixed + position - base);
}
