// SPDX-License-Identifier: GPL-2.0-or-later
// sigaltstack(2): used when asked for, reported while in use, disarmed on demand, and good for a stack overflow.
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "../check.h"

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif
#define SIZE 65536

static char *area;
static stack_t inside;
static bool on_area, refused, frame_tells;
static sigjmp_buf back;

static void set(int number, void (*handler)(int, siginfo_t *, void *), int flags) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
    sigemptyset(&action.sa_mask);
    CHECK(sigaction(number, &action, NULL) == 0);
}

static void look(int number, siginfo_t *info, void *context) {
    char here;
    stack_t other = {.ss_sp = area, .ss_size = SIZE};
    ucontext_t *uc = context;
    (void)number, (void)info;
    on_area = &here >= area && &here < area + SIZE;
    sigaltstack(NULL, &inside);
    refused = inside.ss_flags == SS_ONSTACK && sigaltstack(&other, NULL) == -1 && errno == EPERM;
    frame_tells = uc->uc_stack.ss_sp == area && uc->uc_stack.ss_size == SIZE;
}

static void arm(int flags) {
    CHECK(sigaltstack(&(stack_t){.ss_sp = area, .ss_size = SIZE, .ss_flags = flags}, NULL) == 0);
}

static void disabled_at_first(void) {
    stack_t now;
    CHECK(sigaltstack(NULL, &now) == 0 && now.ss_flags == SS_DISABLE && now.ss_size == 0 &&
          !now.ss_sp);
}

static void used_when_asked_for(void) {
    stack_t now;
    arm(0);
    CHECK(sigaltstack(NULL, &now) == 0 && now.ss_sp == area && now.ss_size == SIZE &&
          now.ss_flags == 0);
    set(SIGUSR1, look, 0);
    raise(SIGUSR1);
    CHECK(!on_area && inside.ss_flags == 0 && frame_tells);
    set(SIGUSR1, look, SA_ONSTACK);
    arm(0);
    raise(SIGUSR1);
    CHECK(on_area && inside.ss_flags == SS_ONSTACK && inside.ss_sp == area && refused &&
          frame_tells);
    CHECK(sigaltstack(NULL, &now) == 0 && now.ss_flags == 0);
}

static void autodisarm(void) {
    stack_t now;
    set(SIGUSR1, look, SA_ONSTACK);
    arm(SS_AUTODISARM);
    CHECK(sigaltstack(NULL, &now) == 0 && (unsigned)now.ss_flags == SS_AUTODISARM);
    raise(SIGUSR1);
    CHECK(on_area && inside.ss_flags == SS_DISABLE && frame_tells);
    CHECK(sigaltstack(NULL, &now) == 0 && (unsigned)now.ss_flags == SS_AUTODISARM &&
          now.ss_sp == area);
}

static volatile int levels;
static volatile uintptr_t places[3];

static void deeper(int number, siginfo_t *info, void *context) {
    char here;
    (void)info, (void)context;
    places[levels++] = (uintptr_t)&here;
    if (levels < 3) {
        raise(number);
    }
}

static void nested_handlers_share_it(void) {
    arm(0);
    set(SIGUSR2, deeper, SA_ONSTACK | SA_NODEFER);
    levels = 0;
    raise(SIGUSR2);
    CHECK(levels == 3 && places[0] > places[1] && places[1] > places[2]);
    CHECK(places[2] > (uintptr_t)area && places[0] < (uintptr_t)area + SIZE);
}

static void refusals(void) {
    stack_t now;
    FAILS(ENOMEM, sigaltstack(&(stack_t){.ss_sp = area, .ss_size = 1024}, NULL));
    FAILS(EINVAL, sigaltstack(&(stack_t){.ss_sp = area, .ss_size = SIZE, .ss_flags = 4}, NULL));
    FAILS(EFAULT, syscall(SYS_sigaltstack, WILD, NULL));
    FAILS(EFAULT, syscall(SYS_sigaltstack, NULL, WILD));
    CHECK(sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL) == 0);
    CHECK(sigaltstack(NULL, &now) == 0 && now.ss_flags == SS_DISABLE);
}

static void escape(int number, siginfo_t *info, void *context) {
    char here;
    (void)number, (void)context;
    on_area = &here >= area && &here < area + SIZE;
    inside.ss_flags = info->si_code;
    siglongjmp(back, 1);
}

__attribute__((noinline)) static int recurse(volatile char *before) {
    volatile char room[4096];
    room[0] = before ? before[0] : 1;
    return room[0] ? recurse(room) + room[0] : 0;
}

static void overflow_is_caught(void) {
    struct rlimit limit = {1 << 20, RLIM_INFINITY};
    CHECK(setrlimit(RLIMIT_STACK, &limit) == 0);
    arm(0);
    set(SIGSEGV, escape, SA_ONSTACK);
    for (int i = 0; i < 3; i++) {
        on_area = false;
        if (!sigsetjmp(back, 1)) {
            recurse(NULL);
        }
        CHECK(on_area && (inside.ss_flags == SEGV_MAPERR || inside.ss_flags == SEGV_ACCERR));
    }
}

static void without_one_an_overflow_kills(void) {
    pid_t child = fork();
    if (!child) {
        set(SIGSEGV, escape, 0);
        recurse(NULL);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
          WTERMSIG(status) == SIGSEGV);
}

static void fork_keeps_it(void) {
    stack_t now;
    arm(0);
    pid_t child = fork();
    if (!child) {
        CHECK(sigaltstack(NULL, &now) == 0 && now.ss_sp == area);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(void) {
    area = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    RUN(disabled_at_first);
    RUN(used_when_asked_for);
    RUN(autodisarm);
    RUN(nested_handlers_share_it);
    RUN(refusals);
    RUN(overflow_is_caught);
    RUN(without_one_an_overflow_kills);
    RUN(fork_keeps_it);
    return 0;
}
