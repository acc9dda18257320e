/* SPDX-License-Identifier: MIT */
/* What a benchmark measured, between the runner (cmd_bench.c) and the report (bench_report.c). */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "engine.h"

typedef struct cli_bench_row {
    const char *attention;      /* "full" or "cca, group 16, ..." */
    const char *method;         /* "full", "cca" */
    int32_t group, window;      /* 0 for full */
    const char *kv_type, *device;
    int32_t chunk, threads;     /* threads 0: automatic, the device line says how many */
    bool generate;              /* tg: steps of one token; else pp */
    int32_t n, depth;
    double *samples;            /* tokens per second, [n_samples], in the order of measuring */
    size_t n_samples;
    uint64_t memory_planned, memory_peak; /* bytes: of this setting alone; of the whole process so far */
} cli_bench_row;

typedef struct cli_bench_report {
    const char *model_path, *model_name, *architecture, *weights, *tokens; /* tokens: "random" or "text" */
    char model_hash[65];        /* SHA-256 of the first MiB, the last MiB and the size */
    uint64_t model_bytes, n_params;
    const cli_bench_row *rows;
    size_t n_rows;
} cli_bench_report;

typedef enum cli_bench_format { CLI_BENCH_MD, CLI_BENCH_CSV, CLI_BENCH_JSON } cli_bench_format;

/* Exit code. Rows without samples are left out. */
int cli_bench_print(const cli_bench_report *report, cli_bench_format format);
/* Exit code. */
int cli_bench_hash(const char *path, char hex[65]);

#endif
