/* SPDX-License-Identifier: MIT */
/* Memory plan: one short table. */
#include "plan_print.h"

#include "cli.h"
#include "progress.h"

void cli_plan_print(FILE *out, const pith_memory_plan *p, int32_t context)
{
    fprintf(out, "memory: weights %s, keys and values %s (raw %s, cores %s), scratch %s", cli_bytes(p->weights),
            cli_bytes(p->kv_raw + p->kv_cores), cli_bytes(p->kv_raw), cli_bytes(p->kv_cores), cli_bytes(p->scratch));
    if (p->n_heaps)
        fprintf(out, ", staging %s", cli_bytes(p->staging));
    if (!p->own_memory)
        fprintf(out, ", other %s", cli_bytes(p->other));
    fprintf(out, "\nmemory: total %s, free %s; for %d tokens full attention would keep %s of keys and values\n",
            cli_bytes(p->total), p->available ? cli_bytes(p->available) : "unknown", context,
            cli_bytes(p->kv_full_attention));
    for (int32_t i = 0; i < p->n_heaps; i++)
        if (p->heaps[i].planned)
            fprintf(out, "memory: heap %d (%s, %s): %s to be taken, %s free, %s of it kept clear\n", i,
                    p->heaps[i].on_device ? "the device's" : "the system's", cli_bytes(p->heaps[i].size),
                    cli_bytes(p->heaps[i].planned), cli_bytes(p->heaps[i].free), cli_bytes(p->heaps[i].headroom));
}

int cli_plan_check(const pith_model *model, const pith_backend *backend, const pith_session_params *params,
                   pith_memory_plan *out)
{
    pith_status status = pith_memory_plan_make(model, backend, params, out);
    if (status != PITH_OK)
        return cli_fail(status, "memory plan");
    if (!cli_is_quiet() || !out->fits)
        cli_plan_print(stderr, out, params->context);
    if (out->fits)
        return CLI_OK;
    return cli_error(CLI_MEMORY, "this needs %s and %s is free: refused before loading; a smaller -c%s%s or a smaller model "
                     "takes less", cli_bytes(out->total), cli_bytes(out->available),
                     params->attn.method == PITH_ATTN_FULL ? ", --attn cca" : "",
                     params->kv_type == PITH_KV_Q8_0 ? "" : ", --kv-type q8_0");
}

json_t *cli_plan_json(const pith_memory_plan *p)
{
    json_t *root = json_pack("{sI sI sI sI sI sI sI sI sb}", "weights", (json_int_t)p->weights, "kv_raw", (json_int_t)p->kv_raw,
                             "kv_cores", (json_int_t)p->kv_cores, "scratch", (json_int_t)p->scratch, "other", (json_int_t)p->other,
                             "total", (json_int_t)p->total, "kv_full_attention", (json_int_t)p->kv_full_attention, "available",
                             (json_int_t)p->available, "fits", p->fits);
    if (!p->n_heaps)
        return root;
    json_t *heaps = json_array();
    for (int32_t i = 0; i < p->n_heaps; i++)
        json_array_append_new(heaps, json_pack("{sI sI sI sI sb}", "size", (json_int_t)p->heaps[i].size, "free",
                                               (json_int_t)p->heaps[i].free, "headroom", (json_int_t)p->heaps[i].headroom,
                                               "planned", (json_int_t)p->heaps[i].planned, "on_device", p->heaps[i].on_device));
    json_object_set_new(root, "staging", json_integer((json_int_t)p->staging));
    json_object_set_new(root, "headroom", json_integer((json_int_t)p->headroom));
    json_object_set_new(root, "heaps", heaps);
    return root;
}
