/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mmap(2) and munmap(2): where mappings go, what is refused and with which errno. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

static long raw_mmap(unsigned long address, unsigned long size, int prot, int flags, int fd,
                     unsigned long offset) {
    return syscall(SYS_mmap, address, size, prot, flags, fd, offset);
}

static int file_with(const char *name, size_t size) {
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0);
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)(i / PAGE + 1);
        CHECK(write(fd, &byte, 1) == 1);
    }
    return fd;
}

static void anonymous_memory_is_zero(void) {
    unsigned char *p = mmap(NULL, 5 * PAGE + 1, RW, ANON, -1, 0);
    CHECK(p != MAP_FAILED && (uintptr_t)p % PAGE == 0);
    for (size_t i = 0; i < 6 * PAGE; i++) {
        CHECK(p[i] == 0);
        p[i] = (unsigned char)i;
    }
    CHECK(munmap(p, 5 * PAGE + 1) == 0);
    /* The sixth page went as well: it can be had again. */
    CHECK(mmap(p, 6 * PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == p);
    for (size_t i = 0; i < 6 * PAGE; i++) {
        CHECK(p[i] == 0);
    }
    CHECK(munmap(p, 6 * PAGE) == 0);
}

static void mappings_do_not_overlap(void) {
    enum { COUNT = 64 };
    unsigned char *p[COUNT];
    for (int i = 0; i < COUNT; i++) {
        size_t size = PAGE * (size_t)(i % 7 + 1);
        p[i] = mmap(NULL, size, RW, ANON, -1, 0);
        CHECK(p[i] != MAP_FAILED);
        memset(p[i], i + 1, size);
    }
    for (int i = 0; i < COUNT; i++) {
        size_t size = PAGE * (size_t)(i % 7 + 1);
        CHECK(p[i][0] == i + 1 && p[i][size - 1] == i + 1);
        CHECK(munmap(p[i], size) == 0);
    }
}

static void hints(void) {
    char *room = mmap(NULL, 64 * PAGE, PROT_NONE, ANON, -1, 0);
    CHECK(room != MAP_FAILED && munmap(room, 64 * PAGE) == 0);
    char *p = mmap(room + 8 * PAGE, PAGE, RW, ANON, -1, 0);
    CHECK(p == room + 8 * PAGE); /* free: taken as it is */
    char *q = mmap(room + 8 * PAGE, PAGE, RW, ANON, -1, 0);
    CHECK(q != MAP_FAILED && q != p); /* taken: elsewhere */
    char *r = mmap(room + 16 * PAGE + 123, PAGE, RW, ANON, -1, 0);
    CHECK(r == room + 16 * PAGE);                               /* a hint is rounded down */
    char *s = mmap(room + 7 * PAGE, 2 * PAGE, RW, ANON, -1, 0); /* does not fit */
    CHECK(s != MAP_FAILED && s != room + 7 * PAGE);
    char *t = mmap((void *)0xfffffffffffff000, PAGE, RW, ANON, -1, 0); /* no address at all */
    CHECK(t != MAP_FAILED);
    *t = 1;
    CHECK(munmap(p, PAGE) == 0 && munmap(q, PAGE) == 0 && munmap(r, PAGE) == 0);
    CHECK(munmap(s, 2 * PAGE) == 0 && munmap(t, PAGE) == 0);
}

static void fixed_replaces(void) {
    char *p = mmap(NULL, 8 * PAGE, RW, ANON, -1, 0);
    memset(p, 7, 8 * PAGE);
    CHECK(mmap(p + 2 * PAGE, 3 * PAGE, RW, ANON | MAP_FIXED, -1, 0) == p + 2 * PAGE);
    CHECK(p[2 * PAGE - 1] == 7 && p[2 * PAGE] == 0 && p[5 * PAGE - 1] == 0 && p[5 * PAGE] == 7);
    FAILS(EINVAL, mmap(p + 1, PAGE, RW, ANON | MAP_FIXED, -1, 0));
    CHECK(munmap(p, 8 * PAGE) == 0);
}

static void noreplace_does_not_replace(void) {
    char *p = mmap(NULL, 4 * PAGE, RW, ANON, -1, 0);
    p[0] = 9;
    CHECK(munmap(p + 2 * PAGE, PAGE) == 0);
    FAILS(EEXIST, mmap(p, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
    FAILS(EEXIST, mmap(p + 2 * PAGE, 2 * PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
    FAILS(EEXIST, mmap(p + PAGE, 2 * PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
    FAILS(EINVAL, mmap(p + 2 * PAGE + 1, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
    CHECK(mmap(p + 2 * PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == p + 2 * PAGE);
    CHECK(p[0] == 9);
    CHECK(munmap(p, 4 * PAGE) == 0);
}

static void sizes(void) {
    FAILS(EINVAL, mmap(NULL, 0, RW, ANON, -1, 0));
    FAILS(ENOMEM, mmap(NULL, -1UL, RW, ANON, -1, 0));
    FAILS(ENOMEM, mmap(NULL, -PAGE, RW, ANON, -1, 0));
    FAILS(ENOMEM, mmap(NULL, 1UL << 47, RW, ANON | MAP_NORESERVE, -1, 0));
    FAILS(ENOMEM, mmap(NULL, 1UL << 63, PROT_NONE, ANON | MAP_NORESERVE, -1, 0));
    FAILS(ENOMEM, mmap((void *)(1UL << 40), -1UL, RW, ANON | MAP_FIXED, -1, 0));
    FAILS(ENOMEM, mmap((void *)(1UL << 40), 1UL << 47, RW, ANON | MAP_FIXED, -1, 0));
    FAILS(ENOMEM, mmap((void *)0xfffffffffffff000, PAGE, RW, ANON | MAP_FIXED, -1, 0));
    FAILS(ENOMEM, mmap(WILD, PAGE, RW, ANON | MAP_FIXED, -1, 0));
    FAILS(ENOMEM, mmap(WILD, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
}

static void refusals(void) {
    int fd = file_with("file", PAGE);
    int reading = open("file", O_RDONLY), writing = open("file", O_WRONLY);
    int folder = open(".", O_RDONLY), path = open("file", O_PATH), pipes[2];
    CHECK(pipe(pipes) == 0);
    FAILS(EINVAL, raw_mmap(0, PAGE, RW, MAP_ANONYMOUS, -1, 0)); /* neither private nor shared */
    FAILS(EINVAL, raw_mmap(0, PAGE, RW, 0, fd, 0));
    FAILS(EINVAL, raw_mmap(0, PAGE, RW, 0xf, fd, 0));
    FAILS(EINVAL, raw_mmap(0, PAGE, RW, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0));
    FAILS(EINVAL, raw_mmap(0, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0));
    FAILS(EINVAL, raw_mmap(0, PAGE, RW, MAP_PRIVATE | MAP_GROWSDOWN, fd, 0));
    FAILS(EINVAL, raw_mmap(0, PAGE, RW, MAP_PRIVATE, fd, 1));
    FAILS(EINVAL, raw_mmap(0, PAGE, RW, ANON, -1, PAGE / 2));
    FAILS(EOPNOTSUPP, raw_mmap(0, PAGE, RW, MAP_SHARED_VALIDATE | 1 << 25, fd, 0));
    FAILS(EOPNOTSUPP, raw_mmap(0, PAGE, RW, MAP_SHARED_VALIDATE | MAP_FIXED_NOREPLACE, fd, 0));
    FAILS(EOVERFLOW, raw_mmap(0, 2 * PAGE, PROT_READ, MAP_SHARED, fd, -PAGE));
    FAILS(EBADF, raw_mmap(0, PAGE, PROT_READ, MAP_PRIVATE, -1, 0));
    FAILS(EBADF, raw_mmap(0, PAGE, PROT_READ, MAP_PRIVATE, 999, 0));
    FAILS(EBADF, raw_mmap(0, PAGE, PROT_READ, MAP_PRIVATE, path, 0));
    FAILS(EBADF, raw_mmap(0, 0, PROT_READ, MAP_PRIVATE, -1, 0));
    FAILS(EACCES, raw_mmap(0, PAGE, RW, MAP_SHARED, reading, 0));
    FAILS(EACCES, raw_mmap(0, PAGE, PROT_READ, MAP_SHARED, writing, 0));
    FAILS(EACCES, raw_mmap(0, PAGE, PROT_READ, MAP_PRIVATE, writing, 0));
    FAILS(EACCES, raw_mmap(0, PAGE, PROT_EXEC, MAP_PRIVATE, writing, 0));
    FAILS(ENODEV, raw_mmap(0, PAGE, PROT_READ, MAP_PRIVATE, folder, 0));
    FAILS(ENODEV, raw_mmap(0, PAGE, PROT_READ, MAP_PRIVATE, pipes[0], 0));
    CHECK(raw_mmap(0, PAGE, RW, MAP_PRIVATE, reading, 0) != -1);  /* a copy: reading is enough */
    CHECK(raw_mmap(0, PAGE, RW | 0x40000000, ANON, -1, 0) != -1); /* unknown PROT_ bits */
    CHECK(raw_mmap(0, PAGE, PROT_READ, MAP_PRIVATE | 1 << 25, fd, 0) != -1);
    close(fd), close(reading), close(writing), close(folder), close(path);
}

static void munmap_refusals(void) {
    char *p = mmap(NULL, 2 * PAGE, RW, ANON, -1, 0);
    FAILS(EINVAL, syscall(SYS_munmap, p + 1, PAGE));
    FAILS(EINVAL, syscall(SYS_munmap, p, 0));
    FAILS(EINVAL, syscall(SYS_munmap, p, -1UL));
    FAILS(EINVAL, syscall(SYS_munmap, p, -PAGE));
    FAILS(EINVAL, syscall(SYS_munmap, WILD, PAGE));
    FAILS(EINVAL, syscall(SYS_munmap, -PAGE, PAGE));
    *p = 1;
    CHECK(munmap(p, 1) == 0);                            /* a part of a page is the page */
    CHECK(munmap(p, PAGE) == 0 && munmap(p, PAGE) == 0); /* nothing there: no error */
    p[PAGE] = 1;
    CHECK(munmap(p, 2 * PAGE) == 0);
}

static void private_file(void) {
    int fd = file_with("private", 2 * PAGE + 100);
    unsigned char *p = mmap(NULL, 3 * PAGE, RW, MAP_PRIVATE, fd, 0);
    CHECK(p != MAP_FAILED);
    CHECK(p[0] == 1 && p[PAGE] == 2 && p[2 * PAGE + 99] == 3 && p[2 * PAGE + 100] == 0);
    p[0] = 200; /* the mapping's own */
    unsigned char byte;
    CHECK(pread(fd, &byte, 1, 0) == 1 && byte == 1);
    byte = 150;
    CHECK(pwrite(fd, &byte, 1, 0) == 1 && p[0] == 200);
    unsigned char *q = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, PAGE);
    CHECK(q[0] == 2);
    CHECK(close(fd) == 0 && q[1] == 2); /* the descriptor may go */
    CHECK(munmap(p, 3 * PAGE) == 0 && munmap(q, PAGE) == 0);
}

static void shared_file(void) {
    int fd = file_with("shared", 2 * PAGE);
    unsigned char *p = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0);
    unsigned char *q = mmap(NULL, PAGE, RW, MAP_SHARED_VALIDATE, fd, PAGE);
    CHECK(p != MAP_FAILED && q != MAP_FAILED);
    p[PAGE + 5] = 77;
    CHECK(q[5] == 77);
    unsigned char byte;
    CHECK(pread(fd, &byte, 1, PAGE + 5) == 1 && byte == 77);
    byte = 78;
    CHECK(pwrite(fd, &byte, 1, 6) == 1 && p[6] == 78);
    CHECK(munmap(p, 2 * PAGE) == 0 && q[5] == 77 && munmap(q, PAGE) == 0);
    close(fd);
}

static void write_only_can_be_read(void) {
    volatile char *p = mmap(NULL, PAGE, PROT_WRITE, ANON, -1, 0);
    p[3] = 5;
    CHECK(p[3] == 5);
    CHECK(munmap((void *)p, PAGE) == 0);
}

static void huge_pages_or_none(void) {
    void *p = mmap(NULL, 1 << 21, RW, ANON | MAP_HUGETLB, -1, 0);
    if (p == MAP_FAILED) {
        FAILS(ENOMEM, mmap(NULL, 1 << 21, RW, ANON | MAP_HUGETLB, -1, 0)); /* none are set aside */
        return;
    }
    CHECK((uintptr_t)p % (1 << 21) == 0);
    *(char *)p = 1;
    CHECK(munmap(p, 1 << 21) == 0);
}

static void no_code_from_noexec(void) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child) {
        if (mkdir("mount", 0700) || unshare(CLONE_NEWNS) ||
            mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
            mount("none", "mount", "tmpfs", MS_NOEXEC, NULL)) {
            _exit(SKIPPED);
        }
        int fd = file_with("mount/file", PAGE);
        FAILS(EPERM, mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0));
        CHECK(mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0) != MAP_FAILED);
        char *p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
        FAILS(EACCES, mprotect(p, PAGE, PROT_READ | PROT_EXEC));
        CHECK(mprotect(p, PAGE, RW) == 0);
        *p = 1;
        FAILS(EACCES, mprotect(p, PAGE, RW | PROT_EXEC));
        *p = 2;
        fd = file_with("file", PAGE);
        p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
        CHECK(mprotect(p, PAGE, PROT_READ | PROT_EXEC) == 0 && mprotect(p, PAGE, RW) == 0);
        *p = 1;
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    if (WEXITSTATUS(status) == SKIPPED) {
        printf("cannot mount here\n");
        return;
    }
    CHECK(WEXITSTATUS(status) == 0);
}

int main(void) {
    RUN(anonymous_memory_is_zero);
    RUN(mappings_do_not_overlap);
    RUN(hints);
    RUN(fixed_replaces);
    RUN(noreplace_does_not_replace);
    RUN(sizes);
    RUN(refusals);
    RUN(munmap_refusals);
    RUN(private_file);
    RUN(shared_file);
    RUN(write_only_can_be_read);
    RUN(huge_pages_or_none);
    RUN(no_code_from_noexec);
    return 0;
}
