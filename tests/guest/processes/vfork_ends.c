// SPDX-License-Identifier: GPL-2.0-or-later
// A vfork(2) child, and the process and threads around it, can end at any moment, and all that is its own goes with it.
// flags: -pthread
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "children.h"

static volatile pid_t *shared; /* with forks too */
static int ends[2];
static volatile unsigned value;

/* ---- the child is killed ---- */

static void reads(void) {
    char byte;
    *shared = getpid();
    CHECK(read(ends[0], &byte, 1) == 1);
}
static void sleeps(void) {
    *shared = getpid();
    sleep(1000);
}
static void waits_for_a_futex(void) {
    int word = 0;
    *shared = getpid();
    syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL);
}
static void waits_for_signals(void) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    *shared = getpid();
    for (;;) {
        sigwaitinfo(&all, NULL);
    }
}
static void computes(void) {
    *shared = getpid();
    for (;;) {
        value++;
    }
}
static void stops(void) {
    *shared = getpid();
    raise(SIGSTOP);
    sleep(1000);
}
static void calls(void) {
    *shared = getpid();
    for (;;) {
        close(open("/proc/self/maps", O_RDONLY));
        munmap(mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 8192);
    }
}
static void executes(void) {
    *shared = getpid();
    for (;;) {
        execl("/no/such/file", "x", NULL);
    }
}
static void forks(void) {
    *shared = getpid();
    for (;;) { /* not by libc, whose locks it could take with it */
        if (!syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL)) {
            syscall(SYS_exit_group, 0);
        }
        waitpid(-1, NULL, 0);
    }
}

static void runs_a_shell(void) {
    execl("/bin/sh", "sh", "-c", "exit 5", NULL);
}

static void (*const states[])(void) = {
    reads, sleeps, waits_for_a_futex, waits_for_signals, computes, stops, calls, executes, forks};
#define STATES (sizeof states / sizeof *states)

static pid_t killer(int number, useconds_t after) {
    *shared = 0;
    pid_t child = fork();
    if (!child) {
        while (!*shared) {
            usleep(100);
        }
        usleep(after);
        _exit(kill(*shared, number));
    }
    return child;
}

static void killed_in_any_state(void) {
    for (size_t i = 0; i < STATES; i++) {
        for (useconds_t after = 0; after < 40000; after = after * 3 + 1500) {
            pid_t killing = killer(SIGKILL, after);
            CHECK(child_of(states[i]) == 1000 + SIGKILL);
            CHECK(ends_with(killing) == 0);
        }
        CHECK(child_of(runs_a_shell) == 5);
    }
}

static void tell(int number) {
    *shared = number;
}

static int waits_long(void *unused) {
    *shared = 1;
    usleep(500000);
    return unused != NULL;
}

/* A handler has to wait, but what ends the process does not. */
static void the_parent_is_killed(void) {
    static const int numbers[] = {SIGTERM, SIGKILL, SIGUSR1, 40};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        *shared = 0;
        pid_t parent = fork();
        if (!parent) {
            static char stack[65536];
            signal(SIGUSR2, tell);
            clone(waits_long, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
            *shared = 2;
            _exit(1);
        }
        while (!*shared) {
            usleep(1000);
        }
        kill(parent, SIGUSR2);
        usleep(10000);
        kill(parent, numbers[i]);
        CHECK(ends_with(parent) == 1000 + numbers[i] && *shared == 1);
    }
}

/* ---- the process between is killed ---- */

static int waits_for_its_child(void *unused) {
    pid_t child = vfork();
    if (!child) {
        *shared = getppid();
        usleep(200000);
        _exit(0);
    }
    value++; /* only if it lives */
    return unused != NULL;
}

/* On a stack of its own, which its child goes on to use. */
static void killed_while_its_child_runs(void) {
    static char stack[65536];
    value = 0;
    pid_t killing = killer(SIGKILL, 20000);
    pid_t child =
        clone(waits_for_its_child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
    CHECK(ends_with(child) == 1000 + SIGKILL && ends_with(killing) == 0 && value == 0);
}

/* ---- the parent's other threads ---- */

static void *forks_always(void *stop) {
    while (!*(volatile int *)stop) {
        pid_t child = fork();
        if (!child) {
            void *block = malloc(100000);
            _exit(block ? 3 : 4);
        }
        CHECK(ends_with(child) == 3);
    }
    return NULL;
}

static void forks_of_both(void) {
    for (int i = 0; i < 10; i++) {
        pid_t child = fork();
        if (!child) {
            void *block = malloc(100000);
            _exit(block ? 3 : 4);
        }
        if (ends_with(child) != 3) {
            _exit(1);
        }
    }
}

static void another_thread_forks(void) {
    static volatile int stop;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, forks_always, (void *)&stop) == 0);
    for (int i = 0; i < 5; i++) {
        CHECK(child_of(forks_of_both) == 0);
        CHECK(child_of(runs_a_shell) == 5);
    }
    stop = 1;
    pthread_join(thread, NULL);
}

static void *vforks_and_stays(void *body) {
    child_of((void (*)(void))body);
    return NULL;
}

/* Whether the child goes on or not, its process's new program is not disturbed by it. */
static void execve_of_another_thread(void) {
    static void (*const bodies[])(void) = {sleeps, computes, calls};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        *shared = 0;
        pid_t child = fork();
        if (!child) {
            pthread_t thread;
            if (pthread_create(&thread, NULL, vforks_and_stays, (void *)bodies[i])) {
                _exit(1);
            }
            while (!*shared) {
                usleep(1000);
            }
            runs_a_shell();
        }
        CHECK(ends_with(child) == 5);
        kill(*shared, SIGKILL);
    }
}

static void end_of_another_thread(void) {
    for (int i = 0; i < 2; i++) {
        *shared = 0;
        pid_t child = fork();
        if (!child) {
            pthread_t thread;
            if (pthread_create(&thread, NULL, vforks_and_stays, (void *)sleeps)) {
                _exit(1);
            }
            while (!*shared) {
                usleep(1000);
            }
            _exit(i ? (raise(SIGTERM), 7) : 6);
        }
        CHECK(ends_with(child) == (i ? 1000 + SIGTERM : 6));
        kill(*shared, SIGKILL);
    }
}

static void no_room_for_signals(void) {
    struct rlimit before, none = {0};
    CHECK(getrlimit(RLIMIT_SIGPENDING, &before) == 0);
    none.rlim_max = before.rlim_max;
    CHECK(setrlimit(RLIMIT_SIGPENDING, &none) == 0);
    CHECK(child_of(runs_a_shell) == 5);
    for (size_t i = 0; i < STATES; i++) {
        pid_t killing = killer(SIGKILL, 10000);
        CHECK(child_of(states[i]) == 1000 + SIGKILL);
        CHECK(ends_with(killing) == 0);
    }
    CHECK(setrlimit(RLIMIT_SIGPENDING, &before) == 0);
}

int main(void) {
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(pipe(ends) == 0);
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0); /* nothing is left behind */
    RUN(killed_in_any_state);
    RUN(the_parent_is_killed);
    RUN(killed_while_its_child_runs);
    RUN(another_thread_forks);
    RUN(execve_of_another_thread);
    RUN(end_of_another_thread);
    RUN(no_room_for_signals);
    while (wait(NULL) > 0) {
    }
    return 0;
}
