// SPDX-License-Identifier: MIT
// What happens to a finished product. Needs y[], bias[], EPILOGUE, BIAS, PAIRS and P.{group_rows, col0, ldy}.
// What was there before comes from OLD(at), y itself unless defined; FINAL(v) is what is written.
#ifndef OLD
#define OLD(at) y[at]
#define FINAL(v) (v)
#endif
const uint EPI_STORE = 0u;  // y = v
const uint EPI_ADD = 1u;    // y += v
const uint EPI_SWIGLU = 2u; // y = silu(v of the even row) * v of the odd row; rows are pairs
const uint EPI_SILU_MUL = 3u; // y = silu(y) * v: the second part of a gated product whose parts differ in type

// Column among the group's own, in the order of the tensor's parts, of packed row r.
uint column_of(uint r) { return PAIRS ? (r & 1u) * (P.group_rows / 2u) + (r >> 1) : r; }

// Where the result of packed row r goes.
uint result_at(uint token, uint r) { return token * P.ldy + (EPILOGUE == EPI_SILU_MUL ? 0u : P.col0) + column_of(r); }

void store_one(uint token, uint r, float v)
{
    uint at = result_at(token, r);
    if (BIAS)
        v += bias[P.col0 + column_of(r)];
    if (EPILOGUE == EPI_ADD)
        v += OLD(at);
    else if (EPILOGUE == EPI_SILU_MUL)
        v *= silu(OLD(at));
    y[at] = FINAL(v);
}

// r: the even one of two packed rows.
void store_swiglu(uint token, uint r, float gate, float up)
{
    uint c = r >> 1;
    if (BIAS) {
        gate += bias[c];
        up += bias[P.group_rows / 2u + c];
    }
    y[token * P.ldy + c] = FINAL(silu(gate) * up);
}
