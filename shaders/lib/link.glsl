// SPDX-License-Identifier: MIT
// Dispatches in a chain, without barriers between them (backends/vulkan/cmd.h): a dispatch starts while the one before it
// drains, brings what does not depend on it, and waits for what it reads, element by element:
//
//   link k:    ... weights on their way | x, as it comes | products | results
//   link k+1:           weights on their way . . . . . . . . . . . | x, as it comes | products | results
//
// Every value of a token has a place of its own (backends/vulkan/places.c), filled with PITH_VK_LINK_NOTHING before, which
// no result ever is. Who needs an element reads it again until something is there: no fence, no counter and no second trip
// to memory stand between a result and its use.
// Devices start workgroups in the order of submission, so those waited for are running or done; Vulkan does not promise it.
// Hence patience has an end: the wait is given up, the host sees the mark, and never chains on this device again.
// What one link writes and a later one reads must be `coherent` in both: no barrier empties the caches between them; and
// `volatile` for who waits.
// Needs P.link; CHAIN. Binding 9: at word P.link.mark the mark.
#include "../push/link.h"
layout(std430, binding = 9) coherent volatile buffer Links { uint links[]; };
const uint LINK_PATIENCE = 1u << 20; // looks, each of them the way to memory and back: some 0.5 s

// May one look for the `looks`-th time? Those behind one that gave up need not wait.
bool link_patient(uint looks) { return looks < LINK_PATIENCE && (looks % 64u != 63u || links[P.link.mark] == 0u); }

// Behind a wait, whatever ended it: some drivers count the turns of loops, too.
void link_waited(bool nothing)
{
    if (nothing)
        links[P.link.mark] = 1u;
}

bool link_none(vec4 v) { return any(equal(floatBitsToUint(v), uvec4(PITH_VK_LINK_NOTHING))); }
bool link_none(float v) { return floatBitsToUint(v) == PITH_VK_LINK_NOTHING; }

// Is any of what other links write to a binding not there yet?
bool link_nothing(uint binding, vec4 v) { return CHAIN && (P.link.reads & 1u << binding) != 0u && link_none(v); }
bool link_nothing(uint binding, float v) { return CHAIN && (P.link.reads & 1u << binding) != 0u && link_none(v); }

// A result, which must not look like nothing: a NaN with another payload.
float link_result(float v) { return CHAIN && floatBitsToUint(v) == PITH_VK_LINK_NOTHING ? uintBitsToFloat(0x7FC00000u) : v; }
