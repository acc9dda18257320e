// SPDX-License-Identifier: MIT
// Sums over LANES consecutive invocations (a power of two), all of which receive the result.
// With USE_SUBGROUP (LANES at most a subgroup, subgroups full): shuffles. Without: a tree in shared memory, where every
// invocation of the workgroup must take part. `lane_index()` numbers invocations so that groups of lanes are consecutive.
#ifdef USE_SUBGROUP
uint lane_index() { return gl_SubgroupID * gl_SubgroupSize + gl_SubgroupInvocationID; }
float lanes_sum(float x)
{
    for (uint m = LANES / 2u; m > 0u; m >>= 1)
        x += subgroupShuffleXor(x, m);
    return x;
}
#else
shared float lanes_shared[gl_WorkGroupSize.x];
uint lane_index() { return gl_LocalInvocationIndex; }
float lanes_sum(float x)
{
    uint i = gl_LocalInvocationIndex;
    for (uint m = LANES / 2u; m > 0u; m >>= 1) {
        lanes_shared[i] = x;
        barrier();
        x += lanes_shared[i ^ m];
        barrier();
    }
    return x;
}
#endif
