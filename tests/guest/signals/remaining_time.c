// SPDX-License-Identifier: GPL-2.0-or-later
// A wait for some time goes on with the time that is left after signals that are blocked or ignored.
#define _GNU_SOURCE
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../check.h"

#define SIGNALS 40    /* one at a time, */
#define BETWEEN 50000 /* microseconds apart */
#define WAIT_NS                                                                                    \
    200000000 /* so each wait is over long before the last of them, or never while they come */

static const struct timespec wait_time = {0, WAIT_NS};
static int semaphores;

static long in_nanosleep(void) {
    return nanosleep(&wait_time, NULL);
}
static long in_clock_nanosleep(void) {
    return clock_nanosleep(CLOCK_REALTIME, 0, &wait_time, NULL);
}
static long in_futex(void) {
    int word = 0;
    return syscall(SYS_futex, &word, FUTEX_WAIT, 0, &wait_time) == -1 && errno == ETIMEDOUT ? 0 : 1;
}
static long in_ppoll(void) {
    return ppoll(NULL, 0, &wait_time, NULL);
}
static long in_pselect(void) {
    return pselect(0, NULL, NULL, NULL, &wait_time, NULL);
}
static long in_epoll_wait(void) {
    struct epoll_event event;
    return epoll_wait(epoll_create1(0), &event, 1, WAIT_NS / 1000000);
}
static long in_epoll_pwait2(void) {
    struct epoll_event event;
    return syscall(SYS_epoll_pwait2, epoll_create1(0), &event, 1, &wait_time, NULL, 0);
}
static long in_sigtimedwait(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return sigtimedwait(&set, NULL, &wait_time) == -1 && errno == EAGAIN ? 0 : 1;
}
static long in_semtimedop(void) {
    struct sembuf down = {0, -1, 0};
    return semtimedop(semaphores, &down, 1, &wait_time) == -1 && errno == EAGAIN ? 0 : 1;
}
static long (*const waits[])(void) = {
    in_nanosleep,  in_clock_nanosleep, in_futex,        in_ppoll,      in_pselect,
    in_epoll_wait, in_epoll_pwait2,    in_sigtimedwait, in_semtimedop,
};
#define WAITS (sizeof waits / sizeof *waits)

/* Sends signals to a child for each call, all at the same time, until it is done. */
static void disturb(const int *numbers, int blocked) {
    pid_t children[WAITS];
    unsigned left = WAITS;
    for (size_t i = 0; i < WAITS; i++) {
        children[i] = fork();
        if (!children[i]) {
            sigset_t set;
            sigemptyset(&set);
            for (const int *number = numbers; *number; number++) {
                sigaddset(&set, *number);
                signal(*number, blocked ? SIG_DFL : SIG_IGN);
            }
            sigprocmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
            raise(SIGSTOP);
            _exit((int)waits[i]());
        }
        int status;
        CHECK(waitpid(children[i], &status, WUNTRACED) == children[i] && WIFSTOPPED(status));
    }
    for (size_t i = 0; i < WAITS; i++) {
        kill(children[i], SIGCONT);
    }
    for (int sent = 0; left && sent < SIGNALS; sent++) {
        usleep(BETWEEN);
        for (size_t i = 0; i < WAITS; i++) {
            int status;
            if (children[i] && waitpid(children[i], &status, WNOHANG) == children[i]) {
                if (status) {
                    printf("call %zu: status %#x\n", i, status);
                }
                CHECK(status == 0);
                children[i] = 0;
                left--;
            }
            for (const int *number = numbers; *number && children[i]; number++) {
                kill(children[i], *number);
            }
        }
    }
    for (size_t i = 0; i < WAITS; i++) {
        if (children[i]) {
            printf("call %zu began anew each time\n", i);
            kill(children[i], SIGKILL);
        }
    }
    CHECK(left == 0);
}

static void blocked_signals(void) {
    disturb((const int[]){SIGSEGV, SIGBUS, SIGUSR1, 0}, 1);
}

static void ignored_signals(void) {
    disturb((const int[]){SIGSEGV, SIGBUS, SIGUSR1, 0}, 0);
}

static volatile sig_atomic_t handled;

static void note(int number) {
    (void)number;
    handled++;
}

/* What is handled at last ends the wait, and the rest is told. */
static void a_handler_ends_the_wait(void) {
    struct timespec minute = {60, 0}, rest = {0, 0};
    sigset_t set;
    int status;
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGUSR1, note);
    pid_t parent = getpid(), child = fork();
    if (!child) {
        for (int i = 0; i < 5; i++) {
            usleep(20000);
            kill(parent, SIGSEGV);
        }
        usleep(20000);
        _exit(kill(parent, SIGUSR1));
    }
    FAILS(EINTR, nanosleep(&minute, &rest));
    CHECK(handled == 1 && rest.tv_sec < 60 && rest.tv_sec > 0);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(void) {
    semaphores = semget(IPC_PRIVATE, 1, 0600);
    CHECK(semaphores >= 0);
    RUN(blocked_signals);
    RUN(ignored_signals);
    semctl(semaphores, 0, IPC_RMID);
    RUN(a_handler_ends_the_wait);
    return 0;
}
