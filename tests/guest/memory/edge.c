/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Buffers that begin in the last page below 2^46 and reach beyond it, where nothing is mapped. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

#define PAGE 4096UL
#define EDGE (1UL << 46)
#define RW (PROT_READ | PROT_WRITE)

static char *last;

static void kernel_copies_end_there(void) {
    int zero = open("/dev/zero", O_RDONLY), file = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(ftruncate(file, 1 << 20) == 0);
    memset(last, 1, PAGE);
    CHECK(pread(file, last, 1 << 20, 0) == (long)PAGE && last[0] == 0 && last[PAGE - 1] == 0);
    memset(last, 1, PAGE);
    CHECK(pwrite(file, last, 1 << 20, 0) == (long)PAGE);
    CHECK(read(zero, last + PAGE - 1, 2) == 1);
    FAILS(EFAULT, pipe((int *)(last + PAGE - 4)));
    FAILS(EFAULT, read(zero, last + PAGE, 1));
    FAILS(EFAULT, syscall(SYS_getcwd, last + PAGE - 1, 100));
    close(zero), close(file);
}

static void in_a_child_too(void) {
    int status;
    pid_t child = fork();
    if (!child) {
        kernel_copies_end_there();
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void not_listed(void) {
    FILE *file = fopen("/proc/self/maps", "r");
    char line[4400];
    bool found = false;
    CHECK(file);
    while (fgets(line, sizeof line, file)) {
        unsigned long start, end;
        CHECK(sscanf(line, "%lx-%lx", &start, &end) == 2 && start != EDGE);
        found = found || (start <= EDGE - PAGE && end == EDGE);
    }
    CHECK(found);
    fclose(file);
}

int main(void) {
    last = mmap((void *)(EDGE - PAGE), PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
                -1, 0);
    CHECK(last == (char *)(EDGE - PAGE));
    RUN(kernel_copies_end_there);
    RUN(in_a_child_too);
    RUN(not_listed);
    return 0;
}
