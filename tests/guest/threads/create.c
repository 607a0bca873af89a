// SPDX-License-Identifier: GPL-2.0-or-later
// Threads: made and joined, many at once, with their own storage, mask and stack; locks and conditions. pthreads(7).
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../check.h"

#define TOGETHER 64

static atomic_int total;
static __thread long own = 5;

static void *add(void *value) {
    own += (long)value;
    total += own;
    return (void *)own;
}

static void two_hundred_in_turn(void) {
    for (long i = 0; i < 200; i++) {
        pthread_t thread;
        void *result;
        CHECK(pthread_create(&thread, NULL, add, (void *)i) == 0);
        CHECK(pthread_join(thread, &result) == 0 && (long)result == 5 + i);
    }
    CHECK(own == 5);
    CHECK(total == 200 * 5 + 199 * 200 / 2);
}

static pthread_barrier_t barrier;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long counter;

static void *meet(void *value) {
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 200; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
    }
    return value;
}

static void many_at_once(void) {
    pthread_t threads[TOGETHER];
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    pthread_barrier_init(&barrier, NULL, TOGETHER);
    for (long i = 0; i < TOGETHER; i++) {
        CHECK(pthread_create(&threads[i], &small, meet, (void *)i) == 0);
    }
    for (long i = 0; i < TOGETHER; i++) {
        void *result;
        CHECK(pthread_join(threads[i], &result) == 0 && (long)result == i);
    }
    CHECK(counter == TOGETHER * 200);
}

static sem_t done;

static void *post(void *unused) {
    sem_post(&done);
    return unused;
}

static void detached_threads(void) {
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    sem_init(&done, 0, 0);
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, &detached, post, NULL) == 0);
        sem_wait(&done);
    }
}

static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int turn;

static void *other_turns(void *unused) {
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < 200; i++) {
        while (turn != 1) {
            pthread_cond_wait(&condition, &mutex);
        }
        turn = 0;
        pthread_cond_signal(&condition);
    }
    pthread_mutex_unlock(&mutex);
    return unused;
}

static void taking_turns(void) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, other_turns, NULL) == 0);
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < 200; i++) {
        turn = 1;
        pthread_cond_signal(&condition);
        while (turn != 0) {
            pthread_cond_wait(&condition, &mutex);
        }
    }
    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    CHECK(pthread_cond_timedwait(&condition, &mutex, &soon) == ETIMEDOUT);
    pthread_mutex_unlock(&mutex);
    CHECK(pthread_join(thread, NULL) == 0);
}

static volatile sig_atomic_t handled_by;

static void note(int number) {
    (void)number;
    handled_by = gettid();
}

static void *mask_and_id(void *unused) {
    sigset_t now;
    (void)unused;
    pthread_sigmask(SIG_BLOCK, NULL, &now);
    CHECK(sigismember(&now, SIGUSR2) && !sigismember(&now, SIGUSR1));
    CHECK(gettid() != getpid());
    CHECK(raise(SIGUSR1) == 0 && handled_by == gettid());
    stack_t stack;
    CHECK(sigaltstack(NULL, &stack) == 0 && stack.ss_flags == SS_DISABLE);
    return NULL;
}

static void mask_is_inherited_and_raise_is_ones_own(void) {
    sigset_t usr2;
    pthread_t thread;
    static char area[65536];
    CHECK(sigaltstack(&(stack_t){.ss_sp = area, .ss_size = sizeof area}, NULL) == 0);
    signal(SIGUSR1, note);
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &usr2, NULL);
    CHECK(pthread_create(&thread, NULL, mask_and_id, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    sigemptyset(&usr2);
    pthread_sigmask(SIG_SETMASK, &usr2, NULL);
}

static pid_t waiter;

static void *wait_for_usr1(void *unused) {
    waiter = gettid();
    sem_post(&done);
    while (handled_by != waiter) {
        usleep(1000);
    }
    return unused;
}

static void pthread_kill_reaches_the_thread(void) {
    pthread_t thread;
    signal(SIGUSR1, note);
    CHECK(pthread_create(&thread, NULL, wait_for_usr1, NULL) == 0);
    sem_wait(&done);
    CHECK(pthread_kill(thread, SIGUSR1) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* A process's signal goes to a thread that does not block it. */
static void process_signal_finds_the_thread(void) {
    sigset_t usr1, none;
    pthread_t thread;
    handled_by = 0;
    CHECK(pthread_create(&thread, NULL, wait_for_usr1, NULL) == 0);
    sem_wait(&done);
    sigemptyset(&none);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr1, NULL);
    CHECK(kill(getpid(), SIGUSR1) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
}

static void *spin(void *unused) {
    for (;;) {
        pthread_testcancel();
        sched_yield();
    }
    return unused;
}

static void *sleep_long(void *unused) {
    pause();
    return unused;
}

static void *spin_hard(void *unused) {
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    for (volatile int i = 0;; i++) {
    }
    return unused;
}

static void cancellation(void) {
    void *(*bodies[])(void *) = {spin, sleep_long, spin_hard};
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        void *result;
        CHECK(pthread_create(&thread, NULL, bodies[i], NULL) == 0);
        usleep(5000);
        CHECK(pthread_cancel(thread) == 0);
        CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
    }
}

/* glibc sends signal 33 to every thread, so that all change together. */
static void ids_change_in_all_threads(void) {
    pthread_t thread;
    handled_by = 0;
    CHECK(pthread_create(&thread, NULL, wait_for_usr1, NULL) == 0);
    sem_wait(&done);
    CHECK(setuid(getuid()) == 0);
    CHECK(setgid(getgid()) == 0);
    CHECK(pthread_kill(thread, SIGUSR1) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

static pthread_key_t key;
static atomic_int destroyed;

static void destroy(void *value) {
    destroyed += (int)(long)value;
}

static void *use_key(void *value) {
    pthread_setspecific(key, value);
    return NULL;
}

static void storage_is_destroyed(void) {
    CHECK(pthread_key_create(&key, destroy) == 0);
    for (long i = 1; i <= 4; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, use_key, (void *)i) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    CHECK(destroyed == 10);
}

int main(void) {
    RUN(two_hundred_in_turn);
    RUN(many_at_once);
    RUN(detached_threads);
    RUN(taking_turns);
    RUN(mask_is_inherited_and_raise_is_ones_own);
    RUN(pthread_kill_reaches_the_thread);
    RUN(process_signal_finds_the_thread);
    RUN(cancellation);
    RUN(ids_change_in_all_threads);
    RUN(storage_is_destroyed);
    return 0;
}
