/* SPDX-License-Identifier: MIT */
/* Runs a fuzz target without libFuzzer: each file named on the command line as it is, cut short at places spread over
 * its length, and with bytes changed; then random bytes. The seed is fixed, so a failure repeats; the input that failed
 * is written to the current folder when the target dies. */
#include "base/rng.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CUTS = 400, MUTATIONS = 600, RANDOM_INPUTS = 200, RANDOM_MAX = 300, HEAD_BYTES = 65536 };

static const uint8_t *current;
static size_t current_size;

static void on_crash(int signal_number)
{
    FILE *f = fopen("fuzz-crash.bin", "wb");
    if (f) {
        fwrite(current, 1, current_size, f);
        fclose(f);
    }
    fputs("fuzz: the input is in fuzz-crash.bin\n", stderr);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

/* The target gets a block of exactly `size` bytes, so that a sanitizer sees the first one too many. */
static void try_input(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        exit(1);
    if (size)
        memcpy(copy, data, size);
    current = copy;
    current_size = size;
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void mutate(pith_rng *rng, uint8_t *data, size_t size)
{
    static const uint8_t striking[] = {0, 1, 0x7f, 0x80, 0xff};
    for (int n = 1 + (int)(pith_rng_u64(rng) % 4); n > 0; n--) {
        /* Headers are where the structure is: half of all changes go to the first bytes. */
        size_t at = pith_rng_u64(rng) % (pith_rng_u64(rng) % 2 && size > 256 ? 256 : size);
        if (pith_rng_u64(rng) % 2)
            data[at] = striking[pith_rng_u64(rng) % sizeof striking];
        else
            data[at] ^= (uint8_t)(1u << pith_rng_u64(rng) % 8);
    }
}

static void replay_file(const char *path, pith_rng *rng)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr, "%s: cannot open\n", path);
        exit(1);
    }
    fseek(f, 0, SEEK_END);
    size_t size = (size_t)ftell(f);
    rewind(f);
    uint8_t *data = malloc(size + 1), *changed = malloc(size + 1);
    if (!data || !changed || fread(data, 1, size, f) != size)
        exit(1);
    fclose(f);
    try_input(data, size);
    size_t head = size < HEAD_BYTES ? size : HEAD_BYTES;
    for (size_t i = 0; i < CUTS; i++)
        try_input(data, head * i / CUTS);
    for (int i = 0; i < MUTATIONS && size; i++) {
        memcpy(changed, data, size);
        mutate(rng, changed, head);
        try_input(changed, i % 10 ? head : size);
    }
    free(data);
    free(changed);
}

int main(int argc, char **argv)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
        signal(fatal[i], on_crash);
    pith_rng rng;
    pith_rng_init(&rng, 1);
    for (int i = 1; i < argc; i++)
        replay_file(argv[i], &rng);
    for (int i = 0; i < RANDOM_INPUTS; i++) {
        uint8_t data[RANDOM_MAX];
        size_t size = pith_rng_u64(&rng) % RANDOM_MAX;
        for (size_t j = 0; j < size; j++)
            data[j] = (uint8_t)pith_rng_u64(&rng);
        try_input(data, size);
    }
    printf("%d files, no crash\n", argc - 1);
    return 0;
}
