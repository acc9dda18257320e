// SPDX-License-Identifier: MIT
// What happens to a finished product. Needs y[], bias[], EPILOGUE, BIAS, PAIRS and P.{group_rows, col0, ldy}.
const uint EPI_STORE = 0u;  // y = v
const uint EPI_ADD = 1u;    // y += v
const uint EPI_SWIGLU = 2u; // y = silu(v of the even row) * v of the odd row; rows are pairs
const uint EPI_SILU_MUL = 3u; // y = silu(y) * v: the second part of a gated product whose parts differ in type

// Column among the group's own, in the order of the tensor's parts, of packed row r.
uint column_of(uint r) { return PAIRS ? (r & 1u) * (P.group_rows / 2u) + (r >> 1) : r; }

void store_one(uint token, uint r, float v)
{
    uint c = P.col0 + column_of(r), at = token * P.ldy + c;
    if (BIAS)
        v += bias[c];
    if (EPILOGUE == EPI_ADD)
        v += y[at];
    else if (EPILOGUE == EPI_SILU_MUL)
        v *= silu(y[at - P.col0]);
    y[EPILOGUE == EPI_SILU_MUL ? at - P.col0 : at] = v;
}

// r: the even one of two packed rows.
void store_swiglu(uint token, uint r, float gate, float up)
{
    uint c = r >> 1;
    if (BIAS) {
        gate += bias[c];
        up += bias[P.group_rows / 2u + c];
    }
    y[token * P.ldy + c] = silu(gate) * up;
}
