// SPDX-License-Identifier: GPL-2.0-or-later
// Atomic instructions of all sizes, contended by four threads: exchange, minimum and maximum, compare and swap, add.
#include <pthread.h>
#include <stdint.h>

#include "../check.h"

#define THREADS 4
#define ROUNDS 200000

static uint64_t cell64;
static uint32_t cell32;
static uint64_t taken[THREADS];
static int32_t highest;
static uint16_t lowest = UINT16_MAX;
static _Atomic int fell, rose, started;
static uint32_t lock;
static long guarded;

static void wait_for_all(void) {
    started++;
    while (started < THREADS) {
    }
}

#ifdef __aarch64__
static int32_t fetch_max(int32_t *at, int32_t value) {
    int32_t old;
    __asm__ volatile(".arch armv8.1-a\nldsmaxal %w2, %w0, %1" : "=r"(old), "+Q"(*at) : "r"(value));
    return old;
}

static uint16_t fetch_min(uint16_t *at, uint16_t value) {
    uint32_t old;
    __asm__ volatile(".arch armv8.1-a\nlduminalh %w2, %w0, %1"
                     : "=r"(old), "+Q"(*at)
                     : "r"((uint32_t)value));
    return (uint16_t)old;
}
#else
static int32_t fetch_max(int32_t *at, int32_t value) {
    int32_t old = *at;
    while (!__atomic_compare_exchange_n(at, &old, old > value ? old : value, 0, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST)) {
    }
    return old;
}

static uint16_t fetch_min(uint16_t *at, uint16_t value) {
    uint16_t old = *at;
    while (!__atomic_compare_exchange_n(at, &old, old < value ? old : value, 0, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST)) {
    }
    return old;
}
#endif

// Every value put in by an exchange comes out of exactly one other.
static void *swap(void *argument) {
    long id = (long)argument;
    wait_for_all();
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        taken[id] += __atomic_exchange_n(&cell64, i, __ATOMIC_SEQ_CST);
        __atomic_exchange_n(&cell32, (uint32_t)i, __ATOMIC_RELAXED);
    }
    return NULL;
}

// A maximum never falls and a minimum never rises.
static void *extremes(void *argument) {
    int32_t seen = 0;
    uint16_t least = UINT16_MAX;
    wait_for_all();
    for (int32_t i = 0; i < ROUNDS; i++) {
        int32_t now = fetch_max(&highest, i * THREADS + (int32_t)(long)argument);
        uint16_t low = fetch_min(&lowest, (uint16_t)(UINT16_MAX - i / 4));
        fell += now < seen;
        rose += low > least;
        seen = now;
        least = low;
    }
    return NULL;
}

// An exchange used as a lock excludes.
static void *exclude(void *argument) {
    wait_for_all();
    for (int i = 0; i < ROUNDS / 10; i++) {
        while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE)) {
        }
        guarded++;
        __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
    }
    return argument;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void *lock_mutex(void *argument) {
    wait_for_all();
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&mutex);
        guarded++;
        pthread_mutex_unlock(&mutex);
    }
    return argument;
}

static void run(void *(*body)(void *)) {
    pthread_t threads[THREADS];
    started = 0;
    for (long i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, body, (void *)i);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
}

int main(void) {
    run(swap);
    uint64_t sum = cell64;
    for (int i = 0; i < THREADS; i++) {
        sum += taken[i];
    }
    CHECK(sum == (uint64_t)THREADS * ROUNDS * (ROUNDS + 1) / 2);
    run(extremes);
    CHECK(highest == (ROUNDS - 1) * THREADS + THREADS - 1);
    CHECK(lowest == UINT16_MAX - (ROUNDS - 1) / 4);
    CHECK(fell == 0);
    CHECK(rose == 0);
    run(exclude);
    CHECK(guarded == THREADS * (ROUNDS / 10));
    guarded = 0;
    run(lock_mutex);
    CHECK(guarded == (long)THREADS * ROUNDS);
    return 0;
}
