/* SPDX-License-Identifier: GPL-2.0-or-later */
/* atomic N: two threads, each N additions to a shared counter: atomic ones, and every eighth under a mutex. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static atomic_ulong counter;
static unsigned long guarded;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void *work(void *rounds) {
    for (long n = *(long *)rounds; n > 0; n--) {
        atomic_fetch_add(&counter, 1);
        if ((n & 7) == 0) {
            pthread_mutex_lock(&mutex);
            guarded++;
            pthread_mutex_unlock(&mutex);
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    long rounds = argc > 1 ? atol(argv[1]) : 1;
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, work, &rounds))
            return 1;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    printf("%lu %lu\n", atomic_load(&counter), guarded);
    return 0;
}
