// SPDX-License-Identifier: GPL-2.0-or-later
// A vfork(2) child, and the process and threads around it, can end at any moment, and all that is its own goes with it.
// flags: -pthread
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../check.h"

static volatile pid_t *shared; /* with forks too */
static int ends[2];
static volatile unsigned value;

static int ends_with(pid_t child) {
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* Runs `body` in a vfork child; how that ended. */
static int child_of(void (*body)(void)) {
    pid_t child = vfork();
    if (!child) {
        body();
        _exit(0);
    }
    CHECK(child > 0);
    return ends_with(child);
}

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

/* ---- what is the child's own ---- */

static void changes_credentials(void) {
    gid_t group = 1234;
    if (setsid() != getpid() || setgroups(1, &group) || setresgid(55, 55, 55) ||
        setresuid(66, 66, 66) || getuid() != 66 || geteuid() != 66 || getgid() != 55) {
        _exit(1);
    }
    _exit(setuid(0) == -1 && errno == EPERM ? 9 : 2);
}

static void credentials(void) {
    pid_t session = getsid(0);
    if (geteuid()) {
        return; /* nothing to give up */
    }
    CHECK(child_of(changes_credentials) == 9);
    CHECK(!getuid() && !geteuid() && !getgid() && getsid(0) == session && setuid(0) == 0);
}

static char host[65];

static void unshares(void) {
    char now[65];
    if (unshare(CLONE_NEWUTS) || sethostname("in-the-child", 12) || gethostname(now, sizeof now)) {
        _exit(8);
    }
    _exit(!strcmp(now, "in-the-child") ? 8 : 1);
}

static void unshares_users(void) {
    unshare(CLONE_NEWUSER); /* may be forbidden */
    runs_a_shell();
}

static void namespaces(void) {
    char now[65];
    CHECK(gethostname(host, sizeof host) == 0);
    CHECK(child_of(unshares) == 8);
    CHECK(child_of(unshares_users) == 5);
    CHECK(gethostname(now, sizeof now) == 0 && !strcmp(host, now));
}

static void *handler_stack;
static volatile int on_it;

static void note_stack(int number) {
    char here;
    (void)number;
    on_it = &here > (char *)handler_stack && &here < (char *)handler_stack + 65536;
}

static void uses_the_stack(void) {
    struct sigaction action = {.sa_handler = note_stack, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    if (!on_it || sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL)) {
        _exit(1);
    }
    raise(SIGUSR1);
    _exit(on_it);
}

static void the_alternate_stack(void) {
    stack_t stack = {.ss_sp = handler_stack = malloc(65536), .ss_size = 65536}, now;
    CHECK(sigaltstack(&stack, NULL) == 0);
    CHECK(child_of(uses_the_stack) == 0);
    CHECK(sigaltstack(NULL, &now) == 0 && now.ss_sp == handler_stack && !now.ss_flags);
}

static timer_t timer;

static void has_no_timers(void) {
    struct itimerval left;
    if (timer_delete(timer) != -1 || errno != EINVAL || getitimer(ITIMER_REAL, &left) ||
        left.it_value.tv_sec) {
        _exit(1);
    }
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {0, 10000}}, NULL);
    computes();
}

static void timers(void) {
    struct sigevent event = {.sigev_notify = SIGEV_NONE};
    struct itimerval left, long_time = {.it_value = {1000, 0}};
    signal(SIGALRM, SIG_DFL);
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    CHECK(setitimer(ITIMER_REAL, &long_time, NULL) == 0);
    CHECK(child_of(has_no_timers) == 1000 + SIGALRM);
    CHECK(getitimer(ITIMER_REAL, &left) == 0 && left.it_value.tv_sec > 900);
    CHECK(timer_delete(timer) == 0);
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
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

static void says_the_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    _exit(now.tv_sec > 1000000 ? 21 : 20);
}

static void executes_the_clock(void) {
    execl("/bin/sh", "sh", "-c",
          "read up rest </proc/uptime; test ${up%.*} -gt 1000000 && exit 21; exit 20", NULL);
}

/* A process of its own: unshare(2) is not undone. */
static void new_time(void) {
    static const char offsets[] = "monotonic 2000000 0\nboottime 2000000 0\n";
    int fd = -1;
    if (unshare(CLONE_NEWTIME) == 0) {
        fd = open("/proc/self/timens_offsets", O_WRONLY);
    }
    if (fd < 0 || write(fd, offsets, sizeof offsets - 1) != sizeof offsets - 1) {
        _exit(20);
    }
    close(fd);
    CHECK(child_of(says_the_clock) == 20); /* shares the page with the clock's data */
    CHECK(child_of(executes_the_clock) == 21);
    pid_t child = fork();
    if (!child) {
        says_the_clock();
    }
    _exit(ends_with(child));
}

static void a_new_time_begins_with_the_program(void) {
    pid_t child = fork();
    if (!child) {
        new_time();
    }
    printf("time namespaces: %d\n", ends_with(child));
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
    RUN(credentials);
    RUN(namespaces);
    RUN(the_alternate_stack);
    RUN(timers);
    RUN(no_room_for_signals);
    RUN(a_new_time_begins_with_the_program);
    while (wait(NULL) > 0) {
    }
    return 0;
}
