/* SPDX-License-Identifier: MIT */
/* pith: llama-family models over very long inputs, with Core Context Aware attention (CCA).
 *
 *     pith_backend *backend;  pith_backend_create(NULL, &backend);            // the CPU, all cores
 *     pith_model *model;      pith_model_open("model.gguf", NULL, &model);    // metadata and tokenizer only
 *     pith_model_load(model, backend, NULL, NULL);                            // weights, in the backend's layout
 *     pith_session *session;  pith_session_create(model, NULL, &session);     // KV store and scratch
 *     pith_tokens tokens;     pith_tokenize(model, text, strlen(text), 0, &tokens);
 *     pith_generate(session, tokens.ids, tokens.n, NULL, on_piece, user, NULL);
 *     ... pith_tokens_free, pith_session_destroy, pith_model_destroy, pith_backend_destroy, in this order.
 *
 * The whole program, with its error handling, is tools/example.c.
 *
 * Rules. Results come through `out` pointers; on failure *out is NULL (zeroed) and nothing leaks. `borrows`: the pointer
 * must live as long as the text says; `returns owned`: the caller destroys it. destroy(T **) accepts NULL and nulls.
 * Any params pointer may be NULL for the defaults; take a params struct from its _default() function and change fields.
 * After a failure pith_last_error() says what, where, expected and got. Functions may be called from any thread, an
 * object by one thread at a time; what is more is said at the function. The library never exits and never prints but
 * through the log callback. */
#ifndef PITH_H
#define PITH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(PITH_BUILD) && defined(__GNUC__)
#define PITH_API __attribute__((visibility("default")))
#else
#define PITH_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- errors and log ------------------------------------------------------------------------------------------- */

/* X(name, code, sentence) */
#define PITH_STATUS_MAP(X)                                                       \
    X(OK, 0, "success")                                                          \
    X(ERROR_INVALID_ARGUMENT, 1, "an argument is out of range")                  \
    X(ERROR_NOT_FOUND, 2, "a file or a name does not exist")                     \
    X(ERROR_IO, 3, "reading or writing failed")                                  \
    X(ERROR_FORMAT, 4, "a file breaks the rules of its format")                  \
    X(ERROR_UNSUPPORTED, 5, "valid, but not supported by this build or device")  \
    X(ERROR_NO_MEMORY, 6, "not enough memory")                                   \
    X(ERROR_CONTEXT_LENGTH, 7, "the input exceeds the available context size")   \
    X(ERROR_CANCELLED, 8, "stopped on request")                                  \
    X(ERROR_DEVICE, 9, "the device or the system failed")                        \
    X(ERROR_NUMERIC, 10, "the model produced values that are not finite")

typedef enum pith_status {
#define PITH_STATUS_ENUM(name, code, sentence) PITH_##name = code,
    PITH_STATUS_MAP(PITH_STATUS_ENUM)
#undef PITH_STATUS_ENUM
} pith_status;

PITH_API const char *pith_status_name(pith_status status);     /* "ERROR_IO"; static */
PITH_API const char *pith_status_sentence(pith_status status); /* "reading or writing failed"; static */
/* The calling thread's last failure in detail; "" when there was none. Valid until its next failing call. */
PITH_API const char *pith_last_error(void);

typedef enum pith_log_level { PITH_LOG_DEBUG, PITH_LOG_INFO, PITH_LOG_WARNING, PITH_LOG_ERROR } pith_log_level;
typedef void (*pith_log_fn)(pith_log_level level, const char *line, void *user);
/* NULL: warnings and errors to stderr. Not thread-safe; call it first. */
PITH_API void pith_log_set(pith_log_fn fn, void *user);

PITH_API const char *pith_version(void); /* "0.1.0" */

/* ---- backend: the device that computes ------------------------------------------------------------------------ */

typedef struct pith_backend pith_backend;

/* After a device was lost and taken anew once, in vain: fail, or go on on the CPU. */
typedef enum pith_on_loss { PITH_ON_LOSS_FAIL, PITH_ON_LOSS_CPU } pith_on_loss;

typedef struct pith_backend_params {
    const char *device; /* "cpu", an index of pith_device_list, or an unambiguous part of a name; NULL: "cpu" */
    int32_t threads;    /* CPU threads; 0: the physical cores that this process may use */
    uint32_t cpu_mask;  /* instruction sets allowed: PITH_CPU_*; all bits: whatever the processor has */
    bool retune;        /* measure the tile sizes of the device's products anew, instead of taking what was remembered */
    bool exact;         /* weights are expanded to f32 and activations never rounded: several times the memory and the
                           time, for comparing methods and engines to more digits than 8-bit activations allow */
    pith_on_loss on_loss;
    bool safe;          /* a GPU without any optional feature, and in short pieces of work */
    const char *vk_hide; /* features of a GPU that are not used: comma-separated names of pith_device_info.features, or "all";
                           borrowed until the backend is destroyed; NULL: PITH_VK_HIDE of the environment */
} pith_backend_params;

enum { PITH_CPU_SCALAR = 0, PITH_CPU_AVX2 = 1, PITH_CPU_AVX512 = 2, PITH_CPU_VNNI = 4, PITH_CPU_BF16 = 8 };

PITH_API pith_backend_params pith_backend_params_default(void);
/* Returns owned. Errors: NOT_FOUND (no such device), INVALID_ARGUMENT, NO_MEMORY, DEVICE. */
PITH_API pith_status pith_backend_create(const pith_backend_params *params, pith_backend **out);
PITH_API void pith_backend_destroy(pith_backend **backend);
/* One line: device, instruction sets in use, threads, BLAS. Owned by the backend. */
PITH_API const char *pith_backend_describe(const pith_backend *backend);

typedef struct pith_device_heap {
    uint64_t bytes;
    bool device_local, host_visible; /* near the processor that computes; mapped by the host */
} pith_device_heap;

#define PITH_DEVICE_HEAPS 16

/* Strings are "" and numbers 0 where the device does not tell or the thing does not exist. */
typedef struct pith_device_info {
    char id[32];          /* what `device` accepts: "cpu", "1", ... */
    char name[128];
    char type[16];        /* "cpu", "discrete", "integrated", "virtual", "other", "software" */
    char vendor[32];
    char driver[128];     /* name and version */
    char api[32];         /* "Vulkan 1.3.280" */
    char pci[16];         /* "0000:01:00.0" */
    char features[256];   /* comma-separated: instruction sets; arithmetic and subgroup operations */
    char matrix[32];      /* "16x16x16", of the matrix units in use */
    char self_test[128];  /* at its first use, all features on: "passed", "failed: without coopmat", "not run yet" */
    char tiles[512];      /* chosen by measurement: "m 512 n 4096: 128x128x32 210 TFLOP/s; ..." */
    int32_t cores;        /* physical cores usable; compute units */
    int32_t threads;      /* of a backend on the CPU */
    int32_t subgroup, subgroup_min, subgroup_max; /* lanes that run together */
    int32_t workgroup_max; /* invocations */
    uint64_t shared_bytes, binding_max_bytes, buffer_max_bytes; /* of a workgroup, a binding, an allocation */
    uint64_t memory_bytes; /* free for pith now; 0: unknown */
    int32_t n_heaps;
    pith_device_heap heaps[PITH_DEVICE_HEAPS];
} pith_device_info;

/* Number of devices; fills at most `cap` of them: the CPU, then discrete GPUs before others, software last. `out` may be
 * NULL when cap is 0. */
PITH_API size_t pith_device_list(pith_device_info *out, size_t cap);
/* The device of a backend; features: those in use. Owned by the backend. */
PITH_API const pith_device_info *pith_backend_device(const pith_backend *backend);

typedef struct pith_ceilings {
    double memory_bytes_per_second, flop_per_second;
    char memory_how[64], flop_how[64]; /* what was measured: "copy of 256 MiB, read and written" */
} pith_ceilings;

/* What the device does at best, measured now, in about a second: moving large blocks of memory, and the backend's own
 * product of matrices at its best shape and type. Errors: UNSUPPORTED, NO_MEMORY, DEVICE. */
PITH_API pith_status pith_backend_measure(pith_backend *backend, pith_ceilings *out);

/* ---- model ---------------------------------------------------------------------------------------------------- */

typedef struct pith_model pith_model;

typedef struct pith_model_params {
    float rope_base;        /* > 0: replaces the file's; 0: as the file says */
    int32_t context_length; /* > 0: replaces the file's trained length (with a raised rope_base); 0: as the file says */
    bool check_tensors;     /* scan the weights for values that are not finite while loading */
} pith_model_params;

PITH_API pith_model_params pith_model_params_default(void);
/* Opens a GGUF file (or the first of a split set): reads and checks metadata, tensor table and tokenizer; weights stay
 * on disk. The file must not change while the model lives. Returns owned. Errors: NOT_FOUND, IO, FORMAT, UNSUPPORTED. */
PITH_API pith_status pith_model_open(const char *path, const pith_model_params *params, pith_model **out);
PITH_API void pith_model_destroy(pith_model **model);

typedef void (*pith_progress_fn)(uint64_t done, uint64_t total, void *user);
/* Brings the weights into the backend's own layout. Borrows `backend` until the model is destroyed. `progress` (bytes)
 * may be NULL. Blocks. A device that is lost meanwhile is taken anew once; then its on_loss decides. Errors: IO, FORMAT,
 * UNSUPPORTED (tensor type), NO_MEMORY, DEVICE. */
PITH_API pith_status pith_model_load(pith_model *model, pith_backend *backend, pith_progress_fn progress, void *user);

typedef struct pith_model_info {
    const char *architecture, *name; /* owned by the model */
    const char *chat_format;         /* recognised chat format, NULL: none */
    int32_t n_layer, n_embd, n_head, n_head_kv, head_dim, n_ff, n_vocab;
    int32_t context_length;          /* trained, or as overridden */
    uint64_t n_params, file_bytes;
    float rope_base;
    bool trained_with_cca;           /* the file has pith.cca.* keys */
} pith_model_info;

PITH_API void pith_model_get_info(const pith_model *model, pith_model_info *out);

typedef struct pith_tensor_info {
    const char *name, *type; /* owned by the model */
    uint64_t shape[4];       /* shape[0]: contiguous; 1 where unused */
    uint64_t bytes;          /* in the file */
    const char *runs_as;     /* layout in the backend after pith_model_load, NULL before */
} pith_tensor_info;

PITH_API size_t pith_model_tensor_count(const pith_model *model);
PITH_API void pith_model_get_tensor(const pith_model *model, size_t index, pith_tensor_info *out);

/* ---- text and tokens ------------------------------------------------------------------------------------------ */

typedef struct pith_tokens { int32_t *ids; size_t n; } pith_tokens;

enum {
    PITH_TOKENIZE_SPECIAL = 1,       /* add BOS / EOS where the model's metadata asks for them */
    PITH_TOKENIZE_PARSE_SPECIAL = 2, /* control tokens written in the text become tokens: never for text from users */
};

/* Bytes need not be valid UTF-8. *out: owned, release with pith_tokens_free. Errors: NO_MEMORY, UNSUPPORTED (no vocabulary). */
PITH_API pith_status pith_tokenize(const pith_model *model, const char *text, size_t n_bytes, int flags, pith_tokens *out);
PITH_API void pith_tokens_free(pith_tokens *tokens);
/* The raw bytes of one token (may be part of a character); *n_bytes receives their count. Owned by the model.
 * Control tokens give "" unless `special`. */
PITH_API const char *pith_token_bytes(const pith_model *model, int32_t token, bool special, size_t *n_bytes);
PITH_API bool pith_token_is_end(const pith_model *model, int32_t token); /* ends a generation */

typedef struct pith_chat_message { const char *role, *content; } pith_chat_message; /* role: system, user, assistant */

/* Tokens of a conversation in the model's chat format (`format` NULL) or a named one ("chatml", "smollm2", "llama-2",
 * "llama-3", "mistral", "qwen"). `add_generation_prompt`: ends where the assistant starts to speak. Contents are never
 * parsed for control tokens. Errors: NOT_FOUND (format), UNSUPPORTED (none recognised, role not in the format). */
PITH_API pith_status pith_chat_tokenize(const pith_model *model, const char *format, const pith_chat_message *messages,
                                        size_t n_messages, bool add_generation_prompt, pith_tokens *out);

/* ---- session: KV store, scratch, one running text --------------------------------------------------------------- */

typedef struct pith_session pith_session;

typedef enum pith_attn_method { PITH_ATTN_FULL, PITH_ATTN_CCA } pith_attn_method;
typedef enum pith_cca_heads { PITH_CCA_HEADS_KV, PITH_CCA_HEADS_QUERY } pith_cca_heads;
typedef enum pith_cca_bias { PITH_CCA_BIAS_NONE, PITH_CCA_BIAS_ENTROPY } pith_cca_bias;
typedef enum pith_cca_position { /* where a core key stands: docs/MODEL.md, "core keys" */
    PITH_CCA_POSITION_POOLED, PITH_CCA_POSITION_LAST, PITH_CCA_POSITION_MIDDLE, PITH_CCA_POSITION_CENTROID
} pith_cca_position;
typedef enum pith_kv_type { PITH_KV_F32, PITH_KV_F16, PITH_KV_Q8_0 } pith_kv_type;

typedef struct pith_attn_params {
    pith_attn_method method;
    int32_t group;               /* g: tokens that one core stands for */
    int32_t window;              /* s: raw tokens at least; a multiple of group, >= group */
    int32_t sinks;               /* first tokens kept raw for ever */
    pith_cca_heads heads;
    pith_cca_bias bias;
    pith_cca_position position;
    const int32_t *dense_layers; /* layers with full attention; borrowed during the call */
    size_t n_dense_layers;
} pith_attn_params;

/* CCA with the model's own pith.cca.* values where it has them, else the measured defaults (docs/MODEL.md). */
PITH_API pith_attn_params pith_attn_params_default(const pith_model *model);

typedef struct pith_session_params {
    int32_t context; /* tokens that the session can hold; 0: the model's context length */
    int32_t chunk;   /* prefill tokens per pass; 0: 512 */
    pith_kv_type kv_type;
    pith_attn_params attn;
} pith_session_params;

PITH_API pith_session_params pith_session_params_default(const pith_model *model);

#define PITH_MEMORY_HEAPS_MAX 16
typedef struct pith_memory_heap { /* bytes */
    uint64_t size, free, headroom, planned; /* fits: planned <= free - headroom */
    bool on_device;
} pith_memory_heap;

typedef struct pith_memory_plan { /* bytes */
    uint64_t weights, kv_raw, kv_cores, scratch, staging, other, total;
    uint64_t kv_full_attention; /* what full attention would keep for the same context and type */
    uint64_t available;         /* free on the device, headroom off; 0: unknown */
    bool fits;
    /* A device with heaps (a GPU): staging and these, else zeros. */
    bool own_memory;            /* the device has memory of its own: `other`, the process's, is then not part of total */
    uint64_t headroom;          /* kept clear, all heaps */
    int32_t n_heaps;
    pith_memory_heap heaps[PITH_MEMORY_HEAPS_MAX];
} pith_memory_plan;

/* What loading `model` on `backend` and one session of `params` take. Reads no weights. */
PITH_API pith_status pith_memory_plan_make(const pith_model *model, const pith_backend *backend,
                                           const pith_session_params *params, pith_memory_plan *out);
/* Bytes that `backend` holds on its device, now and at most so far; false: it computes in the process's own memory. */
PITH_API bool pith_backend_memory_used(const pith_backend *backend, uint64_t *now, uint64_t *peak);

/* Borrows `model` (loaded). Returns owned. A device that is lost meanwhile: as pith_session_step. Errors: INVALID_ARGUMENT,
 * CONTEXT_LENGTH (context > model's), NO_MEMORY, DEVICE. */
PITH_API pith_status pith_session_create(pith_model *model, const pith_session_params *params, pith_session **out);
PITH_API void pith_session_destroy(pith_session **session);
PITH_API int32_t pith_session_position(const pith_session *session); /* tokens appended so far */
PITH_API int32_t pith_session_context(const pith_session *session);
/* The device that the session runs on now, as pith_backend_describe: another than it began on after a loss. */
PITH_API const char *pith_session_device(const pith_session *session);
PITH_API void pith_session_clear(pith_session *session);             /* back to position 0 */
/* Drops the tokens from `position` on. Errors: INVALID_ARGUMENT when the raw window no longer covers the point. */
PITH_API pith_status pith_session_rewind(pith_session *session, int32_t position);
/* Stops the running step within a layer's time, or else the next one, with CANCELLED. Thread-safe and async-signal-safe. */
PITH_API void pith_session_cancel(pith_session *session);

typedef enum pith_want { PITH_WANT_NONE, PITH_WANT_LAST, PITH_WANT_ALL } pith_want;
/* Logits [n_vocab] that follow the token at `position`; valid during the call. Return false to cancel. */
typedef bool (*pith_logits_fn)(int32_t position, const float *logits, int32_t n_vocab, void *user);

typedef struct pith_step_hooks {
    pith_want want;
    pith_logits_fn logits;     /* for WANT_ALL; NULL: only pith_session_logits */
    pith_progress_fn progress; /* tokens, after each pass; NULL: none */
    void *user;
} pith_step_hooks;

/* Appends n tokens and computes. `hooks` NULL: logits of the last. A device that is lost is taken anew once: the model is
 * loaded again, the session reads its tokens again and goes on; then on_loss decides. Errors: CONTEXT_LENGTH (with both
 * counts, nothing is appended), INVALID_ARGUMENT (token out of range), CANCELLED (position() says how far it came),
 * NUMERIC, DEVICE (the session is then of no more use). */
PITH_API pith_status pith_session_step(pith_session *session, const int32_t *tokens, size_t n, const pith_step_hooks *hooks);
/* [n_vocab] of the last token of the last step; NULL when it wanted none. Owned by the session, valid until the next. */
PITH_API const float *pith_session_logits(const pith_session *session);

/* ---- profile: where the time of steps goes ---------------------------------------------------------------------- */

typedef struct pith_op_profile {
    char name[48];   /* the op, what it reads and makes: "matmul x -> qkv", "attend qkv -> att" */
    uint64_t calls;  /* once per layer and pass */
    double seconds;  /* on the device */
    double bytes;    /* moved at least: weights as they lie in the file, keys and values in view, activations; each once */
    double flop;     /* multiplications and additions of products and attention */
} pith_op_profile;

/* on: steps from here on measure each op, sums begin at zero; this costs speed. Errors: UNSUPPORTED (the device has no
 * clock), NO_MEMORY. */
PITH_API pith_status pith_session_profile(pith_session *session, bool on);
/* Kinds of ops since then, in the order of the graph; fills at most `cap`. 0: no profile. */
PITH_API size_t pith_session_profile_get(const pith_session *session, pith_op_profile *out, size_t cap);

/* ---- sampling and generation ------------------------------------------------------------------------------------ */

typedef struct pith_logit_bias { int32_t token; float bias; } pith_logit_bias; /* -INFINITY bans the token */

typedef struct pith_sample_params {
    float temperature;       /* 0: greedy */
    int32_t top_k;           /* 0: off */
    float top_p, min_p;      /* 1 and 0: off */
    float repeat_penalty;    /* 1: off; divides positive logits, multiplies negative ones */
    float presence_penalty, frequency_penalty; /* 0: off */
    int32_t penalty_last_n;  /* tokens looked back at; -1: all */
    uint64_t seed;
    const pith_logit_bias *logit_bias; /* borrowed while sampling */
    size_t n_logit_bias;
} pith_sample_params;

PITH_API pith_sample_params pith_sample_params_default(void); /* greedy */

typedef struct pith_sampler pith_sampler;
/* Returns owned. Errors: INVALID_ARGUMENT (what is out of range, by name), NO_MEMORY. */
PITH_API pith_status pith_sampler_create(const pith_sample_params *params, int32_t n_vocab, pith_sampler **out);
PITH_API void pith_sampler_destroy(pith_sampler **sampler);
PITH_API void pith_sampler_accept(pith_sampler *sampler, int32_t token); /* counts for the penalties */
PITH_API int32_t pith_sampler_next(pith_sampler *sampler, const float *logits); /* does not accept it */

typedef struct pith_token_logprob { int32_t token; float logprob; } pith_token_logprob;
/* Log-probability of `token` under softmax(logits), and the `n_top` best, best first (ties: lower id first). */
PITH_API float pith_logprobs(const float *logits, int32_t n_vocab, int32_t token, pith_token_logprob *top, int32_t n_top);

typedef enum pith_finish { PITH_FINISH_END, PITH_FINISH_LENGTH, PITH_FINISH_STOP, PITH_FINISH_CANCELLED } pith_finish;

typedef struct pith_piece {
    const char *text;  /* whole UTF-8 characters, may be empty; NUL-terminated */
    size_t n_bytes;
    int32_t token;     /* -1: text that was held back, no new token */
    float logprob;     /* of the token; 0 unless top_logprobs > 0 */
    const pith_token_logprob *top;
    int32_t n_top;
} pith_piece;
typedef bool (*pith_piece_fn)(const pith_piece *piece, void *user); /* return false to stop */

typedef struct pith_generate_params {
    int32_t max_tokens;       /* -1: until the context is full */
    pith_sample_params sample;
    const char *const *stop;  /* stop strings; borrowed during the call */
    size_t n_stop;
    int32_t top_logprobs;     /* per token, 0 to 20 */
    bool ignore_end;          /* go on after an end token */
    bool special;             /* print control tokens */
    pith_progress_fn progress; /* of the prompt */
    void *progress_user;
} pith_generate_params;

PITH_API pith_generate_params pith_generate_params_default(void);

typedef struct pith_generate_result {
    pith_finish finish;
    int32_t n_prompt, n_generated; /* tokens read (fewer than given when stopped), tokens chosen */
    double prompt_seconds, generate_seconds;
} pith_generate_result;

/* Appends the prompt (n >= 1 unless the session has logits), then samples until the end. `result` may be NULL.
 * An error in mid-generation leaves what was generated in the session. */
PITH_API pith_status pith_generate(pith_session *session, const int32_t *prompt, size_t n, const pith_generate_params *params,
                                   pith_piece_fn on_piece, void *user, pith_generate_result *result);

#ifdef __cplusplus
}
#endif
#endif
