// SPDX-License-Identifier: GPL-2.0-or-later
// What a thread costs: little resident memory while it lives, nothing once it is gone. VmRSS of proc_pid_status(5).
#define _GNU_SOURCE
#include <pthread.h>
#include <unistd.h>

#include "../resident.h"

#define THREADS 64
#define ROUNDS 20
#define MOST_PER_THREAD (2 << 10) /* KiB */

static pthread_barrier_t all_run, all_end;

static void *stay(void *unused) {
    pthread_barrier_wait(&all_run);
    pthread_barrier_wait(&all_end);
    return unused;
}

/* Returns what is resident while the threads live. */
static long together(void) {
    pthread_t threads[THREADS];
    pthread_barrier_init(&all_run, NULL, THREADS + 1);
    pthread_barrier_init(&all_end, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, stay, NULL) == 0);
    }
    pthread_barrier_wait(&all_run);
    long found = resident();
    pthread_barrier_wait(&all_end);
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    return found;
}

static void a_thread_takes_little(void) {
    long before = resident();
    CHECK(together() - before < THREADS * MOST_PER_THREAD);
}

static void *nothing(void *unused) {
    return unused;
}

static void ended_threads_leave_nothing(void) {
    for (int i = 0; i < THREADS; i++) { /* what is kept for the next threads is there now */
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, nothing, NULL) == 0 && !pthread_join(thread, NULL));
    }
    long before = resident();
    for (int i = 0; i < ROUNDS * THREADS / 4; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, nothing, NULL) == 0 && !pthread_join(thread, NULL));
    }
    CHECK(resident() - before < 8 << 10);
}

int main(void) {
    RUN(a_thread_takes_little);
    RUN(ended_threads_leave_nothing);
    return 0;
}
