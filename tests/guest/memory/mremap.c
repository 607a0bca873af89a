/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mremap(2): growing in place, moving, shrinking, DONTUNMAP, duplicates; contents are kept. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "faults.h"

#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

/* Free room of that many pages. */
static unsigned char *room(unsigned long pages) {
    unsigned char *p = mmap(NULL, pages * PAGE, PROT_NONE, ANON, -1, 0);
    CHECK(p != MAP_FAILED && munmap(p, pages * PAGE) == 0);
    return p;
}

static unsigned char *pages_at(unsigned char *at, unsigned long pages) {
    CHECK(mmap(at, pages * PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == at);
    for (unsigned long i = 0; i < pages; i++) {
        at[i * PAGE] = (unsigned char)(i + 1);
    }
    return at;
}

static void holds(const unsigned char *p, unsigned long pages, unsigned long all) {
    for (unsigned long i = 0; i < all; i++) {
        CHECK(p[i * PAGE] == (i < pages ? i + 1 : 0));
    }
}

static void in_place(void) {
    unsigned char *p = pages_at(room(16), 4);
    CHECK(mremap(p, 4 * PAGE, 9 * PAGE, 0) == p);
    holds(p, 4, 9);
    CHECK(mremap(p, 9 * PAGE, 2 * PAGE, 0) == p);
    holds(p, 2, 2);
    FAULTS(SIGSEGV, SEGV_MAPERR, p + 2 * PAGE, p[2 * PAGE] = 1);
    CHECK(mremap(p, 2 * PAGE, 2 * PAGE - 5, 0) == p);
    CHECK(mremap(p, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE) == p);
    p[4 * PAGE - 1] = 1;
    holds(p, 2, 4);
    CHECK(munmap(p, 4 * PAGE) == 0);
}

static void move(void) {
    unsigned char *p = pages_at(room(16), 4);
    unsigned char *wall = pages_at(p + 4 * PAGE, 1);
    CHECK(mprotect(wall, PAGE, PROT_READ) == 0);
    FAILS(ENOMEM, mremap(p, 4 * PAGE, 5 * PAGE, 0));
    unsigned char *q = mremap(p, 4 * PAGE, 6 * PAGE, MREMAP_MAYMOVE);
    CHECK(q != MAP_FAILED && q != p);
    holds(q, 4, 6);
    q[6 * PAGE - 1] = 1;
    FAULTS(SIGSEGV, SEGV_MAPERR, p, p[0] = 1);
    CHECK(wall[0] == 1);
    /* A part of a mapping. */
    unsigned char *r = mremap(q + PAGE, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE);
    CHECK(r != MAP_FAILED && r[0] == 2 && r[PAGE] == 3 && r[2 * PAGE] == 0);
    FAULTS(SIGSEGV, SEGV_MAPERR, q + PAGE, q[PAGE] = 1);
    CHECK(q[0] == 1 && q[3 * PAGE] == 4);
    CHECK(munmap(q, 6 * PAGE) == 0 && munmap(r, 3 * PAGE) == 0 && munmap(wall, PAGE) == 0);
}

static void fixed(void) {
    unsigned char *free = room(32);
    unsigned char *p = pages_at(free, 4), *target = free + 16 * PAGE;
    pages_at(target, 2);
    CHECK(mremap(p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target);
    holds(target, 4, 4);
    FAULTS(SIGSEGV, SEGV_MAPERR, p, p[0] = 1);
    CHECK(mremap(target, 4 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p) == p); /* smaller */
    holds(p, 2, 2);
    FAULTS(SIGSEGV, SEGV_MAPERR, p + 2 * PAGE, p[2 * PAGE] = 1);
    FAULTS(SIGSEGV, SEGV_MAPERR, target + 2 * PAGE, target[2 * PAGE] = 1);
    CHECK(munmap(p, 2 * PAGE) == 0);
}

static void dontunmap(void) {
    int how = MREMAP_MAYMOVE | MREMAP_DONTUNMAP;
    unsigned char *p = pages_at(room(8), 3);
    unsigned char *q = mremap(p, 3 * PAGE, 3 * PAGE, how, NULL);
    CHECK(q != MAP_FAILED && q != p);
    holds(q, 3, 3);
    holds(p, 0, 3); /* still there, empty */
    p[5] = 9;
    CHECK(q[5] == 0);
    FAILS(EINVAL, mremap(p, 3 * PAGE, 4 * PAGE, how, NULL));
    FAILS(EINVAL, mremap(p, 3 * PAGE, 3 * PAGE, MREMAP_DONTUNMAP, NULL));
    unsigned char *target = room(8);
    CHECK(mremap(q, 3 * PAGE, 3 * PAGE, how | MREMAP_FIXED, target) == target);
    holds(target, 3, 3);
    holds(q, 0, 3);
    CHECK(munmap(p, 3 * PAGE) == 0 && munmap(q, 3 * PAGE) == 0 && munmap(target, 3 * PAGE) == 0);
}

static void shared_file(void) {
    int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(ftruncate(fd, 8 * PAGE) == 0);
    unsigned char *p = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0);
    p[0] = 1, p[PAGE] = 2;
    unsigned char *q = mremap(p, 2 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
    CHECK(q != MAP_FAILED && q[0] == 1 && q[PAGE] == 2);
    q[7 * PAGE] = 8;
    unsigned char byte;
    CHECK(pread(fd, &byte, 1, 7 * PAGE) == 1 && byte == 8);
    /* An old size of 0 makes another mapping of shared pages. */
    unsigned char *r = mremap(q + 7 * PAGE, 0, PAGE, MREMAP_MAYMOVE);
    CHECK(r != MAP_FAILED && r != q + 7 * PAGE && r[0] == 8);
    r[1] = 44;
    CHECK(q[7 * PAGE + 1] == 44);
    CHECK(munmap(q, 8 * PAGE) == 0 && munmap(r, PAGE) == 0);
    close(fd);
}

static void rights_move_along(void) {
    unsigned char *p = pages_at(room(4), 2);
    CHECK(mprotect(p, 2 * PAGE, PROT_READ) == 0);
    unsigned char *target = room(4);
    CHECK(mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target);
    holds(target, 2, 2);
    FAULTS(SIGSEGV, SEGV_ACCERR, target, target[0] = 1);
    CHECK(munmap(target, 2 * PAGE) == 0);
}

static void code_moves(void) {
#ifdef __aarch64__
    static const uint32_t code[] = {0x52800540, 0xd65f03c0}; /* mov w0, #42; ret */
#else
    static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};
#endif
    unsigned char *p = mmap(NULL, PAGE, RW | PROT_EXEC, ANON, -1, 0), *target = room(4);
    memcpy(p, code, sizeof code);
    __builtin___clear_cache((char *)p, (char *)p + sizeof code);
    CHECK(((int (*)(void))(uintptr_t)p)() == 42);
    CHECK(mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target);
    CHECK(((int (*)(void))(uintptr_t)target)() == 42);
    FAULTS(SIGSEGV, SEGV_MAPERR, p, ((int (*)(void))(uintptr_t)p)());
    CHECK(munmap(target, PAGE) == 0);
}

static void refusals(void) {
    unsigned char *free = room(16);
    unsigned char *p = pages_at(free, 4), *target = free + 8 * PAGE;
    int to = MREMAP_MAYMOVE | MREMAP_FIXED;
    FAILS(EINVAL, mremap(p + 1, PAGE, PAGE, 0));
    FAILS(EINVAL, mremap(p, PAGE, 0, 0));
    FAILS(EINVAL, mremap(p, PAGE, PAGE, 8));
    FAILS(EINVAL, mremap(p, PAGE, PAGE, MREMAP_FIXED, target));
    FAILS(EINVAL, mremap(p, PAGE, PAGE, to, target + 1));
    FAILS(EINVAL, mremap(p, 4 * PAGE, 4 * PAGE, to, p + PAGE));
    FAILS(EINVAL, mremap(p, 4 * PAGE, 4 * PAGE, to, p));
    FAILS(EINVAL, mremap(p, PAGE, PAGE, to, WILD));
    FAILS(EINVAL, mremap(p, 0, PAGE, MREMAP_MAYMOVE)); /* private */
    FAILS(EFAULT, mremap(target, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
    FAILS(EFAULT, mremap(p, 6 * PAGE, 7 * PAGE, MREMAP_MAYMOVE)); /* the old range has a hole */
    CHECK(mprotect(p + PAGE, PAGE, PROT_READ) == 0);
    FAILS(EFAULT, mremap(p, 4 * PAGE, 5 * PAGE, MREMAP_MAYMOVE)); /* two mappings */
    errno = 0;                                                    /* ENOMEM before Linux 6.17 */
    CHECK(syscall(SYS_mremap, p, PAGE, -PAGE, MREMAP_MAYMOVE, 0) == -1);
    FAILS(EFAULT, syscall(SYS_mremap, 1UL << 20, PAGE, 2 * PAGE, 0, 0));
    holds(p, 4, 4);
    CHECK(munmap(p, 4 * PAGE) == 0);
}

/* Linux moves several mappings at once since 6.17. */
static void several(void) {
    char *p = mmap(NULL, 16 * PAGE, RW, ANON, -1, 0);
    char *q = mmap(NULL, 16 * PAGE, PROT_READ, ANON, -1, 0);
    CHECK(p != MAP_FAILED && q != MAP_FAILED);
    for (int i = 0; i < 8; i++) {
        p[i * (long)PAGE] = (char)i;
    }
    CHECK(mprotect(p + 2 * PAGE, PAGE, PROT_READ) == 0 && munmap(p + 4 * PAGE, PAGE) == 0);
    CHECK(mmap(p + 6 * PAGE, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
          MAP_FAILED);
    p[6 * PAGE] = 6;
    errno = 0;
    char *moved = mremap(p, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q);
    if (moved != MAP_FAILED) {
        CHECK(moved == q);
        for (int i = 0; i < 8; i++) {
            CHECK(i == 4 || q[i * (long)PAGE] == i);
        }
        FAULTS(SIGSEGV, SEGV_ACCERR, q + 2 * PAGE, q[2 * PAGE] = 1);
        FAULTS(SIGSEGV, SEGV_ACCERR, q + 4 * PAGE, q[4 * PAGE] = 1); /* as it was */
        FAULTS(SIGSEGV, SEGV_MAPERR, p, *p = 1);
        FAULTS(SIGSEGV, SEGV_MAPERR, p + 7 * PAGE, p[7 * PAGE] = 1);
        q[0] = q[6 * PAGE] = q[7 * PAGE] = 1;
        FAULTS(SIGSEGV, SEGV_ACCERR, q + 8 * PAGE, q[8 * PAGE] = 1);
    }
    printf("several mappings %s be moved at once\n", moved == MAP_FAILED ? "cannot" : "can");
    CHECK(munmap(p, 16 * PAGE) == 0 && munmap(q, 16 * PAGE) == 0);
}

int main(void) {
    catch_faults();
    RUN(in_place);
    RUN(move);
    RUN(fixed);
    RUN(dontunmap);
    RUN(shared_file);
    RUN(several);
    RUN(rights_move_along);
    RUN(code_moves);
    RUN(refusals);
    return 0;
}
