// SPDX-License-Identifier: MIT
// Bounds of segments (src/graph/segment.h). Needs A.
int bound_at(pith_vk_bound b, int i)
{
    int x = i + 1 - b.shift;
    int q = x >= 0 ? x / b.group : -((b.group - 1 - x) / b.group); // floor
    int v = b.mul * q;
    return v < b.min ? b.min : v > b.max ? b.max : v;
}

// Keys [lo, hi) that some query of positions first..last sees; bounds are monotone, the ends decide.
ivec2 segment_union(uint s, int first, int last)
{
    int lo = min(bound_at(A.segments[s].lo, first), bound_at(A.segments[s].lo, last));
    int hi = max(bound_at(A.segments[s].hi, first), bound_at(A.segments[s].hi, last));
    return ivec2(lo, max(lo, hi));
}

ivec2 segment_of(uint s, int position)
{
    return ivec2(bound_at(A.segments[s].lo, position), bound_at(A.segments[s].hi, position));
}

const float LOG2E = 1.44269504088896340736;
const float LEAST = -1.0e38; // of a running maximum: below every logit, far from the end of the range
