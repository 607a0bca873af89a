/* SPDX-License-Identifier: GPL-2.0-or-later */
/* brk(2): growing, shrinking, refusing; the raw call, which returns the end of the heap whatever happens. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"

#define PAGE 4096UL

static char *brk_to(const volatile void *end) {
    return (char *)syscall(SYS_brk, end);
}

static void grows_and_shrinks(void) {
    char *start = brk_to(0);
    char *pages = (char *)(((uintptr_t)start + PAGE - 1) & -PAGE);
    CHECK(brk_to(0) == start);
    CHECK(brk_to(pages + 8 * PAGE) == pages + 8 * PAGE);
    for (unsigned long i = 0; i < 8 * PAGE; i++) {
        CHECK(pages[i] == 0);
    }
    memset(pages, 1, 8 * PAGE);
    CHECK(brk_to(pages + 4 * PAGE + 1) ==
          pages + 4 * PAGE + 1); /* any byte, not only whole pages */
    pages[5 * PAGE - 1] = 1;
    FAULTS(SIGSEGV, SEGV_MAPERR, pages + 5 * PAGE, pages[5 * PAGE] = 1);
    CHECK(brk_to(pages + 8 * PAGE) == pages + 8 * PAGE);
    CHECK(pages[5 * PAGE - 1] == 1 && pages[5 * PAGE] == 0 && pages[8 * PAGE - 1] == 0);
    CHECK(brk_to(start) == start);
}

static void refuses(void) {
    char *end = brk_to(0);
    CHECK(brk_to((void *)1) == end);
    CHECK(brk_to((void *)0xfff) == end);
    CHECK(brk_to(WILD) == end);
    CHECK(brk_to((void *)-1L) == end);
    CHECK(brk_to((void *)(1UL << 47)) == end);
    CHECK(brk_to(end + (1UL << 46)) == end);
}

static void stops_at_a_mapping(void) {
    char *end = brk_to(0);
    char *pages = (char *)(((uintptr_t)end + PAGE - 1) & -PAGE);
    char *wall = mmap(pages + 16 * PAGE, PAGE, PROT_READ,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(wall == pages + 16 * PAGE);
    CHECK(brk_to(pages + 17 * PAGE) == end);
    CHECK(brk_to(pages + 16 * PAGE) == end); /* a page is kept free */
    CHECK(brk_to(pages + 15 * PAGE) == pages + 15 * PAGE);
    CHECK(munmap(wall, PAGE) == 0);
    CHECK(brk_to(end) == end);
}

static void holes_in_the_heap(void) {
    char *end = brk_to(0);
    char *pages = (char *)(((uintptr_t)end + PAGE - 1) & -PAGE);
    CHECK(brk_to(pages + 8 * PAGE) == pages + 8 * PAGE);
    CHECK(munmap(pages + 2 * PAGE, PAGE) == 0);
    CHECK(mprotect(pages + 4 * PAGE, PAGE, PROT_READ) == 0);
    pages[8 * PAGE - 1] = 1;
    CHECK(brk_to(pages + 9 * PAGE) == pages + 9 * PAGE);
    CHECK(brk_to(end) == end);
    FAULTS(SIGSEGV, SEGV_MAPERR, pages + 4 * PAGE, (void)*(volatile char *)(pages + 4 * PAGE));
}

static void limit_of_data(void) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child) {
        struct rlimit limit = {1 << 20, 1 << 20};
        CHECK(setrlimit(RLIMIT_DATA, &limit) == 0);
        char *end = brk_to(0);
        CHECK(brk_to(end + (64 << 20)) == end);
        FAILS(ENOMEM,
              mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void child_has_its_own(void) {
    char *end = brk_to(0);
    CHECK(brk_to(end + PAGE) == end + PAGE);
    end[10] = 1;
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child) {
        CHECK(brk_to(0) == end + PAGE && end[10] == 1);
        end[10] = 2;
        CHECK(brk_to(end + 100 * PAGE) == end + 100 * PAGE);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(brk_to(0) == end + PAGE && end[10] == 1);
    CHECK(brk_to(end) == end);
}

int main(void) {
    /* The heap of malloc() must not be in the way: printf() gets its buffer first. */
    static char buffer[BUFSIZ];
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    catch_faults();
    RUN(grows_and_shrinks);
    RUN(refuses);
    RUN(stops_at_a_mapping);
    RUN(holes_in_the_heap);
    RUN(limit_of_data);
    RUN(child_has_its_own);
    return 0;
}
