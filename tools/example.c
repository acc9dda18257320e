/* SPDX-License-Identifier: MIT */
/* The worked example of the C API: opens a model, shows the memory plan, appends a prompt and prints what the model says.
 *
 *     cc example.c $(pkg-config --cflags --libs pith) -o example
 *     ./example MODEL.gguf "The river rose" [MAX_TOKENS]
 *
 * Everything that can fail is checked in one way: a status, and pith_last_error() for the details. */
#include <pith/pith.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Pieces come as they are made: whole characters, sometimes none yet. */
static bool on_piece(const pith_piece *piece, void *user)
{
    (void)user;
    fwrite(piece->text, 1, piece->n_bytes, stdout);
    fflush(stdout);
    return true; /* false would stop the generation */
}

static double mib(uint64_t bytes)
{
    return (double)bytes / (1024.0 * 1024.0);
}

static void print_plan(const pith_memory_plan *plan)
{
    fprintf(stderr,
            "weights %.1f MiB, KV cache %.1f MiB (raw %.1f, cores %.1f; full attention: %.1f), scratch %.1f MiB, total %.1f MiB\n",
            mib(plan->weights), mib(plan->kv_raw + plan->kv_cores), mib(plan->kv_raw), mib(plan->kv_cores),
            mib(plan->kv_full_attention), mib(plan->scratch + plan->other), mib(plan->total));
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: %s MODEL.gguf PROMPT [MAX_TOKENS]\n", argv[0]);
        return 2;
    }
    /* What is created here is destroyed at `done`, in reverse order; destroying NULL does nothing. */
    pith_backend *backend = NULL;
    pith_model *model = NULL;
    pith_session *session = NULL;
    pith_tokens tokens = {NULL, 0};
    pith_memory_plan plan;
    pith_generate_result result;

    pith_status status = pith_backend_create(NULL, &backend); /* NULL: the defaults, here the CPU with all cores */
    if (status != PITH_OK)
        goto done;
    fprintf(stderr, "pith %s on %s\n", pith_version(), pith_backend_describe(backend));

    /* Opening reads the metadata, no weights yet: enough to plan and to tokenize. */
    status = pith_model_open(argv[1], NULL, &model);
    if (status != PITH_OK)
        goto done;
    status = pith_tokenize(model, argv[2], strlen(argv[2]), PITH_TOKENIZE_SPECIAL, &tokens);
    if (status != PITH_OK)
        goto done;

    pith_generate_params generate = pith_generate_params_default();
    generate.max_tokens = argc > 3 ? (int32_t)strtol(argv[3], NULL, 10) : 32;

    /* A session for exactly what is needed. CCA attention is the default; full attention would be
     *     params.attn.method = PITH_ATTN_FULL;  */
    pith_session_params params = pith_session_params_default(model);
    params.context = (int32_t)tokens.n + generate.max_tokens;
    status = pith_memory_plan_make(model, backend, &params, &plan);
    if (status != PITH_OK)
        goto done;
    print_plan(&plan);
    if (!plan.fits) {
        fprintf(stderr, "only %.1f MiB are free\n", mib(plan.available));
        status = PITH_ERROR_NO_MEMORY;
        goto done;
    }

    status = pith_model_load(model, backend, NULL, NULL);
    if (status != PITH_OK)
        goto done;
    status = pith_session_create(model, &params, &session);
    if (status != PITH_OK)
        goto done;
    status = pith_generate(session, tokens.ids, tokens.n, &generate, on_piece, NULL, &result);
    if (status != PITH_OK)
        goto done;
    putchar('\n');
    fprintf(stderr, "prompt %d tokens in %.2f s, %d new tokens in %.2f s\n", (int)result.n_prompt, result.prompt_seconds,
            (int)result.n_generated, result.generate_seconds);

done:
    if (status != PITH_OK)
        fprintf(stderr, "error: %s: %s\n", pith_status_sentence(status), pith_last_error());
    pith_tokens_free(&tokens);
    pith_session_destroy(&session);
    pith_model_destroy(&model);
    pith_backend_destroy(&backend);
    return status == PITH_OK ? 0 : 1;
}
