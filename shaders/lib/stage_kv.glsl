// SPDX-License-Identifier: MIT
// Keys and values of a tile of queries, BC at a time as halves in shared memory for all subgroups, the next ones on their
// way in registers meanwhile: what attn_matrix.comp and attn_matrix2.comp share. Needs BC, DIM, KV_TYPE, P, A, S,
// lib/kv.glsl, lib/segment.glsl; KS_LEAST uvec4 of ks are there for other use.

const uint PITCH = DIM / 8u + 1u;     // uvec4 per staged key
const uint LOADS = (BC * DIM / 8u + gl_WorkGroupSize.x - 1u) / gl_WorkGroupSize.x; // octets of K, and of V, of an invocation
shared uvec4 ks[BC * PITCH > KS_LEAST ? BC * PITCH : KS_LEAST];
shared uvec4 vs[BC * PITCH];
shared vec4 biases[BC / 4u];

uvec4 halves(vec4 a, vec4 b)
{
    return uvec4(packHalf2x16(a.xy), packHalf2x16(a.zw), packHalf2x16(b.xy), packHalf2x16(b.zw));
}

uint share, h0, heads, kv, core_head;
int base;

uvec4 next_k[LOADS], next_v[LOADS];
float next_bias;

// Keys first .. first + n - 1 into registers; those behind are zero.
void fetch(bool core, bool bias, int first, int n)
{
    [[unroll]] for (uint j = 0u; j < LOADS; j++) {
        uint e = gl_LocalInvocationIndex + j * gl_WorkGroupSize.x, c = e / (DIM / 8u), o = e % (DIM / 8u);
        uvec4 k = uvec4(0), v = uvec4(0);
        if (int(c) < n) {
            uint row = core ? uint(first) + c : raw_row(first + int(c), base);
            if (KV_TYPE == 1u) { // halves already
                if (core) {
                    k = core_k4[(A.core_k.base + core_head * A.core_k.head + row * A.core_k.row) / 4u + o];
                    v = core_v4[(A.core_v.base + core_head * A.core_v.head + row * A.core_v.row) / 4u + o];
                } else {
                    k = raw_k4[(A.raw_k.base + kv * A.raw_k.head + row * A.raw_k.row) / 4u + o];
                    v = raw_v4[(A.raw_v.base + kv * A.raw_v.head + row * A.raw_v.row) / 4u + o];
                }
            } else {
                vec4 a, b;
                if (core)
                    core_k_oct(core_head, row, o, a, b);
                else
                    raw_k_oct(kv, row, o, a, b);
                k = halves(half_clamp(a), half_clamp(b));
                if (core)
                    core_v_oct(core_head, row, o, a, b);
                else
                    raw_v_oct(kv, row, o, a, b);
                v = halves(half_clamp(a), half_clamp(b));
            }
        }
        next_k[j] = k;
        next_v[j] = v;
    }
    if (bias && gl_LocalInvocationIndex < BC) {
        uint w = A.bias_base + core_head * A.bias_head + uint(min(first + int(gl_LocalInvocationIndex), first + n - 1));
        next_bias = half_at(core_v1[w >> 1], w) * LOG2E;
    }
}

// From the registers into ks, vs, biases.
void stage()
{
    [[unroll]] for (uint j = 0u; j < LOADS; j++) {
        uint e = gl_LocalInvocationIndex + j * gl_WorkGroupSize.x, c = e / (DIM / 8u), o = e % (DIM / 8u);
        if (BC * DIM / 8u % gl_WorkGroupSize.x == 0u || c < BC) {
            ks[c * PITCH + o] = next_k[j];
            vs[c * PITCH + o] = next_v[j];
        }
    }
    if (gl_LocalInvocationIndex < BC)
        biases[gl_LocalInvocationIndex / 4u][gl_LocalInvocationIndex % 4u] = next_bias;
}

int t0, n_tok, p0, p1; // tokens and their positions
uint rows;

// Which rows the workgroup has: tiles latest first. False: none.
bool tile_see()
{
    share = uint(A.n_head / A.n_kv);
    uint blocks = (share + P.heads - 1u) / P.heads;
    kv = gl_WorkGroupID.y / blocks;
    uint in_share = gl_WorkGroupID.y % blocks * P.heads;
    h0 = kv * share + in_share;
    heads = min(P.heads, share - in_share);
    core_head = A.core_heads != A.n_kv ? h0 : kv;
    t0 = int((gl_NumWorkGroups.x - 1u - gl_WorkGroupID.x) * P.tokens + P.token0);
    n_tok = min(int(P.tokens), S.n_tokens - t0);
    rows = uint(max(n_tok, 0)) * heads;
    base = S.raw_base[A.kv_class];
    p0 = S.pos0 + t0;
    p1 = p0 + n_tok - 1;
    return n_tok > 0;
}

// Eight elements of row r's query as halves, scaled; of a row that is not there: zeros.
uvec4 query_oct(uint r, uint oct)
{
    if (r >= rows)
        return uvec4(0);
    uint at = (uint(t0) + r / heads) * (P.ldq / 4u) + (h0 + r % heads) * (DIM / 4u) + 2u * oct;
    float f = A.scale * LOG2E;
    return halves(half_clamp(q4[at] * f), half_clamp(q4[at + 1u] * f));
}

// Element e of row r of the result.
uint result_at(uint r, uint e) { return (uint(t0) + r / heads) * P.ldo + (h0 + r % heads) * DIM + e; }
