// SPDX-License-Identifier: GPL-2.0-or-later
// Default actions as the parent sees them: death by each signal, stopping and going on. wait(2).
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

static bool one_of(int number, const int *list) {
    while (*list && *list != number) {
        list++;
    }
    return *list;
}

static const int harmless[] = {SIGCHLD, SIGCONT, SIGURG, SIGWINCH, 0};
static const int stopping[] = {SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, 0};

static void default_actions(void) {
    for (int number = 1; number <= SIGRTMAX; number++) {
        if (one_of(number, stopping) || number == 32 || number == 33) {
            continue;
        }
        int status;
        pid_t child = fork();
        if (!child) {
            signal(number, SIG_DFL); /* the tests' own process may ignore it */
            kill(getpid(), number);
            _exit(100);
        }
        CHECK(waitpid(child, &status, 0) == child);
        if (one_of(number, harmless)) {
            CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 100);
        } else {
            CHECK(WIFSIGNALED(status) && WTERMSIG(status) == number);
        }
    }
}

/* The same when a handler was there and has been taken away again. */
static void default_actions_after_a_handler(void) {
    static const int some[] = {SIGHUP, SIGSEGV, SIGBUS, SIGILL, SIGUSR1, SIGTERM, 0};
    for (const int *number = some; *number; number++) {
        int status;
        pid_t child = fork();
        if (!child) {
            signal(*number, _exit);
            signal(*number, SIG_DFL);
            raise(*number);
            _exit(100);
        }
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == *number);
    }
}

static void stop_and_go_on(void) {
    for (const int *number = stopping; *number; number++) {
        int status;
        pid_t child = fork();
        if (!child) {
            setpgid(0, 0);
            raise(*number);
            usleep(300000); /* the parent has yet to see that this process goes on */
            _exit(4);
        }
        setpgid(child, child);
        CHECK(waitpid(child, &status, WUNTRACED) == child);
        if (WIFEXITED(
                status)) { /* an orphaned process group does not stop for the terminal's signals */
            CHECK(*number != SIGSTOP && WEXITSTATUS(status) == 4);
            continue;
        }
        CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == *number);
        kill(child, SIGCONT);
        CHECK(waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status));
        CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 4);
    }
}

static volatile sig_atomic_t continued;

static void go_on(int number) {
    (void)number;
    continued = 1;
}

static void sigcont_can_be_handled(void) {
    int status;
    pid_t child = fork();
    if (!child) {
        signal(SIGCONT, go_on);
        raise(SIGSTOP);
        _exit(continued ? 6 : 7);
    }
    CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
    kill(child, SIGCONT);
    CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 6);
}

static void *raise_term(void *unused) {
    (void)unused;
    raise(SIGTERM);
    return NULL;
}

static void death_in_a_thread_ends_the_process(void) {
    int status;
    pid_t child = fork();
    if (!child) {
        pthread_t thread;
        pthread_create(&thread, NULL, raise_term, NULL);
        for (;;) {
            pause();
        }
    }
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
          WTERMSIG(status) == SIGTERM);
}

static void killing_a_busy_process(void) {
    int status;
    for (int i = 0; i < 2; i++) {
        pid_t child = fork();
        if (!child) {
            for (volatile int k = 0;; k++) {
            }
        }
        usleep(10000);
        CHECK(kill(child, i ? SIGTERM : SIGKILL) == 0);
        CHECK(waitpid(child, &status, 0) == child && WTERMSIG(status) == (i ? SIGTERM : SIGKILL));
    }
}

static void usage_is_told(void) {
    int status;
    struct rusage usage;
    siginfo_t info;
    pid_t child = fork();
    if (!child) {
        for (volatile int k = 0; k < 1000000; k++) {
        }
        _exit(1);
    }
    CHECK(waitid(P_PID, child, &info, WEXITED | WNOWAIT) == 0 && info.si_status == 1);
    CHECK(wait4(child, &status, 0, &usage) == child && usage.ru_maxrss > 0);
    FAILS(ECHILD, waitpid(-1, &status, 0));
    FAILS(EINVAL, wait4(-1, &status, 0x40, NULL));
    FAILS(ECHILD, waitid(P_ALL, 0, &info, WEXITED | WNOHANG));
    CHECK((child = fork()) || (_exit(0), 0));
    FAILS(EFAULT, wait4(child, WILD, 0, NULL));
}

int main(void) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    RUN(default_actions);
    RUN(default_actions_after_a_handler);
    RUN(stop_and_go_on);
    RUN(sigcont_can_be_handled);
    RUN(death_in_a_thread_ends_the_process);
    RUN(killing_a_busy_process);
    RUN(usage_is_told);
    return 0;
}
