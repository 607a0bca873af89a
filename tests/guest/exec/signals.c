// SPDX-License-Identifier: GPL-2.0-or-later
// Signals and timers across execve(2): what is ignored, blocked, pending or running, and what is gone.
#define _GNU_SOURCE
#include <signal.h>
#include <sys/time.h>
#include <time.h>

#include "roles.h"

static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
#define FAULTS (int)(sizeof faults / sizeof *faults)

static sigset_t set_of_faults(void) {
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < FAULTS; i++) {
        sigaddset(&set, faults[i]);
    }
    return set;
}

/* ---- the new program ---- */

static int ignored(void) {
    struct sigaction action;
    for (int i = 0; i < FAULTS; i++) {
        CHECK(sigaction(faults[i], NULL, &action) == 0 && action.sa_handler == SIG_IGN);
        CHECK(raise(faults[i]) == 0);
    }
    CHECK(sigaction(SIGCHLD, NULL, &action) == 0 && action.sa_handler == SIG_IGN);
    CHECK(sigaction(SIGTERM, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
    CHECK(action.sa_flags == 0 && sigisemptyset(&action.sa_mask));
    return DONE;
}

static int ignored_by_two(void) {
    execl(OWN, "x", "ignored", NULL);
    return 1;
}

static int pending(void) {
    sigset_t now, set = set_of_faults();
    siginfo_t info;
    CHECK(sigpending(&now) == 0);
    for (int i = 0; i < FAULTS; i++) {
        CHECK(sigismember(&now, faults[i]));
    }
    CHECK(sigismember(&now, SIGRTMIN + 1));
    for (int i = 0; i < FAULTS; i++) {
        CHECK(sigtimedwait(&set, &info, &(struct timespec){0}) > 0 && info.si_pid == getpid());
    }
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    for (int i = 1; i <= 3; i++) {
        CHECK(sigtimedwait(&set, &info, &(struct timespec){0}) == SIGRTMIN + 1);
        CHECK(info.si_value.sival_int == i);
    }
    return DONE;
}

static int timers(void) {
    struct itimerval left;
    CHECK(getitimer(ITIMER_REAL, &left) == 0);
    CHECK(left.it_interval.tv_sec == 1000 && left.it_value.tv_sec >= 900);
    FAILS(EINVAL, syscall(SYS_timer_delete, 0));
    return DONE;
}

/* ---- the callers ---- */

static void ignore(void) {
    for (int i = 0; i < FAULTS; i++) {
        signal(faults[i], SIG_IGN);
    }
    signal(SIGCHLD, SIG_IGN);
    struct sigaction action = {.sa_handler = _exit, .sa_flags = SA_RESTART | SA_ONSTACK};
    sigfillset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    execl(OWN, "x", "ignored by two", NULL);
}

static void what_is_ignored_stays_so(void) {
    CHECK(status_of(ignore) == DONE);
}

static void ignore_and_fail(void) {
    volatile int *nowhere = (int *)8;
    signal(SIGSEGV, SIG_IGN);
    write_file("text", "no magic\n", 0700);
    FAILS(ENOEXEC, execl("text", "x", NULL));
    raise(SIGSEGV);
    *nowhere = 1; /* ends the process all the same */
}

static void a_fault_ends_who_ignores_it(void) {
    CHECK(status_of(ignore_and_fail) == 1000 + SIGSEGV);
}

static void block(void) {
    sigset_t set = set_of_faults();
    sigaddset(&set, SIGRTMIN + 1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (int i = 0; i < FAULTS; i++) {
        kill(getpid(), faults[i]);
    }
    for (int i = 1; i <= 3; i++) {
        sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = i});
    }
    FAILS(ENOENT, execl("nothing", "x", NULL));
    FAILS(ENOEXEC, execl("text", "x", NULL));
    execl(OWN, "x", "pending", NULL);
}

static void what_is_pending_stays_so(void) {
    CHECK(status_of(block) == DONE);
}

static void set_timers(void) {
    timer_t timer;
    signal(SIGALRM, SIG_IGN);
    CHECK(setitimer(ITIMER_REAL, &(struct itimerval){{1000, 0}, {1000, 0}}, NULL) == 0);
    CHECK(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &timer) == 0);
    struct itimerspec soon = {{0, 1000000}, {0, 1000000}};
    CHECK(syscall(SYS_timer_settime, 0, 0, &soon, NULL) == 0 || errno == EINVAL);
    execl(OWN, "x", "timers", NULL);
}

static void timers_of_both_kinds(void) {
    CHECK(status_of(set_timers) == DONE);
}

static volatile sig_atomic_t handled;

static void count(int number) {
    (void)number;
    handled++;
}

/* A flood of signals while the program is replaced: each is handled before, or ends the new program. None is lost. */
static void under_fire(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    signal(SIGUSR1, count);
    pid_t target = getpid(), sender = fork();
    if (!sender) {
        while (getppid() == target) {
            kill(target, SIGUSR1);
        }
        _exit(0);
    }
    for (int i = 0; i < 200; i++) {
        FAILS(ENOENT, execl("nothing", "x", NULL));
    }
    sigprocmask(SIG_BLOCK, &set, NULL);
    int before = handled;
    FAILS(ENOEXEC, execl("text", "x", NULL));
    CHECK(handled == before);
    kill(sender, SIGKILL);
    waitpid(sender, NULL, 0);
    kill(target, SIGUSR1);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    CHECK(handled > before);
    execl(OWN, "x", "last", NULL);
}

static void failures_under_fire(void) {
    CHECK(status_of(under_fire) == DONE);
}

int main(int argc, char **words) {
    if (argc > 1) {
        return !strcmp(words[1], "ignored")          ? ignored()
               : !strcmp(words[1], "ignored by two") ? ignored_by_two()
               : !strcmp(words[1], "pending")        ? pending()
               : !strcmp(words[1], "timers")         ? timers()
                                                     : DONE;
    }
    RUN(what_is_ignored_stays_so);
    RUN(a_fault_ends_who_ignores_it);
    RUN(what_is_pending_stays_so);
    RUN(timers_of_both_kinds);
    RUN(failures_under_fire);
    return 0;
}
