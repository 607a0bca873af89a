// SPDX-License-Identifier: GPL-2.0-or-later
// What a vfork(2) child does not have in common with its parent: credentials, namespaces, signal stack, timers, time.
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/time.h>
#include <time.h>

#include "children.h"

static void runs_a_shell(void) {
    execl("/bin/sh", "sh", "-c", "exit 5", NULL);
}

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
    for (;;) {
    }
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
    RUN(credentials);
    RUN(namespaces);
    RUN(the_alternate_stack);
    RUN(timers);
    RUN(a_new_time_begins_with_the_program);
    return 0;
}
