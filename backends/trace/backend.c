/* SPDX-License-Identifier: MIT */
/* A backend that writes down what it is asked to do and computes nothing: every value is zero. It lets graph, plan, KV
 * store and session be tested with no kernel in the way. Buffers are real memory, so moves and reads can be checked. */
#include "base/mem.h"
#include "run/backend.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct trace {
    pith_backend base; /* first */
    char *text;        /* what was recorded */
    size_t n, cap;
    char *taken;       /* what take() handed out last */
};

struct pith_buf {
    struct trace *trace;
    size_t bytes;
    uint8_t data[];
};

struct pith_weight_store { int32_t n; };

struct pith_exec {
    struct trace *trace;
    const pith_plan *plan;
    int32_t n_skip; /* of the last trunk */
};

static void record(struct trace *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void record(struct trace *t, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n < 0)
        return;
    size_t len = pith_min_size((size_t)n, sizeof line - 1);
    if (t->n + len + 1 > t->cap) {
        size_t cap = (t->cap + len + 1) * 2;
        char *text = realloc(t->text, cap);
        if (!text)
            return;
        t->text = text;
        t->cap = cap;
    }
    memcpy(t->text + t->n, line, len + 1);
    t->n += len;
}

static void trace_destroy(pith_backend *b)
{
    struct trace *t = (struct trace *)b;
    free(t->text);
    free(t->taken);
    free(t);
}

static bool trace_supports(const pith_backend *b, const pith_node *node, const pith_weight_desc *weights)
{
    (void)b, (void)node, (void)weights;
    return true;
}

static pith_status trace_buf_create(pith_backend *b, size_t bytes, pith_buf **out)
{
    size_t total;
    *out = pith_size_add(sizeof **out, bytes, &total) ? pith_calloc(1, total) : NULL;
    if (!*out)
        return pith_fail(PITH_ERROR_NO_MEMORY, "trace: no memory for a buffer of %zu bytes", bytes);
    (*out)->trace = (struct trace *)b;
    (*out)->bytes = bytes;
    return PITH_OK;
}

static void trace_buf_destroy(pith_buf **buf)
{
    free(*buf);
    *buf = NULL;
}

static bool inside(const pith_buf *buf, size_t offset, size_t n)
{
    return offset <= buf->bytes && n <= buf->bytes - offset;
}

static pith_status outside(const pith_buf *buf, size_t offset, size_t n)
{
    return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "trace: bytes %zu + %zu lie outside a buffer of %zu", offset, n, buf->bytes);
}

static pith_status trace_buf_write(pith_buf *buf, size_t offset, const void *src, size_t n)
{
    if (!inside(buf, offset, n))
        return outside(buf, offset, n);
    memcpy(buf->data + offset, src, n);
    return PITH_OK;
}

static pith_status trace_buf_read(const pith_buf *buf, size_t offset, void *dst, size_t n)
{
    if (!inside(buf, offset, n))
        return outside(buf, offset, n);
    memcpy(dst, buf->data + offset, n);
    return PITH_OK;
}

static pith_status trace_buf_move(pith_buf *buf, size_t to, size_t from, size_t n)
{
    if (!inside(buf, to, n) || !inside(buf, from, n))
        return outside(buf, to > from ? to : from, n);
    memmove(buf->data + to, buf->data + from, n);
    record(buf->trace, "move %zu from %zu to %zu\n", n, from, to);
    return PITH_OK;
}

static pith_status trace_weights_bytes(const pith_backend *b, const pith_weight_desc *descs, int32_t n, size_t *out)
{
    (void)b, (void)descs, (void)n;
    *out = 0;
    return PITH_OK;
}

static pith_status trace_weights_create(pith_backend *b, const pith_weight_desc *descs, int32_t n,
                                        void (*read_done)(const pith_weight_part *, size_t, size_t, void *), pith_progress_fn progress,
                                        void *user, pith_weight_store **out)
{
    (void)b, (void)descs, (void)read_done, (void)progress, (void)user;
    *out = pith_calloc(1, sizeof **out);
    if (!*out)
        return pith_fail(PITH_ERROR_NO_MEMORY, "trace: no memory");
    (*out)->n = n;
    return PITH_OK;
}

static void trace_weights_destroy(pith_weight_store **store)
{
    free(*store);
    *store = NULL;
}

static const char *trace_weights_layout(const pith_weight_store *store, int32_t index, int32_t part)
{
    (void)store, (void)index, (void)part;
    return "none";
}

static pith_status trace_exec_bytes(const pith_backend *b, const pith_plan *plan, size_t *out)
{
    (void)b;
    *out = plan->arena_bytes;
    return PITH_OK;
}

static pith_status trace_prepare(pith_backend *b, const pith_exec_params *params, pith_exec **out)
{
    *out = pith_calloc(1, sizeof **out);
    if (!*out)
        return pith_fail(PITH_ERROR_NO_MEMORY, "trace: no memory");
    **out = (pith_exec){.trace = (struct trace *)b, .plan = params->plan};
    return PITH_OK;
}

static void trace_exec_destroy(pith_exec **e)
{
    free(*e);
    *e = NULL;
}

static pith_status trace_run(pith_exec *e, const pith_step *step)
{
    const pith_graph *graph = e->plan->graph;
    record(e->trace, "%s tokens %d pos %" PRId64 " base %" PRId64 " %" PRId64 " rows %d skip %d\n",
           step->stage == PITH_STAGE_TRUNK ? "trunk" : "head", step->n_tokens, step->pos0, step->raw_base[0],
           step->raw_base[1], step->n_rows, step->n_skip);
    for (int32_t i = 0; i < graph->n_nodes; i++)
        if (pith_step_has(step, &graph->nodes[i]))
            record(e->trace, "%s %d from %d\n", pith_op_name(graph->nodes[i].op), graph->nodes[i].layer,
                   pith_step_first(step, &graph->nodes[i]));
    if (step->stage == PITH_STAGE_TRUNK)
        e->n_skip = step->n_skip;
    for (int32_t i = 0; i < step->n_rows; i++)
        if (step->rows[i] < e->n_skip)
            return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "trace: row %d is asked for, the first %d were skipped",
                             step->rows[i], e->n_skip);
    return PITH_OK;
}

static pith_status trace_read(pith_exec *e, int32_t value, int32_t row0, int32_t n_rows, float *dst)
{
    (void)row0;
    memset(dst, 0, (size_t)n_rows * (size_t)e->plan->graph->values[value].cols * sizeof *dst);
    return PITH_OK;
}

static const pith_backend_fns trace_fns = {
    .name = "trace",
    .destroy = trace_destroy,
    .supports = trace_supports,
    .buf_create = trace_buf_create,
    .buf_destroy = trace_buf_destroy,
    .buf_write = trace_buf_write,
    .buf_read = trace_buf_read,
    .buf_move = trace_buf_move,
    .weights_bytes = trace_weights_bytes,
    .weights_create = trace_weights_create,
    .weights_destroy = trace_weights_destroy,
    .weights_layout = trace_weights_layout,
    .exec_bytes = trace_exec_bytes,
    .prepare = trace_prepare,
    .exec_destroy = trace_exec_destroy,
    .run = trace_run,
    .read = trace_read,
    .timings = NULL,
};

pith_status pith_trace_backend_create(pith_backend **out)
{
    struct trace *t = pith_calloc(1, sizeof *t);
    *out = NULL;
    if (!t)
        return pith_fail(PITH_ERROR_NO_MEMORY, "trace: no memory");
    t->base.fns = &trace_fns;
    snprintf(t->base.describe, sizeof t->base.describe, "trace");
    *out = &t->base;
    return PITH_OK;
}

const char *pith_trace_backend_take(pith_backend *b)
{
    struct trace *t = (struct trace *)b;
    free(t->taken);
    t->taken = t->text;
    t->text = NULL;
    t->n = t->cap = 0;
    return t->taken ? t->taken : "";
}
