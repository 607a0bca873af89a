// SPDX-License-Identifier: GPL-2.0-or-later
// sigaction(2): what it keeps, what it refuses, and what each flag does.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

static volatile sig_atomic_t count, depth, deepest, last, entered;
static volatile sig_atomic_t blocked_inside;

static void note(int number) {
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    blocked_inside = sigismember(&now, number);
    last = number;
    count++;
}

static void nest(int number) {
    if (++entered == 3) {
        return;
    }
    depth++;
    if (depth > deepest) {
        deepest = depth;
    }
    raise(number);
    depth--;
}

static void set(int number, void (*handler)(int), int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigemptyset(&action.sa_mask);
    CHECK(sigaction(number, &action, NULL) == 0);
}

static void action_is_kept(void) {
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART | SA_NODEFER}, old;
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGUSR2);
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK(sigaction(SIGUSR1, NULL, &old) == 0);
    CHECK(old.sa_handler == note);
    CHECK((old.sa_flags & (SA_RESTART | SA_NODEFER)) == (SA_RESTART | SA_NODEFER));
    CHECK(sigismember(&old.sa_mask, SIGUSR2) && !sigismember(&old.sa_mask, SIGUSR1));
    set(SIGUSR1, SIG_IGN, 0);
    CHECK(sigaction(SIGUSR1, NULL, &old) == 0 && old.sa_handler == SIG_IGN);
    set(SIGUSR1, SIG_DFL, 0);
    CHECK(sigaction(SIGUSR1, NULL, &old) == 0 && old.sa_handler == SIG_DFL);
}

static void refusals(void) {
    struct sigaction action = {.sa_handler = note};
    FAILS(EINVAL, sigaction(SIGKILL, &action, NULL));
    FAILS(EINVAL, sigaction(SIGSTOP, &action, NULL));
    CHECK(sigaction(SIGKILL, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
    FAILS(EINVAL, syscall(SYS_rt_sigaction, 65, NULL, NULL, 8));
    FAILS(EINVAL, syscall(SYS_rt_sigaction, 0, NULL, NULL, 8));
    FAILS(EINVAL, syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 16));
    FAILS(EFAULT, syscall(SYS_rt_sigaction, SIGUSR1, WILD, NULL, 8));
    FAILS(EFAULT, syscall(SYS_rt_sigaction, SIGUSR1, NULL, WILD, 8));
    FAILS(EFAULT, syscall(SYS_rt_sigprocmask, SIG_BLOCK, WILD, NULL, 8));
    FAILS(EFAULT, syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, WILD, 8));
    FAILS(EINVAL, syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, NULL, 4));
    sigset_t set;
    sigemptyset(&set);
    FAILS(EINVAL, syscall(SYS_rt_sigprocmask, 77, &set, NULL, 8));
    FAILS(EINVAL, kill(getpid(), 65));
    FAILS(EINVAL, syscall(SYS_tgkill, 0, getpid(), SIGUSR1));
    CHECK(kill(getpid(), 0) == 0);
}

static void signal_is_blocked_in_its_handler(void) {
    set(SIGUSR1, note, 0);
    count = 0;
    raise(SIGUSR1);
    CHECK(count == 1 && blocked_inside);
    set(SIGUSR1, nest, 0);
    depth = deepest = entered = 0;
    raise(SIGUSR1);
    CHECK(deepest == 1 && entered == 3); /* one after the other */
}

static void nodefer_lets_it_nest(void) {
    set(SIGUSR2, nest, SA_NODEFER);
    depth = deepest = entered = 0;
    raise(SIGUSR2);
    CHECK(deepest == 2 && entered == 3 && depth == 0);
}

static void resethand_serves_once(void) {
    struct sigaction old;
    set(SIGUSR1, note, SA_RESETHAND);
    count = 0;
    raise(SIGUSR1);
    CHECK(count == 1);
    CHECK(sigaction(SIGUSR1, NULL, &old) == 0 && old.sa_handler == SIG_DFL);
}

static void ignored_signals_vanish(void) {
    sigset_t usr1, pending;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    set(SIGUSR1, note, 0);
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    raise(SIGUSR1);
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1));
    set(SIGUSR1, SIG_IGN, 0); /* throws away what is pending */
    CHECK(sigpending(&pending) == 0 && !sigismember(&pending, SIGUSR1));
    set(SIGUSR1, note, 0);
    count = 0;
    sigprocmask(SIG_UNBLOCK, &usr1, NULL);
    CHECK(count == 0);
}

static volatile sig_atomic_t order[4], orders;

static void in_order(int number) {
    order[orders++] = number;
}

static void mask_of_the_action_is_blocked(void) {
    struct sigaction action = {.sa_handler = note};
    sigset_t both, empty;
    sigfillset(&action.sa_mask);
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK(sigaction(SIGUSR2, &action, NULL) == 0);
    sigemptyset(&empty);
    sigemptyset(&both);
    sigaddset(&both, SIGUSR1);
    sigaddset(&both, SIGUSR2);
    action.sa_handler = in_order;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK(sigaction(SIGUSR2, &action, NULL) == 0);
    sigprocmask(SIG_BLOCK, &both, NULL);
    raise(SIGUSR2);
    raise(SIGUSR1);
    sigprocmask(SIG_SETMASK, &empty, NULL);
    CHECK(orders == 2 && order[0] == SIGUSR1 && order[1] == SIGUSR2);
    /* Without masks the frame of the second signal comes on top of the first: it runs first. */
    set(SIGUSR1, in_order, 0);
    set(SIGUSR2, in_order, 0);
    orders = 0;
    sigprocmask(SIG_BLOCK, &both, NULL);
    raise(SIGUSR2);
    raise(SIGUSR1);
    sigprocmask(SIG_SETMASK, &empty, NULL);
    CHECK(orders == 2 && order[0] == SIGUSR2 && order[1] == SIGUSR1);
}

static void kill_and_stop_cannot_be_blocked(void) {
    sigset_t all, now;
    sigfillset(&all);
    CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, (uint64_t[]){~0ull}, NULL, 8) == 0);
    uint64_t mask;
    CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &mask, 8) == 0);
    CHECK(mask == ~(1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1)));
    sigemptyset(&now);
    CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &now, NULL, 8) == 0);
}

/* Every signal that can be caught, glibc's own 32 and 33 too: the kernel's interface is used directly. */
static void all_signals_can_be_caught(void) {
    struct kernel_action {
        void (*handler)(int);
        unsigned long flags;
        void (*restorer)(void);
        uint64_t mask;
    } action, saved;
    struct sigaction own = {.sa_handler = note};
    CHECK(sigaction(SIGUSR1, &own, NULL) == 0);
    CHECK(syscall(SYS_rt_sigaction, SIGUSR1, NULL, &action, 8) == 0); /* with the libc's restorer */
    for (int number = 1; number <= 64; number++) {
        if (number == SIGKILL || number == SIGSTOP) {
            continue;
        }
        CHECK(syscall(SYS_rt_sigaction, number, &action, &saved, 8) == 0);
        count = last = 0;
        CHECK(syscall(SYS_tgkill, getpid(), gettid(), number) == 0);
        CHECK(count == 1 && last == number && blocked_inside);
        CHECK(syscall(SYS_rt_sigaction, number, &saved, NULL, 8) == 0);
    }
}

/* Blocked signals wait, those of faults too, when they are only sent. */
static void all_signals_can_wait(void) {
    struct sigaction own = {.sa_handler = note};
    uint64_t one, none = 0, pending;
    for (int number = 1; number <= 64; number++) {
        if (number == SIGKILL || number == SIGSTOP || number == 32 || number == 33) {
            continue;
        }
        struct sigaction saved;
        one = 1ull << (number - 1);
        CHECK(sigaction(number, NULL, &saved) == 0);
        CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &one, NULL, 8) == 0);
        bool stops = number == SIGTSTP || number == SIGTTIN || number == SIGTTOU;
        bool ignored =
            number == SIGCHLD || number == SIGCONT || number == SIGURG || number == SIGWINCH;
        if (!stops && !ignored) {
            CHECK(kill(getpid(), number) == 0); /* the default action would end the process */
        }
        CHECK(sigaction(number, &own, NULL) == 0);
        count = 0;
        CHECK(kill(getpid(), number) == 0);
        CHECK(syscall(SYS_rt_sigpending, &pending, 8) == 0 && pending == one);
        CHECK(count == 0);
        CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, 8) == 0);
        CHECK(last == number && count == (number > 33 ? 2 : 1));
        CHECK(sigaction(number, &saved, NULL) == 0);
    }
}

static void nocldwait_leaves_no_zombie(void) {
    set(SIGCHLD, SIG_DFL, SA_NOCLDWAIT);
    pid_t child = fork();
    if (!child) {
        _exit(3);
    }
    FAILS(ECHILD, waitpid(child, NULL, 0));
    set(SIGCHLD, SIG_IGN, 0);
    child = fork();
    if (!child) {
        _exit(3);
    }
    FAILS(ECHILD, waitpid(child, NULL, 0));
    set(SIGCHLD, SIG_DFL, 0);
}

int main(void) {
    RUN(action_is_kept);
    RUN(refusals);
    RUN(signal_is_blocked_in_its_handler);
    RUN(nodefer_lets_it_nest);
    RUN(resethand_serves_once);
    RUN(ignored_signals_vanish);
    RUN(mask_of_the_action_is_blocked);
    RUN(kill_and_stop_cannot_be_blocked);
    RUN(all_signals_can_be_caught);
    RUN(all_signals_can_wait);
    RUN(nocldwait_leaves_no_zombie);
    return 0;
}
