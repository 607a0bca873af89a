/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What /proc/self says of the program's memory: statm, status, stat, smaps and limits agree with maps, which is its own. */
// flags: -pthread
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../check.h"

#define PAGE 4096L
#define MIB (1L << 20)
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static char text[1 << 17];

/* The file's content, without stdio, whose buffers would change what is measured. */
static const char *file(const char *name) {
    int fd = open(name, O_RDONLY);
    size_t size = 0;
    long count;
    CHECK(fd >= 0);
    while ((count = read(fd, text + size, sizeof text - 1 - size)) > 0) {
        size += (size_t)count;
    }
    CHECK(count == 0 && size > 0);
    text[size] = 0;
    close(fd);
    return text;
}

static long kilobytes(const char *name, const char *field) {
    const char *at = strstr(file(name), field);
    CHECK(at);
    return strtol(at + strlen(field), NULL, 10);
}

static long field_of_stat(int number) {
    const char *at = strrchr(file("/proc/self/stat"), ')');
    for (int i = 2; i < number; i++) {
        at = strchr(at + 1, ' ');
        CHECK(at);
    }
    return (long)strtoul(at, NULL, 10);
}

static long mapped(void) {
    long sum = 0;
    for (const char *line = file("/proc/self/maps"); *line; line = strchr(line, '\n') + 1) {
        unsigned long start, end;
        CHECK(sscanf(line, "%lx-%lx", &start, &end) == 2);
        if (!strstr(line, "[vsyscall]") || strchr(line, '\n') < strstr(line, "[vsyscall]")) {
            sum += (long)(end - start);
        }
    }
    return sum;
}

static void sizes(void) {
    long size, resident, shared, code, unused, data;
    CHECK(sscanf(file("/proc/self/statm"), "%ld %ld %ld %ld %ld %ld", &size, &resident, &shared,
                 &code, &unused, &data) == 6);
    CHECK(0 < resident && resident <= size && shared <= resident && code > 0 && data > 0);
    CHECK(size * PAGE <= mapped() &&
          mapped() - size * PAGE < 16 * MIB); /* the stack's lower part */
    CHECK(kilobytes("/proc/self/status", "VmSize:") == size * PAGE / 1024);
    CHECK(kilobytes("/proc/self/status", "VmPeak:") >= size * PAGE / 1024);
    CHECK(kilobytes("/proc/self/status", "VmRSS:") <= size * PAGE / 1024);
    CHECK(kilobytes("/proc/self/status", "VmStk:") <= 1024);
    CHECK(field_of_stat(23) == size * PAGE && field_of_stat(24) <= size);
}

static void they_follow(void) {
    long size = kilobytes("/proc/self/status", "VmSize:");
    long data = kilobytes("/proc/self/status", "VmData:");
    long resident = kilobytes("/proc/self/status", "VmRSS:");
    char *p = mmap(NULL, 64 * MIB, RW, ANON, -1, 0);
    CHECK(p != MAP_FAILED);
    CHECK(kilobytes("/proc/self/status", "VmSize:") == size + 64 * 1024);
    CHECK(kilobytes("/proc/self/status", "VmData:") == data + 64 * 1024);
    memset(p, 1, 32 * MIB);
    CHECK(kilobytes("/proc/self/status", "VmRSS:") >= resident + 30 * 1024);
    CHECK(mprotect(p, 64 * MIB, PROT_READ) == 0);
    CHECK(kilobytes("/proc/self/status", "VmData:") == data);
    CHECK(munmap(p, 64 * MIB) == 0);
    CHECK(kilobytes("/proc/self/status", "VmSize:") == size);
    CHECK(kilobytes("/proc/self/status", "VmPeak:") >= size + 64 * 1024);
}

static int some_data = 1;

static void addresses(void) {
    volatile char local = 0;
    unsigned long here = (uintptr_t)&local;
    CHECK((unsigned long)field_of_stat(28) >= here);
    CHECK((unsigned long)field_of_stat(28) - here < 65536);
    CHECK((unsigned long)field_of_stat(26) <= (uintptr_t)addresses);
    CHECK((uintptr_t)addresses < (unsigned long)field_of_stat(27));
    CHECK((unsigned long)field_of_stat(45) <= (uintptr_t)&some_data);
    CHECK((uintptr_t)&some_data < (unsigned long)field_of_stat(46));
    CHECK(field_of_stat(47) <= (long)(uintptr_t)sbrk(0));
    CHECK(field_of_stat(48) < field_of_stat(49) && field_of_stat(49) <= field_of_stat(50));
    CHECK(!strcmp((char *)field_of_stat(48), program_invocation_name));
}

/* Looks for a mapping in smaps: its Size and Rss. */
static bool details(const void *address, long *size, long *resident) {
    const char *at = file("/proc/self/smaps");
    char wanted[32];
    snprintf(wanted, sizeof wanted, "%08lx-", (unsigned long)(uintptr_t)address);
    at = strstr(at, wanted);
    return at && (at = strstr(at, "\nSize:")) && sscanf(at, " Size: %ld", size) == 1 &&
           (at = strstr(at, "\nRss:")) && sscanf(at, " Rss: %ld", resident) == 1;
}

static void smaps(void) {
    long size, resident, lines = 0, headers = 0;
    char *room = mmap(NULL, 4 * MIB, PROT_NONE, ANON, -1, 0), *p = room + MIB;
    CHECK(mmap(p, MIB, RW, ANON | MAP_FIXED | MAP_NORESERVE, -1, 0) == p);
    CHECK(madvise(p, MIB, MADV_NOHUGEPAGE) == 0);
    p[0] = p[PAGE] = p[10 * PAGE] = 1;
    CHECK(details(p, &size, &resident) && size == 1024 && resident == 12);
    CHECK(mprotect(p + MIB / 2, MIB / 2, RW | PROT_EXEC) == 0);
    CHECK(details(p, &size, &resident) && size == 512 && resident == 12);
    CHECK(details(p + MIB / 2, &size, &resident) && size == 512 && resident == 0);
    CHECK(munmap(room, 4 * MIB) == 0);
    for (const char *line = file("/proc/self/maps"); *line; line = strchr(line, '\n') + 1) {
        lines++;
    }
    for (const char *line = file("/proc/self/smaps"); *line; line = strchr(line, '\n') + 1) {
        headers += !strncmp(line, "VmFlags:", 8);
    }
    CHECK(lines == headers);
    CHECK(kilobytes("/proc/self/smaps_rollup", "Rss:") > 0);
    CHECK(kilobytes("/proc/self/smaps_rollup", "Rss:") <= mapped() / 1024);
}

static void limits(void) {
    struct rlimit limit = {512UL << 20, 1024UL << 20};
    char line[100];
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    snprintf(line, sizeof line, "%-25s %-20lu %-20lu bytes", "Max address space", 512UL << 20,
             1024UL << 20);
    CHECK(strstr(file("/proc/self/limits"), line));
}

/* glibc looks for the first stack in maps. */
static void stack_of_the_first_thread(void) {
    pthread_attr_t attributes;
    void *low;
    size_t size;
    struct rlimit limit;
    char here;
    CHECK(pthread_getattr_np(pthread_self(), &attributes) == 0);
    CHECK(pthread_attr_getstack(&attributes, &low, &size) == 0);
    CHECK((char *)low < &here && &here < (char *)low + size);
    CHECK(getrlimit(RLIMIT_STACK, &limit) == 0 && size <= limit.rlim_cur);
    CHECK(limit.rlim_cur > 8UL << 20 || size > limit.rlim_cur - MIB);
    pthread_attr_destroy(&attributes);
}

int main(void) {
    RUN(sizes);
    RUN(they_follow);
    RUN(addresses);
    RUN(smaps);
    RUN(stack_of_the_first_thread);
    RUN(limits);
    return 0;
}
