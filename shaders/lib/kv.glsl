// SPDX-License-Identifier: MIT
// Reading rows of a layer's KV store (src/graph/kv.h), eight elements at a time. Needs KV_TYPE (0 f32, 1 f16, 2 q8_0),
// A (struct pith_vk_attn) and the first of four consecutive bindings as KV_BINDING: raw K, raw V, core K, core V.
#ifndef KV_ACCESS
#define KV_ACCESS readonly
#endif

// Eight elements as they are stored: loading and converting are apart, so that loads of many rows are in flight together.
// f32: the bits; f16: pairs in lo; q8_0: lo = codes, the word that holds the scale, the scale's index.
struct KvOct {
    uvec4 lo, hi;
};

// The elements without their block's scale, and the scale, once for all of them. `index` is what the load put into lo.w; where
// the caller knows it by itself, no register holds it while the load is on its way.
float oct_codes(KvOct o, uint index, out vec4 a, out vec4 b)
{
    if (KV_TYPE == 0u) {
        a = uintBitsToFloat(o.lo);
        b = uintBitsToFloat(o.hi);
    } else if (KV_TYPE == 1u) {
        a = quad_floats(o.lo.xy);
        b = quad_floats(o.lo.zw);
    } else {
        a = bytes_s8(o.lo.x);
        b = bytes_s8(o.lo.y);
    }
    return KV_TYPE == 2u ? half_at(o.lo.z, index) : 1.0;
}

void oct_floats(KvOct o, out vec4 a, out vec4 b)
{
    float d = oct_codes(o, o.lo.w, a, b);
    if (KV_TYPE == 2u) {
        a *= d;
        b *= d;
    }
}

#define KV_WINDOW(name, at, plane)                                                              \
    layout(std430, binding = at) KV_ACCESS buffer name##1_ { uint name##1[]; };                 \
    layout(std430, binding = at) KV_ACCESS buffer name##2_ { uvec2 name##2[]; };                \
    layout(std430, binding = at) KV_ACCESS buffer name##4_ { uvec4 name##4[]; };                \
    uint name##_index(uint head, uint row, uint j)                                              \
    {                                                                                           \
        return plane.scale + head * plane.scale_head + row * (uint(A.head_dim) / 32u) + j / 4u; \
    }                                                                                           \
    KvOct name##_load(uint head, uint row, uint j)                                              \
    {                                                                                           \
        KvOct o = KvOct(uvec4(0), uvec4(0));                                                    \
        uint w = plane.base + head * plane.head + row * plane.row;                              \
        if (KV_TYPE == 0u) {                                                                    \
            o.lo = name##4[w / 4u + 2u * j];                                                    \
            o.hi = name##4[w / 4u + 2u * j + 1u];                                               \
        } else if (KV_TYPE == 1u) {                                                             \
            o.lo = name##4[w / 4u + j];                                                         \
        } else {                                                                                \
            uint s = name##_index(head, row, j);                                                \
            o.lo = uvec4(name##2[w / 2u + j], name##1[s >> 1], s);                              \
        }                                                                                       \
        return o;                                                                               \
    }                                                                                           \
    void name##_oct(uint head, uint row, uint j, out vec4 a, out vec4 b)                        \
    {                                                                                           \
        oct_floats(name##_load(head, row, j), a, b);                                            \
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
