/* SPDX-License-Identifier: MIT */
/* Looking for values that are not finite. A block is finite exactly when its scales are: every quantised value is a
 * small integer times a scale, plus at most one offset. So only the scales are read, and a scan costs one pass over
 * memory. Floats are tested by their exponent bits, which is all ones for infinity and NaN. */
#include "model/weights.h"
#include "model/gguf_read.h"
#include "base/status.h"

#include <inttypes.h>

/* Byte offsets of the f16 scales of a block; n_scales 0: a float type. */
struct scales { uint8_t n, at[2]; };

static struct scales scales_of(pith_dtype type)
{
    switch (type) {
    case PITH_DTYPE_Q4_0: case PITH_DTYPE_Q5_0: case PITH_DTYPE_Q8_0: case PITH_DTYPE_IQ4_NL: case PITH_DTYPE_IQ4_XS:
        return (struct scales){1, {0, 0}};
    case PITH_DTYPE_Q4_1: case PITH_DTYPE_Q5_1: case PITH_DTYPE_Q4_K: case PITH_DTYPE_Q5_K:
        return (struct scales){2, {0, 2}};
    case PITH_DTYPE_Q2_K: return (struct scales){2, {80, 82}};
    case PITH_DTYPE_Q3_K: return (struct scales){1, {108, 0}};
    case PITH_DTYPE_Q6_K: return (struct scales){1, {208, 0}};
    default: return (struct scales){0, {0, 0}};
    }
}

static bool half_is_finite(const uint8_t *b)
{
    return (pith_le16(b) & 0x7c00) != 0x7c00;
}

static bool block_is_finite(pith_dtype type, struct scales scales, const uint8_t *b)
{
    switch (type) {
    case PITH_DTYPE_F32: return (pith_le32(b) & 0x7f800000) != 0x7f800000;
    case PITH_DTYPE_BF16: return (pith_le16(b) & 0x7f80) != 0x7f80;
    case PITH_DTYPE_F16: return half_is_finite(b);
    default: break;
    }
    for (uint8_t s = 0; s < scales.n; s++) {
        if (!half_is_finite(b + scales.at[s]))
            return false;
    }
    return true;
}

pith_status pith_weights_check_finite(const pith_gguf_tensor *t)
{
    pith_dtype_info info = pith_dtype_get((uint32_t)t->dtype);
    struct scales scales = scales_of(t->dtype);
    if (!info.usable)
        return pith_fail(PITH_ERROR_UNSUPPORTED, "tensor %s: type %s is not supported", t->name, info.name);
    for (size_t at = 0; at < t->bytes; at += info.block_bytes) {
        if (block_is_finite(t->dtype, scales, t->data + at))
            continue;
        uint64_t element = at / info.block_bytes * info.block_elems;
        return pith_fail(PITH_ERROR_FORMAT, "tensor %s: row %" PRIu64 ", element %" PRIu64 " (byte %zu of the file): %s is not finite",
                         t->name, element / t->dims[0], element % t->dims[0], t->offset + at,
                         info.block_elems == 1 ? "the value" : "a scale of its block");
    }
    return PITH_OK;
}
