/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stacks: growth to RLIMIT_STACK, overflow, MAP_GROWSDOWN and PROT_GROWSDOWN. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"

#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static uintptr_t lowest;

__attribute__((noinline)) static int descend(int kilobytes) {
    volatile char frame[1024];
    frame[0] = frame[1023] = 1;
    lowest = (uintptr_t)frame;
    return kilobytes > 0 ? descend(kilobytes - 1) + frame[0] : 0;
}

static void stack_grows(void) {
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_STACK, &limit) == 0);
    int kilobytes = limit.rlim_cur >= 8 << 20 ? 6 << 10 : (int)(limit.rlim_cur / 2048);
    CHECK(descend(kilobytes) == kilobytes);
}

/* A far jump down the stack is no overflow either. */
static void stack_is_reached_at_once(void) {
    volatile char here = 1;
    volatile char *below = &here - (4 << 20);
    *below = 5;
    CHECK(*below == 5);
}

static void stack_overflows(void) {
    struct rlimit limit = {.rlim_cur = 8 << 20, .rlim_max = 8 << 20};
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child) {
        CHECK(setrlimit(RLIMIT_STACK, &limit) == 0);
        fault_signal = 0;
        if (!sigsetjmp(fault_way_back, 1)) {
            descend(1 << 24);
        }
        uintptr_t near = lowest - (uintptr_t)fault_address;
        _exit(fault_signal == SIGSEGV && near < 65536 ? 3 : 1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
}

/* Without a stack for the handler the process ends. */
static void overflow_without_a_stack_kills(void) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child) {
        struct rlimit none = {0, 0};
        stack_t disabled = {.ss_flags = SS_DISABLE};
        setrlimit(RLIMIT_CORE, &none);
        CHECK(sigaltstack(&disabled, NULL) == 0);
        _exit(descend(1 << 24) & 1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static void growsdown_grows(void) {
    char *room = mmap(NULL, 4096 * PAGE, PROT_NONE, ANON, -1, 0);
    CHECK(room != MAP_FAILED && munmap(room, 4096 * PAGE) == 0);
    char *top = room + 4000 * PAGE;
    volatile char *p =
        mmap(top - PAGE, PAGE, RW, ANON | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(p == top - PAGE);
    for (long i = 0; i < 100; i++) {
        p[-i * (long)PAGE - 8] = (char)i;
    }
    for (long i = 0; i < 100; i++) {
        CHECK(p[-i * (long)PAGE - 8] == (char)i);
    }
    /* It keeps away from what is below it, by 256 pages. */
    char *below = top - 500 * PAGE;
    CHECK(mmap(below, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == below);
    top[-(long)PAGE * 240] = 1;
    FAULTS(SIGSEGV, SEGV_MAPERR, below + 100 * PAGE, below[100 * PAGE] = 1);
    CHECK(munmap(below, PAGE) == 0);
    below[100 * PAGE] = 1;
    CHECK(munmap(below, 500 * PAGE) == 0);
    FAULTS(SIGSEGV, SEGV_MAPERR, top - PAGE, top[-(long)PAGE] = 1);
}

static void growsdown_stops_at_the_limit(void) {
    struct rlimit limit = {.rlim_cur = 8 << 20, .rlim_max = 8 << 20};
    char *room = mmap(NULL, 64 << 20, PROT_NONE, ANON, -1, 0);
    CHECK(room != MAP_FAILED && munmap(room, 64 << 20) == 0);
    char *top = room + (60 << 20);
    CHECK(setrlimit(RLIMIT_STACK, &limit) == 0);
    CHECK(mmap(top - PAGE, PAGE, RW, ANON | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0) ==
          top - PAGE);
    top[-(8L << 20)] = 1;
    char *beyond = top - (8L << 20) - 1;
    FAULTS(SIGSEGV, SEGV_MAPERR, beyond, *beyond = 1);
    CHECK(munmap(top - (8 << 20), 8 << 20) == 0);
}

static void mprotect_growsdown(void) {
    char *room = mmap(NULL, 1024 * PAGE, PROT_NONE, ANON, -1, 0);
    CHECK(room != MAP_FAILED && munmap(room, 1024 * PAGE) == 0);
    char *top = room + 1000 * PAGE;
    char *p = mmap(top - 4 * PAGE, 4 * PAGE, RW, ANON | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(p == top - 4 * PAGE);
    CHECK(mprotect(top - PAGE, PAGE, PROT_READ | PROT_GROWSDOWN) == 0); /* from its beginning on */
    FAULTS(SIGSEGV, SEGV_ACCERR, p, *p = 1);
    FAULTS(SIGSEGV, SEGV_ACCERR, top - 1, top[-1] = 1);
    FAILS(EINVAL, mprotect(p, PAGE, RW | PROT_GROWSUP));
    FAILS(EINVAL, mprotect(p, PAGE, RW | PROT_GROWSUP | PROT_GROWSDOWN));
    CHECK(munmap(p, 4 * PAGE) == 0);
    char *q = mmap(NULL, PAGE, RW, ANON, -1, 0);
    FAILS(EINVAL, mprotect(q, PAGE, PROT_READ | PROT_GROWSDOWN));
    CHECK(munmap(q, PAGE) == 0);
}

int main(void) {
    catch_faults();
    RUN(stack_grows);
    RUN(stack_is_reached_at_once);
    RUN(stack_overflows);
    RUN(overflow_without_a_stack_kills);
    RUN(growsdown_grows);
    RUN(growsdown_stops_at_the_limit);
    RUN(mprotect_growsdown);
    return 0;
}
