/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a forbidden access gives: the signal, its si_code and si_addr. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "faults.h"

#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

typedef volatile unsigned char byte;

static void nothing_mapped(void) {
    byte *p = mmap(NULL, PAGE, RW, ANON, -1, 0);
    p[1] = 1;
    CHECK(munmap((void *)p, PAGE) == 0);
    FAULTS(SIGSEGV, SEGV_MAPERR, p + 1, (void)p[1]);
    FAULTS(SIGSEGV, SEGV_MAPERR, p + 77, p[77] = 1);
    byte *volatile null = NULL;
    FAULTS(SIGSEGV, SEGV_MAPERR, 8, (void)*(byte *)((uintptr_t)null + 8));
    FAULTS(SIGSEGV, SEGV_MAPERR, 0, ((void (*)(void))(uintptr_t)null)());
}

static void no_access(void) {
    byte *p = mmap(NULL, 2 * PAGE, PROT_NONE, ANON, -1, 0);
    FAULTS(SIGSEGV, SEGV_ACCERR, p + 5, (void)p[5]);
    FAULTS(SIGSEGV, SEGV_ACCERR, p + 6, p[6] = 1);
    CHECK(mprotect((void *)p, PAGE, RW) == 0);
    p[6] = 1;
    FAULTS(SIGSEGV, SEGV_ACCERR, p + PAGE, p[PAGE] = 1);
    CHECK(mprotect((void *)p, PAGE, PROT_NONE) == 0);
    FAULTS(SIGSEGV, SEGV_ACCERR, p + 6, (void)p[6]);
    CHECK(munmap((void *)p, 2 * PAGE) == 0);
}

static void read_only(void) {
    byte *p = mmap(NULL, PAGE, RW, ANON, -1, 0);
    p[9] = 3;
    CHECK(mprotect((void *)p, PAGE, PROT_READ) == 0);
    CHECK(p[9] == 3);
    FAULTS(SIGSEGV, SEGV_ACCERR, p + 9, p[9] = 1);
    FAULTS(SIGSEGV, SEGV_ACCERR, p + 16, __atomic_fetch_add((volatile int *)(p + 16), 1, 5));
    CHECK(p[9] == 3);
    CHECK(munmap((void *)p, PAGE) == 0);
}

/* An access over a page boundary faults in the page that refuses. */
static void across_pages(void) {
    byte *p = mmap(NULL, 2 * PAGE, RW, ANON, -1, 0);
    CHECK(mprotect((void *)(p + PAGE), PAGE, PROT_NONE) == 0);
    FAULTS(SIGSEGV, SEGV_ACCERR, p + PAGE, (void)*(volatile uint64_t *)(p + PAGE - 4));
    FAULTS(SIGSEGV, SEGV_ACCERR, p + PAGE, *(volatile uint64_t *)(p + PAGE - 4) = 1);
    CHECK(munmap((void *)p, 2 * PAGE) == 0);
}

static void data_is_not_code(void) {
#ifdef __aarch64__
    static const uint32_t code[] = {0xd65f03c0};
#else
    static const unsigned char code[] = {0xc3};
#endif
    void *p = mmap(NULL, PAGE, RW, ANON, -1, 0);
    memcpy(p, code, sizeof code);
    FAULTS(SIGSEGV, SEGV_ACCERR, p, ((void (*)(void))(uintptr_t)p)());
    CHECK(mprotect(p, PAGE, PROT_READ | PROT_EXEC) == 0);
    __builtin___clear_cache(p, (char *)p + sizeof code);
    ((void (*)(void))(uintptr_t)p)();
    FAULTS(SIGSEGV, SEGV_ACCERR, p, *(byte *)p = 1);
    CHECK(mprotect(p, PAGE, PROT_READ) == 0);
    FAULTS(SIGSEGV, SEGV_ACCERR, p, ((void (*)(void))(uintptr_t)p)());
    CHECK(munmap(p, PAGE) == 0);
    FAULTS(SIGSEGV, SEGV_MAPERR, p, ((void (*)(void))(uintptr_t)p)());
}

static void beyond_the_file(void) {
    int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(write(fd, "abc", 3) == 3);
    byte *p = mmap(NULL, 3 * PAGE, RW, MAP_SHARED, fd, 0);
    CHECK(p[0] == 'a' && p[3] == 0 && p[PAGE - 1] == 0);
    FAULTS(SIGBUS, BUS_ADRERR, p + PAGE, (void)p[PAGE]);
    FAULTS(SIGBUS, BUS_ADRERR, p + PAGE + 10, p[PAGE + 10] = 1);
    CHECK(ftruncate(fd, 2 * PAGE) == 0);
    p[PAGE + 10] = 1; /* the file has grown */
    CHECK(p[PAGE + 10] == 1);
    CHECK(ftruncate(fd, 0) == 0);
    FAULTS(SIGBUS, BUS_ADRERR, p, (void)p[0]);
    FAULTS(SIGBUS, BUS_ADRERR, p + PAGE + 10, (void)p[PAGE + 10]);
    int pipes[2];
    CHECK(pipe(pipes) == 0 && write(pipes[1], "abc", 3) == 3);
    FAILS(EFAULT, write(pipes[1], (void *)p, 10)); /* a call gets EFAULT instead */
    FAILS(EFAULT, read(pipes[0], (void *)p, 10));
    CHECK(munmap((void *)p, 3 * PAGE) == 0);
    byte *q = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
    FAULTS(SIGBUS, BUS_ADRERR, q, (void)q[0]);
    CHECK(munmap((void *)q, PAGE) == 0);
    close(fd);
}

/* The handler repairs the cause and returns; the access is made again. */
static void *volatile repaired;

static void repair(int number, siginfo_t *info, void *context) {
    (void)context, (void)number;
    repaired = info->si_addr;
    mprotect((void *)((uintptr_t)info->si_addr & -PAGE), PAGE, RW);
}

static void handler_repairs(void) {
    struct sigaction action = {.sa_sigaction = repair, .sa_flags = SA_SIGINFO}, old;
    CHECK(sigaction(SIGSEGV, &action, &old) == 0);
    enum { PAGES = 20 };
    byte *p = mmap(NULL, PAGES * PAGE, PROT_NONE, ANON, -1, 0);
    for (unsigned long i = 0; i < PAGES; i++) {
        p[i * PAGE + i] += (unsigned char)(i + 1);
        CHECK(repaired == p + i * PAGE + i);
    }
    for (unsigned long i = 0; i < PAGES; i++) {
        CHECK(p[i * PAGE + i] == i + 1);
    }
    CHECK(sigaction(SIGSEGV, &old, NULL) == 0);
    CHECK(munmap((void *)p, PAGES * PAGE) == 0);
}

int main(void) {
    catch_faults();
    RUN(nothing_mapped);
    RUN(no_access);
    RUN(read_only);
    RUN(across_pages);
    RUN(data_is_not_code);
    RUN(beyond_the_file);
    RUN(handler_repairs);
    return 0;
}
