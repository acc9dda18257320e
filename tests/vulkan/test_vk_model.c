/* SPDX-License-Identifier: MIT */
/* Whole tiny models: logits of every token, prefill in chunks and decode, full attention and CCA, each KV type, on the
 * Vulkan device and on the CPU's scalar kernels. The CPU reads the same weights written as f32 (exact_models.py), since
 * its products with quantised weights round activations to bytes, which would hide faults of the device. Arguments:
 * folder of models, folder of exact models, model names. */
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
};

struct logits {
    float *rows; /* [n][V] */
    int32_t n, n_vocab;
};

static bool on_logits(int32_t position, const float *logits, int32_t n_vocab, void *user)
{
    struct logits *l = user;
    assert_true(position < l->n);
    l->n_vocab = n_vocab;
    memcpy(l->rows + (size_t)position * (size_t)n_vocab, logits, (size_t)n_vocab * sizeof *logits);
    return true;
}

/* Prefill of 93 tokens in chunks of 37, then 12 single ones. */
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
    p.chunk = 37;
    p.kv_type = run->kv;
    assert_ok(pith_session_create(model, &p, &session));
    int32_t tokens[105];
    out->n = 105;
    for (int32_t i = 0; i < out->n; i++) {
        uint32_t x = (uint32_t)i * 2654435761u + 12345u;
        tokens[i] = (int32_t)((x ^ x >> 15) % (uint32_t)info.n_vocab);
    }
    out->rows = calloc((size_t)out->n * (size_t)info.n_vocab, sizeof *out->rows);
    assert_non_null(out->rows);
    const pith_step_hooks all = {.want = PITH_WANT_ALL, .logits = on_logits, .user = out};
    assert_ok(pith_session_step(session, tokens, 93, &all));
    for (int32_t i = 93; i < out->n; i++)
        assert_ok(pith_session_step(session, tokens + i, 1, &all));
    pith_session_destroy(&session);
    pith_model_destroy(&model);
}

/* Largest difference of logits, in units of the row's deviation. */
static double worst(const struct logits *a, const struct logits *b, int32_t *where)
{
    double most = 0;
    for (int32_t i = 0; i < a->n; i++) {
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

static void compare(const struct run *run, double bound)
{
    pith_backend_params params = pith_backend_params_default();
    params.cpu_mask = PITH_CPU_SCALAR;
    pith_backend *cpu, *vk = vk_shared(&physical, NULL);
    assert_ok(pith_backend_create(&params, &cpu));
    struct logits a = {0}, b = {0};
    run_on(cpu, exact, run, &a);
    run_on(vk, folder, run, &b);
    pith_backend_destroy(&cpu);
    int32_t where = -1;
    double most = worst(&a, &b, &where);
    printf("  %-12s method %d kv %d heads %d position %d: largest difference %.2e at token %d\n", run->model, (int)run->method, (int)run->kv,
           (int)run->heads, (int)run->position, most, where);
    free(a.rows);
    free(b.rows);
    if (!(most <= bound))
        fail_msg("%s: difference %g beyond %g", run->model, most, bound);
}

/* What is rounded on the way: operands of tiles to halves unless weights are f32, rows of the store. Measured: a half to
 * a third of this. */
static double bound_of(const char *model, pith_kv_type kv)
{
    double weights = strstr(model, "-f32") ? 2e-4 : 2e-2;
    double store = kv == PITH_KV_F32 ? 0 : kv == PITH_KV_F16 ? 1e-2 : 1e-1;
    return weights + store;
}

static const char *names[32];
static int n_names;

static void test_methods(void **state)
{
    (void)state;
    for (int m = 0; m < n_names; m++)
        for (int method = 0; method < 2; method++) {
            const struct run run = {.model = names[m], .method = (pith_attn_method)method, .kv = PITH_KV_F32};
            compare(&run, bound_of(names[m], run.kv));
        }
}

static void test_kv_types(void **state)
{
    (void)state;
    for (int kv = PITH_KV_F16; kv <= PITH_KV_Q8_0; kv++) {
        const struct run run = {.model = names[0], .method = PITH_ATTN_CCA, .kv = (pith_kv_type)kv};
        compare(&run, bound_of(names[0], run.kv));
    }
}

static void test_cores(void **state)
{
    (void)state;
    for (int position = 0; position < 4; position++) {
        const struct run run = {.model = names[0], .method = PITH_ATTN_CCA, .kv = PITH_KV_F32,
                                .heads = position % 2 ? PITH_CCA_HEADS_KV : PITH_CCA_HEADS_QUERY, .position = (pith_cca_position)position};
        compare(&run, bound_of(names[0], run.kv));
    }
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    folder = argv[1];
    exact = argv[2];
    for (int i = 3; i < argc && n_names < 32; i++)
        names[n_names++] = argv[i];
    physical = vk_test_device();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_methods), cmocka_unit_test(test_kv_types), cmocka_unit_test(test_cores),
                                       cmocka_unit_test(vk_shared_close), cmocka_unit_test(vk_test_silent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
