/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mappings that grow downwards do so under the kernel's accesses too: buffers of system calls, nested ones, structures. */
#define _GNU_SOURCE
#include <alloca.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "faults.h"

#define PAGE 4096L
#define MIB (1L << 20)
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static int zero, sink[2];

/* One page that grows downwards, with 4000 free pages below it: its end. */
static char *growing(int prot) {
    char *room = mmap(NULL, 8000 * PAGE, PROT_NONE, ANON, -1, 0);
    CHECK(room != MAP_FAILED && munmap(room, 8000 * PAGE) == 0);
    char *top = room + 4600 * PAGE;
    CHECK(mmap(top - PAGE, PAGE, prot, ANON | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0) ==
          top - PAGE);
    return top;
}

static void written_by_the_kernel(void) {
    char *top = growing(RW);
    CHECK(read(zero, top - 16 * PAGE, 15 * PAGE) == 15 * PAGE);
    for (long i = 16 * PAGE; i > 0; i -= 64) {
        CHECK(top[-i] == 0);
        top[-i] = (char)i;
    }
    struct stat *status = (struct stat *)(top - 20 * PAGE);
    CHECK(fstat(zero, status) == 0 && S_ISCHR(status->st_mode));
    struct timespec *now = (struct timespec *)(top - 30 * PAGE);
    CHECK(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, now) == 0 && now->tv_nsec < 1000000000);
    CHECK(munmap(top - 30 * PAGE, 30 * PAGE) == 0);
}

static void read_by_the_kernel(void) {
    char *top = growing(RW);
    CHECK(write(sink[1], top - 5 * PAGE, 4) == 4);
    char four[4] = "abc";
    CHECK(read(sink[0], four, 4) == 4 && !memcmp(four, "\0\0\0", 4));
    struct iovec parts[2] = {{top - 9 * PAGE, 2}, {top - 12 * PAGE, 2}};
    CHECK(writev(sink[1], parts, 2) == 4);
    CHECK(readv(sink[0], parts, 2) == 4);
    /* Paths and argument vectors too: an empty name is ENOENT, not EFAULT. */
    FAILS(ENOENT, open(top - 20 * PAGE, O_RDONLY));
    FAILS(ENOENT, execve(top - 25 * PAGE, (char **)(top - 27 * PAGE), NULL));
    CHECK(munmap(top - 27 * PAGE, 27 * PAGE) == 0);
}

static void not_too_far(void) {
    char *top = growing(RW), *below = top - 500 * PAGE;
    CHECK(mmap(below, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == below);
    FAILS(EFAULT, read(zero, below + 100 * PAGE, 1));
    FAULTS(SIGSEGV, SEGV_MAPERR, below + 100 * PAGE, below[100 * PAGE] = 1);
    CHECK(read(zero, below + 300 * PAGE, 1) == 1);
    CHECK(munmap(below, 500 * PAGE) == 0);
    FAILS(EFAULT, read(zero, top - 2 * PAGE, 1));
}

static void not_beyond_rights(void) {
    char *top = growing(PROT_READ);
    FAILS(EFAULT, read(zero, top - 3 * PAGE, 1));
    CHECK(write(sink[1], top - 5 * PAGE, 1) == 1 && read(sink[0], &(char){1}, 1) == 1);
    FAULTS(SIGSEGV, SEGV_ACCERR, top - 4 * PAGE, top[-4 * PAGE] = 1);
    CHECK(munmap(top - 8 * PAGE, 8 * PAGE) == 0);
}

/* What has grown belongs to the mapping: for munmap, mprotect, mremap, and for what is mapped next to it. */
static void grown_pages_are_known(void) {
    char *top = growing(RW);
    CHECK(read(zero, top - 50 * PAGE, 1) == 1);
    CHECK(mprotect(top - 50 * PAGE, 10 * PAGE, PROT_READ) == 0);
    FAULTS(SIGSEGV, SEGV_ACCERR, top - 45 * PAGE, top[-45 * PAGE] = 1);
    CHECK(read(zero, top - 60 * PAGE, 1) == -1); /* what grows now is read-only */
    CHECK(munmap(top - 50 * PAGE, 10 * PAGE) == 0);
    CHECK(munmap(top - 4000 * PAGE, 3960 * PAGE) == 0);

    CHECK(read(zero, top - 100 * PAGE, 1) == 1);
    FAILS(EEXIST, mmap(top - 90 * PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
    char *p = mmap(top - 90 * PAGE, PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0);
    CHECK(p == top - 90 * PAGE);
    FAULTS(SIGSEGV, SEGV_ACCERR, p, *p = 1);
    p[PAGE] = p[-1] = 1;
    CHECK(munmap(top - 100 * PAGE, 99 * PAGE) == 0);

    CHECK(read(zero, top - 30 * PAGE, 1) == 1);
    char *moved = mremap(top - 30 * PAGE, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
    CHECK(moved != MAP_FAILED && moved != top - 30 * PAGE);
    CHECK(munmap(moved, 8 * PAGE) == 0 && munmap(top - 30 * PAGE, 30 * PAGE) == 0);
    FAULTS(SIGSEGV, SEGV_MAPERR, top - 1, top[-1] = 1);
}

static void a_child_has_them(void) {
    char *top = growing(RW);
    int status;
    CHECK(read(zero, top - 30 * PAGE, 1) == 1);
    pid_t child = fork();
    if (!child) {
        top[-29 * PAGE] = 1;
        _exit(read(zero, top - 40 * PAGE, 20) == 20 && top[-40 * PAGE] == 0 ? 0 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(munmap(top - 30 * PAGE, 30 * PAGE) == 0);
}

__attribute__((noinline)) static void read_into(long size) {
    char *buffer = alloca((size_t)size);
    CHECK(read(zero, buffer, 100) == 100);
    CHECK(buffer[0] == 0 && buffer[99] == 0);
}

static void the_first_stack(void) {
    struct rlimit limit;
    read_into(MIB);
    CHECK(getrlimit(RLIMIT_STACK, &limit) == 0);
    if (limit.rlim_max < 64UL << 20) {
        printf("the hard limit of the stack is small here\n");
        return;
    }
    limit.rlim_cur = 64UL << 20;
    CHECK(setrlimit(RLIMIT_STACK, &limit) == 0);
    read_into(40 * MIB);
}

int main(void) {
    catch_faults();
    CHECK((zero = open("/dev/zero", O_RDONLY)) >= 0 && pipe(sink) == 0);
    RUN(written_by_the_kernel);
    RUN(read_by_the_kernel);
    RUN(not_too_far);
    RUN(not_beyond_rights);
    RUN(grown_pages_are_known);
    RUN(a_child_has_them);
    RUN(the_first_stack);
    return 0;
}
