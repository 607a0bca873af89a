// SPDX-License-Identifier: GPL-2.0-or-later
// Faults become signals with the right code and address; a handler can repair the cause and let the instruction run again.
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

static sigjmp_buf back;
static siginfo_t seen;
static volatile sig_atomic_t repairs;
static volatile int *volatile nowhere;

static void leave(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    seen = *info;
    siglongjmp(back, 1);
}

static void repair(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    repairs++;
    char *page = (char *)((uintptr_t)info->si_addr & -4096ul);
    if (mprotect(page, 4096, PROT_READ | PROT_WRITE)) {
        _exit(9);
    }
}

static void set(int number, void (*handler)(int, siginfo_t *, void *)) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    CHECK(sigaction(number, &action, NULL) == 0);
}

static char *page(int prot) {
    char *p = mmap(NULL, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

#define FAULTS(expected_signal, expected_code, expected_address, action)                           \
    do {                                                                                           \
        memset(&seen, 0, sizeof seen);                                                             \
        set(expected_signal, leave);                                                               \
        if (!sigsetjmp(back, 1)) {                                                                 \
            action;                                                                                \
            CHECK(!"the access went through");                                                     \
        }                                                                                          \
        CHECK(seen.si_signo == (expected_signal));                                                 \
        CHECK(seen.si_code == (expected_code));                                                    \
        CHECK(seen.si_addr == (void *)(expected_address));                                         \
    } while (0)

static void unmapped_memory(void) {
    char *p = page(PROT_READ);
    munmap(p, 4096);
    FAULTS(SIGSEGV, SEGV_MAPERR, p + 5, (void)*(volatile char *)(p + 5));
    FAULTS(SIGSEGV, SEGV_MAPERR, p + 8, *(volatile long *)(p + 8) = 1);
    FAULTS(SIGSEGV, SEGV_MAPERR, NULL, *nowhere = 1);
    FAULTS(SIGSEGV, SEGV_MAPERR, p, ((void (*)(void))p)());
}

static void forbidden_memory(void) {
    char *p = page(PROT_READ);
    FAULTS(SIGSEGV, SEGV_ACCERR, p + 16, *(volatile int *)(p + 16) = 1);
    FAULTS(SIGSEGV, SEGV_ACCERR, p, ((void (*)(void))p)());
    mprotect(p, 4096, PROT_NONE);
    FAULTS(SIGSEGV, SEGV_ACCERR, p + 1, (void)*(volatile char *)(p + 1));
    munmap(p, 4096);
}

static void end_of_file(void) {
    int fd = open("short", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(write(fd, "short", 5) == 5);
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(p[0] == 's' && p[4095] == 0);
    FAULTS(SIGBUS, BUS_ADRERR, p + 4100, (void)*(volatile char *)(p + 4100));
    FAULTS(SIGBUS, BUS_ADRERR, p + 4104, *(volatile char *)(p + 4104) = 1);
    CHECK(ftruncate(fd, 0) == 0);
    FAULTS(SIGBUS, BUS_ADRERR, p, (void)*(volatile char *)p);
    munmap(p, 8192);
    close(fd);
}

static void handler_repairs(void) {
    char *p = page(PROT_NONE);
    set(SIGSEGV, repair);
    repairs = 0;
    *(volatile int *)(p + 20) = 42;
    CHECK(repairs == 1 && *(volatile int *)(p + 20) == 42);
    for (int i = 0; i < 200; i++) {
        mprotect(p, 4096, PROT_READ);
        ++*(volatile int *)(p + 20);
    }
    CHECK(repairs == 201 && *(volatile int *)(p + 20) == 242);
    munmap(p, 4096);
}

static int status_of(void (*child)(void)) {
    int status;
    pid_t pid = fork();
    if (!pid) {
        signal(SIGSEGV, SIG_DFL);
        child();
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

static void null_store(void) {
    *nowhere = 1;
}

static void blocked_null_store(void) {
    sigset_t all;
    sigfillset(&all);
    set(SIGSEGV, leave);
    sigprocmask(SIG_BLOCK, &all, NULL);
    null_store();
}

static void ignored_null_store(void) {
    signal(SIGSEGV, SIG_IGN);
    null_store();
}

static void undefined(void) {
    __builtin_trap();
}

static void aborting(void) {
    abort();
}

static void faulting_in_the_handler(void) {
    struct sigaction action = {.sa_handler = (void (*)(int))null_store};
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    null_store();
}

static void a_fault_that_cannot_be_handled_ends_the_process(void) {
    CHECK(WTERMSIG(status_of(null_store)) == SIGSEGV);
    CHECK(WTERMSIG(status_of(blocked_null_store)) == SIGSEGV);
    CHECK(WTERMSIG(status_of(ignored_null_store)) == SIGSEGV);
    CHECK(WTERMSIG(status_of(faulting_in_the_handler)) == SIGSEGV);
    CHECK(WTERMSIG(status_of(aborting)) == SIGABRT);
    int number = WTERMSIG(status_of(undefined));
    CHECK(number == SIGILL || number == SIGTRAP); /* which one is the compiler's choice */
}

/* Sent by kill(2) it is a signal like any other: it returns, waits while blocked, and can be ignored. */
static void sent_faults_are_plain_signals(void) {
    sigset_t segv;
    sigemptyset(&segv);
    sigaddset(&segv, SIGSEGV);
    set(SIGSEGV, leave);
    sigprocmask(SIG_BLOCK, &segv, NULL);
    kill(getpid(), SIGSEGV);
    sigset_t pending;
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGSEGV));
    if (!sigsetjmp(back, 0)) {
        sigprocmask(SIG_UNBLOCK, &segv, NULL);
        CHECK(!"not delivered");
    }
    CHECK(seen.si_signo == SIGSEGV && seen.si_code == SI_USER && seen.si_pid == getpid());
    sigprocmask(SIG_UNBLOCK, &segv, NULL);
    signal(SIGSEGV, SIG_IGN);
    kill(getpid(), SIGSEGV);
    signal(SIGSEGV, SIG_DFL);
}

static void raises_segv(void) {
    signal(SIGSEGV, SIG_DFL);
    kill(getpid(), SIGSEGV);
}

static void sent_faults_kill_by_default(void) {
    CHECK(WTERMSIG(status_of(raises_segv)) == SIGSEGV);
}

int main(void) {
    RUN(unmapped_memory);
    RUN(forbidden_memory);
    RUN(end_of_file);
    RUN(handler_repairs);
    RUN(a_fault_that_cannot_be_handled_ends_the_process);
    RUN(sent_faults_are_plain_signals);
    RUN(sent_faults_kill_by_default);
    return 0;
}
