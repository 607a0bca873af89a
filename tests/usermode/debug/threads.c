/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads that compute, wait, and take turns. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS 3
#define ROUNDS 200

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t all_there;
static long shared;
static int watched;
static _Atomic long atomic_sum;

__attribute__((noinline)) static void work(long n) {
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&lock);
        shared++;
        pthread_mutex_unlock(&lock);
        atomic_sum += n;
    }
}

static void *worker(void *argument) {
    long n = (long)argument;
    pthread_barrier_wait(&all_there);
    work(n);
    if (n == 2) {
        watched = 5;
    }
    return argument;
}

static void *sleeper(void *argument) {
    pause();
    return argument;
}

int main(void) {
    pthread_t workers[THREADS], sleeping;
    pthread_barrier_init(&all_there, NULL, THREADS);
    pthread_create(&sleeping, NULL, sleeper, NULL);
    for (long i = 0; i < THREADS; i++) {
        pthread_create(&workers[i], NULL, worker, (void *)(i + 1));
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i], NULL);
    }
    watched = 9;
    printf("shared %ld sum %ld watched %d\n", shared, atomic_sum, watched);
    exit(3);
}
