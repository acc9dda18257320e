/* SPDX-License-Identifier: MIT */
/* The memory plan against what the driver was really asked for: models, methods, KV types and chunks; a plan that does
 * not fit; two heaps. Argument: folder of models. */
#include "vk_test.h"

#include "fault.h"

static const char *folder;
static pith_vk_physical physical;

struct load {
    pith_backend *backend;
    pith_model *model;
    pith_session *session;
    pith_memory_plan plan;
};

static struct load load_open(const pith_vk_physical *on, const char *name)
{
    struct load l = {0};
    char path[1024];
    snprintf(path, sizeof path, "%s/%s.gguf", folder, name);
    l.backend = vk_test_backend(on, NULL);
    assert_ok(pith_model_open(path, NULL, &l.model));
    return l;
}

static void load_close(struct load *l)
{
    pith_session_destroy(&l->session);
    pith_model_destroy(&l->model);
    pith_backend_destroy(&l->backend);
}

/* Loads, makes the session, and runs it once. */
static void load_run(struct load *l, const pith_session_params *params)
{
    int32_t tokens[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    assert_ok(pith_model_load(l->model, l->backend, NULL, NULL));
    assert_ok(pith_session_create(l->model, params, &l->session));
    assert_ok(pith_session_step(l->session, tokens, 9, NULL));
}

static void test_peak(void **state)
{
    (void)state;
    static const struct { const char *model; pith_attn_method method; pith_kv_type kv; int32_t context, chunk; } cases[] = {
        {"llama-q4_0", PITH_ATTN_CCA, PITH_KV_F16, 4096, 512},   {"mixed-q4_k", PITH_ATTN_FULL, PITH_KV_F16, 8192, 64},
        {"llama-f32", PITH_ATTN_FULL, PITH_KV_F32, 4096, 256},   {"qwen3-q8_0", PITH_ATTN_CCA, PITH_KV_Q8_0, 8192, 1},
        {"qwen2-q8_0", PITH_ATTN_FULL, PITH_KV_Q8_0, 64, 64}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        vk_fault_set(&(vk_fault){0});
        struct load l = load_open(&physical, cases[i].model);
        pith_session_params p = pith_session_params_default(l.model);
        p.attn.method = cases[i].method;
        p.kv_type = cases[i].kv;
        p.context = cases[i].context;
        p.chunk = cases[i].chunk;
        assert_ok(pith_memory_plan_make(l.model, l.backend, &p, &l.plan));
        load_run(&l, &p);
        uint64_t now, peak, planned = l.plan.total - l.plan.other, small = planned - l.plan.staging;
        assert_true(pith_backend_memory_used(l.backend, &now, &peak));
        printf("  %s: planned %llu, taken %llu, at most %llu\n", cases[i].model, (unsigned long long)planned, (unsigned long long)now,
               (unsigned long long)peak);
        assert_int_equal(peak, fault.peak);          /* the ledger is the driver's truth */
        assert_int_equal(l.plan.staging, 3 * PITH_VK_STAGE_BYTES);
        assert_in_range(peak, planned - planned / 20, planned);
        assert_in_range(peak - l.plan.staging, small - small / 20, small + small / 20); /* staging hides nothing */
        assert_int_equal(l.plan.n_heaps, physical.memory.memoryHeapCount);
        /* Once loaded, weights are not asked for again. */
        pith_memory_plan again;
        assert_ok(pith_memory_plan_make(l.model, l.backend, &p, &again));
        uint64_t before = 0, after = 0;
        for (int32_t h = 0; h < again.n_heaps; h++) {
            before += l.plan.heaps[h].planned;
            after += again.heaps[h].planned;
        }
        assert_in_range(before - after, l.plan.weights, l.plan.weights);
        load_close(&l);
        assert_int_equal(fault.alive, 0);
    }
}

/* Memory of its own, in two heaps (a software device's, cut in two): the plan fills one, then the other, and creation does
 * what was planned. */
static void test_heaps(void **state)
{
    (void)state;
    if (physical.properties.deviceType != VK_PHYSICAL_DEVICE_TYPE_CPU) {
        printf("  the memory types of a software device are cut into two heaps, not those of this one\n");
        skip();
    }
    static const uint64_t mib = 1 << 20;
    /* Staging takes 48 MiB; an eighth of a heap stays clear; weights are 2.6 MiB, keys 9 MiB a layer. */
    static const struct { uint64_t heap[2]; bool fits; } cases[] = {
        {{128 << 20, 128 << 20}, true}, {{76 << 20, 58 << 20}, true}, {{58 << 20, 76 << 20}, true}, {{66 << 20, 10 << 20}, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        vk_fault_set(&(vk_fault){.heap = {cases[i].heap[0], cases[i].heap[1]}});
        pith_vk_physical two = vk_fault_heaps(&physical);
        struct load l = load_open(&two, "llama-q8_0");
        pith_session_params p = pith_session_params_default(l.model);
        p.attn.method = PITH_ATTN_FULL;
        p.kv_type = PITH_KV_F32;
        p.context = 8192;
        assert_ok(pith_memory_plan_make(l.model, l.backend, &p, &l.plan));
        printf("  heaps of %llu and %llu MiB: %llu and %llu KiB planned\n", (unsigned long long)(cases[i].heap[0] / mib),
               (unsigned long long)(cases[i].heap[1] / mib), (unsigned long long)l.plan.heaps[0].planned >> 10,
               (unsigned long long)l.plan.heaps[1].planned >> 10);
        assert_int_equal(l.plan.fits, cases[i].fits);
        assert_true(l.plan.own_memory);
        assert_int_equal(l.plan.other, 0);
        assert_int_equal(l.plan.n_heaps, 2);
        assert_true(l.plan.headroom > 0);
        uint64_t staged[2] = {fault.now[0], fault.now[1]};
        if (l.plan.fits) {
            load_run(&l, &p);
            for (int h = 0; h < 2; h++)
                assert_true(fault.now[h] <= cases[i].heap[h]);
            assert_int_equal(fault.now[0] + fault.now[1], staged[0] + staged[1] + l.plan.heaps[0].planned + l.plan.heaps[1].planned);
            if (i > 0) /* one heap alone would not do */
                assert_true(l.plan.heaps[0].planned > 0 && l.plan.heaps[1].planned > 0);
        } else {
            assert_true(l.plan.total > l.plan.available);
        }
        load_close(&l);
        assert_int_equal(fault.alive, 0);
    }
    pith_vk_intercept = NULL;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    folder = argv[1];
    physical = vk_test_device();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_peak), cmocka_unit_test(test_heaps), cmocka_unit_test(vk_test_silent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
