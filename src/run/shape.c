/* SPDX-License-Identifier: MIT */
/* From parameters to a planned graph, and from that to the memory plan: the same numbers that creation then allocates. */
#include "run/session.h"
#include "base/mem.h"
#include "base/os.h"

#include <stdlib.h>
#include <string.h>

pith_attn_params pith_attn_params_default(const pith_model *model)
{
    /* Measured: docs/MODEL.md, "defaults". */
    pith_attn_params p = {.method = PITH_ATTN_CCA, .group = 16, .window = 1024, .sinks = 4, .heads = PITH_CCA_HEADS_KV,
                          .bias = PITH_CCA_BIAS_ENTROPY, .position = PITH_CCA_POSITION_POOLED};
    if (model && model->config.cca.present) {
        p.group = model->config.cca.group;
        p.window = model->config.cca.window;
        p.sinks = model->config.cca.sinks;
        p.heads = model->config.cca.heads_query ? PITH_CCA_HEADS_QUERY : PITH_CCA_HEADS_KV;
        p.bias = model->config.cca.bias_entropy ? PITH_CCA_BIAS_ENTROPY : PITH_CCA_BIAS_NONE;
        p.position = (pith_cca_position)model->config.cca.position;
    }
    return p;
}

pith_session_params pith_session_params_default(const pith_model *model)
{
    return (pith_session_params){.context = 0, .chunk = 0, .kv_type = PITH_KV_F16, .attn = pith_attn_params_default(model)};
}

static pith_status resolve(const pith_model *model, pith_session_params *p)
{
    int32_t most = model->config.context_length;
    if (p->context < 0 || p->chunk < 0)
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "session: context and chunk: expected 0 or more, got %d and %d", p->context, p->chunk);
    if (p->context == 0)
        p->context = most;
    if (p->context > most)
        return pith_fail(PITH_ERROR_CONTEXT_LENGTH,
                         "session: a context of %d tokens exceeds the model's %d (a raised rope base and context length let it go on)",
                         p->context, most);
    if (p->chunk == 0)
        p->chunk = 512;
    if (p->chunk > p->context)
        p->chunk = p->context;
    return PITH_OK;
}

/* A model trained with some layers dense keeps them dense unless the caller named others. The ids live in *own. */
static pith_status default_dense(const pith_model *model, pith_attn_params *attn, int32_t **own)
{
    *own = NULL;
    if (attn->dense_layers || attn->method != PITH_ATTN_CCA || !model->config.cca.present)
        return PITH_OK;
    int32_t *ids = pith_calloc((size_t)model->config.n_layer, sizeof *ids);
    if (!ids)
        return pith_fail(PITH_ERROR_NO_MEMORY, "session: no memory for the dense layers");
    size_t n = 0;
    for (int32_t l = 0; l < model->config.n_layer; l++)
        if (model->config.cca.dense[l])
            ids[n++] = l;
    attn->dense_layers = ids;
    attn->n_dense_layers = n;
    *own = ids;
    return PITH_OK;
}

static const pith_dtype kv_dtypes[] = {[PITH_KV_F32] = PITH_DTYPE_F32, [PITH_KV_F16] = PITH_DTYPE_F16, [PITH_KV_Q8_0] = PITH_DTYPE_Q8_0};

pith_status pith_session_shape_init(pith_session_shape *shape, const pith_model *model, const pith_backend *backend,
                                    const pith_session_params *params)
{
    *shape = (pith_session_shape){.params = params ? *params : pith_session_params_default(model)};
    pith_session_params *p = &shape->params;
    if ((unsigned)p->kv_type > PITH_KV_Q8_0)
        return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "session: unknown KV type %d", (int)p->kv_type);
    PITH_TRY(resolve(model, p));
    int32_t *dense;
    PITH_TRY(default_dense(model, &p->attn, &dense));
    pith_attn_request request = {.config = &model->config, .params = p->attn, .kv_dtype = kv_dtypes[p->kv_type],
                                 .context = p->context, .chunk = p->chunk};
    pith_status status = pith_policy_layers(&request, &shape->layers);
    free(dense);
    p->attn.dense_layers = NULL; /* borrowed only for the call */
    PITH_TRY(status);
    PITH_TRY(pith_net_build(&model->config, &model->weights, model->table, model->n_table, shape->layers, &shape->net));
    for (int32_t i = 0; i < shape->net.graph.n_nodes; i++)
        if (!backend->fns->supports(backend, &shape->net.graph.nodes[i], model->table))
            return PITH_ERROR_UNSUPPORTED;
    return pith_plan_make(&shape->net.graph, p->chunk, PITH_HEAD_ROWS, &shape->plan);
}

void pith_session_shape_fini(pith_session_shape *shape)
{
    pith_plan_fini(&shape->plan);
    pith_net_fini(&shape->net);
    free(shape->layers);
    *shape = (pith_session_shape){0};
}

/* Full attention's store for the same context and type. */
static pith_status full_bytes(const pith_model *model, const pith_session_params *params, uint64_t *out)
{
    pith_attn_request request = {.config = &model->config, .params = {.method = PITH_ATTN_FULL}, .kv_dtype = kv_dtypes[params->kv_type],
                                 .context = params->context, .chunk = params->chunk};
    pith_layer_attn *layers;
    PITH_TRY(pith_policy_layers(&request, &layers));
    *out = layers[0].layout.bytes * (uint64_t)model->config.n_layer;
    free(layers);
    return PITH_OK;
}

/* What is free and whether it suffices, as the device says; a device without heaps uses the process's memory. */
static pith_status device_plan(const pith_model *model, const pith_backend *backend, const pith_session_shape *shape, pith_memory_plan *out)
{
    const uint64_t own = (uint64_t)PITH_HEAD_ROWS * (uint64_t)model->config.n_vocab * sizeof(float) +
                         (uint64_t)shape->params.context * sizeof(int32_t); /* the session's: logits, tokens */
    if (backend->fns->memory_plan) {
        size_t *kv = pith_calloc((size_t)model->config.n_layer, sizeof *kv);
        if (!kv)
            return pith_fail(PITH_ERROR_NO_MEMORY, "no memory for a memory plan");
        for (int32_t l = 0; l < model->config.n_layer; l++)
            kv[l] = (size_t)shape->layers[l].layout.bytes;
        const pith_memory_need need = {.weights = model->table, .n_weights = model->n_table, .loaded = model->store != NULL,
                                       .plan = &shape->plan, .kv = kv, .n_layers = model->config.n_layer};
        pith_status status = backend->fns->memory_plan(backend, &need, out);
        free(kv);
        PITH_TRY(status);
        out->scratch += out->own_memory ? 0 : own;
    } else {
        size_t weights, exec;
        PITH_TRY(backend->fns->weights_bytes(backend, model->table, model->n_table, &weights));
        PITH_TRY(backend->fns->exec_bytes(backend, &shape->plan, &exec));
        out->weights = weights;
        out->scratch = exec + own;
    }
    /* What the process holds already (program, vocabulary, file tables), unless the weights are part of it. */
    out->other = model->store || out->own_memory ? 0 : pith_os_memory_resident_bytes();
    uint64_t needed = out->weights + out->kv_raw + out->kv_cores + out->scratch + out->staging;
    out->total = needed + out->other;
    if (!backend->fns->memory_plan) {
        out->available = pith_os_memory_available_bytes();
        out->fits = out->available == 0 || needed <= out->available;
    }
    return PITH_OK;
}

pith_status pith_memory_plan_make(const pith_model *model, const pith_backend *backend, const pith_session_params *params,
                                  pith_memory_plan *out)
{
    *out = (pith_memory_plan){0};
    pith_session_shape shape;
    pith_status status = pith_session_shape_init(&shape, model, backend, params);
    if (status == PITH_OK)
        status = full_bytes(model, &shape.params, &out->kv_full_attention);
    for (int32_t l = 0; status == PITH_OK && l < model->config.n_layer; l++) {
        const pith_kv_layout *layout = &shape.layers[l].layout;
        out->kv_raw += layout->raw_bytes;
        out->kv_cores += layout->bytes - layout->raw_bytes;
    }
    if (status == PITH_OK)
        status = device_plan(model, backend, &shape, out);
    pith_session_shape_fini(&shape);
    if (status != PITH_OK)
        *out = (pith_memory_plan){0};
    return status;
}
