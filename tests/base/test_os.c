/* SPDX-License-Identifier: MIT */
/* Mapped files and what the system says of itself. */
#include "base/os.h"
#include "base/status.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A new file of n bytes, byte i being i mod 251, in the current folder; path: [32]. */
static void make_file(char *path, size_t n)
{
    strcpy(path, "test_os.XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "wb");
    assert_non_null(f);
    for (size_t i = 0; i < n; i++)
        fputc((int)(i % 251), f);
    assert_int_equal(fclose(f), 0);
}

static void maps_a_file(void **state)
{
    (void)state;
    char path[32];
    size_t n = 3 * 4096 + 17;
    make_file(path, n);
    pith_mapping m;
    assert_int_equal(pith_os_map(path, &m), PITH_OK);
    assert_int_equal(m.size, n);
    pith_os_map_drop(&m, 0, n); /* dropped pages come back from the file */
    for (size_t i = 0; i < n; i++)
        assert_int_equal(m.data[i], i % 251);
    assert_int_equal(pith_os_map_check(&m, path), PITH_OK);
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(pith_os_map_check(&m, path), PITH_ERROR_IO);
    assert_non_null(strstr(pith_last_error(), path));
    pith_os_unmap(&m);
    assert_null(m.data);
    unlink(path);
}

static void maps_an_empty_file(void **state)
{
    (void)state;
    char path[32];
    make_file(path, 0);
    pith_mapping m;
    assert_int_equal(pith_os_map(path, &m), PITH_OK);
    assert_true(m.size == 0 && m.data == NULL);
    pith_os_map_drop(&m, 0, 0);
    pith_os_unmap(&m);
    unlink(path);
}

static void refuses_what_is_no_file(void **state)
{
    (void)state;
    pith_mapping m;
    assert_int_equal(pith_os_map("no such file", &m), PITH_ERROR_NOT_FOUND);
    assert_non_null(strstr(pith_last_error(), "no such file"));
    assert_null(m.data);
    assert_int_equal(pith_os_map(".", &m), PITH_ERROR_IO);
    assert_int_equal(pith_os_map("/dev/null", &m), PITH_ERROR_IO);
}

static void clock_and_memory(void **state)
{
    (void)state;
    uint64_t a = pith_os_now_ns(), b = pith_os_now_ns();
    assert_true(b >= a);
    assert_true(pith_os_memory_peak_bytes() > 100000);
    size_t available = pith_os_memory_available_bytes();
    assert_true(available == 0 || available > 1000000);
    size_t size = (size_t)3 << 20;
    unsigned char *p = pith_os_pages_alloc(size);
    assert_non_null(p);
    assert_true(p[0] == 0 && p[size - 1] == 0);
    pith_os_pages_free(p, size);
    assert_null(pith_os_pages_alloc(SIZE_MAX / 2));
}

/* Bound to one processor the count is one; bound to all it is at least one and at most the processors. */
static void cpu_count_follows_affinity(void **state)
{
    (void)state;
    cpu_set_t all, one;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    int count = pith_os_cpu_count();
    assert_true(count >= 1 && count <= CPU_COUNT(&all));
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &all))
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
        assert_int_equal(pith_os_cpu_count(), 1);
    }
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    assert_int_equal(pith_os_cpu_count(), count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_a_file),
        cmocka_unit_test(maps_an_empty_file),
        cmocka_unit_test(refuses_what_is_no_file),
        cmocka_unit_test(clock_and_memory),
        cmocka_unit_test(cpu_count_follows_affinity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
