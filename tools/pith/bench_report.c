/* SPDX-License-Identifier: MIT */
/* A benchmark as Markdown, CSV or JSON. The columns never depend on the options, so that a script that reads them once
 * reads them always; every CSV and JSON row carries the whole provenance, Markdown says once what all rows share. A profile's ops are
 * further CSV rows, a list in JSON, a table per test in Markdown. */
#include "bench.h"
#include "json_out.h"
#include "sha256.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#ifndef CLI_BUILD_ID
#define CLI_BUILD_ID "unknown"
#endif

int cli_bench_hash(const char *path, char hex[65])
{
    enum { MIB = 1 << 20 };
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) {
        int code = cli_error(CLI_FILE, "%s: %s", path, strerror(errno));
        if (file)
            fclose(file);
        return code;
    }
    long size = ftell(file);
    unsigned char *data = cli_alloc(MIB, 1), bytes[8];
    cli_sha256 sha;
    cli_sha256_init(&sha);
    rewind(file);
    cli_sha256_update(&sha, data, fread(data, 1, MIB, file));
    fseek(file, size > MIB ? size - MIB : 0, SEEK_SET);
    cli_sha256_update(&sha, data, fread(data, 1, MIB, file));
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)((uint64_t)size >> (8 * i));
    cli_sha256_update(&sha, bytes, 8);
    cli_sha256_final(&sha, hex);
    fclose(file);
    free(data);
    return CLI_OK;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

cli_spread cli_spread_of(const double *samples, size_t n)
{
    double *sorted = cli_alloc(n, sizeof *sorted);
    memcpy(sorted, samples, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_value);
    cli_spread s = {n % 2 ? sorted[n / 2] : 0.5 * (sorted[n / 2 - 1] + sorted[n / 2]), sorted[0], sorted[n - 1]};
    free(sorted);
    return s;
}

void cli_bench_test_name(const cli_bench_row *row, char *out, size_t size)
{
    int n = snprintf(out, size, "%s%d", row->generate ? "tg" : "pp", row->n);
    if (row->depth > 0)
        snprintf(out + n, size - (size_t)n, "@%d", row->depth);
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void md_print(const cli_bench_report *r)
{
    char attention[48], test[48];
    const char *device = NULL;
    printf("| model | attention | kv_type | chunk | threads | test | tokens_per_second | min | max | runs | peak_mib |\n"
           "|---|---|---|---:|---:|---|---:|---:|---:|---:|---:|\n");
    for (size_t i = 0; i < r->n_rows; i++) {
        const cli_bench_row *row = &r->rows[i];
        if (row->n_samples == 0)
            continue;
        cli_spread s = cli_spread_of(row->samples, row->n_samples);
        cli_bench_test_name(row, test, sizeof test);
        snprintf(attention, sizeof attention, row->group ? "%s g%d s%d" : "%s", row->method, row->group, row->window);
        printf("| %s | %s | %s | %d | %d | %s | %.2f | %.2f | %.2f | %zu | %.0f |\n", file_name(r->model_path), attention,
               row->kv_type, row->chunk, row->threads, test, s.median, s.min, s.max, row->n_samples,
               (double)row->memory_peak / 1048576.0);
    }
    printf("\n- model: %s, %s, %llu bytes, hash %.16s; weights: %s\n", r->model_name, r->architecture,
           (unsigned long long)r->model_bytes, r->model_hash, r->weights);
    for (size_t i = 0; i < r->n_rows; i++) {
        if (!device || strcmp(device, r->rows[i].device) != 0)
            printf("- device: %s%s%s\n", r->rows[i].device, r->rows[i].info->tiles[0] ? "; tiles: " : "", r->rows[i].info->tiles);
        device = r->rows[i].device;
    }
    for (size_t i = 0; i < r->n_rows; i++) {
        bool seen = false;
        for (size_t k = 0; k < i && !seen; k++)
            seen = strcmp(r->rows[k].attention, r->rows[i].attention) == 0;
        if (!seen)
            printf("- attention: %s\n", r->rows[i].attention);
    }
    printf("- tokens: %s; tokens_per_second: median over the runs, after one that does not count, settings in turns\n"
           "- pith %s (%s)\n", r->tokens, pith_version(), CLI_BUILD_ID);
    for (size_t i = 0; i < r->n_rows; i++) {
        const pith_ceilings *c = r->rows[i].ceilings, *before = i ? r->rows[i - 1].ceilings : NULL;
        if (r->rows[i].n_ops && c != before)
            printf("- at best, in the same run: memory %.2f GB/s (%s), product %.4f TFLOP/s (%s); %s\n", c->memory_bytes_per_second * 1e-9,
                   c->memory_how, c->flop_per_second * 1e-12, c->flop_how, r->rows[i].device);
    }
    for (size_t i = 0; i < r->n_rows; i++)
        cli_bench_profile_md(&r->rows[i]);
}

static void csv_text(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"')
            putchar('"');
        putchar(*text);
    }
    putchar('"');
}

/* `op` NULL: the test as a whole. */
static void csv_row(const cli_bench_report *r, const cli_bench_row *row, const cli_bench_op *op)
{
    char test[48];
    cli_spread s = cli_spread_of(row->samples, row->n_samples);
    cli_bench_test_name(row, test, sizeof test);
    csv_text(file_name(r->model_path));
    printf(",%llu,%s,", (unsigned long long)r->model_bytes, r->model_hash);
    csv_text(r->model_name);
    printf(",%s,%llu,", r->architecture, (unsigned long long)r->n_params);
    csv_text(r->weights);
    putchar(',');
    csv_text(row->attention);
    printf(",%s,%d,%d,%s,%d,%d,%d,%d,%d,%s,%zu,%.4f,%.4f,%.4f,\"", row->method, row->group, row->window, row->kv_type,
           row->chunk, row->threads, row->depth, row->generate ? 0 : row->n, row->generate ? row->n : 0, test,
           row->n_samples, s.median, s.min, s.max);
    for (size_t k = 0; k < row->n_samples; k++)
        printf("%s%.4f", k ? " " : "", row->samples[k]);
    printf("\",%s,%llu,%llu,", r->tokens, (unsigned long long)row->memory_planned, (unsigned long long)row->memory_peak);
    csv_text(row->device);
    printf(",%s,", pith_version());
    csv_text(CLI_BUILD_ID);
    const char *const device[] = {row->info->name, row->info->type, row->info->driver, row->info->pci, row->info->features,
                                  row->info->matrix, row->info->tiles};
    for (size_t k = 0; k < sizeof device / sizeof *device; k++) {
        putchar(',');
        csv_text(device[k]);
    }
    printf(",%d", row->info->subgroup);
    if (op) {
        cli_spread ms = cli_spread_of(op->seconds, op->n_seconds);
        cli_bench_rates x = cli_bench_op_rates(row, op);
        printf(",%s,%.0f,%.6f,%.6f,%.6f,%.6f,%.4f,%.6f,%.6f,%.6f,%.4f,%.6f\n", op->name, op->calls, ms.median * 1e3, ms.min * 1e3,
               ms.max * 1e3, x.share, x.gb, x.gb_share, x.tflop, x.tflop_share, row->ceilings->memory_bytes_per_second * 1e-9,
               row->ceilings->flop_per_second * 1e-12);
    } else {
        printf(",,,,,,,,,,,,\n");
    }
}

static void csv_print(const cli_bench_report *r)
{
    printf("model,model_bytes,model_hash,model_name,architecture,parameters,weights,attention,method,group,window,kv_type,chunk,"
           "threads,depth,n_prompt,n_gen,test,repetitions,tokens_per_second,tokens_per_second_min,tokens_per_second_max,samples,"
           "tokens,memory_planned_bytes,memory_peak_bytes,device,version,build,device_name,device_type,driver,pci,features,matrix,tiles,subgroup,"
           "op,op_calls,op_ms,op_ms_min,op_ms_max,op_share,op_gb_per_second,op_memory_share,op_tflop_per_second,op_product_share,"
           "memory_gb_per_second,product_tflop_per_second\n");
    for (size_t i = 0; i < r->n_rows; i++) {
        const cli_bench_row *row = &r->rows[i];
        if (row->n_samples == 0)
            continue;
        csv_row(r, row, NULL);
        for (size_t k = 0; k < row->n_ops; k++)
            csv_row(r, row, &row->ops[k]);
    }
}

static json_t *row_json(const cli_bench_report *r, const cli_bench_row *row)
{
    char test[48];
    cli_spread s = cli_spread_of(row->samples, row->n_samples);
    cli_bench_test_name(row, test, sizeof test);
    json_t *samples = json_array();
    for (size_t k = 0; k < row->n_samples; k++)
        json_array_append_new(samples, json_real(row->samples[k]));
    return json_pack("{ss sI ss ss ss sI ss ss ss si si ss si si si si si ss sI sf sf sf so ss sI sI ss ss ss ss ss ss ss ss ss ss si sf so so}", "model",
                     file_name(r->model_path), "model_bytes", (json_int_t)r->model_bytes, "model_hash", r->model_hash,
                     "model_name", r->model_name, "architecture", r->architecture, "parameters", (json_int_t)r->n_params,
                     "weights", r->weights, "attention", row->attention, "method", row->method, "group", row->group, "window",
                     row->window, "kv_type", row->kv_type, "chunk", row->chunk, "threads", row->threads, "depth", row->depth,
                     "n_prompt", row->generate ? 0 : row->n, "n_gen", row->generate ? row->n : 0, "test", test, "repetitions",
                     (json_int_t)row->n_samples, "tokens_per_second", s.median, "tokens_per_second_min", s.min,
                     "tokens_per_second_max", s.max, "samples", samples, "tokens", r->tokens, "memory_planned_bytes",
                     (json_int_t)row->memory_planned, "memory_peak_bytes", (json_int_t)row->memory_peak, "device", row->device,
                     "version", pith_version(), "build", CLI_BUILD_ID, "device_name", row->info->name, "device_type",
                     row->info->type, "driver", row->info->driver, "pci", row->info->pci, "features", row->info->features,
                     "matrix", row->info->matrix, "tiles", row->info->tiles, "subgroup", row->info->subgroup, "profile_ms", cli_bench_profile_seconds(row) * 1e3,
                     "profile", cli_bench_profile_json(row), "ceilings", cli_bench_ceilings_json(row));
}

int cli_bench_print(const cli_bench_report *r, cli_bench_format format)
{
    if (format == CLI_BENCH_JSON) {
        json_t *rows = json_array();
        for (size_t i = 0; i < r->n_rows; i++)
            if (r->rows[i].n_samples > 0)
                json_array_append_new(rows, row_json(r, &r->rows[i]));
        return cli_json_print(rows, false);
    }
    if (format == CLI_BENCH_CSV)
        csv_print(r);
    else
        md_print(r);
    return CLI_OK;
}
