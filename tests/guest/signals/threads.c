// SPDX-License-Identifier: GPL-2.0-or-later
// Threads that send each other signals: none is lost, none comes twice; also while threads begin and end.
// With an argument: so many seconds of it in 64 threads.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "../check.h"

#define MOST 64

static pthread_t threads[MOST];
static int thread_count, rounds;
static double seconds, limit; /* of all, of this storm */
static atomic_long sent, handled, doubled;
static atomic_int ready, finished;
static __thread int self;
static atomic_uint last_value[MOST][MOST]; /* by receiver and sender */

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* The value says who sent it, and that sender's count. One sender's signals to one thread come in order. */
static void count(int number, siginfo_t *info, void *context) {
    uint64_t value = (uint64_t)(uintptr_t)info->si_value.sival_ptr;
    unsigned from = (unsigned)(value >> 32), which = (unsigned)value;
    (void)number, (void)context;
    if (atomic_exchange(&last_value[self][from], which) == which) {
        atomic_fetch_add(&doubled, 1);
    }
    atomic_fetch_add(&handled, 1);
}

static void *send_all(void *argument) {
    unsigned counts[MOST] = {0}, state;
    self = (int)(intptr_t)argument;
    state = (unsigned)self * 2654435761u + 1;
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) < thread_count) {
        sched_yield();
    }
    double end = now() + limit;
    for (int i = 0; limit > 0 ? now() < end : i < rounds; i++) {
        state = state * 1103515245u + 12345u;
        unsigned to = (state >> 16) % (unsigned)thread_count;
        uint64_t value = (uint64_t)self << 32 | (counts[to] + 1);
        int error = pthread_sigqueue(threads[to], SIGRTMIN + 2,
                                     (union sigval){.sival_ptr = (void *)(uintptr_t)value});
        if (!error) {
            counts[to]++;
            atomic_fetch_add(&sent, 1);
        } else if (error != EAGAIN) {
            printf("pthread_sigqueue: %s\n", strerror(error));
            _exit(1);
        }
    }
    atomic_fetch_add(&finished, 1);
    while (atomic_load(&finished) < thread_count) {
        usleep(1000);
    }
    sigset_t pending;
    do {
        sigpending(&pending);
    } while (sigismember(&pending, SIGRTMIN + 2));
    return NULL;
}

static void storm(int flags) {
    struct sigaction action = {.sa_sigaction = count, .sa_flags = SA_SIGINFO | SA_RESTART | flags};
    CHECK(sigaction(SIGRTMIN + 2, &action, NULL) == 0);
    limit = flags & SA_NODEFER ? 0 : seconds; /* else the frames fill the stack, on any machine */
    sent = handled = doubled = ready = finished = 0;
    memset((void *)last_value, 0, sizeof last_value);
    for (int i = 0; i < thread_count; i++) {
        CHECK(pthread_create(&threads[i], NULL, send_all, (void *)(intptr_t)i) == 0);
    }
    for (int i = 0; i < thread_count; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK(sent > 0 && handled == sent);
    CHECK(doubled == 0 ||
          flags & SA_NODEFER); /* nested handlers may note their values out of order */
}

static void none_is_lost(void) {
    storm(0);
}

static void none_is_lost_in_nested_handlers(void) {
    storm(SA_NODEFER);
}

static atomic_long ticks;

static void tick(int number) {
    (void)number;
    atomic_fetch_add(&ticks, 1);
}

static void *nothing(void *argument) {
    return argument;
}

/* A signal of the process may meet any thread, also one that begins or ends. */
static void threads_begin_and_end_under_fire(void) {
    struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};
    struct itimerval value = {{0, 1000}, {0, 1000}};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &value, NULL) == 0);
    for (int i = 0; i < 60; i++) {
        pthread_t some[3];
        for (int k = 0; k < 3; k++) {
            CHECK(pthread_create(&some[k], NULL, nothing, (void *)(intptr_t)k) == 0);
        }
        for (int k = 0; k < 3; k++) {
            void *result;
            CHECK(pthread_join(some[k], &result) == 0 && result == (void *)(intptr_t)k);
        }
    }
    CHECK(ticks > 0);
    CHECK(setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL) == 0);
}

static atomic_int queued_here;

static void note_queued(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    atomic_fetch_add(&queued_here, info->si_value.sival_int);
}

/* Signals of the process that a thread has blocked, or leaves behind at its end, go to the others. */
static void *send_and_end(void *argument) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 3);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    for (int i = 0; i < 5; i++) {
        sigqueue(getpid(), SIGRTMIN + 3, (union sigval){.sival_int = 1});
    }
    return argument;
}

static void an_ending_thread_takes_none_along(void) {
    struct sigaction action = {.sa_sigaction = note_queued, .sa_flags = SA_SIGINFO | SA_RESTART};
    CHECK(sigaction(SIGRTMIN + 3, &action, NULL) == 0);
    for (int i = 0; i < 40; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, send_and_end, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    for (int i = 0; i < 1000 && queued_here < 200; i++) {
        usleep(1000);
    }
    CHECK(queued_here == 200);
}

/* ---- the write barrier of a garbage collector ---- */

#define PAGES 16

static char *heap;
static atomic_long barriers;

static void open_page(int number, siginfo_t *info, void *context) {
    uintptr_t page = (uintptr_t)info->si_addr & -4096ul;
    (void)number, (void)context;
    if (page < (uintptr_t)heap || page >= (uintptr_t)heap + PAGES * 4096ul) {
        _exit(9);
    }
    atomic_fetch_add(&barriers, 1);
    mprotect((void *)page, 4096, PROT_READ | PROT_WRITE);
}

static void *write_everywhere(void *argument) {
    int index = (int)(intptr_t)argument;
    for (int round = 0; round < 40; round++) {
        for (int page = 0; page < PAGES; page++) {
            volatile uint64_t *word = (uint64_t *)(heap + page * 4096) + index;
            *word = *word + 1;
        }
        if (!index) {
            mprotect(heap, PAGES * 4096, PROT_READ);
        }
    }
    return NULL;
}

static void write_barriers(void) {
    struct sigaction action = {.sa_sigaction = open_page, .sa_flags = SA_SIGINFO};
    pthread_t writers[4];
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    heap = mmap(NULL, PAGES * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(heap != MAP_FAILED);
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_create(&writers[i], NULL, write_everywhere, (void *)(intptr_t)i) == 0);
    }
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_join(writers[i], NULL) == 0);
    }
    for (int page = 0; page < PAGES; page++) {
        for (int i = 0; i < 4; i++) {
            CHECK(((uint64_t *)(heap + page * 4096))[i] == 40);
        }
    }
    CHECK(barriers >= PAGES);
}

int main(int argc, char **argv) {
    thread_count = argc > 1 ? MOST : 8;
    seconds = argc > 1 ? atof(argv[1]) : 0;
    rounds = 300;
    RUN(none_is_lost);
    RUN(none_is_lost_in_nested_handlers);
    RUN(threads_begin_and_end_under_fire);
    RUN(an_ending_thread_takes_none_along);
    RUN(write_barriers);
    return 0;
}
