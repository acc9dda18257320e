/* SPDX-License-Identifier: MIT */
/* A driver that fails. Every allocation and every creation once: a clean error, nothing left behind. A device lost at any
 * submission: taken anew, the same answer. Lost again: an error, or the CPU. Work reported done that never ran, work
 * that never ends, weights that are not numbers: noticed. Argument: folder of models. */
#include "vk_test.h"

#include "base/os.h"
#include "fault.h"
#include "run/session.h"

#include <math.h>

static const char *folder;
static pith_vk_physical physical;

/* One model on one device with a session of 48 tokens, chunks of 16. */
struct subject {
    pith_backend *backend;
    pith_model *model;
    pith_session *session;
    int loaded;     /* submissions until then */
};

static pith_vk_backend_params params = {.threads = 1};
static pith_on_loss on_loss = PITH_ON_LOSS_FAIL;

static void subject_close(struct subject *s)
{
    pith_session_destroy(&s->session);
    pith_model_destroy(&s->model);
    pith_backend_destroy(&s->backend);
}

static pith_status subject_open(struct subject *s, const char *name)
{
    char path[1024];
    *s = (struct subject){0};
    snprintf(path, sizeof path, "%s/%s.gguf", folder, name);
    PITH_TRY(pith_vk_backend_create_on(&physical, &params, &s->backend));
    s->backend->params = pith_backend_params_default();
    s->backend->params.on_loss = on_loss;
    s->backend->params.exact = true; /* the CPU, where work goes on there, rounds activations to bytes otherwise */
    pith_vk_of(s->backend)->pace.target = 1e6; /* as many submissions on a busy machine: they are counted */
    PITH_TRY(pith_model_open(path, NULL, &s->model));
    PITH_TRY(pith_model_load(s->model, s->backend, NULL, NULL));
    s->loaded = fault.n_submit;
    pith_session_params p = pith_session_params_default(s->model);
    p.attn.group = 8;
    p.attn.window = 16;
    p.context = 48;
    p.chunk = 16;
    return pith_session_create(s->model, &p, &s->session);
}

#define N_GREEDY 6
/* Reads 20 tokens and chooses N_GREEDY more, greedily. */
static pith_status subject_run(struct subject *s, int32_t *chosen)
{
    int32_t tokens[20];
    for (int32_t i = 0; i < 20; i++)
        tokens[i] = (i * 37 + 11) % 499;
    PITH_TRY(pith_session_step(s->session, tokens, 20, NULL));
    for (int i = 0; i < N_GREEDY; i++) {
        const float *logits = pith_session_logits(s->session);
        chosen[i] = 0;
        for (int32_t v = 1; v < s->model->config.n_vocab; v++)
            chosen[i] = logits[v] > logits[chosen[i]] ? v : chosen[i];
        PITH_TRY(pith_session_step(s->session, &chosen[i], 1, NULL));
    }
    return PITH_OK;
}

static int32_t expected[N_GREEDY];
static int n_loaded, n_before, n_after; /* submissions until the model is loaded, before the session's first step, in all */

static void test_undisturbed(void **state)
{
    (void)state;
    struct subject s;
    vk_fault_set(&(vk_fault){0});
    assert_ok(subject_open(&s, "llama-q8_0"));
    n_loaded = s.loaded;
    n_before = fault.n_submit;
    assert_ok(subject_run(&s, expected));
    n_after = fault.n_submit;
    subject_close(&s);
    assert_int_equal(fault.alive, 0);
}

/* Fails the k-th of something for growing k until everything went well; returns how often it failed. */
static int each(const char *what, int *chosen_of_fault, int stride)
{
    for (int k = 1;; k += stride) {
        struct subject s;
        int32_t chosen[N_GREEDY];
        vk_fault f = {0};
        *(int *)((char *)&f + ((char *)chosen_of_fault - (char *)&fault)) = k;
        vk_fault_set(&f);
        pith_status status = subject_open(&s, "llama-q8_0");
        if (status == PITH_OK)
            status = subject_run(&s, chosen);
        if (status != PITH_OK)
            assert_true(pith_last_error()[0] != '\0');
        subject_close(&s);
        assert_int_equal(fault.alive, 0);
        if (status == PITH_OK) {
            printf("  %s: %d failures, none left anything behind\n", what, k - 1);
            return k - 1;
        }
        if (status != PITH_ERROR_NO_MEMORY)
            fail_msg("%s %d: expected ERROR_NO_MEMORY, got %s: %s", what, k, pith_status_name(status), pith_last_error());
    }
}

static void test_allocations(void **state)
{
    (void)state;
    assert_true(each("allocations", &fault.alloc, 1) >= 3 + 1 + 3 + PITH_VK_EXEC_BUFFERS); /* staging, weights, layers, executor */
}

static void test_creations(void **state)
{
    (void)state;
    assert_true(each("creations", &fault.create, 5) > 40);
}

/* Lost at each submission of the session's life: the model is loaded again and the answer stays the same. */
static void test_rebuild(void **state)
{
    (void)state;
    for (int n = n_before + 1; n <= n_after; n += n < n_before + 6 ? 1 : 3) {
        struct subject s;
        int32_t chosen[N_GREEDY];
        vk_fault_set(&(vk_fault){.lose = {n}});
        assert_ok(subject_open(&s, "llama-q8_0"));
        assert_ok(subject_run(&s, chosen));
        assert_memory_equal(chosen, expected, sizeof chosen);
        assert_true(s.model->rebuilt);
        assert_string_equal(pith_session_device(s.session), pith_backend_describe(s.backend));
        assert_int_equal(pith_session_position(s.session), 20 + N_GREEDY);
        subject_close(&s);
        assert_int_equal(fault.alive, 0);
    }
    printf("  lost at submissions %d to %d of the session\n", 1, n_after - n_before);
}

/* Lost at each submission of loading and of making the session; then again while that is repeated: as asked. */
static void test_lost_while_loading(void **state)
{
    (void)state;
    struct subject s;
    int32_t chosen[N_GREEDY];
    for (int n = 1; n <= n_before; n++) {
        vk_fault_set(&(vk_fault){.lose = {n}});
        assert_ok(subject_open(&s, "llama-q8_0"));
        assert_true(s.model->rebuilt);
        assert_ok(subject_run(&s, chosen));
        assert_memory_equal(chosen, expected, sizeof chosen);
        subject_close(&s);
        assert_int_equal(fault.alive, 0);
    }
    printf("  lost at submissions 1 to %d of loading, %d of them the session's\n", n_before, n_before - n_loaded);
    assert_true(n_before > n_loaded && n_loaded > 0);
    const int pairs[][2] = {{1, 3}, {n_loaded, n_loaded + 2}, {n_before, n_before + 2}, {n_before, 2 * n_before}};
    for (int i = 0; i < 8; i++) {
        bool cpu = i % 2;
        vk_fault_set(&(vk_fault){.lose = {pairs[i / 2][0], pairs[i / 2][1]}});
        on_loss = cpu ? PITH_ON_LOSS_CPU : PITH_ON_LOSS_FAIL;
        pith_status status = subject_open(&s, "llama-q8_0");
        on_loss = PITH_ON_LOSS_FAIL;
        if (cpu) {
            assert_ok(status);
            assert_ok(subject_run(&s, chosen));
            assert_memory_equal(chosen, expected, sizeof chosen);
            assert_int_equal(strncmp(pith_session_device(s.session), "cpu", 3), 0);
        } else {
            assert_int_equal(status, PITH_ERROR_DEVICE);
            assert_non_null(strstr(pith_last_error(), physical.properties.deviceName));
            assert_non_null(strstr(pith_last_error(), "did not help"));
            assert_null(s.session);
            pith_session_params p = pith_session_params_default(s.model);
            assert_int_equal(pith_session_create(s.model, &p, &s.session), PITH_ERROR_INVALID_ARGUMENT);
            assert_non_null(strstr(pith_last_error(), "lost"));
        }
        subject_close(&s);
        assert_int_equal(fault.alive, 0);
    }
}

/* A second session of the model, which meets the loss later, reads its own tokens again. */
static void test_siblings(void **state)
{
    (void)state;
    struct subject s;
    int32_t chosen[N_GREEDY], text[3] = {5, 6, 7};
    vk_fault_set(&(vk_fault){0});
    assert_ok(subject_open(&s, "llama-q8_0"));
    pith_session *sibling;
    assert_ok(pith_session_create(s.model, &s.session->shape.params, &sibling));
    assert_ok(pith_session_step(sibling, text, 2, NULL));
    fault.lose[0] = fault.n_submit + 2;
    assert_ok(subject_run(&s, chosen));
    assert_true(s.model->rebuilt);
    assert_memory_equal(chosen, expected, sizeof chosen);
    assert_ok(pith_session_step(sibling, text + 2, 1, NULL));
    float after[499];
    memcpy(after, pith_session_logits(sibling), sizeof after);
    pith_session_clear(sibling);
    assert_ok(pith_session_step(sibling, text, 2, NULL));
    assert_ok(pith_session_step(sibling, text + 2, 1, NULL));
    for (int v = 0; v < 499; v++)
        assert_true(fabsf(after[v] - pith_session_logits(sibling)[v]) <= 1e-4f);
    pith_session_destroy(&sibling);
    subject_close(&s);
    assert_int_equal(fault.alive, 0);
}

/* Lost twice: as asked, an error that a later step repeats, or the CPU. */
static void test_lost_twice(void **state)
{
    (void)state;
    for (int cpu = 0; cpu < 2; cpu++) {
        struct subject s;
        int32_t chosen[N_GREEDY], token = 1;
        /* The second loss meets the reading again of what the first one took: loading takes n_before submissions too. */
        vk_fault_set(&(vk_fault){.lose = {n_before + 3, 2 * n_before + 4}});
        assert_ok(subject_open(&s, "llama-q8_0"));
        s.backend->params.on_loss = cpu ? PITH_ON_LOSS_CPU : PITH_ON_LOSS_FAIL;
        pith_status status = subject_run(&s, chosen);
        if (cpu) {
            assert_ok(status);
            assert_memory_equal(chosen, expected, sizeof chosen);
            assert_int_equal(strncmp(pith_session_device(s.session), "cpu", 3), 0);
        } else {
            assert_int_equal(status, PITH_ERROR_DEVICE);
            assert_non_null(strstr(pith_last_error(), physical.properties.deviceName));
            assert_non_null(strstr(pith_last_error(), "did not help"));
            assert_int_equal(pith_session_position(s.session), 0);
            assert_int_equal(pith_session_step(s.session, &token, 1, NULL), PITH_ERROR_INVALID_ARGUMENT);
            assert_non_null(strstr(pith_last_error(), "lost"));
        }
        subject_close(&s);
        assert_int_equal(fault.alive, 0);
    }
}

/* The driver says done and has run nothing: the epoch knows. */
static void test_skipped(void **state)
{
    (void)state;
    for (int again = 0; again < 2; again++) {
        struct subject s;
        int32_t chosen[N_GREEDY];
        vk_fault_set(&(vk_fault){.skip = n_before + 3 + again});
        assert_ok(subject_open(&s, "llama-q8_0"));
        s.model->rebuilt = again == 0; /* as if it had been used up: then the error is seen */
        pith_status status = subject_run(&s, chosen);
        if (again == 0) {
            assert_int_equal(status, PITH_ERROR_DEVICE);
            assert_non_null(strstr(pith_last_error(), "never ran"));
        } else {
            assert_ok(status);
            assert_memory_equal(chosen, expected, sizeof chosen);
        }
        subject_close(&s);
        assert_int_equal(fault.alive, 0);
    }
}

/* Of LeakSanitizer, where there is one: what is allocated between the two is no leak. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

/* Work without end: an error in about the device's patience, and closing returns. */
static void test_hung(void **state)
{
    (void)state;
    struct subject s;
    int32_t chosen[N_GREEDY];
    vk_fault_set(&(vk_fault){.hang = n_before + 2});
    params.patience_ns = 3000000000; /* of a busy machine too */
    if (__lsan_disable)
        __lsan_disable();
    assert_ok(subject_open(&s, "llama-q8_0"));
    s.model->rebuilt = true;
    uint64_t begin = pith_os_now_ns();
    assert_int_equal(subject_run(&s, chosen), PITH_ERROR_DEVICE);
    assert_non_null(strstr(pith_last_error(), "no sign of life"));
    subject_close(&s);
    assert_in_range(pith_os_now_ns() - begin, params.patience_ns, 20 * params.patience_ns);
    params.patience_ns = 0;
    if (__lsan_enable)
        __lsan_enable();
    /* What hung is not destroyed under the device's hands; it stays until the process ends. */
    assert_true(fault.alive > 0);
    vk_fault_set(&(vk_fault){0});
    assert_ok(subject_open(&s, "llama-q8_0"));
    assert_ok(subject_run(&s, chosen));
    assert_memory_equal(chosen, expected, sizeof chosen);
    subject_close(&s);
}

static void test_not_finite(void **state)
{
    (void)state;
    char from[1024], to[1024];
    static char block[1 << 16];
    snprintf(from, sizeof from, "%s/llama-f32.gguf", folder);
    snprintf(to, sizeof to, "%s/vk-broken.gguf", folder);
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_true(in && out);
    for (size_t n; (n = fread(block, 1, sizeof block, in)) > 0;)
        assert_int_equal(fwrite(block, 1, n, out), n);
    memset(block, 0xFF, 4096); /* NaN in the last tensor's last rows */
    fseek(out, -4096, SEEK_END);
    assert_int_equal(fwrite(block, 1, 4096, out), 4096);
    fclose(in);
    fclose(out);
    struct subject s;
    int32_t chosen[N_GREEDY];
    vk_fault_set(&(vk_fault){0});
    assert_ok(subject_open(&s, "vk-broken"));
    assert_int_equal(subject_run(&s, chosen), PITH_ERROR_NUMERIC);
    assert_non_null(strstr(pith_last_error(), "position 19 "));
    assert_non_null(strstr(pith_last_error(), physical.properties.deviceName));
    subject_close(&s);
    remove(to);
}

static void quiet(pith_log_level level, const char *line, void *user)
{
    (void)level, (void)user;
    if (strstr(line, "validation"))
        fprintf(stderr, "%s\n", line);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    folder = argv[1];
    physical = vk_test_device();
    pith_log_set(quiet, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_undisturbed), cmocka_unit_test(test_allocations), cmocka_unit_test(test_creations),
        cmocka_unit_test(test_rebuild),     cmocka_unit_test(test_lost_while_loading), cmocka_unit_test(test_siblings),
        cmocka_unit_test(test_lost_twice),  cmocka_unit_test(test_skipped), cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_hung), cmocka_unit_test(vk_test_silent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
