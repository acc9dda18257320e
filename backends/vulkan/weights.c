/* SPDX-License-Identifier: MIT */
/* Weights on the device: every matrix becomes groups of packed rows, cut into slabs that can be bound, placed one after
 * the other in arenas. The layout follows from the descriptions alone; then bytes stream through the staging halves. */
#include "tuner.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define PLACE_ALIGN 256 /* of slabs and vectors: the most that a device may ask for */

int32_t pith_vk_groups_of(const pith_weight_desc *d, pith_vk_group *groups)
{
    int32_t n = 0;
    int64_t col = 0;
    for (int32_t p = 0; p < d->n_parts; p++) {
        const pith_weight_part *part = &d->parts[p];
        pith_vk_group *last = n ? &groups[n - 1] : NULL;
        if (last && last->dtype == part->dtype) {
            last->n_parts++;
            last->rows += part->rows;
        } else {
            groups[n++] = (pith_vk_group){.format = pith_vk_format_of(part->dtype), .dtype = part->dtype, .first_part = p, .n_parts = 1,
                                          .rows = part->rows, .cols = part->cols, .col0 = col, .units = pith_vk_units(part->cols)};
        }
        col += part->rows;
    }
    /* Two equal parts of one type, such as gate and up: a workgroup then holds both halves of a result. */
    if (n == 1 && d->n_parts == 2 && d->parts[0].rows == d->parts[1].rows)
        groups[0].pairs = true;
    return n;
}

static uint64_t align_up(uint64_t n, uint64_t a) { return (n + a - 1) / a * a; }

/* Bytes of `rows` packed rows; fills the planes' places when plane is not NULL. */
static uint64_t slab_bytes(const pith_vk_group *g, int64_t rows, uint32_t *plane)
{
    const pith_vk_format *f = pith_vk_format_get(g->format);
    uint64_t at = 0;
    for (uint32_t p = 0; p < f->n_planes; p++) {
        if (plane)
            plane[p] = (uint32_t)(at / 16);
        at += align_up(pith_vk_plane_row_bytes(f, p, g->units) * (uint64_t)rows, 16);
    }
    return at;
}

/* Takes bytes of the newest arena, or begins one. */
static pith_status place(pith_weight_store *s, uint64_t bytes, int32_t *arena, uint64_t *offset)
{
    if (s->n_arenas == 0 || s->arena_bytes[s->n_arenas - 1] + bytes > PITH_VK_ARENA_MAX) {
        uint64_t *bigger = realloc(s->arena_bytes, (size_t)(s->n_arenas + 1) * sizeof *bigger);
        if (!bigger)
            return pith_fail(PITH_ERROR_NO_MEMORY, "weights: no memory for the list of arenas");
        s->arena_bytes = bigger;
        s->arena_bytes[s->n_arenas++] = 0;
    }
    *arena = s->n_arenas - 1;
    *offset = s->arena_bytes[*arena];
    s->arena_bytes[*arena] += align_up(bytes, PLACE_ALIGN);
    return PITH_OK;
}

static pith_status group_place(pith_weight_store *s, pith_vk_group *g, uint64_t slab_max, const char *name)
{
    uint64_t one = slab_bytes(g, 1, NULL);
    int64_t most = (int64_t)(slab_max / one);
    while (most > 2 && slab_bytes(g, most, NULL) > slab_max)
        most -= 1 + most / 64;
    most -= most % 2; /* pairs stay together */
    if (most < 2)
        return pith_fail(PITH_ERROR_UNSUPPORTED, "vulkan: %s: a row of %llu bytes does not fit a binding of %llu", name,
                         (unsigned long long)one, (unsigned long long)slab_max);
    if (g->rows < most)
        most = g->rows;
    g->n_slabs = (int32_t)((g->rows + most - 1) / most);
    g->slabs = pith_calloc((size_t)g->n_slabs, sizeof *g->slabs);
    if (!g->slabs)
        return pith_fail(PITH_ERROR_NO_MEMORY, "weights: no memory for slabs");
    for (int32_t i = 0; i < g->n_slabs; i++) {
        pith_vk_slab *slab = &g->slabs[i];
        slab->row0 = i * most;
        slab->rows = pith_min_i64(most, g->rows - slab->row0);
        slab->bytes = slab_bytes(g, slab->rows, slab->plane);
        PITH_TRY(place(s, slab->bytes, &slab->arena, &slab->offset));
    }
    return PITH_OK;
}

/* Everything but memory on the device. */
static pith_status store_shape(pith_vk_backend *vk, const pith_weight_desc *descs, int32_t n, pith_weight_store **out)
{
    *out = NULL;
    pith_status status;
    pith_weight_store *s = pith_calloc(1, sizeof *s);
    if (!s || !(s->weights = pith_calloc((size_t)n, sizeof *s->weights))) {
        free(s);
        return pith_fail(PITH_ERROR_NO_MEMORY, "weights: no memory for the table of %d", n);
    }
    s->backend = vk;
    s->n = n;
    for (int32_t i = 0; i < n; i++) {
        const pith_weight_desc *d = &descs[i];
        pith_vk_weight *w = &s->weights[i];
        *w = (pith_vk_weight){.kind = d->kind, .rows = pith_weight_rows(d), .cols = pith_weight_cols(d)};
        if (d->kind == PITH_WEIGHT_VECTOR)
            PITH_TRY_GOTO(place(s, (uint64_t)w->cols * sizeof(float), &w->arena, &w->offset));
        if (d->kind != PITH_WEIGHT_MATRIX && d->kind != PITH_WEIGHT_LOOKUP)
            continue;
        w->n_groups = pith_vk_groups_of(d, w->groups);
        for (int32_t g = 0; g < w->n_groups; g++) {
            if (w->groups[g].format < 0) {
                status = pith_fail(PITH_ERROR_UNSUPPORTED, "vulkan: %s: no kernel for tensor type %s", d->parts[w->groups[g].first_part].name,
                                   pith_dtype_get((uint32_t)w->groups[g].dtype).name);
                goto fail;
            }
            PITH_TRY_GOTO(group_place(s, &w->groups[g], vk->slab_max, d->parts[w->groups[g].first_part].name));
        }
    }
    *out = s;
    return PITH_OK;
fail:
    pith_vk_weights_destroy(&s);
    return status;
}

pith_status pith_vk_weights_bytes(const pith_backend *b, const pith_weight_desc *descs, int32_t n, size_t *out)
{
    *out = 0;
    pith_weight_store *s;
    PITH_TRY(store_shape((pith_vk_backend *)pith_vk_of_const(b), descs, n, &s));
    for (int32_t a = 0; a < s->n_arenas; a++)
        *out += s->arena_bytes[a];
    pith_vk_weights_destroy(&s);
    return PITH_OK;
}

/* ---- streaming ------------------------------------------------------------------------------------------------------ */

struct loader {
    pith_weight_store *store;
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

/* The part and row of packed row r. */
static const pith_weight_part *row_of(const pith_vk_group *g, const pith_weight_desc *d, int64_t r, int64_t *row)
{
    int32_t p = g->first_part;
    if (g->pairs) {
        *row = r / 2;
        return &d->parts[r % 2];
    }
    for (; r >= d->parts[p].rows; p++)
        r -= d->parts[p].rows;
    *row = r;
    return &d->parts[p];
}

/* Packed rows [row0, row1) of a group into staging: one stretch per plane. */
struct pack_job {
    const pith_vk_group *g;
    const pith_weight_desc *d;
    int64_t row0, row1;
    uint8_t *planes[PITH_PLANES];
    size_t row_bytes[PITH_PLANES];
    uint32_t n_planes;
};

static void pack_rows(void *user, int i, int n)
{
    const struct pack_job *job = user;
    int64_t begin, end;
    pith_part(job->row1 - job->row0, 1, i, n, &begin, &end);
    for (int64_t r = begin; r < end; r++) {
        int64_t row;
        const pith_weight_part *part = row_of(job->g, job->d, job->row0 + r, &row);
        uint8_t *planes[PITH_PLANES];
        for (uint32_t p = 0; p < job->n_planes; p++)
            planes[p] = job->planes[p] + (size_t)r * job->row_bytes[p];
        size_t row_bytes = pith_dtype_row_bytes(part->dtype, (size_t)part->cols);
        pith_vk_pack_row(part->dtype, (const uint8_t *)part->data + (size_t)row * row_bytes, part->cols, planes);
    }
}

/* Tells the owner of the file which rows were consumed, part by part. */
static void rows_done(struct loader *l, const pith_vk_group *g, const pith_weight_desc *d, int64_t row0, int64_t row1)
{
    int64_t first = 0;
    for (int32_t p = g->first_part; p < g->first_part + g->n_parts; p++) {
        const pith_weight_part *part = &d->parts[p];
        int64_t b = g->pairs ? (row0 + 1 - p) / 2 : row0 - first, e = g->pairs ? (row1 + 1 - p) / 2 : row1 - first;
        b = pith_max_i64(b, 0);
        e = pith_min_i64(e, part->rows);
        size_t row_bytes = pith_dtype_row_bytes(part->dtype, (size_t)part->cols);
        if (b < e)
            piece_done(l, part, (size_t)b * row_bytes, (size_t)(e - b) * row_bytes);
        first += part->rows;
    }
}

static pith_status load_slab(struct loader *l, const pith_weight_desc *d, const pith_vk_group *g, const pith_vk_slab *slab)
{
    pith_vk_backend *vk = l->store->backend;
    const pith_vk_format *f = pith_vk_format_get(g->format);
    struct pack_job job = {.g = g, .d = d, .n_planes = f->n_planes};
    uint64_t row_bytes = 0;
    for (uint32_t p = 0; p < f->n_planes; p++) {
        job.row_bytes[p] = pith_vk_plane_row_bytes(f, p, g->units);
        row_bytes += job.row_bytes[p];
    }
    int64_t step = (int64_t)((PITH_VK_STAGE_BYTES - 64) / row_bytes);
    step = step > 1 ? step - step % 2 : step;
    if (step < 1)
        return pith_fail(PITH_ERROR_UNSUPPORTED, "vulkan: %s: a row of %llu bytes", d->parts[g->first_part].name, (unsigned long long)row_bytes);
    for (int64_t row = 0; row < slab->rows; row += step) {
        int64_t n = pith_min_i64(step, slab->rows - row);
        uint8_t *stage;
        PITH_TRY(pith_vk_transfer_begin(&vk->transfer, &stage));
        uint64_t at = 0;
        for (uint32_t p = 0; p < f->n_planes; p++) {
            job.planes[p] = stage + at;
            pith_vk_transfer_put(&vk->transfer, &l->store->arenas[slab->arena],
                                 slab->offset + 16ull * slab->plane[p] + (uint64_t)row * job.row_bytes[p], at, (uint64_t)n * job.row_bytes[p]);
            at += align_up((uint64_t)n * job.row_bytes[p], 16);
        }
        job.row0 = slab->row0 + row;
        job.row1 = job.row0 + n;
        pith_pool_run(vk->pool, pack_rows, &job);
        PITH_TRY(pith_vk_transfer_end(&vk->transfer));
        rows_done(l, g, d, job.row0, job.row1);
    }
    return PITH_OK;
}

static pith_status load_vector(struct loader *l, const pith_weight_desc *d, const pith_vk_weight *w)
{
    pith_vk_backend *vk = l->store->backend;
    float *values = malloc((size_t)w->cols * sizeof *values);
    if (!values)
        return pith_fail(PITH_ERROR_NO_MEMORY, "%s: no memory for %lld floats", d->parts[0].name, (long long)w->cols);
    size_t n = 0;
    for (int32_t p = 0; p < d->n_parts; p++) {
        const pith_weight_part *part = &d->parts[p];
        pith_dequantize(part->dtype, part->data, values + n, (size_t)part->cols);
        n += (size_t)part->cols;
        piece_done(l, part, 0, pith_dtype_row_bytes(part->dtype, (size_t)part->cols));
    }
    pith_status status = pith_vk_transfer_write(&vk->transfer, &l->store->arenas[w->arena], w->offset, values, n * sizeof *values);
    free(values);
    return status;
}

pith_status pith_vk_weights_create(pith_backend *b, const pith_weight_desc *descs, int32_t n,
                                   void (*read_done)(const pith_weight_part *, size_t, size_t, void *), pith_progress_fn progress,
                                   void *user, pith_weight_store **out)
{
    *out = NULL;
    pith_status status;
    pith_vk_backend *vk = pith_vk_of(b);
    pith_weight_store *s;
    pith_vk_tuner_run(vk, vk->retune); /* while memory is free */
    vk->retune = false;
    PITH_TRY(store_shape(vk, descs, n, &s));
    struct loader l = {.store = s, .read_done = read_done, .progress = progress, .user = user};
    for (int32_t i = 0; i < n; i++)
        for (int32_t p = 0; p < descs[i].n_parts; p++)
            l.total += pith_dtype_row_bytes(descs[i].parts[p].dtype, (size_t)descs[i].parts[p].cols) * (size_t)descs[i].parts[p].rows;
    s->arenas = pith_calloc((size_t)s->n_arenas, sizeof *s->arenas);
    if (!s->arenas && s->n_arenas) {
        status = pith_fail(PITH_ERROR_NO_MEMORY, "weights: no memory for the list of arenas");
        goto fail;
    }
    for (int32_t a = 0; a < s->n_arenas; a++)
        PITH_TRY_GOTO(pith_vk_buffer_create(&vk->device, s->arena_bytes[a], PITH_VK_DEVICE, &s->arenas[a]));
    for (int32_t i = 0; i < n; i++) {
        const pith_vk_weight *w = &s->weights[i];
        if (w->kind == PITH_WEIGHT_VECTOR)
            PITH_TRY_GOTO(load_vector(&l, &descs[i], w));
        for (int32_t g = 0; g < w->n_groups; g++)
            for (int32_t k = 0; k < w->groups[g].n_slabs; k++)
                PITH_TRY_GOTO(load_slab(&l, &descs[i], &w->groups[g], &w->groups[g].slabs[k]));
    }
    PITH_TRY_GOTO(pith_vk_queue_wait(&vk->queue, vk->queue.submitted));
    *out = s;
    return PITH_OK;
fail:
    (void)pith_vk_queue_wait(&vk->queue, vk->queue.submitted);
    pith_vk_weights_destroy(&s);
    return status;
}

void pith_vk_weights_destroy(pith_weight_store **store)
{
    pith_weight_store *s = *store;
    if (!s)
        return;
    for (int32_t i = 0; i < s->n; i++)
        for (int32_t g = 0; g < s->weights[i].n_groups; g++)
            free(s->weights[i].groups[g].slabs);
    if (s->arenas)
        (void)pith_vk_queue_wait(&s->backend->queue, s->backend->queue.submitted);
    for (int32_t a = 0; s->arenas && a < s->n_arenas; a++)
        pith_vk_buffer_destroy(&s->backend->device, &s->arenas[a]);
    free(s->arenas);
    free(s->arena_bytes);
    free(s->weights);
    free(s);
    *store = NULL;
}

const char *pith_vk_weights_layout(const pith_weight_store *store, int32_t index, int32_t part)
{
    const pith_vk_weight *w = &store->weights[index];
    if (w->kind == PITH_WEIGHT_VECTOR)
        return "f32";
    for (int32_t g = 0; g < w->n_groups; g++)
        if (part >= w->groups[g].first_part && part < w->groups[g].first_part + w->groups[g].n_parts)
            return pith_vk_format_get(w->groups[g].format)->layout;
    return "none";
}
