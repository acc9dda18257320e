// SPDX-License-Identifier: MIT
// Dispatches in a chain, without barriers between them (backends/vulkan/cmd.h): a dispatch starts while the one before it
// drains, brings what does not depend on it, and waits here until all workgroups of that one have signalled.
//
//   link k:    ... weights on their way | link_wait | x, products, results | link_signal
//   link k+1:           weights on their way . . . . . . . . . . . . . . . | link_wait | x, ...
//
// Devices start workgroups in the order of submission, so those waited for are running or done; Vulkan does not promise it.
// Hence patience has an end: the wait is given up, the host sees the mark, and never chains on this device again.
// What one link writes and a later one reads must be `coherent` in both: no barrier empties the caches between them.
// Signals may be given without waiting by some workgroups of a link, not by all: what is done follows from link to link.
// Needs P.link; CHAIN. Binding 9: at word P.link.first the mark, then counters PITH_VK_LINK_PITCH words apart, zero at first.
#include "../push/link.h"
layout(std430, binding = 9) coherent volatile buffer Links { uint links[]; };
const uint LINK_PATIENCE = 1u << 20; // looks at the counter, each of them the way to memory and back: some 0.5 s

// By all invocations of the workgroup, i counting them.
void link_wait(uint i)
{
    if (!CHAIN)
        return;
    if (i == 0u && P.link.count > 0u) {
        uint at = P.link.first + P.link.mine * PITH_VK_LINK_PITCH; // of the link before: counters begin one pitch on
        uint seen = links[at];
        for (uint looks = 1u; looks < LINK_PATIENCE && seen < P.link.count; looks++) {
            if (looks % 64u == 0u && links[P.link.first] != 0u) // the links behind one that gave up need not wait
                break;
            seen = links[at];
        }
        if (seen < P.link.count) // whatever ended the loop: some drivers count turns too
            links[P.link.first] = 1u;
    }
    memoryBarrierBuffer();
    barrier();
}

void link_signal(uint i)
{
    if (!CHAIN)
        return;
    memoryBarrierBuffer();
    barrier();
    if (i == 0u)
        atomicAdd(links[P.link.first + (P.link.mine + 1u) * PITH_VK_LINK_PITCH], 1u);
}
