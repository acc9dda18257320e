/* SPDX-License-Identifier: MIT */
/* The Vulkan backend's own structs, shared by backend.c (buffers), weights.c (packed weights), exec.c (running a plan)
 * and ops_*.c (one op each as dispatches). */
#ifndef PITH_VK_VULKAN_H
#define PITH_VK_VULKAN_H

#include "base/thread.h"
#include "pace.h"
#include "pack.h"
#include "run/backend.h"
#include "transfer.h"
#include "tune.h"

#include "../../shaders/push/attn.h"
#include "../../shaders/push/matmul.h"
#include "../../shaders/push/state.h"

typedef struct pith_vk_backend {
    pith_backend base; /* first */
    pith_vk_device device;
    pith_vk_pipelines pipelines;
    pith_vk_queue queue;
    pith_vk_transfer transfer;
    pith_pool *pool;        /* packs weights */
    uint64_t slab_max;      /* bytes of one slab of a weight */
    uint64_t scratch_max;   /* bytes of unpacked weights at a time */
    bool retune;            /* once, when weights come */
    pith_vk_physical physical; /* and this: what a lost device is taken anew from */
    char hide[128];
    uint64_t patience_ns;
    bool safe, exact;
    pith_vk_pace pace;
    uint32_t caps_off;      /* what the self-test found wrong, with what depends on it */
    bool testing;           /* the self-test runs */
} pith_vk_backend;

static inline pith_vk_backend *pith_vk_of(pith_backend *b) { return (pith_vk_backend *)b; }
static inline const pith_vk_backend *pith_vk_of_const(const pith_backend *b) { return (const pith_vk_backend *)b; }

struct pith_buf {
    pith_vk_backend *backend;
    pith_vk_buffer vk;
    size_t bytes;           /* as asked for */
};

/* What tests and `hide` may bend; zeros: the device's own. */
typedef struct pith_vk_backend_params {
    const char *hide;       /* device.h; NULL: PITH_VK_HIDE of the environment */
    uint64_t slab_max, scratch_max;
    uint64_t patience_ns;   /* queue.h */
    int threads;
    bool selftest;          /* selftest.h */
    bool safe;              /* everything hidden, and short submissions (pace.h) */
    bool retune;            /* measure tiles anew, whatever is remembered */
    bool exact;             /* no activations as bytes (tune.h) */
} pith_vk_backend_params;

/* Errors: NO_MEMORY, DEVICE, INVALID_ARGUMENT. The instance must be held; the backend holds it on. */
pith_status pith_vk_backend_create_on(const pith_vk_physical *physical, const pith_vk_backend_params *params, pith_backend **out);

/* devices.c, describe.c */
void pith_vk_physical_sort(pith_vk_physical *devices, size_t n); /* discrete first, software last */
/* Index of the one that `device` means (run/backend.h); n, and a recorded failure, when there is none or more than one. */
size_t pith_vk_physical_choose(const pith_vk_physical *devices, size_t n, size_t first_index, const char *device);
/* Everything but the id; `caps`: those in use. */
void pith_vk_describe(const pith_vk_physical *physical, uint32_t caps, pith_device_info *out);

/* ---- weights ------------------------------------------------------------------------------------------------------ */

/* Consecutive packed rows in one arena, small enough to be bound. */
typedef struct pith_vk_slab {
    int32_t arena;
    uint64_t offset, bytes;
    int64_t row0, rows;
    uint32_t plane[PITH_PLANES]; /* first 16-byte unit, from the slab's begin */
} pith_vk_slab;

/* Parts of one type that one launch computes: all parts stacked, or gate and up with their rows interleaved. */
typedef struct pith_vk_group {
    int format;
    pith_dtype dtype;
    int32_t first_part, n_parts;
    bool pairs;             /* packed row 2 r + p is row r of part p */
    int64_t rows, cols;     /* packed */
    int64_t col0;           /* result column of its first part's first row */
    uint32_t units;
    pith_vk_slab *slabs;    /* [n_slabs], owned */
    int32_t n_slabs;
} pith_vk_group;

typedef struct pith_vk_weight {
    pith_weight_kind kind;
    int64_t rows, cols;
    pith_vk_group groups[PITH_WEIGHT_PARTS_MAX];
    int32_t n_groups;
    int32_t arena;          /* VECTOR */
    uint64_t offset;
} pith_vk_weight;

struct pith_weight_store {
    pith_vk_backend *backend;
    pith_vk_weight *weights; /* [n] */
    int32_t n;
    pith_vk_buffer *arenas;  /* [n_arenas] */
    uint64_t *arena_bytes;
    int32_t n_arenas;
};

pith_status pith_vk_weights_bytes(const pith_backend *b, const pith_weight_desc *descs, int32_t n, size_t *out);
pith_status pith_vk_weights_create(pith_backend *b, const pith_weight_desc *descs, int32_t n,
                                   void (*read_done)(const pith_weight_part *, size_t, size_t, void *), pith_progress_fn progress,
                                   void *user, pith_weight_store **out);
void pith_vk_weights_destroy(pith_weight_store **store);
const char *pith_vk_weights_layout(const pith_weight_store *store, int32_t index, int32_t part);
/* The groups of a matrix, without slabs; returns their number. */
int32_t pith_vk_groups_of(const pith_weight_desc *d, pith_vk_group *groups);

/* ---- executor ------------------------------------------------------------------------------------------------------ */

#define PITH_VK_RECORDINGS 6

/* Command buffers for one stage, number of tokens or rows, and of tokens that tail nodes skip; replayed as they are. */
typedef struct pith_vk_recording {
    pith_stage stage;
    int32_t n, skip;
    bool timed;
    pith_vk_cmd *cmds;      /* [n_cmds], one submission each */
    int32_t n_cmds, cap_cmds;
    double rate[PITH_VK_WORKS]; /* seconds per FLOP that it was cut by */
    bool clocked;           /* each command buffer notes when it begins and ends */
    uint64_t *place;        /* of a chain, whose dispatches have no barriers between them (cmd.h), [n_values], owned: where values
                             * are then (places.c); NULL: no chain, they are where the plan says */
    uint64_t used;          /* clock of last use; 0: empty */
} pith_vk_recording;

typedef struct pith_vk_sizes { /* bytes; from the plan alone: exec_bytes and prepare must agree. mark, places: where they begin in arrivals */
    uint64_t arena, arena_scale, unpacked, act, parts, arrivals, mark, places, state, tables, turns, result;
    int32_t n_pairs;        /* of the rotation */
    int32_t head_cols;      /* widest result of the head stage */
} pith_vk_sizes;

/* A buffer to be, for plans. */
typedef struct pith_vk_piece {
    uint64_t bytes;
    pith_vk_usage usage;
} pith_vk_piece;

#define PITH_VK_EXEC_BUFFERS 11
/* The buffers that prepare() makes, pieces[PITH_VK_EXEC_BUFFERS], in its order. */
pith_status pith_vk_exec_pieces(const pith_vk_backend *vk, const pith_plan *plan, pith_vk_piece *pieces);

struct pith_exec {
    pith_vk_backend *backend;
    const pith_plan *plan;
    const pith_weight_store *weights;
    pith_buf *const *kv;
    int32_t n_layers;
    pith_vk_sizes sizes;
    pith_vk_buffer arena, unpacked, act, parts;
    pith_vk_buffer arrivals;   /* of parts of an attention; then a chain's mark and the places of its values */
    pith_vk_buffer state[2];   /* per stage; host writes, shaders read: struct pith_vk_state, ids, rows, rotation of pos0 */
    pith_vk_buffer tables;     /* struct pith_vk_attn of every node that has one, `tables_pitch` apart, then frequencies */
    pith_vk_buffer turns;      /* rotation by t, t in [0, n_tokens_max) */
    pith_vk_buffer result[2];  /* per stage: epoch, a chain's mark, from 64 bytes on the head's last value */
    uint64_t tables_pitch, freq_offset, base_offset;
    int32_t *table_of;         /* [n_nodes], index of the node's struct or -1 */
    const pith_rope *rope;     /* of the graph; NULL: none */
    int32_t head_value;        /* copied to result after the head stage; -1: none */
    int32_t skip_unit;         /* rows of every value that tail nodes bind: offsets of multiples of it may be bound; 0: no tail */
    pith_vk_recording recordings[PITH_VK_RECORDINGS];
    uint64_t clock;
    uint32_t epoch[2];         /* last submitted */
    bool pending[2];           /* submitted, epoch not yet checked */
    uint64_t value[2];         /* timeline of the stage's last submission */
    int32_t head_rows;         /* of the last head run */
    const pith_vk_recording *shown; /* of the trunk's last run */
    pith_vk_recording *last[2]; /* per stage: what was submitted, until its times are known */
    uint64_t begin_ns[2];      /* when; 0: behind other work */
    VkQueryPool clock_queries; /* two per command buffer of a clocked recording */
    /* Timings: two timestamps a node. */
    VkQueryPool queries;
    bool timed;
    uint64_t *node_ns;
};

/* A recording in progress. */
typedef struct pith_vk_record {
    pith_exec *e;
    pith_vk_recording *r;
    pith_vk_cmd *cmd;       /* the current command buffer */
    int32_t first, n;       /* tokens, or rows wanted, that the current node is for */
    double seconds;         /* expected of the current one so far */
    uint64_t place_next, place_old; /* places.c: the next free one; of the node's result before it */
    pith_status status;
} pith_vk_record;

pith_status pith_vk_exec_bytes(const pith_backend *b, const pith_plan *plan, size_t *out);
pith_status pith_vk_prepare(pith_backend *b, const pith_exec_params *params, pith_exec **out);
void pith_vk_exec_destroy(pith_exec **e);
pith_status pith_vk_run(pith_exec *e, const pith_step *step);
pith_status pith_vk_read(pith_exec *e, int32_t value, int32_t row0, int32_t n_rows, float *dst);
bool pith_vk_timings_set(pith_exec *e, bool on);
size_t pith_vk_timings(pith_exec *e, pith_timing *out, size_t cap);

/* budget.c */
pith_status pith_vk_memory_plan(const pith_backend *b, const pith_memory_need *need, pith_memory_plan *out);
void pith_vk_memory_used(const pith_backend *b, uint64_t *now, uint64_t *peak);

/* record.c, profile.c */
pith_status pith_vk_recording_get(pith_exec *e, pith_stage stage, int32_t n, int32_t skip, pith_vk_recording **out);
pith_status pith_vk_recordings_warm(pith_exec *e);
void pith_vk_recordings_fini(pith_exec *e);
void pith_vk_timings_begin(pith_vk_record *rec);
void pith_vk_timings_mark(pith_vk_record *rec, int32_t node, int which);
void pith_vk_timings_collect(pith_exec *e);

/* Ends the current command buffer and begins the next one if `flop` more would make it too long. */
void pith_vk_record_cost(pith_vk_record *rec, double flop);
void pith_vk_record_cost_of(pith_vk_record *rec, pith_vk_work work, double flop);
/* How many pieces of `flop` each a command buffer may hold: the very number, and a whole one, at least 1. */
double pith_vk_record_share(const pith_vk_record *rec, pith_vk_work work, double flop);
uint64_t pith_vk_record_room(const pith_vk_record *rec, pith_vk_work work, double flop);
/* Rows of a product that one command buffer may hold, `flop` each: `most`, or whole tiles of it. */
int64_t pith_vk_record_rows(const pith_vk_record *rec, int64_t most, double flop);
/* The clock of submissions; none where the device has no timestamps. */
pith_status pith_vk_clock_init(pith_exec *e);
/* Times of the last submissions of a stage, which are done. */
void pith_vk_clock_collect(pith_exec *e, int stage);
/* The rows of a value that the current node is for, where the plan says, chained or not; where they are; and all up to their
 * end, for kernels that count from the step's first token. */
pith_vk_bind pith_vk_bind_planned(const pith_vk_record *rec, int32_t value, bool write);
pith_vk_bind pith_vk_bind_value(const pith_vk_record *rec, int32_t value, bool write);
pith_vk_bind pith_vk_bind_from_start(const pith_vk_record *rec, int32_t value, bool write);
pith_vk_bind pith_vk_bind_vector(const pith_vk_record *rec, int32_t weight); /* weight -1: an empty binding */
pith_vk_bind pith_vk_bind_all(const pith_vk_buffer *buffer, bool write);
pith_vk_bind pith_vk_bind_slab(const pith_vk_record *rec, const pith_vk_slab *slab);
pith_vk_bind pith_vk_bind_state(const pith_vk_record *rec);
pith_vk_bind pith_vk_bind_counters(const pith_vk_record *rec); /* of `arrivals`, and a chain's mark */

/* places.c: of a chained recording. Bytes that they take; before recording; before each node that is recorded. */
uint64_t pith_vk_places_bytes(const pith_vk_device *device, const pith_graph *graph);
pith_status pith_vk_places_init(pith_vk_record *rec);
void pith_vk_places_move(pith_vk_record *rec, int32_t index);
/* Where the parts of an attend node go; have they a place of their own? */
bool pith_vk_places_parts(pith_vk_record *rec, int32_t index, pith_vk_bind *out);
/* Behind the last node: what the head reads is where the plan says. */
void pith_vk_places_end(pith_vk_record *rec);
/* Where a value is after the recording's nodes so far, in `arrivals`; 0: where the plan says. */
uint64_t pith_vk_places_of(const pith_exec *e, const pith_vk_recording *r, int32_t value);
/* False: the plan's place. */
bool pith_vk_places_bind(const pith_vk_record *rec, int32_t value, bool write, pith_vk_bind *out);
/* Where the current node's result was before it, or its first half is: the same place when not chained. */
pith_vk_bind pith_vk_bind_old(const pith_vk_record *rec, int32_t value, bool write);

/* ---- ops: dispatches of one node ------------------------------------------------------------------------------------ */

void pith_vk_op_embed(pith_vk_record *rec, const pith_node *node);
void pith_vk_op_matmul(pith_vk_record *rec, const pith_node *node);
void pith_vk_op_append(pith_vk_record *rec, const pith_node *node, int32_t index);
void pith_vk_op_attend(pith_vk_record *rec, const pith_node *node, int32_t index);
/* ops_step.c: nodes `index`, an append, and the next, its attend, as one dispatch, for one token; does that fit? */
bool pith_vk_step_fits(const pith_vk_device *device, const pith_graph *graph, int32_t index);
void pith_vk_op_step(pith_vk_record *rec, int32_t index);
void pith_vk_op_rows(pith_vk_record *rec, const pith_node *node);
/* Scratch that a node needs at the plan's sizes. */
void pith_vk_op_matmul_sizes(const pith_vk_backend *b, const pith_plan *plan, const pith_node *node, pith_vk_sizes *s);
void pith_vk_op_attend_sizes(const pith_vk_backend *b, const pith_plan *plan, const pith_node *node, pith_vk_sizes *s);
/* The struct that shaders read for an append or attend node; offsets count from the windows of pith_vk_kv_windows. */
void pith_vk_attn_fill(const pith_vk_device *device, const pith_node *node, struct pith_vk_attn *out);
/* What an append adds to its attend's struct, for both as one dispatch. */
void pith_vk_attn_fill_append(const pith_node *append, struct pith_vk_attn *out);
/* Of a node's layer and struct: raw K, raw V, core K, core V; the struct; 0 f32, 1 f16, 2 q8_0. */
void pith_vk_bind_windows(pith_vk_record *rec, const pith_node *node, const pith_kv_layout *l, bool write, pith_vk_bind *bind);
pith_vk_bind pith_vk_bind_table(const pith_vk_record *rec, int32_t index);
uint32_t pith_vk_kv_type(const pith_kv_layout *l);
/* Attention of few tokens: query heads of a workgroup, and workgroups per KV head; invocations to a key, eight elements each;
 * keys that they take at a time, as many on their way; workgroups that a core of a large card holds at once, by their
 * registers. */
struct pith_vk_attend_few {
    uint32_t heads, blocks, lanes, keys, per_core;
};
struct pith_vk_attend_few pith_vk_attend_few(const pith_node *node);
/* FLOP of one token at most. */
double pith_vk_attend_flop(const pith_node *node);
/* Its dispatches: `splits` parts of the keys of each token, of them `tokens` times `parts` at once, `per_part` FLOP each;
 * all parts of several tokens, or some of one's. */
struct pith_vk_attend_cut {
    uint32_t splits;
    uint64_t tokens, parts;
    double per_part;
};
uint64_t pith_vk_attend_part_bytes(const pith_vk_device *device, const pith_node *node); /* of all parts of a token */
struct pith_vk_attend_cut pith_vk_attend_cut(const pith_vk_record *rec, const pith_node *node);
/* Whether the layer's planes fit the device's bindings; says why not. */
pith_status pith_vk_kv_check(const pith_vk_device *device, const pith_kv_layout *layout);
bool pith_vk_node_supported(const pith_vk_backend *b, const pith_node *node, const pith_weight_desc *weights);

#endif
