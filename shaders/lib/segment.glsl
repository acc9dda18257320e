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

#ifdef RANGES
// A dispatch reads one of P.ranges ranges of the keys. Keys count in blocks, which begin anew in each segment, so that
// every sum has the same terms in the same order as in one dispatch: results are the same to the bit.
ivec2 range_blocks(int first, int last, int block)
{
    uint n = 0u;
    for (uint s = 0u; s < uint(A.n_segments); s++) {
        ivec2 all = segment_union(s, first, last);
        n += uint(all.y - all.x + block - 1) / uint(block);
    }
    return ivec2(n * P.range / P.ranges, n * (P.range + 1u) / P.ranges);
}

// What of a segment's keys lies in blocks cut.x .. cut.y - 1, with `before` blocks in the segments before it.
ivec2 range_keys(ivec2 all, int block, ivec2 cut, inout int before)
{
    int n = (all.y - all.x + block - 1) / block, from = clamp(cut.x - before, 0, n), to = clamp(cut.y - before, 0, n);
    before += n;
    return ivec2(all.x + from * block, min(all.x + to * block, all.y));
}
#endif

const float LOG2E = 1.44269504088896340736;
const float LEAST = -1.0e38; // of a running maximum: below every logit, far from the end of the range
