/* SPDX-License-Identifier: MIT */
/* The CPU backend's own structs, shared by backend.c (device, buffers), weights.c (repacking) and exec.c, ops.c (running
 * a plan). */
#ifndef PITH_CPU_CPU_H
#define PITH_CPU_CPU_H

#include "attn.h"
#include "base/thread.h"
#include "matmul.h"
#include "run/backend.h"

typedef struct pith_cpu_backend {
    pith_backend base; /* first */
    pith_cpu_kernels kernels;
    pith_pool *pool;
    bool exact; /* matrices of every type run as F32 */
} pith_cpu_backend;

static inline pith_cpu_backend *pith_cpu_of(pith_backend *b) { return (pith_cpu_backend *)b; }
static inline const pith_cpu_backend *pith_cpu_of_const(const pith_backend *b) { return (const pith_cpu_backend *)b; }

/* The type that a matrix of the file's type `dtype` runs as. */
static inline pith_dtype pith_cpu_runs_as(const pith_cpu_backend *cpu, pith_dtype dtype)
{
    return cpu->exact ? PITH_DTYPE_F32 : dtype;
}

struct pith_buf {
    uint8_t *data;
    size_t bytes;
};

/* One weight: matrices part by part, a vector as floats, a lookup table as the file's bytes. */
typedef struct pith_cpu_weight {
    pith_weight_kind kind;
    int32_t n_parts;
    pith_cpu_matrix parts[PITH_WEIGHT_PARTS_MAX];
    float *vector;        /* VECTOR: [cols over all parts], owned */
    pith_dtype table_dtype; /* LOOKUP */
    uint8_t *table;       /* LOOKUP: rows of the file's bytes, owned */
    int64_t rows, cols;   /* over all parts */
} pith_cpu_weight;

struct pith_weight_store {
    pith_cpu_weight *weights; /* [n] */
    int32_t n;
};

pith_status pith_cpu_weights_bytes(const pith_backend *b, const pith_weight_desc *descs, int32_t n, size_t *out);
pith_status pith_cpu_weights_create(pith_backend *b, const pith_weight_desc *descs, int32_t n,
                                    void (*read_done)(const pith_weight_part *, size_t, size_t, void *), pith_progress_fn progress,
                                    void *user, pith_weight_store **out);
void pith_cpu_weights_destroy(pith_weight_store **store);
const char *pith_cpu_weights_layout(const pith_weight_store *store, int32_t index, int32_t part);

/* A plan made ready: arena, scratch and tables. Nothing is allocated after prepare. */
struct pith_exec {
    pith_cpu_backend *backend;
    const pith_plan *plan;
    const pith_weight_store *weights;
    pith_buf *const *kv;
    int32_t n_layers;
    uint8_t *arena;
    /* Activations of the product being computed, one area per way of quantising them; shared by the team. */
    uint8_t *act[5];
    /* Per member: its own activations of a single token, the panels of the product, a strip of `up`. */
    uint8_t *own;
    size_t own_bytes, own_act_bytes, own_panel_bytes;
    float *normed;         /* [T or R][cols]: rows after their norm */
    float *rope_cos, *rope_sin; /* [T][n_rot / 2] */
    void *attend_scratch;
    uint64_t *node_ns;     /* [n_nodes], of the last run */
    bool timed;
    const pith_step *step; /* of the run in progress */
    bool stop[2];          /* member 0's word to the team: leave after this node (even, odd nodes) */
};

/* Columns of `up` that SwiGLU keeps at a time: a strip that stays in the first-level cache at 512 tokens. */
#define PITH_CPU_STRIP 64

pith_status pith_cpu_exec_bytes(const pith_backend *b, const pith_plan *plan, size_t *out);
pith_status pith_cpu_prepare(pith_backend *b, const pith_exec_params *params, pith_exec **out);
void pith_cpu_exec_destroy(pith_exec **e);
pith_status pith_cpu_run(pith_exec *e, const pith_step *step);
pith_status pith_cpu_read(pith_exec *e, int32_t value, int32_t row0, int32_t n_rows, float *dst);
bool pith_cpu_timings_set(pith_exec *e, bool on);
size_t pith_cpu_timings(pith_exec *e, pith_timing *out, size_t cap);

/* ceilings.c */
pith_status pith_cpu_ceilings(pith_backend *b, pith_ceilings *out);

/* One node, called by every member i of n; may use the pool's barrier, the caller puts one behind every node. */
void pith_cpu_node_run(pith_exec *e, const pith_node *node, int i, int n);
/* Rotation tables of the step's tokens [t0, t1), for the graph's one rope. */
void pith_cpu_rope_tables(pith_exec *e, const pith_rope *rope, int64_t pos0, int64_t t0, int64_t t1);

static inline float *pith_cpu_value(const pith_exec *e, int32_t value)
{
    return (float *)(void *)(e->arena + e->plan->offset[value]);
}

#endif
