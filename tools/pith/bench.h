/* SPDX-License-Identifier: MIT */
/* What a benchmark measured, between the runner (cmd_bench.c) and the report (bench_report.c). */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "engine.h"

#include <jansson.h>

/* One kind of op in one test; numbers of one run. */
typedef struct cli_bench_op {
    const char *name;
    double calls, bytes, flop;
    double *seconds;            /* [n_seconds], one per run */
    size_t n_seconds;
} cli_bench_op;

typedef struct cli_bench_row {
    const char *attention;      /* "full" or "cca, group 16, ..." */
    const char *method;         /* "full", "cca" */
    int32_t group, window;      /* 0 for full */
    const char *kv_type, *device;
    const pith_device_info *info;
    int32_t chunk, threads;     /* threads: of the CPU backend, 0 elsewhere */
    bool generate;              /* tg: steps of one token; else pp */
    int32_t n, depth;
    double *samples;            /* tokens per second, [n_samples], in the order of measuring */
    size_t n_samples;
    uint64_t memory_planned, memory_peak; /* bytes: of this setting alone; of the whole process so far */
    cli_bench_op *ops;          /* [n_ops], owned: --profile; NULL: none */
    size_t n_ops;
    double *profile_runs;       /* [n_seconds of an op], owned: seconds of each run of the profile, on the host's clock */
    const pith_ceilings *ceilings; /* of the device, with a profile */
} cli_bench_row;

typedef struct cli_bench_report {
    const char *model_path, *model_name, *architecture, *weights, *tokens; /* tokens: "random" or "text" */
    char model_hash[65];        /* SHA-256 of the first MiB, the last MiB and the size */
    uint64_t model_bytes, n_params;
    const cli_bench_row *rows;
    size_t n_rows;
} cli_bench_report;

typedef enum cli_bench_format { CLI_BENCH_MD, CLI_BENCH_CSV, CLI_BENCH_JSON } cli_bench_format;

typedef struct cli_spread { double median, min, max; } cli_spread;
cli_spread cli_spread_of(const double *samples, size_t n); /* n >= 1 */

/* Runs `run(user)` repeat + 1 times, the first uncounted, and keeps the times of the session's ops in the row; `ready`
 * brings the session to the test's depth before each. Exit code. */
int cli_bench_profile(cli_bench_row *row, pith_session *session, int32_t repeat, int (*ready)(void *user), int (*run)(void *user),
                      void *user);
void cli_bench_profile_free(cli_bench_row *row);
/* What an op reached: in GB/s, TFLOP/s and as parts of the ceilings and of the time of all ops. */
typedef struct cli_bench_rates { double share, gb, gb_share, tflop, tflop_share; } cli_bench_rates;
cli_bench_rates cli_bench_op_rates(const cli_bench_row *row, const cli_bench_op *op);
/* "pp512", "tg32@8192" */
void cli_bench_test_name(const cli_bench_row *row, char *out, size_t size);
double cli_bench_profile_seconds(const cli_bench_row *row); /* of a run, median; 0 without a profile */
void cli_bench_profile_md(const cli_bench_row *row);
json_t *cli_bench_profile_json(const cli_bench_row *row); /* a list, empty without a profile */
json_t *cli_bench_ceilings_json(const cli_bench_row *row);

/* Exit code. Rows without samples are left out. */
int cli_bench_print(const cli_bench_report *report, cli_bench_format format);
/* Exit code. */
int cli_bench_hash(const char *path, char hex[65]);

#endif
