/* SPDX-License-Identifier: GPL-2.0-or-later */
/* madvise(2) and process_madvise(2): what each advice does to the content, here and in a child. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"

#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

typedef volatile unsigned char byte;

static byte *filled(unsigned long pages) {
    byte *p = mmap(NULL, pages * PAGE, RW, ANON, -1, 0);
    CHECK(p != MAP_FAILED);
    memset((void *)p, 1, pages * PAGE);
    return p;
}

static void finish(pid_t child) {
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void dontneed_zeroes(void) {
    byte *p = filled(4);
    CHECK(madvise((void *)(p + PAGE), 2 * PAGE, MADV_DONTNEED) == 0);
    CHECK(p[0] == 1 && p[PAGE] == 0 && p[3 * PAGE - 1] == 0 && p[3 * PAGE] == 1);
    p[PAGE] = 2;
    CHECK(p[PAGE] == 2);
    CHECK(munmap((void *)p, 4 * PAGE) == 0);
}

static void dontneed_rereads_a_private_file(void) {
    int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(write(fd, "abc", 3) == 3);
    byte *p = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
    p[0] = 'x';
    CHECK(madvise((void *)p, PAGE, MADV_DONTNEED) == 0 && p[0] == 'a');
    CHECK(munmap((void *)p, PAGE) == 0);
    close(fd);
}

static void over_a_hole(void) {
    byte *p = filled(3);
    CHECK(munmap((void *)(p + PAGE), PAGE) == 0);
    FAILS(ENOMEM, madvise((void *)p, 3 * PAGE, MADV_DONTNEED)); /* done all the same */
    CHECK(p[0] == 0 && p[2 * PAGE] == 0);
    CHECK(munmap((void *)p, 3 * PAGE) == 0);
}

static void free_keeps_or_zeroes(void) {
    byte *p = filled(4);
    CHECK(madvise((void *)p, 4 * PAGE, MADV_FREE) == 0);
    CHECK(p[0] == 0 || p[0] == 1);
    p[0] = 7;
    CHECK(p[0] == 7);
    CHECK(munmap((void *)p, 4 * PAGE) == 0);
}

static void remove_punches(void) {
    int fd = memfd_create("memory", 0);
    CHECK(fd >= 0 && ftruncate(fd, 3 * PAGE) == 0);
    byte *p = mmap(NULL, 3 * PAGE, RW, MAP_SHARED, fd, 0);
    memset((void *)p, 1, 3 * PAGE);
    CHECK(madvise((void *)(p + PAGE), PAGE, MADV_REMOVE) == 0);
    unsigned char at[2];
    CHECK(p[PAGE] == 0 && p[0] == 1 && p[2 * PAGE] == 1);
    CHECK(pread(fd, at, 2, PAGE - 1) == 2 && at[0] == 1 && at[1] == 0);
    CHECK(munmap((void *)p, 3 * PAGE) == 0);
    close(fd);
}

static void wiped_in_the_child(void) {
    byte *p = filled(3);
    CHECK(madvise((void *)(p + PAGE), PAGE, MADV_WIPEONFORK) == 0);
    pid_t child = fork();
    if (!child) {
        CHECK(p[0] == 1 && p[PAGE] == 0 && p[2 * PAGE] == 1);
        p[PAGE] = 5;
        _exit(0);
    }
    finish(child);
    CHECK(p[PAGE] == 1);
    CHECK(madvise((void *)(p + PAGE), PAGE, MADV_KEEPONFORK) == 0);
    child = fork();
    if (!child) {
        CHECK(p[PAGE] == 1);
        _exit(0);
    }
    finish(child);
    CHECK(munmap((void *)p, 3 * PAGE) == 0);
}

static void absent_in_the_child(void) {
    byte *p = filled(3);
    CHECK(madvise((void *)(p + PAGE), PAGE, MADV_DONTFORK) == 0);
    pid_t child = fork();
    if (!child) {
        CHECK(p[0] == 1 && p[2 * PAGE] == 1);
        FAULTS(SIGSEGV, SEGV_MAPERR, p + PAGE, (void)p[PAGE]);
        FAILS(ENOMEM, mprotect((void *)(p + PAGE), PAGE, RW));
        FAILS(EFAULT, syscall(SYS_write, 1, p + PAGE, 1));
        CHECK(mmap((void *)(p + PAGE), PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == p + PAGE);
        p[PAGE] = 9;
        _exit(0);
    }
    finish(child);
    CHECK(p[PAGE] == 1);
    CHECK(madvise((void *)p, 3 * PAGE, MADV_DOFORK) == 0);
    child = fork();
    if (!child) {
        CHECK(p[0] == 1 && p[PAGE] == 1);
        _exit(0);
    }
    finish(child);
    CHECK(munmap((void *)p, 3 * PAGE) == 0);
}

static bool resident(byte *p) {
    unsigned char here;
    CHECK(mincore((void *)p, PAGE, &here) == 0);
    return here & 1;
}

static void populate(void) {
    byte *p = mmap(NULL, 2 * PAGE, RW, ANON, -1, 0);
    CHECK(!resident(p));
    CHECK(madvise((void *)p, PAGE, MADV_POPULATE_WRITE) == 0);
    CHECK(resident(p) && !resident(p + PAGE) && p[0] == 0);
    CHECK(madvise((void *)p, 2 * PAGE, MADV_POPULATE_READ) == 0);
    CHECK(mprotect((void *)p, 2 * PAGE, PROT_READ) == 0);
    FAILS(EINVAL, madvise((void *)p, PAGE, MADV_POPULATE_WRITE));
    CHECK(munmap((void *)(p + PAGE), PAGE) == 0);
    FAILS(ENOMEM, madvise((void *)p, 2 * PAGE, MADV_POPULATE_READ));
    CHECK(munmap((void *)p, PAGE) == 0);
    p = mmap(NULL, PAGE, RW, ANON | MAP_POPULATE, -1, 0);
    CHECK(resident(p) && munmap((void *)p, PAGE) == 0);
}

static void hints_change_nothing(void) {
    static const int hints[] = {MADV_NORMAL,   MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED,
                                MADV_DONTDUMP, MADV_DODUMP, MADV_COLD,       MADV_PAGEOUT};
    byte *p = filled(4);
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++) {
        CHECK(madvise((void *)p, 4 * PAGE, hints[i]) == 0);
        CHECK(p[0] == 1 && p[4 * PAGE - 1] == 1);
    }
    CHECK(munmap((void *)p, 4 * PAGE) == 0);
}

static void guard_pages(void) {
    byte *p = filled(3);
    if (madvise((void *)(p + PAGE), PAGE, MADV_GUARD_INSTALL)) {
        printf("no MADV_GUARD_INSTALL here\n");
        return;
    }
    FAULTS(SIGSEGV, SEGV_MAPERR, p + PAGE, p[PAGE] = 1);
    FAILS(EFAULT, syscall(SYS_write, 1, p + PAGE, 1));
    CHECK(p[0] == 1 && p[2 * PAGE] == 1);
    CHECK(madvise((void *)(p + PAGE), PAGE, MADV_GUARD_REMOVE) == 0);
    CHECK(p[PAGE] == 0);
    CHECK(munmap((void *)p, 3 * PAGE) == 0);
}

static void refusals(void) {
    byte *p = filled(1);
    FAILS(EINVAL, madvise((void *)(p + 1), PAGE, MADV_DONTNEED));
    FAILS(EINVAL, madvise((void *)p, PAGE, 9999));
    FAILS(EINVAL, madvise((void *)p, -1UL, MADV_DONTNEED));
    FAILS(EINVAL, madvise((void *)p, -PAGE, MADV_DONTNEED));
    FAILS(EINVAL, madvise((void *)p, PAGE, MADV_REMOVE)); /* not shared */
    CHECK(madvise((void *)p, 0, MADV_DONTNEED) == 0 && p[0] == 1);
    CHECK(munmap((void *)p, PAGE) == 0);
    FAILS(ENOMEM, madvise((void *)p, PAGE, MADV_NORMAL));
    FAILS(ENOMEM, madvise((void *)p, PAGE, MADV_DONTFORK));
#ifdef __aarch64__
    FAILS(ENOMEM, madvise((void *)(1UL << 46), PAGE, MADV_DONTNEED));
    FAILS(ENOMEM, madvise((void *)((1UL << 46) - PAGE), 1UL << 45, MADV_DONTNEED));
#endif
}

static void process_madvise_on_self(void) {
    byte *p = filled(2);
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    CHECK(self >= 0);
    struct iovec parts[] = {{(void *)p, PAGE}, {(void *)(p + PAGE), PAGE}};
    CHECK(syscall(SYS_process_madvise, self, parts, 2, MADV_COLD, 0) == 2 * PAGE);
    CHECK(p[0] == 1 && p[PAGE] == 1);
    FAILS(EINVAL, syscall(SYS_process_madvise, self, parts, 2, MADV_COLD, 1));
    FAILS(EINVAL, syscall(SYS_process_madvise, self, parts, 1025, MADV_COLD, 0));
    FAILS(EINVAL, syscall(SYS_process_madvise, self, parts, 1, 9999, 0));
    FAILS(EBADF, syscall(SYS_process_madvise, -1, parts, 1, MADV_COLD, 0));
    FAILS(EFAULT, syscall(SYS_process_madvise, self, WILD, 1, MADV_COLD, 0));
    parts[0].iov_base = WILD;
    FAILS(EFAULT, syscall(SYS_process_madvise, self, parts, 1, MADV_COLD, 0));
    CHECK(munmap((void *)p, 2 * PAGE) == 0);
}

int main(void) {
    catch_faults();
    RUN(dontneed_zeroes);
    RUN(dontneed_rereads_a_private_file);
    RUN(over_a_hole);
    RUN(free_keeps_or_zeroes);
    RUN(remove_punches);
    RUN(wiped_in_the_child);
    RUN(absent_in_the_child);
    RUN(populate);
    RUN(hints_change_nothing);
    RUN(guard_pages);
    RUN(refusals);
    RUN(process_madvise_on_self);
    return 0;
}
