/* SPDX-License-Identifier: MIT */
/* The table of storage types, indexed by GGUF type id. Ids come from files, so every number is answered: a gap in the
 * numbering (a retired type) and anything past the end give a zeroed info, whose name is NULL. */
#include "graph/dtype.h"

static const pith_dtype_info table[PITH_DTYPE_END] = {
#define X(name, id, elems, bytes, usable) [id] = {#name, elems, bytes, usable},
    PITH_DTYPE_MAP(X)
#undef X
};

pith_dtype_info pith_dtype_get(uint32_t id)
{
    return id < PITH_DTYPE_END ? table[id] : (pith_dtype_info){0};
}
