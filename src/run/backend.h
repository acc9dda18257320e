/* SPDX-License-Identifier: MIT */
/* What a device must offer: buffers, weights in its own layout, and running a planned graph. Backends know tensors and
 * ops; of layers, policies, tokens and files they have never heard. One thread at a time uses a backend. */
#ifndef PITH_RUN_BACKEND_H
#define PITH_RUN_BACKEND_H

#include "graph/plan.h"

#include <stdatomic.h>

typedef struct pith_buf pith_buf;                 /* device memory; defined by each backend */
typedef struct pith_weight_store pith_weight_store; /* a model's weights, repacked; defined by each backend */
typedef struct pith_exec pith_exec;               /* a plan made ready to run; defined by each backend */

#define PITH_KV_CLASSES 2 /* layers that share one sliding base: pooled layers, dense layers */

/* Everything that changes from step to step. */
typedef struct pith_step {
    pith_stage stage;
    int32_t n_tokens;
    const int32_t *tokens;  /* [n_tokens], valid ids; TRUNK */
    int64_t pos0;           /* position of tokens[0] */
    int32_t n_skip;         /* so many tokens, from the first, need no tail nodes (graph/graph.h), 0 to n_tokens; TRUNK. Their
                               rows of values that tail nodes write are undefined afterwards: no head may ask for them. */
    int64_t raw_base[PITH_KV_CLASSES]; /* position of the first sliding row (graph/kv.h) */
    int32_t n_rows;
    const int32_t *rows;    /* [n_rows], indices of tokens of the last trunk, none of them skipped; HEAD */
    const atomic_bool *cancel; /* looked at between nodes; NULL: never stops early */
} pith_step;

/* First token of a step that a node runs for. */
static inline int32_t pith_step_first(const pith_step *step, const pith_node *node) { return node->tail ? step->n_skip : 0; }
/* Does the node run in this step? */
static inline bool pith_step_has(const pith_step *step, const pith_node *node)
{
    return node->stage == step->stage && !(node->tail && step->n_skip >= step->n_tokens);
}

/* What prepare() binds together. */
typedef struct pith_exec_params {
    const pith_plan *plan;            /* borrowed for the exec's life, as everything here */
    const pith_weight_store *weights;
    pith_buf *const *kv;              /* [n_layers], one buffer per layer, as its node's layout says */
    int32_t n_layers;
} pith_exec_params;

/* What a model and a session will ask of a device. */
typedef struct pith_memory_need {
    const pith_weight_desc *weights; /* [n_weights] */
    int32_t n_weights;
    bool loaded;                     /* the weights are there already */
    const pith_plan *plan;
    const size_t *kv;                /* [n_layers], bytes of each layer's buffer */
    int32_t n_layers;
} pith_memory_need;

typedef struct pith_timing {
    int32_t node;
    uint64_t ns;
} pith_timing;

typedef struct pith_backend_fns {
    const char *name;
    void (*destroy)(pith_backend *b);
    /* Optional, NULL: cannot. Takes a device anew that was lost (DEVICE from run, read or a buffer's function), after all
     * that it held for others was destroyed. Errors: DEVICE, NO_MEMORY. */
    pith_status (*rebuild)(pith_backend *b);

    /* Can this node run here? Asked once, while a session is made; on false says why in pith_last_error(). */
    bool (*supports)(const pith_backend *b, const pith_node *node, const pith_weight_desc *weights);

    /* Zeroed memory. */
    pith_status (*buf_create)(pith_backend *b, size_t bytes, pith_buf **out);
    void (*buf_destroy)(pith_buf **buf);
    pith_status (*buf_write)(pith_buf *buf, size_t offset, const void *src, size_t n);
    pith_status (*buf_read)(const pith_buf *buf, size_t offset, void *dst, size_t n); /* waits for pending work */
    /* memmove within a buffer, ordered with the runs. */
    pith_status (*buf_move)(pith_buf *buf, size_t to, size_t from, size_t n);

    /* Bytes that weights_create will keep resident. */
    pith_status (*weights_bytes)(const pith_backend *b, const pith_weight_desc *descs, int32_t n, size_t *out);
    /* Reads every part once, in order, calling `read_done` when the bytes of a range were consumed (the file's pages may
     * go), and `progress` with bytes done. Borrows nothing after returning. */
    pith_status (*weights_create)(pith_backend *b, const pith_weight_desc *descs, int32_t n,
                                  void (*read_done)(const pith_weight_part *part, size_t offset, size_t bytes, void *user),
                                  pith_progress_fn progress, void *user, pith_weight_store **out);
    void (*weights_destroy)(pith_weight_store **store);
    /* Name of the layout that a part runs in; static. */
    const char *(*weights_layout)(const pith_weight_store *store, int32_t index, int32_t part);

    /* Memory that prepare() takes beside weights and KV: arena, scratch. */
    pith_status (*exec_bytes)(const pith_backend *b, const pith_plan *plan, size_t *out);
    /* Optional, NULL: the process's own memory, each piece anywhere. Places the pieces in the device's heaps; fills weights,
     * scratch, staging, heaps, headroom, own_memory, available and fits. */
    pith_status (*memory_plan)(const pith_backend *b, const pith_memory_need *need, pith_memory_plan *out);
    /* Optional, with memory_plan. Bytes on the device, now and at most so far. */
    void (*memory_used)(const pith_backend *b, uint64_t *now, uint64_t *peak);
    pith_status (*prepare)(pith_backend *b, const pith_exec_params *params, pith_exec **out);
    void (*exec_destroy)(pith_exec **e);
    /* Allocates nothing. CANCELLED when the flag stopped it: values and the rows of this step are then undefined. */
    pith_status (*run)(pith_exec *e, const pith_step *step);
    /* Copies rows [row0, row0 + n_rows) of a value after a run. Waits. */
    pith_status (*read)(pith_exec *e, int32_t value, int32_t row0, int32_t n_rows, float *dst);

    /* Optional, NULL: not measured. Whether runs from here on measure their nodes; false: this device cannot. */
    bool (*timings_set)(pith_exec *e, bool on);
    /* Time of each node in the last run that had it, for which it waits; returns their number. */
    size_t (*timings)(pith_exec *e, pith_timing *out, size_t cap);
    /* Optional, NULL: unknown. pith_backend_measure. */
    pith_status (*ceilings)(pith_backend *b, pith_ceilings *out);
} pith_backend_fns;

/* Every backend's struct begins with this. */
struct pith_backend {
    const pith_backend_fns *fns;
    char describe[256];
    pith_device_info info;
    pith_backend_params params; /* as asked for; `device` NULL */
};

/* Backends of this build (backend_list.c). */
pith_status pith_cpu_backend_create(const pith_backend_params *params, pith_backend **out);
void pith_cpu_device_info(pith_device_info *out);
/* Vulkan devices (builds with PITH_HAVE_VULKAN), better ones first, numbered from first_index; 0 without a driver. */
size_t pith_vk_device_list(size_t first_index, pith_device_info *out, size_t cap);
/* device: "gpu" (the best that is not software), an index, a PCI id, an unambiguous part of a name. Errors: NOT_FOUND
 * with what there is; NO_MEMORY, DEVICE. */
pith_status pith_vk_backend_create(const char *device, size_t first_index, const pith_backend_params *params, pith_backend **out);
/* Records what it is asked to run and computes nothing (zeros): for tests of everything above the backends. */
pith_status pith_trace_backend_create(pith_backend **out);
/* What it recorded since the last call, one line per node; owned by the backend. */
const char *pith_trace_backend_take(pith_backend *b);

#endif
