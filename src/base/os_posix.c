/* SPDX-License-Identifier: MIT */
/* POSIX, with what Linux adds in /proc and /sys: each such file may be absent, its absence means "unknown". */
#include "base/os.h"
#include "base/mem.h"
#include "base/status.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

pith_status pith_os_map(const char *path, pith_mapping *out)
{
    *out = (pith_mapping){.fd = -1};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return pith_fail(errno == ENOENT ? PITH_ERROR_NOT_FOUND : PITH_ERROR_IO, "%s: cannot open: %s", path, strerror(errno));
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return pith_fail(PITH_ERROR_IO, "%s: not a regular file", path);
    }
    if (st.st_size > 0) {
        void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            pith_status status = pith_fail(PITH_ERROR_IO, "%s: cannot map: %s", path, strerror(errno));
            close(fd);
            return status;
        }
        out->data = data;
    }
    out->size = (size_t)st.st_size;
    out->fd = fd;
    return PITH_OK;
}

void pith_os_unmap(pith_mapping *mapping)
{
    if (mapping->data)
        munmap((void *)(uintptr_t)mapping->data, mapping->size);
    if (mapping->fd > 0)
        close(mapping->fd);
    *mapping = (pith_mapping){.fd = -1};
}

void pith_os_map_drop(const pith_mapping *mapping, size_t offset, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t begin = (offset + page - 1) / page * page;
    size_t end = (offset + size) / page * page;
    if (mapping->data && begin < end && end <= mapping->size + page)
        (void)madvise((void *)(uintptr_t)(mapping->data + begin), end - begin, MADV_DONTNEED);
}

pith_status pith_os_map_check(const pith_mapping *mapping, const char *path)
{
    struct stat st;
    if (fstat(mapping->fd, &st) != 0 || (size_t)st.st_size < mapping->size)
        return pith_fail(PITH_ERROR_IO, "%s: the file shrank while it was in use", path);
    return PITH_OK;
}

bool pith_os_folder_make(const char *path)
{
    return mkdir(path, 0755) == 0 || errno == EEXIST;
}

void *pith_os_pages_alloc(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
#ifdef MADV_HUGEPAGE
    (void)madvise(p, size, MADV_HUGEPAGE);
#endif
    return p;
}

void pith_os_pages_free(void *p, size_t size)
{
    munmap(p, size);
}

uint64_t pith_os_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* First line of a small file, without its newline; false when it cannot be read. */
static bool read_line(const char *path, char *line, size_t size)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    bool ok = fgets(line, (int)size, f) != NULL;
    fclose(f);
    if (ok)
        line[strcspn(line, "\n")] = '\0';
    return ok;
}

/* Numeric content of a small file; `fallback` for "max", for absence and for nonsense. */
static uint64_t read_number(const char *path, uint64_t fallback)
{
    char line[64];
    if (!read_line(path, line, sizeof line))
        return fallback;
    char *end;
    errno = 0;
    uint64_t value = strtoull(line, &end, 10);
    return end == line || errno ? fallback : value;
}

size_t pith_os_memory_available_bytes(void)
{
    uint64_t available = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    if (f) {
        char line[128];
        while (fgets(line, sizeof line, f)) {
            unsigned long long kib;
            if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
                available = kib * 1024;
        }
        fclose(f);
    }
    /* A container sees the host's memory in /proc/meminfo; its own limit is in its control group. */
    uint64_t limit = read_number("/sys/fs/cgroup/memory.max", UINT64_MAX);
    uint64_t used = read_number("/sys/fs/cgroup/memory.current", 0);
    if (limit == UINT64_MAX) {
        limit = read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes", UINT64_MAX);
        used = read_number("/sys/fs/cgroup/memory/memory.usage_in_bytes", 0);
    }
    if (limit != UINT64_MAX) {
        uint64_t rest = limit > used ? limit - used : 0;
        if (!available || rest < available)
            available = rest;
    }
    struct rlimit as;
    if (getrlimit(RLIMIT_AS, &as) == 0 && as.rlim_cur != RLIM_INFINITY && (!available || as.rlim_cur < available))
        available = as.rlim_cur;
    return (size_t)available;
}

size_t pith_os_memory_resident_bytes(void)
{
    char line[128];
    unsigned long long size, resident;
    if (!read_line("/proc/self/statm", line, sizeof line) || sscanf(line, "%llu %llu", &size, &resident) != 2)
        return 0;
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}

size_t pith_os_memory_peak_bytes(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (size_t)usage.ru_maxrss * 1024 : 0;
}

/* CPUs granted per period by the control group, rounded up; INT32_MAX when unlimited. */
static int quota_cpus(void)
{
    char line[64];
    long long quota = -1, period = 0;
    if (read_line("/sys/fs/cgroup/cpu.max", line, sizeof line)) {
        if (sscanf(line, "%lld %lld", &quota, &period) != 2)
            return INT32_MAX;
    } else {
        quota = (long long)read_number("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", (uint64_t)INT64_MAX);
        period = (long long)read_number("/sys/fs/cgroup/cpu/cpu.cfs_period_us", 0);
        if (quota == INT64_MAX)
            return INT32_MAX;
    }
    return quota > 0 && period > 0 ? (int)pith_min_i64((quota + period - 1) / period, INT32_MAX) : INT32_MAX;
}

int pith_os_cpu_count(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    int logical = 0, physical = 0;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
            if (!CPU_ISSET(cpu, &set))
                continue;
            logical++;
            /* A core counts once: at the first of its hardware threads that we may use. */
            char path[96], line[64];
            snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
            int first = cpu;
            if (read_line(path, line, sizeof line) && sscanf(line, "%d", &first) == 1 && first != cpu && first >= 0 &&
                first < CPU_SETSIZE && CPU_ISSET(first, &set))
                continue;
            physical++;
        }
    } else {
        logical = physical = (int)sysconf(_SC_NPROCESSORS_ONLN);
    }
    int count = physical ? physical : logical;
    int quota = quota_cpus();
    if (quota < count)
        count = quota;
    return count > 0 ? count : 1;
}
