/* SPDX-License-Identifier: MIT */
/* A dispatch's place in a chain (shaders/lib/link.glsl). */
#ifndef PITH_PUSH_LINK_H
#define PITH_PUSH_LINK_H
#include "base.h"

#define PITH_VK_LINK_NOTHING 0xFFFFFFFFu /* a NaN: where no result is yet */

struct pith_vk_push_link {
    PITH_U32 mark;  /* word of binding 9 that tells that a wait was given up */
    PITH_U32 reads; /* bindings, a bit each, that links since the last barrier write: to be waited for */
};

#endif
