/* SPDX-License-Identifier: MIT */
/* A dispatch's place in a chain (shaders/lib/link.glsl). */
#ifndef PITH_PUSH_LINK_H
#define PITH_PUSH_LINK_H
#include "base.h"

#define PITH_VK_LINK_PITCH 32u /* words between counters: each has a cache line of its own */
#define PITH_VK_LINKS_MAX 1024u /* links of a command buffer; what follows has barriers */
#define PITH_VK_LINK_WORDS ((PITH_VK_LINKS_MAX + 1u) * PITH_VK_LINK_PITCH)

struct pith_vk_push_link {
    PITH_U32 first; /* word of binding 9 where the mark and the counters begin */
    PITH_U32 mine;  /* number of this link, from 0 on */
    PITH_U32 count; /* workgroups of the link before, all of which signal; 0: nothing to wait for */
};

#endif
