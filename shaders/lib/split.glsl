// SPDX-License-Identifier: MIT
// Attention of one token over a part of its keys by one workgroup, and the joining of parts: what attn_split.comp and
// attn_step.comp share. Groups of LANES invocations (8 elements each) walk over keys of their own, KEYS at a time, with a
// softmax of their own, all rows at once, and are joined at the end. Of the parts of one token and KV head the workgroup
// that finishes last joins all, in their order, so that results do not depend on who it was.
// Needs DIM, LANES, ROWS, KEYS, SPLIT; P.splits, P.ldo; A, S; lib/kv.glsl, lib/segment.glsl, lib/reduce.glsl; the buffers
// out1, parts (parts4), arrivals; LINKED, lib/link.glsl: if POLLED the last part joins all and waits for their values, not for
// their workgroups. Grid: x = part, y = block of query heads, z = token.

#ifndef LINKED
const bool POLLED = false;
bool link_none(vec4 v) { return false; }
bool link_none(float v) { return false; }
bool link_patient(uint looks) { return false; }
void link_waited(bool nothing) {}
float link_result(float v) { return v; }
#endif

const uint GROUPS = gl_WorkGroupSize.x / LANES;
const uint MOST = ROWS * 64u; // rows x parts
shared float joined[GROUPS * (DIM + 2u) > 2u * MOST ? GROUPS * (DIM + 2u) : 2u * MOST];
shared vec4 sums[gl_WorkGroupSize.x];
shared bool is_last;
shared ivec4 seen[4]; // per segment: first key, number of keys, are they cores, is there a bias

// Of this invocation and each row: eight elements of the query, the running maximum, sum and values.
vec4 qa[ROWS], qb[ROWS], oa[ROWS], ob[ROWS];
float m[ROWS], l[ROWS];

// What a query sees, one lane a segment so that their loads overlap. Returns the number of keys; `own`: without the
// query's own, which is the last of a raw segment.
int segments_see(uint i, int position, bool own)
{
    if (i < 4u) {
        ivec2 b = i < uint(A.n_segments) ? segment_of(i, position) : ivec2(0);
        bool core = A.segments[i].core != 0;
        int less = own && !core && b.x <= position && b.y == position + 1 ? 1 : 0;
        seen[i] = ivec4(b.x, max(b.y - b.x, 0) - less, core, core && A.segments[i].bias != 0);
    }
    barrier();
    return seen[0].y + seen[1].y + seen[2].y + seen[3].y;
}

// Keys of a part: whole turns, enough that it is worth its joining.
int part_size(int total)
{
    int size = (total + int(P.splits) - 1) / int(P.splits);
    const int TURN = int(GROUPS * KEYS);
    return (max(size, 64) + TURN - 1) / TURN * TURN;
}

void rows_clear()
{
    [[unroll]] for (uint r = 0u; r < ROWS; r++) {
        oa[r] = ob[r] = vec4(0);
        m[r] = LEAST;
        l[r] = 0.0;
    }
}

#define WALK walk_cores
#define WALK_K core_k_load
#define WALK_V core_v_load
#define WALK_K_AT core_k_index
#define WALK_V_AT core_v_index
#define WALK_ROW(key) uint(key)
#include "walk.glsl"
#define WALK walk_raw
#define WALK_K raw_k_load
#define WALK_V raw_v_load
#define WALK_K_AT raw_k_index
#define WALK_V_AT raw_v_index
#define WALK_ROW(key) raw_row(key, S.raw_base[A.kv_class])
#include "walk.glsl"

// Keys [begin, end) of all that is seen.
void rows_walk(uint lane, uint group, uint kv, uint core_head, int begin, int end)
{
    int before = 0; // keys of the segments done
    for (uint s = 0u; s < uint(A.n_segments); s++) {
        ivec4 b = seen[s];
        int from = max(begin - before, 0), to = min(end - before, b.y);
        if (b.z != 0)
            walk_cores(lane, group, core_head, b.x, from, to, b.w != 0);
        else
            walk_raw(lane, group, kv, b.x, from, to, b.w != 0);
        before += b.y;
    }
}

// First float of {m, l} of part 0 of this token and head.
uint scale_at(uint head)
{
    uint rows = gl_NumWorkGroups.z * uint(A.n_head);
    return rows * P.splits * DIM + 2u * (gl_WorkGroupID.z * uint(A.n_head) + head) * P.splits;
}

// Four elements of AT_ONCE parts from part `p` on, `apart` parts apart; beyond the last part: the last.
const uint AT_ONCE = 5u;
#define PARTS_LOAD(o, from, p, apart, n)                                          \
    [[unroll]] for (uint b = 0u; b < AT_ONCE; b++)                                \
        o[b] = parts4[(from) + min((p) + b * (apart), (n) - 1u) * (DIM / 4u)];

// The parts of this token and block of heads: out = sum_p 2^(m_p - m) o_p / sum_p 2^(m_p - m) l_p.
void join_parts(uint i, uint token, uint h0, uint heads, uint n)
{
    // Four elements an invocation; where these are few, several invocations share the parts.
    uint items = heads * DIM / 4u, sharing = max(gl_WorkGroupSize.x / items, 1u);
    uint item = sharing > 1u ? i % items : i, slot = sharing > 1u ? min(i / items, sharing - 1u) : 0u;
    uint origin = (gl_WorkGroupID.z * uint(A.n_head) + h0) * P.splits * (DIM / 4u);
    vec4 o[AT_ONCE]; // the first, on their way while their weights are found
#define ITEM_AT(item) (origin + min(item, items - 1u) / (DIM / 4u) * P.splits * (DIM / 4u) + (item) % (DIM / 4u))
    for (uint k = i; k < max(heads * n, gl_WorkGroupSize.x); k += gl_WorkGroupSize.x) {
        uint mine = min(k, heads * n - 1u), at = scale_at(h0 + mine / n) + 2u * (mine % n);
        bool nothing = true;
        float top, sum;
        for (uint looks = 0u; nothing && (looks == 0u || link_patient(looks)); looks++) { // all together, as it comes
            top = parts[at];
            sum = parts[at + 1u];
            nothing = POLLED && (link_none(top) || link_none(sum));
            if (k == i) {
                PARTS_LOAD(o, ITEM_AT(item), slot, sharing, n)
                [[unroll]] for (uint b = 0u; b < AT_ONCE; b++)
                    nothing = nothing || (POLLED && link_none(o[b]));
            }
        }
        link_waited(nothing);
        joined[mine] = top;
        joined[MOST + mine] = sum;
    }
    barrier();
    float weight[ROWS]; // of this invocation's k: workgroups have 64 invocations or more
    for (uint k = i, t = 0u; k < heads * n; k += gl_WorkGroupSize.x, t++) {
        float top = LEAST;
        for (uint p = 0u; p < n; p++)
            top = max(top, joined[k / n * n + p]);
        weight[t] = exp2(joined[k] - top);
    }
    barrier();
    for (uint k = i, t = 0u; k < heads * n; k += gl_WorkGroupSize.x, t++) {
        joined[k] = weight[t];
        joined[MOST + k] *= weight[t];
    }
    barrier();
    for (uint first = 0u; first < items; first += gl_WorkGroupSize.x) { // the same number of turns for all
        if (sharing == 1u)
            item = first + i;
        uint r = min(item, items - 1u) / (DIM / 4u);
        vec4 v = vec4(0);
        if (item < items && i < sharing * items) {
            for (uint p = slot; p < n; p += AT_ONCE * sharing) {
                bool nothing = first > 0u || p > slot;
                for (uint looks = 0u; nothing && (looks == 0u || link_patient(looks)); looks++) {
                    PARTS_LOAD(o, ITEM_AT(item), p, sharing, n)
                    nothing = false;
                    [[unroll]] for (uint b = 0u; b < AT_ONCE; b++)
                        nothing = nothing || (POLLED && link_none(o[b]));
                }
                link_waited(nothing);
                [[unroll]] for (uint b = 0u; b < AT_ONCE; b++)
                    v += p + b * sharing < n ? joined[r * n + p + b * sharing] * o[b] : vec4(0);
            }
        }
        if (sharing > 1u) {
            sums[i] = v;
            barrier();
            for (uint b = 1u; i < items && b < sharing; b++)
                v += sums[b * items + item];
        }
        if (item < items && (sharing == 1u || i < items)) {
            float sum = 0.0;
            for (uint p = 0u; p < n; p++)
                sum += joined[MOST + r * n + p];
            float factor = sum != 0.0 ? 1.0 / sum : 0.0;
            uint to = token * P.ldo + h0 * DIM + 4u * item;
            [[unroll]] for (uint b = 0u; b < 4u; b++)
                out1[to + b] = link_result(v[b] * factor);
        }
    }
}

// The workgroup's rows into the result, or into its part; the last part of the token joins all.
void rows_store(uint i, uint token, uint h0, uint heads, uint part, uint live_parts)
{
    uint lane = i % LANES, group = i / LANES;
    bool live = lane * 8u < DIM, alone = live_parts == 1u;
    const uint pitch = DIM + 2u;
    [[unroll]] for (uint r = 0u; r < ROWS; r++) { // unrolled, or a row would be an index and all rows would leave the registers
        if (r >= heads)
            continue;
        barrier();
        if (lane == 0u) {
            joined[group * pitch] = m[r];
            joined[group * pitch + 1u] = l[r];
        }
        if (live) {
            [[unroll]] for (uint e = 0u; e < 4u; e++) {
                joined[group * pitch + 2u + lane * 8u + e] = oa[r][e];
                joined[group * pitch + 6u + lane * 8u + e] = ob[r][e];
            }
        }
        barrier();
        float top = LEAST, sum = 0.0;
        for (uint g = 0u; g < GROUPS; g++)
            top = max(top, joined[g * pitch]);
        for (uint g = 0u; g < GROUPS; g++)
            sum += joined[g * pitch + 1u] * exp2(joined[g * pitch] - top);
        uint to = ((gl_WorkGroupID.z * uint(A.n_head) + h0 + r) * P.splits + part) * DIM;
        for (uint e = i; e < DIM; e += gl_WorkGroupSize.x) {
            float v = 0.0;
            for (uint g = 0u; g < GROUPS; g++)
                v += joined[g * pitch + 2u + e] * exp2(joined[g * pitch] - top);
            if (!alone)
                parts[to + e] = link_result(v);
            else
                out1[token * P.ldo + (h0 + r) * DIM + e] = link_result(sum != 0.0 ? v / sum : 0.0);
        }
        if (!alone && i == 0u) {
            uint at = scale_at(h0 + r) + 2u * part;
            parts[at] = link_result(top);
            parts[at + 1u] = link_result(sum);
        }
    }
    if (alone || (POLLED && part + 1u < live_parts))
        return;
    if (POLLED) {
        barrier(); // `joined` is read, and this part written, by all
        join_parts(i, token, h0, heads, live_parts);
        return;
    }
    memoryBarrierBuffer();
    barrier();
    uint slot = gl_WorkGroupID.z * gl_NumWorkGroups.y + gl_WorkGroupID.y;
    if (i == 0u)
        is_last = atomicAdd(arrivals[slot], 1u) == live_parts - 1u;
    barrier();
    if (!is_last)
        return;
    if (i == 0u)
        arrivals[slot] = 0u; // for the next run
    memoryBarrierBuffer();
    join_parts(i, token, h0, heads, live_parts);
}
