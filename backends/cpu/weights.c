/* SPDX-License-Identifier: MIT */
/* Weights from the file's bytes into the layouts that the kernels read, once, by all threads, in pieces small enough
 * that the file's pages leave memory while the repacked copy grows. */
#include "cpu.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Bytes of the file per piece: the most that is resident twice. */
#define PIECE_BYTES ((size_t)8 << 20)

/* Bytes of a weight in this backend; fills `w` but for its memory. */
static pith_status weight_layout(const pith_cpu_backend *cpu, const pith_weight_desc *d, pith_cpu_weight *w, size_t *bytes)
{
    *w = (pith_cpu_weight){.kind = d->kind, .n_parts = d->n_parts, .rows = pith_weight_rows(d), .cols = pith_weight_cols(d)};
    *bytes = 0;
    switch (d->kind) {
    case PITH_WEIGHT_NONE:
        return PITH_OK;
    case PITH_WEIGHT_VECTOR:
        *bytes = (size_t)w->cols * sizeof(float);
        return PITH_OK;
    case PITH_WEIGHT_LOOKUP:
        w->table_dtype = d->parts[0].dtype;
        *bytes = pith_dtype_row_bytes(w->table_dtype, (size_t)w->cols) * (size_t)w->rows;
        return PITH_OK;
    case PITH_WEIGHT_MATRIX:
        for (int32_t p = 0; p < d->n_parts; p++) {
            const pith_weight_part *part = &d->parts[p];
            pith_status status = pith_cpu_matrix_init(&w->parts[p], &cpu->kernels, pith_cpu_runs_as(cpu, part->dtype), part->rows, part->cols);
            if (status != PITH_OK)
                return pith_fail_in(status, "%s", part->name);
            if (!pith_size_add(*bytes, w->parts[p].bytes, bytes))
                return pith_fail(PITH_ERROR_FORMAT, "%s: its size overflows", part->name);
        }
        return PITH_OK;
    }
    return PITH_OK;
}

pith_status pith_cpu_weights_bytes(const pith_backend *b, const pith_weight_desc *descs, int32_t n, size_t *out)
{
    *out = 0;
    for (int32_t i = 0; i < n; i++) {
        pith_cpu_weight w;
        size_t bytes;
        PITH_TRY(weight_layout(pith_cpu_of_const(b), &descs[i], &w, &bytes));
        if (!pith_size_add(*out, bytes, out))
            return pith_fail(PITH_ERROR_FORMAT, "weights: their size overflows");
    }
    return PITH_OK;
}

/* One piece of a matrix, split among the team. */
struct pack_job {
    const pith_cpu_kernels *k;
    const pith_cpu_matrix *m;
    const pith_weight_part *part;
    int64_t row0, row1;
    float *floats; /* [row1 - row0][cols] when the matrix runs as floats and the file has another type, else NULL */
};

static void pack_rows(void *user, int i, int n)
{
    const struct pack_job *job = user;
    int64_t begin, end, cols = job->m->cols;
    pith_part(job->row1 - job->row0, PITH_CPU_ROW_UNIT, i, n, &begin, &end);
    if (begin >= end)
        return;
    if (!job->floats) {
        pith_cpu_matrix_pack(job->m, job->k, job->part->data, job->row0 + begin, job->row0 + end);
        return;
    }
    size_t row_bytes = pith_dtype_row_bytes(job->part->dtype, (size_t)cols);
    pith_dequantize(job->part->dtype, (const uint8_t *)job->part->data + (size_t)(job->row0 + begin) * row_bytes,
                    job->floats + begin * cols, (size_t)((end - begin) * cols));
    /* The piece as a matrix of its own: strips of 16 rows follow each other. */
    pith_cpu_matrix piece = *job->m;
    size_t strip_bytes = piece.bytes / (size_t)((piece.rows + PITH_CPU_ROW_UNIT - 1) / PITH_CPU_ROW_UNIT);
    piece.data = (uint8_t *)piece.data + (size_t)(job->row0 / PITH_CPU_ROW_UNIT) * strip_bytes;
    piece.rows = job->row1 - job->row0;
    pith_cpu_matrix_pack(&piece, job->k, job->floats, begin, end);
}

/* What create threads through its parts. */
struct loader {
    pith_cpu_backend *cpu;
    void (*read_done)(const pith_weight_part *, size_t, size_t, void *);
    pith_progress_fn progress;
    void *user;
    uint64_t done, total;
};

static void piece_done(struct loader *l, const pith_weight_part *part, size_t offset, size_t bytes)
{
    l->done += bytes;
    if (l->read_done)
        l->read_done(part, offset, bytes, l->user);
    if (l->progress)
        l->progress(l->done, l->total, l->user);
}

static pith_status load_matrix(struct loader *l, const pith_weight_part *part, pith_cpu_matrix *m)
{
    m->data = pith_aligned_alloc(m->bytes);
    if (!m->data)
        return pith_fail(PITH_ERROR_NO_MEMORY, "%s: no memory for %zu bytes of weights", part->name, m->bytes);
    size_t row_bytes = pith_dtype_row_bytes(part->dtype, (size_t)part->cols);
    int64_t step = (int64_t)(PIECE_BYTES / (row_bytes ? row_bytes : 1)) / PITH_CPU_ROW_UNIT * PITH_CPU_ROW_UNIT;
    if (step < PITH_CPU_ROW_UNIT * 8)
        step = PITH_CPU_ROW_UNIT * 8;
    float *floats = NULL;
    if (m->dtype != part->dtype) {
        floats = pith_aligned_alloc((size_t)pith_min_i64(step, part->rows) * (size_t)part->cols * sizeof *floats);
        if (!floats)
            return pith_fail(PITH_ERROR_NO_MEMORY, "%s: no memory to expand %lld rows", part->name, (long long)step);
    }
    for (int64_t row = 0; row < part->rows; row += step) {
        int64_t end = pith_min_i64(row + step, part->rows);
        struct pack_job job = {&l->cpu->kernels, m, part, row, end, floats};
        pith_pool_run(l->cpu->pool, pack_rows, &job);
        piece_done(l, part, (size_t)row * row_bytes, (size_t)(end - row) * row_bytes);
    }
    pith_aligned_free(floats);
    return PITH_OK;
}

static pith_status load_vector(struct loader *l, const pith_weight_desc *d, pith_cpu_weight *w)
{
    w->vector = pith_aligned_alloc((size_t)w->cols * sizeof(float));
    if (!w->vector)
        return pith_fail(PITH_ERROR_NO_MEMORY, "%s: no memory for %lld floats", d->parts[0].name, (long long)w->cols);
    size_t n = 0;
    for (int32_t p = 0; p < d->n_parts; p++) {
        const pith_weight_part *part = &d->parts[p];
        pith_dequantize(part->dtype, part->data, w->vector + n, (size_t)part->cols);
        n += (size_t)part->cols;
        piece_done(l, part, 0, pith_dtype_row_bytes(part->dtype, (size_t)part->cols));
    }
    return PITH_OK;
}

static pith_status load_lookup(struct loader *l, const pith_weight_part *part, pith_cpu_weight *w)
{
    size_t bytes = pith_dtype_row_bytes(w->table_dtype, (size_t)w->cols) * (size_t)w->rows;
    w->table = pith_aligned_alloc(bytes);
    if (!w->table)
        return pith_fail(PITH_ERROR_NO_MEMORY, "%s: no memory for %zu bytes of weights", part->name, bytes);
    for (size_t at = 0; at < bytes; at += PIECE_BYTES) {
        size_t n = pith_min_size(PIECE_BYTES, bytes - at);
        memcpy(w->table + at, (const uint8_t *)part->data + at, n);
        piece_done(l, part, at, n);
    }
    return PITH_OK;
}

pith_status pith_cpu_weights_create(pith_backend *b, const pith_weight_desc *descs, int32_t n,
                                    void (*read_done)(const pith_weight_part *, size_t, size_t, void *), pith_progress_fn progress,
                                    void *user, pith_weight_store **out)
{
    *out = NULL;
    pith_status status;
    pith_weight_store *store = pith_calloc(1, sizeof *store);
    if (!store || !(store->weights = pith_calloc((size_t)n, sizeof *store->weights))) {
        free(store);
        return pith_fail(PITH_ERROR_NO_MEMORY, "weights: no memory for the table of %d", n);
    }
    store->n = n;
    struct loader l = {.cpu = pith_cpu_of(b), .read_done = read_done, .progress = progress, .user = user};
    for (int32_t i = 0; i < n; i++)
        for (int32_t p = 0; p < descs[i].n_parts; p++)
            l.total += pith_dtype_row_bytes(descs[i].parts[p].dtype, (size_t)descs[i].parts[p].cols) * (size_t)descs[i].parts[p].rows;
    for (int32_t i = 0; i < n; i++) {
        pith_cpu_weight *w = &store->weights[i];
        size_t bytes;
        PITH_TRY_GOTO(weight_layout(l.cpu, &descs[i], w, &bytes));
        if (w->kind == PITH_WEIGHT_VECTOR)
            PITH_TRY_GOTO(load_vector(&l, &descs[i], w));
        if (w->kind == PITH_WEIGHT_LOOKUP)
            PITH_TRY_GOTO(load_lookup(&l, &descs[i].parts[0], w));
        for (int32_t p = 0; w->kind == PITH_WEIGHT_MATRIX && p < w->n_parts; p++)
            PITH_TRY_GOTO(load_matrix(&l, &descs[i].parts[p], &w->parts[p]));
    }
    *out = store;
    return PITH_OK;
fail:
    pith_cpu_weights_destroy(&store);
    return status;
}

void pith_cpu_weights_destroy(pith_weight_store **store_ptr)
{
    pith_weight_store *store = *store_ptr;
    if (!store)
        return;
    for (int32_t i = 0; i < store->n; i++) {
        pith_cpu_weight *w = &store->weights[i];
        for (int32_t p = 0; w->kind == PITH_WEIGHT_MATRIX && p < w->n_parts; p++)
            pith_aligned_free(w->parts[p].data);
        pith_aligned_free(w->vector);
        pith_aligned_free(w->table);
    }
    free(store->weights);
    free(store);
    *store_ptr = NULL;
}

const char *pith_cpu_weights_layout(const pith_weight_store *store, int32_t index, int32_t part)
{
    const pith_cpu_weight *w = &store->weights[index];
    switch (w->kind) {
    case PITH_WEIGHT_MATRIX: return w->parts[part].layout;
    case PITH_WEIGHT_VECTOR: return "f32";
    case PITH_WEIGHT_LOOKUP: return "rows";
    case PITH_WEIGHT_NONE: break;
    }
    return "none";
}
