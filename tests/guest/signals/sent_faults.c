// SPDX-License-Identifier: GPL-2.0-or-later
// SIGSEGV and SIGBUS that somebody sends are signals as any other: ignored, blocked, waited for, inherited by execve(2).
#define _GNU_SOURCE
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../check.h"

static const int faults[] = {SIGSEGV, SIGBUS};
static volatile sig_atomic_t count, last_code;
static void *volatile last_address;

static void note(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    last_code = info->si_code;
    last_address = info->si_addr;
    count++;
}

static void handle(int number, int flags) {
    struct sigaction action = {.sa_sigaction = note, .sa_flags = flags | SA_SIGINFO};
    CHECK(sigaction(number, &action, NULL) == 0);
    count = 0;
}

static void block(int how, int number) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    CHECK(sigprocmask(how, &set, NULL) == 0);
}

/* A child sends `number` three times and then writes a byte. */
static pid_t send_and_write(int number, int fd) {
    pid_t parent = getpid(), child = fork();
    if (!child) {
        for (int i = 0; i < 3; i++) {
            usleep(10000);
            kill(parent, number);
        }
        usleep(10000);
        _exit(write(fd, "y", 1) != 1);
    }
    return child;
}

static void nothing_is_interrupted(int number) {
    for (int way = 0; way < 6; way++) {
        int ends[2], status;
        char byte;
        CHECK(pipe(ends) == 0);
        struct pollfd readable = {.fd = ends[0], .events = POLLIN};
        struct timespec minute = {60, 0}, short_time = {0, 60000000};
        fd_set set;
        FD_ZERO(&set);
        FD_SET(ends[0], &set);
        int queue = epoll_create1(0);
        struct epoll_event event = {.events = EPOLLIN};
        CHECK(epoll_ctl(queue, EPOLL_CTL_ADD, ends[0], &event) == 0);
        pid_t child = send_and_write(number, ends[1]);
        if (way == 0) {
            CHECK(poll(&readable, 1, -1) == 1);
        } else if (way == 1) {
            CHECK(ppoll(&readable, 1, &minute, NULL) == 1);
        } else if (way == 2) {
            CHECK(select(ends[0] + 1, &set, NULL, NULL, NULL) == 1);
        } else if (way == 3) {
            CHECK(epoll_wait(queue, &event, 1, -1) == 1);
        } else if (way == 4) {
            CHECK(nanosleep(&short_time, NULL) == 0);
        } else {
            int word = 0;
            FAILS(ETIMEDOUT, syscall(SYS_futex, &word, FUTEX_WAIT, 0, &short_time));
        }
        CHECK(read(ends[0], &byte, 1) == 1 && byte == 'y');
        CHECK(waitpid(child, &status, 0) == child && status == 0);
        close(ends[0]), close(ends[1]), close(queue);
    }
}

static void ignored_ones_interrupt_nothing(void) {
    for (int i = 0; i < 2; i++) {
        signal(faults[i], SIG_IGN);
        nothing_is_interrupted(faults[i]);
        signal(faults[i], SIG_DFL);
    }
}

static void blocked_ones_interrupt_nothing(void) {
    for (int i = 0; i < 2; i++) {
        handle(faults[i], i ? SA_RESTART : 0);
        block(SIG_BLOCK, faults[i]);
        nothing_is_interrupted(faults[i]);
        CHECK(count == 0);
        block(SIG_UNBLOCK, faults[i]);
        CHECK(count == 1);
        signal(faults[i], SIG_DFL);
    }
}

static void handled_ones_interrupt(void) {
    for (int i = 0; i < 2; i++) {
        int ends[2], status;
        char byte;
        CHECK(pipe(ends) == 0);
        handle(faults[i], 0);
        pid_t child = send_and_write(faults[i], ends[1]);
        FAILS(EINTR, read(ends[0], &byte, 1));
        CHECK(count == 1);
        CHECK(waitpid(child, &status, 0) == -1 || status == 0);
        while (waitpid(child, &status, 0) == -1 && errno == EINTR) {
        }
        CHECK(read(ends[0], &byte, 1) == 1 && byte == 'y');
        handle(faults[i], SA_RESTART);
        child = send_and_write(faults[i], ends[1]);
        /* two that come close together are one */
        CHECK(read(ends[0], &byte, 1) == 1 && byte == 'y' && count >= 1 && count <= 3);
        CHECK(waitpid(child, &status, 0) == child && status == 0);
        signal(faults[i], SIG_DFL);
        close(ends[0]), close(ends[1]);
    }
}

/* The mask of ppoll(2) and its kind lets in what waits, and holds back what the thread's own mask would let in. */
static void masks_of_waits_hold(void) {
    struct timespec soon = {0, 20000000};
    for (int i = 0; i < 2; i++) {
        int number = faults[i], queue = epoll_create1(0);
        struct epoll_event event;
        sigset_t none, one;
        sigemptyset(&none);
        sigemptyset(&one);
        sigaddset(&one, number);
        handle(number, 0);
        for (int way = 0; way < 4; way++) {
            block(SIG_BLOCK, number);
            kill(getpid(), number);
            CHECK(count == 0);
            if (way == 0) {
                FAILS(EINTR, ppoll(NULL, 0, NULL, &none));
            } else if (way == 1) {
                FAILS(EINTR, pselect(0, NULL, NULL, NULL, NULL, &none));
            } else if (way == 2) {
                FAILS(EINTR, epoll_pwait(queue, &event, 1, -1, &none));
            } else {
                FAILS(EINTR, sigsuspend(&none));
            }
            CHECK(count == 1);
            sigset_t now;
            CHECK(sigprocmask(SIG_BLOCK, NULL, &now) == 0 && sigismember(&now, number));
            block(SIG_UNBLOCK, number);
            count = 0;
            pid_t parent = getpid(), child = fork();
            if (!child) {
                usleep(5000);
                _exit(kill(parent, number));
            }
            struct timespec wait = {0, 300000000};
            if (way == 0 || way == 3) {
                CHECK(ppoll(NULL, 0, &wait, &one) == 0);
            } else if (way == 1) {
                CHECK(pselect(0, NULL, NULL, NULL, &wait, &one) == 0);
            } else {
                CHECK(epoll_pwait(queue, &event, 1, 300, &one) == 0);
            }
            CHECK(count == 1); /* let in when the wait was over */
            CHECK(waitpid(child, NULL, 0) == child);
            count = 0;
        }
        signal(number, SIG_DFL);
        close(queue);
    }
    CHECK(nanosleep(&soon, NULL) == 0);
}

/* Crash reporters end so: they queue to themselves what they have caught. */
static void a_fault_can_be_queued_again(void) {
    siginfo_t info = {.si_signo = SIGSEGV, .si_code = SEGV_MAPERR, .si_addr = (void *)0x123000};
    handle(SIGSEGV, 0);
    CHECK(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGSEGV, &info) == 0);
    CHECK(count == 1 && last_code == SEGV_MAPERR && last_address == (void *)0x123000);
    signal(SIGSEGV, SIG_DFL);
    int status;
    pid_t child = fork();
    if (!child) {
        syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGSEGV, &info);
        _exit(3);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static void ignoring_drops_what_waits(void) {
    for (int i = 0; i < 2; i++) {
        sigset_t pending;
        handle(faults[i], 0);
        block(SIG_BLOCK, faults[i]);
        kill(getpid(), faults[i]);
        CHECK(sigpending(&pending) == 0 && sigismember(&pending, faults[i]));
        signal(faults[i], SIG_IGN);
        CHECK(sigpending(&pending) == 0 && !sigismember(&pending, faults[i]));
        handle(faults[i], 0);
        block(SIG_UNBLOCK, faults[i]);
        CHECK(count == 0);
        signal(faults[i], SIG_DFL);
    }
}

/* What the program was started with: "inherited" and the signal that is ignored, the other one being default. */
static int inherited(int ignored) {
    for (int i = 0; i < 2; i++) {
        struct sigaction action;
        CHECK(sigaction(faults[i], NULL, &action) == 0);
        CHECK(action.sa_handler == (faults[i] == ignored ? SIG_IGN : SIG_DFL));
    }
    if (ignored) {
        CHECK(kill(getpid(), ignored) == 0);
    }
    return 42;
}

static void execve_keeps_ignored_ones(void) {
    for (int i = 0; i < 3; i++) {
        int number = i < 2 ? faults[i] : 0, status;
        char text[12];
        snprintf(text, sizeof text, "%d", number);
        pid_t child = fork();
        if (!child) {
            if (number) {
                signal(number, SIG_IGN);
            } else {
                handle(SIGSEGV, 0);
            }
            execl("/proc/self/exe", "again", "inherited", text, NULL);
            _exit(1);
        }
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    }
}

/* A real fault ends the process all the same, with the action default meanwhile. */
static void ignored_faults_still_kill(void) {
    int status;
    pid_t child = fork();
    if (!child) {
        signal(SIGSEGV, SIG_IGN);
        *(volatile int *)16 = 1;
        _exit(3);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "inherited")) {
        return inherited(atoi(argv[2]));
    }
    RUN(ignored_ones_interrupt_nothing);
    RUN(blocked_ones_interrupt_nothing);
    RUN(handled_ones_interrupt);
    RUN(masks_of_waits_hold);
    RUN(a_fault_can_be_queued_again);
    RUN(ignoring_drops_what_waits);
    RUN(execve_keeps_ignored_ones);
    RUN(ignored_faults_still_kill);
    return 0;
}
