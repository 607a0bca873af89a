/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads that start after others have ended: each begins as a first one would, and sees the code that is there now. */
// flags: -lm
#define _GNU_SOURCE
#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

#define ROUNDS 60
#define PAGE 4096UL

static _Thread_local int own = 7;
static char *code;
static volatile int handled;

/* int f(void) { return value; }, value below 2^16 */
static void put(unsigned value) {
#ifdef __aarch64__
    uint32_t words[] = {0x52800000 | value << 5, 0xd65f03c0}; /* mov w0, #value; ret */
#else
    unsigned char words[] = {0xb8, (unsigned char)value, (unsigned char)(value >> 8), 0, 0, 0xc3};
#endif
    memcpy(code, words, sizeof words);
    __builtin___clear_cache(code, code + sizeof words);
}

static unsigned called(void) {
    return ((unsigned (*)(void))(uintptr_t)code)();
}

static void *run(void *(*body)(void *), void *argument) {
    pthread_t thread;
    void *result = NULL;
    CHECK(pthread_create(&thread, NULL, body, argument) == 0);
    CHECK(pthread_join(thread, &result) == 0);
    return result;
}

static void handler(int number) {
    (void)number;
    handled++;
}

/* Leaves behind what a thread has of its own: mask, stack, rounding, a signal that waits. */
static void *untidy(void *unused) {
    sigset_t all;
    static char stack[32768];
    stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
    (void)unused;
    CHECK(own == 7);
    own = 99;
    sigfillset(&all);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, NULL) == 0);
    CHECK(sigaltstack(&other, NULL) == 0);
    CHECK(fesetround(FE_UPWARD) == 0);
    feraiseexcept(FE_DIVBYZERO);
    CHECK(pthread_kill(pthread_self(), SIGUSR1) == 0);
    return NULL;
}

static void *tidy(void *unused) {
    sigset_t mask, pending;
    stack_t stack;
    (void)unused;
    CHECK(own == 7);
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0);
    CHECK(!sigismember(&mask, SIGUSR1) && !sigismember(&mask, SIGTERM));
    CHECK(sigpending(&pending) == 0 && !sigismember(&pending, SIGUSR1));
    CHECK(sigaltstack(NULL, &stack) == 0 && stack.ss_flags == SS_DISABLE);
    CHECK(fegetround() == FE_TONEAREST && fetestexcept(FE_DIVBYZERO) == 0);
    int before = handled;
    CHECK(pthread_kill(pthread_self(), SIGUSR1) == 0);
    CHECK(handled == before + 1);
    return NULL;
}

static void nothing_is_left_over(void) {
    struct sigaction action = {.sa_handler = handler};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        run(untidy, NULL);
        run(tidy, NULL);
    }
    CHECK(handled == ROUNDS);
}

static void *call(void *wanted) {
    CHECK(called() == (unsigned)(uintptr_t)wanted);
    return NULL;
}

static void code_changes_between(void) {
    code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(code != MAP_FAILED);
    for (unsigned i = 1; i < ROUNDS; i++) {
        put(i);
        run(call, (void *)(uintptr_t)i);
    }
    for (unsigned i = 1; i < ROUNDS; i++) { /* other code at the same place by a new mapping */
        CHECK(mmap(code, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                   0) == code);
        put(i);
        CHECK(mprotect(code, PAGE, PROT_READ | PROT_EXEC) == 0);
        run(call, (void *)(uintptr_t)i);
    }
}

static void *fault(void *unused) {
    (void)unused;
    return (void *)(uintptr_t) * (volatile char *)code;
}

/* What a thread was allowed to read, the next one may not. */
static void rights_change_between(void) {
    CHECK(mprotect(code, PAGE, PROT_READ) == 0);
    run(fault, NULL);
    pid_t pid = fork();
    if (!pid) {
        run(fault, NULL);
        CHECK(mprotect(code, PAGE, PROT_NONE) == 0);
        run(fault, NULL);
        _exit(1);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    CHECK(mprotect(code, PAGE, PROT_NONE) == 0);
    pid = fork();
    if (!pid) {
        run(fault, NULL);
        _exit(1);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

int main(void) {
    RUN(nothing_is_left_over);
    RUN(code_changes_between);
    RUN(rights_change_between);
    return 0;
}
