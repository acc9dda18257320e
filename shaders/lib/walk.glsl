// SPDX-License-Identifier: MIT
// lib/split.glsl's walk over keys from + first .. to - 1 + first of one kind, included once for each kind: WALK is its
// name, WALK_K(head, row, lane) and WALK_V load, WALK_K_AT and WALK_V_AT tell where a scale is, WALK_ROW(key) is the row of
// a key. The next KEYS keys of every group are on their way while these are computed. Every invocation makes the same
// number of turns: reductions may hold barriers.

void WALK(uint lane, uint group, uint head, int first, int from, int to, bool bias)
{
    const int STRIDE = int(GROUPS * KEYS);
    uint part = min(lane, DIM / 8u - 1u); // of lanes beyond the head's width: anything, their query is zero
    KvOct next_k[KEYS], next_v[KEYS];
    uint next_bias[KEYS];
    for (int at = from - STRIDE; at < to; at += STRIDE) {
        KvOct k_now[KEYS], v_now[KEYS];
        uint bias_now[KEYS];
        [[unroll]] for (uint k = 0u; k < KEYS; k++) {
            k_now[k] = next_k[k];
            v_now[k] = next_v[k];
            bias_now[k] = next_bias[k];
        }
        if (at + STRIDE < to) {
            [[unroll]] for (uint k = 0u; k < KEYS; k++) {
                int key = first + min(at + STRIDE + int(k * GROUPS + group), to - 1);
                uint row = WALK_ROW(key);
                next_k[k] = WALK_K(head, row, part);
                next_v[k] = WALK_V(head, row, part);
                if (bias)
                    next_bias[k] = core_v1[(A.bias_base + head * A.bias_head + uint(key)) >> 1];
            }
        }
        if (at < from)
            continue;
        float extra[KEYS], k_scale[KEYS], v_scale[KEYS];
        uint row[KEYS];
        vec4 ka[KEYS], kb[KEYS];
        [[unroll]] for (uint k = 0u; k < KEYS; k++) {
            int key = first + min(at + int(k * GROUPS + group), to - 1);
            extra[k] = bias ? half_at(bias_now[k], A.bias_base + head * A.bias_head + uint(key)) * LOG2E : 0.0;
            row[k] = DIM % 64u == 0u ? 0u : WALK_ROW(key); // whole words of scales: all rows alike
            k_scale[k] = oct_codes(k_now[k], WALK_K_AT(head, row[k], part), ka[k], kb[k]);
        }
        float z[ROWS][KEYS];
        [[unroll]] for (uint r = 0u; r < ROWS; r++)
            [[unroll]] for (uint k = 0u; k < KEYS; k++)
                z[r][k] = lanes_sum(k_scale[k] * (dot(qa[r], ka[k]) + dot(qb[r], kb[k]))) + extra[k];
        vec4 va[KEYS], vb[KEYS];
        [[unroll]] for (uint k = 0u; k < KEYS; k++)
            v_scale[k] = oct_codes(v_now[k], WALK_V_AT(head, row[k], part), va[k], vb[k]);
        [[unroll]] for (uint r = 0u; r < ROWS; r++) {
            float top = m[r];
            [[unroll]] for (uint k = 0u; k < KEYS; k++)
                top = at + int(k * GROUPS + group) < to ? max(top, z[r][k]) : top;
            float factor = exp2(m[r] - top);
            m[r] = top;
            l[r] *= factor;
            oa[r] *= factor;
            ob[r] *= factor;
            [[unroll]] for (uint k = 0u; k < KEYS; k++) {
                float p = at + int(k * GROUPS + group) < to ? exp2(z[r][k] - top) : 0.0;
                l[r] += p;
                p *= v_scale[k];
                oa[r] += p * va[k];
                ob[r] += p * vb[k];
            }
        }
    }
}
#undef WALK
#undef WALK_K
#undef WALK_V
#undef WALK_K_AT
#undef WALK_V_AT
#undef WALK_ROW
