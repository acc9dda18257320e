/* SPDX-License-Identifier: MIT */
/* Where the time of a benchmark's tests goes, op by op: its own runs, behind those that give the rates, because a clock
 * around every op costs speed. */
#include "bench.h"
#include "json_out.h"

#include <stdlib.h>
#include <string.h>

/* Adds one run's sums; the ops of a session are the same, and in the same order, in every run. */
static void keep(cli_bench_row *row, pith_op_profile *sums, size_t n, size_t repeat, double seconds)
{
    if (!row->ops) {
        row->profile_runs = cli_alloc(repeat, sizeof *row->profile_runs);
        row->ops = cli_alloc(n, sizeof *row->ops);
        for (size_t i = 0; i < n; i++)
            if (sums[i].calls > 0) {
                cli_bench_op *op = &row->ops[row->n_ops++];
                *op = (cli_bench_op){.name = cli_text("%s", sums[i].name), .calls = (double)sums[i].calls, .bytes = sums[i].bytes,
                                     .flop = sums[i].flop, .seconds = cli_alloc(repeat, sizeof(double))};
            }
    }
    if (row->n_ops)
        row->profile_runs[row->ops[0].n_seconds] = seconds;
    for (size_t i = 0, k = 0; i < n && k < row->n_ops; i++)
        if (strcmp(row->ops[k].name, sums[i].name) == 0) {
            row->ops[k].seconds[row->ops[k].n_seconds++] = sums[i].seconds;
            k++;
        }
}

int cli_bench_profile(cli_bench_row *row, pith_session *session, int32_t repeat, int (*ready)(void *user), int (*run)(void *user),
                      void *user)
{
    int code = CLI_OK;
    for (int32_t r = 0; r <= repeat && code == CLI_OK; r++) {
        code = ready(user);
        if (code != CLI_OK)
            break;
        pith_status status = pith_session_profile(session, true);
        if (status != PITH_OK)
            return cli_fail(status, "--profile");
        uint64_t begin = cli_now_ns();
        code = run(user);
        double seconds = (double)(cli_now_ns() - begin) * 1e-9;
        size_t n = pith_session_profile_get(session, NULL, 0);
        pith_op_profile *sums = cli_alloc(n, sizeof *sums);
        pith_session_profile_get(session, sums, n);
        (void)pith_session_profile(session, false);
        if (r > 0 && code == CLI_OK)
            keep(row, sums, n, (size_t)repeat, seconds);
        free(sums);
    }
    return code;
}

void cli_bench_profile_free(cli_bench_row *row)
{
    for (size_t i = 0; i < row->n_ops; i++) {
        free((char *)(uintptr_t)row->ops[i].name);
        free(row->ops[i].seconds);
    }
    free(row->ops);
    free(row->profile_runs);
    row->profile_runs = NULL;
    row->ops = NULL;
    row->n_ops = 0;
}

static double seconds_of(const cli_bench_op *op)
{
    return cli_spread_of(op->seconds, op->n_seconds).median;
}

static double seconds_all(const cli_bench_row *row)
{
    double sum = 0;
    for (size_t i = 0; i < row->n_ops; i++)
        sum += seconds_of(&row->ops[i]);
    return sum;
}

cli_bench_rates cli_bench_op_rates(const cli_bench_row *row, const cli_bench_op *op)
{
    double s = seconds_of(op), all = seconds_all(row);
    const pith_ceilings *c = row->ceilings;
    cli_bench_rates r = {0};
    if (s > 0) {
        r.share = s / all;
        r.gb = op->bytes / s * 1e-9;
        r.tflop = op->flop / s * 1e-12;
    }
    if (c && c->memory_bytes_per_second > 0)
        r.gb_share = r.gb * 1e9 / c->memory_bytes_per_second;
    if (c && c->flop_per_second > 0)
        r.tflop_share = r.tflop * 1e12 / c->flop_per_second;
    return r;
}

double cli_bench_profile_seconds(const cli_bench_row *row)
{
    return row->n_ops ? cli_spread_of(row->profile_runs, row->ops[0].n_seconds).median : 0;
}

void cli_bench_profile_md(const cli_bench_row *row)
{
    char test[48];
    if (row->n_ops == 0)
        return;
    cli_bench_test_name(row, test, sizeof test);
    printf("\n%s, %s, kv %s, %s: %.3f ms in ops of %.3f ms, %zu runs\n\n"
           "| op | calls | ms | min | max | share | gb_per_second | of_memory | tflop_per_second | of_product |\n"
           "|---|---|---|---|---|---|---|---|---|---|\n", test, row->attention, row->kv_type, row->info->name,
           seconds_all(row) * 1e3, cli_bench_profile_seconds(row) * 1e3, row->ops[0].n_seconds);
    for (size_t i = 0; i < row->n_ops; i++) {
        const cli_bench_op *op = &row->ops[i];
        cli_spread s = cli_spread_of(op->seconds, op->n_seconds);
        cli_bench_rates r = cli_bench_op_rates(row, op);
        printf("| %s | %.0f | %.3f | %.3f | %.3f | %.1f %% | %.2f | %.1f %% | %.4g | %.1f %% |\n", op->name, op->calls, s.median * 1e3,
               s.min * 1e3, s.max * 1e3, r.share * 100, r.gb, r.gb_share * 100, r.tflop, r.tflop_share * 100);
    }
}

json_t *cli_bench_profile_json(const cli_bench_row *row)
{
    json_t *list = json_array();
    for (size_t i = 0; i < row->n_ops; i++) {
        const cli_bench_op *op = &row->ops[i];
        cli_spread s = cli_spread_of(op->seconds, op->n_seconds);
        cli_bench_rates r = cli_bench_op_rates(row, op);
        json_array_append_new(list, json_pack("{ss sf sf sf sf sf sf sf sf sf}", "op", op->name, "calls", op->calls, "ms", s.median * 1e3,
                                              "ms_min", s.min * 1e3, "ms_max", s.max * 1e3, "share", r.share, "gb_per_second", r.gb,
                                              "memory_share", r.gb_share, "tflop_per_second", r.tflop, "product_share", r.tflop_share));
    }
    return list;
}

json_t *cli_bench_ceilings_json(const cli_bench_row *row)
{
    const pith_ceilings *c = row->ceilings;
    if (!c || row->n_ops == 0)
        return json_null();
    return json_pack("{sf ss sf ss}", "memory_gb_per_second", c->memory_bytes_per_second * 1e-9, "memory_how", c->memory_how,
                     "product_tflop_per_second", c->flop_per_second * 1e-12, "product_how", c->flop_how);
}
