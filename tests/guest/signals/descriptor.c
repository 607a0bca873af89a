// SPDX-License-Identifier: GPL-2.0-or-later
// signalfd(2) reads every signal that is blocked, also SIGSEGV and SIGBUS that were sent.
// flags: -pthread
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../check.h"

static const int numbers[] = {SIGSEGV, SIGBUS, SIGUSR1};
static sigset_t all, watched;
static int fd;
static volatile sig_atomic_t handled;

static void note(int number) {
    (void)number;
    handled++;
}

static int reads(void) {
    struct signalfd_siginfo info;
    return read(fd, &info, sizeof info) == sizeof info ? (int)info.ssi_signo : -errno;
}

static int pending(int number) {
    sigset_t set;
    CHECK(sigpending(&set) == 0);
    return sigismember(&set, number);
}

static void each_is_read(void) {
    for (int i = 0; i < 3; i++) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        struct signalfd_siginfo info;
        CHECK(poll(&readable, 1, 0) == 0 && reads() == -EAGAIN);
        kill(getpid(), numbers[i]);
        CHECK(pending(numbers[i]) && poll(&readable, 1, 0) == 1);
        CHECK(read(fd, &info, sizeof info) == sizeof info &&
              info.ssi_signo == (unsigned)numbers[i]);
        CHECK(info.ssi_code == SI_USER && info.ssi_pid == (unsigned)getpid());
        CHECK(!pending(numbers[i]) && reads() == -EAGAIN);
        raise(numbers[i]);
        CHECK(reads() == numbers[i] && reads() == -EAGAIN);
    }
}

static void sent_before_it_was_made(void) {
    for (int i = 0; i < 3; i++) {
        kill(getpid(), numbers[i]);
    }
    int other = signalfd(-1, &watched, SFD_NONBLOCK), first = fd, sum = 0;
    fd = other;
    for (int i = 0; i < 3; i++) {
        sum += reads();
    }
    CHECK(sum == SIGSEGV + SIGBUS + SIGUSR1 && reads() == -EAGAIN);
    close(other);
    fd = first;
}

/* What is not read is as ever: taken by others, delivered, dropped. */
static void the_rest_is_as_ever(void) {
    for (int i = 0; i < 3; i++) {
        sigset_t one;
        sigemptyset(&one);
        sigaddset(&one, numbers[i]);
        kill(getpid(), numbers[i]);
        CHECK(sigwaitinfo(&one, NULL) == numbers[i] && reads() == -EAGAIN);
        signal(numbers[i], note);
        kill(getpid(), numbers[i]);
        handled = 0;
        CHECK(sigprocmask(SIG_UNBLOCK, &one, NULL) == 0 && handled == 1);
        kill(getpid(), numbers[i]);
        CHECK(handled == 2);
        CHECK(sigprocmask(SIG_BLOCK, &one, NULL) == 0);
        kill(getpid(), numbers[i]);
        signal(numbers[i], SIG_IGN);
        CHECK(!pending(numbers[i]) && reads() == -EAGAIN);
        signal(numbers[i], note);
        CHECK(handled == 2);
    }
}

/* A wait that blocks it goes on, and one that does not is ended. */
static void waits_under_other_masks(void) {
    for (int i = 0; i < 3; i++) {
        struct timespec moment = {0, 50000000};
        sigset_t none;
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        sigemptyset(&none);
        signal(numbers[i], note);
        handled = 0;
        kill(getpid(), numbers[i]);
        CHECK(ppoll(NULL, 0, &moment, &all) == 0 && handled == 0);
        CHECK(ppoll(&readable, 1, NULL, &all) == 1 && handled == 0);
        FAILS(EINTR, ppoll(NULL, 0, &moment, &none));
        CHECK(handled == 1 && reads() == -EAGAIN);
    }
}

static void waiting_for_them(void) {
    for (int i = 0; i < 3; i++) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        int status;
        pid_t parent = getpid(), child = fork();
        if (!child) {
            usleep(30000);
            _exit(kill(parent, numbers[i]));
        }
        CHECK(poll(&readable, 1, -1) == 1 && reads() == numbers[i]);
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
}

static void *reads_in_a_thread(void *unused) {
    for (int i = 0; i < 3; i++) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        kill(getpid(), numbers[i]);
        CHECK(poll(&readable, 1, -1) == 1 && reads() == numbers[i]);
    }
    return unused;
}

static void threads(void) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, reads_in_a_thread, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(reads() == -EAGAIN);
}

static int deep(int depth) {
    volatile char room[16384];
    room[0] = (char)depth;
    return depth ? deep(depth - 1) + room[0] - (char)depth : 7;
}

static void memory_is_as_ever(void) {
    for (int i = 0; i < 2; i++) {
        kill(getpid(), numbers[i]);
        CHECK(reads() == numbers[i]);
        CHECK(deep(100 + 100 * i) == 7);
        FAILS(EFAULT, sigaltstack((void *)64, NULL));
    }
}

static void errors(void) {
    FAILS(EFAULT, syscall(SYS_signalfd4, -1, WILD, 8, 0));
    FAILS(EFAULT, syscall(SYS_signalfd4, -1, NULL, 8, 0));
    FAILS(EINVAL, syscall(SYS_signalfd4, -1, &all, 4, 0));
    FAILS(EINVAL, syscall(SYS_signalfd4, -1, &all, 8, 1));
    FAILS(EBADF, syscall(SYS_signalfd4, 999, &all, 8, 0));
    FAILS(EINVAL, syscall(SYS_signalfd4, 1, &all, 8, 0));
}

int main(void) {
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    sigemptyset(&watched);
    for (int i = 0; i < 3; i++) {
        sigaddset(&watched, numbers[i]);
    }
    fd = signalfd(-1, &watched, SFD_NONBLOCK);
    CHECK(fd >= 0);
    RUN(each_is_read);
    RUN(sent_before_it_was_made);
    RUN(the_rest_is_as_ever);
    RUN(waits_under_other_masks);
    RUN(waiting_for_them);
    RUN(threads);
    RUN(memory_is_as_ever);
    RUN(errors);
    return 0;
}
