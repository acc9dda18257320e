/* SPDX-License-Identifier: MIT */
/* Whole tiny models: logits of every token, of a prefill in chunks, of single tokens, of a few more at once behind them, or of
 * the last of each alone; full attention and CCA, each KV type, on the Vulkan device and on the CPU's scalar kernels. The CPU reads the same
 * weights written as f32 (exact_models.py), since its products with quantised weights round activations to bytes, which
 * would hide faults of the device.
 *
 * How far the device may be off is measured, model by model: 4 times what logits move when every weight moves by as much
 * as the device's arithmetic rounds (the model's copy in noise/, in noise8/ where products are of bytes), and where the
 * store rounds rows, 4 times what that moves. Arguments: [-short] folder of models, folder of exact models, model names. */
#include "vk_shared.h"

#include <math.h>

static const char *folder, *exact;
static pith_vk_physical physical;

struct run {
    const char *model;
    pith_attn_method method;
    pith_kv_type kv;
    pith_cca_heads heads;
    pith_cca_position position;
    int32_t chunk;          /* 0: 37 */
    bool last;              /* logits of the last token of every step only, as a prompt is read */
};

struct logits {
    float *rows; /* [n][V] */
    int32_t n, n_vocab;
    bool last;   /* of its run */
};

static bool on_logits(int32_t position, const float *logits, int32_t n_vocab, void *user)
{
    struct logits *l = user;
    assert_true(position < l->n);
    l->n_vocab = n_vocab;
    memcpy(l->rows + (size_t)position * (size_t)n_vocab, logits, (size_t)n_vocab * sizeof *logits);
    return true;
}

enum { PREFILL = 93, DECODE = 12, EXTEND = 19, TOKENS = PREFILL + DECODE + EXTEND };

static void run_on(pith_backend *backend, const char *from, const struct run *run, struct logits *out)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s.gguf", from, run->model);
    pith_model *model;
    pith_session *session;
    assert_ok(pith_model_open(path, NULL, &model));
    assert_ok(pith_model_load(model, backend, NULL, NULL));
    pith_model_info info;
    pith_model_get_info(model, &info);
    pith_session_params p = pith_session_params_default(model);
    p.attn.method = run->method;
    p.attn.group = 8;
    p.attn.window = 24;
    p.attn.sinks = 3;
    p.attn.heads = run->heads;
    p.attn.position = run->position;
    p.context = 128;
    p.chunk = run->chunk ? run->chunk : 37;
    p.kv_type = run->kv;
    assert_ok(pith_session_create(model, &p, &session));
    int32_t tokens[TOKENS];
    out->n = TOKENS;
    for (int32_t i = 0; i < out->n; i++) {
        uint32_t x = (uint32_t)i * 2654435761u + 12345u;
        tokens[i] = (int32_t)((x ^ x >> 15) % (uint32_t)info.n_vocab);
    }
    out->rows = calloc((size_t)out->n * (size_t)info.n_vocab, sizeof *out->rows);
    assert_non_null(out->rows);
    out->last = run->last;
    for (int32_t at = 0; at < TOKENS;) {
        int32_t n = at == 0 ? PREFILL : at < PREFILL + DECODE ? 1 : EXTEND;
        const pith_step_hooks hooks = {.want = run->last ? PITH_WANT_LAST : PITH_WANT_ALL, .logits = on_logits, .user = out};
        assert_ok(pith_session_step(session, tokens + at, (size_t)n, &hooks));
        at += n;
        if (run->last)
            on_logits(at - 1, pith_session_logits(session), info.n_vocab, out);
    }
    pith_session_destroy(&session);
    pith_model_destroy(&model);
}

/* Is it the last row of a step? */
static bool ends_step(int32_t row) { return (row >= PREFILL - 1 && row < PREFILL + DECODE) || row == TOKENS - 1; }

/* Largest difference of logits, in units of the row's deviation. */
static double worst(const struct logits *a, const struct logits *b, int32_t *where)
{
    double most = 0;
    for (int32_t i = 0; i < a->n; i++) {
        if (b->last && !ends_step(i))
            continue;
        const float *x = a->rows + (size_t)i * (size_t)a->n_vocab, *y = b->rows + (size_t)i * (size_t)b->n_vocab;
        double sum = 0, squares = 0, diff = 0;
        for (int32_t v = 0; v < a->n_vocab; v++) {
            sum += x[v];
            squares += (double)x[v] * x[v];
            double d = fabs((double)x[v] - y[v]);
            diff = !(d <= diff) ? d : diff;
        }
        double mean = sum / a->n_vocab, ratio = diff / sqrt(squares / a->n_vocab - mean * mean);
        if (!(ratio <= most)) {
            most = ratio;
            *where = i;
        }
    }
    return most;
}

/* On the CPU, with the kernels of `mask`, from the folder `from`, rows of the store kept as `kv`. */
static struct logits reference(const struct run *run, uint32_t mask, const char *from, pith_kv_type kv)
{
    pith_backend_params params = pith_backend_params_default();
    params.cpu_mask = mask;
    pith_backend *cpu;
    struct logits l = {0};
    struct run r = *run;
    r.kv = kv;
    r.last = false;
    assert_ok(pith_backend_create(&params, &cpu));
    run_on(cpu, from, &r, &l);
    pith_backend_destroy(&cpu);
    return l;
}

/* What the device should compute, by the scalar kernels, and how far it may be off, in deviations of a row. */
struct target {
    struct logits want;
    double bound;
};

static struct target target_of(const struct run *run)
{
    const uint32_t any = pith_backend_params_default().cpu_mask; /* good enough for a bound, and fast */
    char noise[1100];
    bool bytes = pith_vk_has_int8(&pith_vk_of(vk_shared(&physical, NULL))->device);
    snprintf(noise, sizeof noise, "%s/noise%s", exact, bytes ? "8" : "");
    struct target t = {.want = reference(run, PITH_CPU_SCALAR, exact, run->kv)};
    struct logits plain = reference(run, any, exact, PITH_KV_F32), moved = reference(run, any, noise, PITH_KV_F32);
    int32_t where;
    t.bound = 4 * (worst(&plain, &moved, &where) + (run->kv == PITH_KV_F32 ? 0 : worst(&plain, &t.want, &where)));
    free(plain.rows);
    free(moved.rows);
    return t;
}

static void device_check(const struct run *run, const struct target *t)
{
    struct logits got = {0};
    run_on(vk_shared(&physical, NULL), folder, run, &got);
    int32_t where = -1;
    double most = worst(&t->want, &got, &where);
    printf("  %-12s method %d kv %d heads %d position %d chunk %d%s: largest difference %.2e = %.2f bounds, token %d\n",
           run->model, (int)run->method, (int)run->kv, (int)run->heads, (int)run->position, run->chunk, run->last ? ", last" : "",
           most, most / t->bound, where);
    free(got.rows);
    if (!(most <= t->bound))
        fail_msg("%s: difference %g beyond %g at token %d", run->model, most, t->bound, where);
}

static void compare(const struct run *run)
{
    struct target t = target_of(run);
    device_check(run, &t);
    free(t.want.rows);
}

static const char *names[32];
static int n_names;
static bool brief; /* chunks of one size, the last model */

static void test_methods(void **state)
{
    (void)state;
    for (int m = 0; m < n_names; m++)
        for (int method = 0; method < 2; method++)
            compare(&(struct run){.model = names[m], .method = (pith_attn_method)method, .kv = PITH_KV_F32});
}

/* One by one, in sevens, with a part of a tile, all at once; rows as halves and as bytes. */
static void test_chunks(void **state)
{
    (void)state;
    static const int32_t chunks[] = {1, 7, 64, PREFILL};
    for (int method = 0; method < 2; method++)
        for (int kv = PITH_KV_F16; kv <= PITH_KV_Q8_0; kv++) {
            struct run run = {.model = names[n_names - 1], .method = (pith_attn_method)method, .kv = (pith_kv_type)kv};
            struct target t = target_of(&run);
            for (int i = brief ? 1 : 0; i < (brief ? 2 : 4); i++) {
                run.chunk = chunks[i];
                device_check(&run, &t);
            }
            free(t.want.rows);
        }
}

/* A prompt's chunks without logits, the last one with those of its last token: the rest of a chunk, a whole one, one token. */
static void test_last(void **state)
{
    (void)state;
    static const int32_t chunks[] = {37, PREFILL / 3, PREFILL / 2};
    for (int method = 0; method < 2; method++) {
        struct run run = {.model = names[n_names - 1], .method = (pith_attn_method)method, .kv = PITH_KV_F16, .last = true};
        struct target t = target_of(&run);
        for (int i = 0; i < (brief ? 1 : 3); i++) {
            run.chunk = chunks[i];
            device_check(&run, &t);
        }
        free(t.want.rows);
    }
}

static void test_cores(void **state)
{
    (void)state;
    for (int position = 0; position < 4; position++)
        compare(&(struct run){.model = names[0], .method = PITH_ATTN_CCA, .kv = PITH_KV_F32,
                              .heads = position % 2 ? PITH_CCA_HEADS_KV : PITH_CCA_HEADS_QUERY, .position = (pith_cca_position)position});
}

int main(int argc, char **argv)
{
    brief = argc > 1 && strcmp(argv[1], "-short") == 0;
    argc -= brief, argv += brief;
    if (argc < 4)
        return 2;
    folder = argv[1];
    exact = argv[2];
    for (int i = 3; i < argc && n_names < 32; i++)
        names[n_names++] = argv[i];
    physical = vk_test_device();
    const struct CMUnitTest last[] = {cmocka_unit_test(test_chunks), cmocka_unit_test(test_last), cmocka_unit_test(vk_shared_close),
                                      cmocka_unit_test(vk_test_silent)};
    const struct CMUnitTest all[] = {cmocka_unit_test(test_methods), cmocka_unit_test(test_cores), last[0], last[1], last[2], last[3]};
    return brief ? cmocka_run_group_tests(last, NULL, NULL) : cmocka_run_group_tests(all, NULL, NULL);
}
