// SPDX-License-Identifier: GPL-2.0-or-later
// execve(2) by threads: the others vanish, the process id stays; a failure leaves all of them as they were.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>

#include "roles.h"

static _Atomic long counter;
static _Atomic bool stop;

static void *busy(void *unused) {
    while (!stop) {
        counter++;
    }
    return unused;
}

static void *asleep(void *unused) {
    for (;;) {
        pause();
    }
    return unused;
}

/* ---- the new program ---- */

static int alone(char **words) {
    sigset_t mask;
    struct stat status;
    CHECK(getpid() == atoi(words[2]) && syscall(SYS_gettid) == getpid());
    CHECK(stat("/proc/self/task", &status) == 0 && status.st_nlink == 3);
    sigprocmask(SIG_BLOCK, NULL, &mask);
    CHECK(sigismember(&mask, SIGUSR1) && !sigismember(&mask, SIGUSR2));
    int signal;
    CHECK(prctl(PR_GET_PDEATHSIG, &signal) == 0 && signal == SIGUSR2);
    void *list;
    size_t size;
    CHECK(syscall(SYS_get_robust_list, 0, &list, &size) == 0);
    return DONE;
}

/* ---- the callers ---- */

static const char *program = OWN;

static void *execute(void *unused) {
    char pid[20];
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    snprintf(pid, sizeof pid, "%d", getpid());
    prctl(PR_SET_PDEATHSIG, SIGUSR2);
    execl(program, "x", "alone", pid, NULL);
    return unused;
}

static void start(void *(*function)(void *)) {
    pthread_t thread;
    CHECK(!pthread_create(&thread, NULL, function, NULL));
}

static void another_thread(void) {
    start(busy);
    start(asleep);
    start(execute);
    pause();
}

static void another_thread_of_an_ended_leader(void) {
    start(asleep);
    start(execute);
    pthread_exit(NULL);
}

static void the_leader(void) {
    start(busy);
    start(asleep);
    execute(NULL);
}

static void two_at_once(void) {
    start(execute);
    execute(NULL);
    pause();
}

static void only_the_caller_is_left(void) {
    CHECK(status_of(another_thread) == DONE);
    program = link_text(OWN); /* /proc/self is empty when the leader has ended */
    CHECK(status_of(another_thread_of_an_ended_leader) == DONE);
    program = "/proc/thread-self/exe";
    CHECK(status_of(another_thread_of_an_ended_leader) == DONE);
    program = OWN;
    CHECK(status_of(the_leader) == DONE);
    for (int i = 0; i < 5; i++) {
        CHECK(status_of(two_at_once) == DONE);
    }
}

static void *fail(void *unused) {
    for (int i = 0; i < 100; i++) {
        FAILS(ENOENT, execl("nothing", "x", NULL));
        FAILS(ENOEXEC, execl("text", "x", NULL));
    }
    return unused;
}

static void failures_do_not_disturb(void) {
    pthread_t thread, worker;
    write_file("text", "no magic\n", 0700);
    CHECK(!pthread_create(&worker, NULL, busy, NULL));
    CHECK(!pthread_create(&thread, NULL, fail, NULL));
    CHECK(!pthread_join(thread, NULL));
    long before = counter;
    while (counter == before) {
        sched_yield();
    }
    stop = true;
    CHECK(!pthread_join(worker, NULL));
}

int main(int count, char **words) {
    if (count > 1) {
        return alone(words);
    }
    RUN(only_the_caller_is_left);
    RUN(failures_do_not_disturb);
    return 0;
}
