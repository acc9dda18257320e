/* SPDX-License-Identifier: MIT */
#include "matmul_sweep.h"

#include "base/mem.h"

/* The packed bytes that the next panel will be filled from, asked for a few lines at a time while the current panel is
 * being multiplied: filling would otherwise wait for memory. */
typedef struct ahead {
    const uint8_t *at[2], *end[2]; /* one range per strip */
} ahead;

static ahead ahead_of(const pith_mm_sweep *s, const pith_cpu_matmul_job *job, int64_t row, int64_t pass, int64_t units, int64_t passes)
{
    ahead a = {{0}, {0}};
    if (row >= job->row1)
        return a;
    const pith_mm_format *f = pith_mm_format_get(job->m->dtype);
    const size_t strip_bytes = pith_mm_strip_bytes(f, job->m->cols);
    const int64_t strips = pith_min_i64(s->strips, (job->row1 - row + 15) / 16);
    for (int64_t r = 0; r < strips; r++) {
        const uint8_t *strip = (const uint8_t *)job->m->data + (size_t)(row / 16 + r) * strip_bytes;
        a.at[r] = strip + (size_t)pith_mm_range(units, pass, passes) * f->unit_bytes;
        a.end[r] = strip + (size_t)pith_mm_range(units, pass + 1, passes) * f->unit_bytes;
    }
    return a;
}

static void ahead_ask(ahead *a, int64_t lines)
{
    for (int r = 0; r < 2; r++)
        for (int64_t i = 0; i < lines && a->at[r] < a->end[r]; i++, a->at[r] += 64)
            __builtin_prefetch(a->at[r], 0, 2);
}

/* The lines of y that a tile will write, asked for before it is computed. */
static void ask_for_y(const pith_cpu_matmul_job *job, int64_t t0, int64_t t1, int64_t row, int strips)
{
    for (int64_t t = t0; t < t1; t++)
        for (int r = 0; r < strips; r++)
            __builtin_prefetch(job->y + t * job->ldy + row + 16 * r, 1, 3);
}

void pith_mm_sweep_run(const pith_mm_sweep *s, const pith_cpu_matmul_job *job)
{
    const int64_t units = (job->m->cols + s->unit_elems - 1) / s->unit_elems;
    const int64_t passes = pith_mm_ranges(job->m->cols, s->cols_max);
    const size_t stride = pith_mm_act_stride(job->m->act, job->m->cols);
    uint8_t *panel = job->scratch;
    float *part = (float *)(void *)(panel + PITH_MM_PANEL_BYTES);
    for (int64_t t0 = 0; t0 < job->n_tokens; t0 += PITH_MM_SLAB) {
        const int64_t n = pith_min_i64(job->n_tokens - t0, PITH_MM_SLAB), tiles = (n + s->tile - 1) / s->tile;
        for (int64_t row = job->row0; row < job->row1; row += 16 * s->strips) {
            const int strips = (int)pith_min_i64(s->strips, (job->row1 - row + 15) / 16);
            for (int64_t pass = 0; pass < passes; pass++) {
                const bool last = pass == passes - 1;
                const int64_t u0 = pith_mm_range(units, pass, passes), u1 = pith_mm_range(units, pass + 1, passes);
                const uint8_t *act = job->act + (size_t)t0 * stride + (size_t)u0 * s->act_unit_bytes;
                s->fill(job, strips, row, u0, u1, panel);
                ahead next = last ? ahead_of(s, job, row + 16 * s->strips, 0, units, passes) : ahead_of(s, job, row, pass + 1, units, passes);
                const int64_t lines = (next.end[0] - next.at[0]) / 64 / tiles + 1;
                for (int64_t i = 0; i < tiles; i++) {
                    const int64_t c0 = n * i / tiles, c1 = n * (i + 1) / tiles; /* nearly equal widths: no thin last tile */
                    float *sum = part + c0 * 16 * strips;
                    if (last)
                        ask_for_y(job, t0 + c0, t0 + c1, row, strips);
                    ahead_ask(&next, lines);
                    s->tiles[(strips - 1) * s->tile + (c1 - c0) - 1](panel, act + (size_t)c0 * stride, stride, u1 - u0, sum, pass == 0);
                    if (last)
                        s->finish(job, strips, row, t0 + c0, c1 - c0, sum);
                }
            }
        }
    }
}
