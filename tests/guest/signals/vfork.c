// SPDX-License-Identifier: GPL-2.0-or-later
// The signal state of a vfork(2) child is its own: mask, actions and what is sent. The parent finds its own as it was.
#define _GNU_SOURCE
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

static volatile sig_atomic_t count;

static void note(int number) {
    (void)number;
    count++;
}

static void masks_are_apart(void) {
    sigset_t usr1, all, now;
    int status;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &usr1, NULL);
    pid_t child = vfork();
    if (!child) {
        sigset_t inherited;
        sigprocmask(SIG_SETMASK, &all, &inherited);
        _exit(!(sigismember(&inherited, SIGUSR1) && !sigismember(&inherited, SIGUSR2)));
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    sigemptyset(&all);
    CHECK(sigprocmask(SIG_SETMASK, &all, &now) == 0);
    CHECK(sigismember(&now, SIGUSR1) && !sigismember(&now, SIGUSR2) && !sigismember(&now, SIGSEGV));
}

static void actions_are_apart(void) {
    struct sigaction action;
    int status;
    signal(SIGSEGV, note);
    signal(SIGUSR2, note);
    pid_t child = vfork();
    if (!child) {
        signal(SIGSEGV, SIG_IGN);
        signal(SIGUSR2, SIG_IGN);
        kill(getpid(), SIGSEGV);
        kill(getpid(), SIGUSR2);
        _exit(count);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(sigaction(SIGSEGV, NULL, &action) == 0 && action.sa_handler == note);
    CHECK(sigaction(SIGUSR2, NULL, &action) == 0 && action.sa_handler == note);
    raise(SIGSEGV);
    raise(SIGUSR2);
    CHECK(count == 2);
}

/* What is sent to the parent waits for it, blocked or not. */
static void the_parents_signals_wait(void) {
    sigset_t bus;
    int status;
    sigemptyset(&bus);
    sigaddset(&bus, SIGBUS);
    signal(SIGBUS, note);
    sigprocmask(SIG_BLOCK, &bus, NULL);
    kill(getpid(), SIGBUS);
    count = 0;
    pid_t child = vfork();
    if (!child) {
        sigset_t pending;
        sigpending(&pending);
        kill(getppid(), SIGSEGV);
        kill(getppid(), SIGUSR2);
        sigprocmask(SIG_UNBLOCK, &bus, NULL);
        _exit(count != 0 || sigismember(&pending, SIGBUS));
    }
    CHECK(count == 2);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    sigprocmask(SIG_UNBLOCK, &bus, NULL);
    CHECK(count == 3);
}

static volatile pid_t handled_by;

static void note_process(int number) {
    (void)number;
    handled_by = getpid();
    count++;
}

/* A child that waits for a child of its own gets its signals afterwards, and not its parent. */
static void signals_of_the_process_between(void) {
    int status;
    signal(SIGSEGV, note_process);
    count = 0;
    pid_t child = vfork();
    if (!child) {
        pid_t grandchild = vfork();
        if (!grandchild) {
            kill(getppid(), SIGSEGV);
            _exit(count);
        }
        _exit(count != 1 || handled_by != getpid() ||
              waitpid(grandchild, &status, 0) != grandchild || status);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(count == 1 && handled_by == child);
}

/* All at once, to children that have hardly begun: none is its parent's. */
static void signals_to_a_new_child(void) {
    static const struct itimerval once = {{0, 0}, {0, 300}};
    int status;
    signal(SIGALRM, note_process);
    signal(SIGSEGV, note_process);
    count = 0;
    for (volatile int i = 0; i < 200; i++) {
        pid_t child = vfork();
        if (!child) {
            int seen = count;
            setitimer(ITIMER_REAL, &once, NULL);
            while (seen == count) {
            }
            kill(getpid(), SIGSEGV);
            _exit(handled_by != getpid());
        }
        CHECK(waitpid(child, &status, 0) == child && status == 0 && handled_by == child);
    }
    CHECK(count == 400);
}

int main(void) {
    RUN(masks_are_apart);
    RUN(actions_are_apart);
    RUN(the_parents_signals_wait);
    RUN(signals_of_the_process_between);
    RUN(signals_to_a_new_child);
    return 0;
}
