/* SPDX-License-Identifier: MIT */
#include "matmul_sweep.h"

#include "base/mem.h"

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
                const int64_t u0 = pith_mm_range(units, pass, passes), u1 = pith_mm_range(units, pass + 1, passes);
                const uint8_t *act = job->act + (size_t)t0 * stride + (size_t)u0 * s->act_unit_bytes;
                s->fill(job, strips, row, u0, u1, panel);
                for (int64_t i = 0; i < tiles; i++) {
                    const int64_t c0 = n * i / tiles, c1 = n * (i + 1) / tiles; /* nearly equal widths: no thin last tile */
                    float *sum = part + c0 * 16 * strips;
                    s->tiles[(strips - 1) * s->tile + (c1 - c0) - 1](panel, act + (size_t)c0 * stride, stride, u1 - u0, sum, pass == 0);
                    if (pass == passes - 1)
                        s->finish(job, strips, row, t0 + c0, c1 - c0, sum);
                }
            }
        }
    }
}
