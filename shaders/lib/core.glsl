// SPDX-License-Identifier: MIT
// Making a core from the members of a group (eq. 2 to 4: append.comp).
// Needs `vecs`, logits[GROUP_MAX], VECS groups of LANES invocations, key_oct and value_oct for eight elements of the key
// and the value at a position, FREQ(pair); lib/store.glsl, lib/turn.glsl, lib/reduce.glsl.

// The core of group j for core head `head`; members t0..e, the pooling query in vecs[0..DIM). Afterwards vecs holds key
// and value in turn. The whole workgroup calls it.
void core_make(uint kv, uint head, int j, int t0, int e)
{
    uint i = lane_index(), lane = i % LANES, v = i / LANES;
    int n = e - t0 + 1;
    for (int first = 0; first < n; first += int(VECS)) { // the same number of turns for all
        int t = first + int(v);
        float sum = 0.0;
        if (t < n)
            for (uint o = lane; o < DIM / 8u; o += LANES) {
                vec4 a, b;
                key_oct(kv, t0 + t, o, a, b);
                uint at = 8u * o;
                sum += dot(a, vec4(vecs[at], vecs[at + 1u], vecs[at + 2u], vecs[at + 3u])) +
                       dot(b, vec4(vecs[at + 4u], vecs[at + 5u], vecs[at + 6u], vecs[at + 7u]));
            }
        sum = lanes_sum(sum);
        if (t < n && lane == 0u)
            logits[t] = sum * A.scale;
    }
    barrier();
    float top = logits[0], total = 0.0, mean = 0.0, middle_of = 0.0;
    for (int t = 1; t < n; t++)
        top = max(top, logits[t]);
    for (int t = 0; t < n; t++)
        total += exp(logits[t] - top);
    for (int t = 0; t < n; t++) {
        float z = logits[t] - top, alpha = exp(z) / total;
        mean += alpha > 0.0 ? alpha * z : 0.0;
        middle_of += alpha * float(t0 + t - e);
    }
    // Value, and a pooled key: element by element.
    bool pooled = A.position == 0;
    for (uint which = pooled ? 0u : 1u; which < 2u; which++) {
        for (uint o = i; o < DIM / 8u; o += gl_WorkGroupSize.x) {
            vec4 sa = vec4(0), sb = vec4(0);
            for (int t = 0; t < n; t++) {
                vec4 a, b;
                if (which == 0u)
                    key_oct(kv, t0 + t, o, a, b);
                else
                    value_oct(kv, t0 + t, o, a, b);
                float alpha = exp(logits[t] - top) / total;
                sa += alpha * a;
                sb += alpha * b;
            }
            [[unroll]] for (uint l = 0u; l < 4u; l++) {
                vecs[8u * o + l] = sa[l];
                vecs[8u * o + 4u + l] = sb[l];
            }
        }
        barrier();
        if (v == 0u) {
            if (which == 0u)
                PUT_ROW(core_k, A.core_k, head, uint(j), 0u, lane)
            else
                PUT_ROW(core_v, A.core_v, head, uint(j), 0u, lane)
        }
        barrier();
    }
    if (!pooled) {
        // A key at a position of its own, p behind e: sum alpha_t R(p + e - t) k_t; Horner, one turn per member.
        float p = A.position == 3 ? middle_of : A.position == 2 ? -0.5 * float(A.group - 1) : 0.0;
        uint pairs = uint(A.n_rot) / 2u;
        for (uint u = i; u < DIM / 2u; u += gl_WorkGroupSize.x) {
            bool turns_pair = u < pairs;
            uvec2 el = turns_pair ? pair_of(u) : uvec2(2u * u, 2u * u + 1u);
            vec2 one = turns_pair ? turn_of(FREQ(u)) : vec2(1, 0), last = turns_pair ? turn_of(p * FREQ(u)) : vec2(1, 0);
            vec2 x = vec2(0);
            for (int t = 0; t < n; t++) {
                vec4 a, b;
                vec2 k;
                key_oct(kv, t0 + t, el.x / 8u, a, b);
                k.x = el.x % 8u < 4u ? a[el.x % 4u] : b[el.x % 4u];
                key_oct(kv, t0 + t, el.y / 8u, a, b);
                k.y = el.y % 8u < 4u ? a[el.y % 4u] : b[el.y % 4u];
                x = turned(x, one) + exp(logits[t] - top) / total * k;
            }
            x = turned(x, last);
            vecs[el.x] = x.x;
            vecs[el.y] = x.y;
        }
        barrier();
        if (v == 0u)
            PUT_ROW(core_k, A.core_k, head, uint(j), 0u, lane)
        barrier();
    }
    if (i == 0u) {
        float entropy = max(log(total) - mean, 0.0);
        uint at = A.bias_base + head * A.bias_head + uint(j);
        PUT_HALF(core_v1, at, entropy)
    }
}
