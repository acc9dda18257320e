/* SPDX-License-Identifier: MIT */
/* The architectures that the network builder can express: RMSNorm, grouped-query attention with rotary positions,
 * SwiGLU. One row each; what a row cannot say (soft caps, experts, fused tensors) is another architecture. */
#include "model/config.h"

#include <string.h>

#define ARCHS(X)                                             \
    X("llama", PITH_ROPE_INTERLEAVED, false, false)          \
    X("qwen2", PITH_ROPE_HALF, true, false)                  \
    X("qwen3", PITH_ROPE_HALF, false, true)

static const pith_arch archs[] = {
#define X(name, pairing, bias, norm) {name, pairing, bias, norm},
    ARCHS(X)
#undef X
};

const pith_arch *pith_arch_find(pith_str name)
{
    for (size_t i = 0; i < sizeof archs / sizeof *archs; i++) {
        if (strlen(archs[i].name) == name.n && memcmp(archs[i].name, name.data, name.n) == 0)
            return &archs[i];
    }
    return NULL;
}

const char *pith_arch_names(void)
{
#define X(name, pairing, bias, norm) ", " name
    static const char names[] = "" ARCHS(X);
#undef X
    return names + 2;
}
