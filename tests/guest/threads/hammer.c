// SPDX-License-Identifier: GPL-2.0-or-later
// Threads that work on the same memory in every way at once: atomics, mutexes, signals, mappings, forks and pipes.
// Each kind of thread keeps an invariant. The only argument is for how many seconds they go on.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../check.h"

#define THREADS 64
#define PAGE 4096
#define PAGES 16
#define PIPES 4

static atomic_bool over;
static pthread_t threads[THREADS];

/* ---- atomics: what was added is there, and a token that is handed on stays the only one ---- */

static atomic_ulong sum, added, taken, tokens;
static _Atomic(unsigned char) small;
static atomic_ulong small_added;

static unsigned long use_atomics(int self) {
    unsigned long rounds = 0, own = 0, own_small = 0;
    while (!over) {
        for (int i = 0; i < 200; i++) {
            atomic_fetch_add(&sum, (unsigned long)self);
            own += (unsigned long)self;
            unsigned char old = small;
            own_small += atomic_compare_exchange_strong(&small, &old, (unsigned char)(old + 1));
            if (atomic_exchange(&tokens, 0)) {
                taken++; /* by the token's owner alone, though atomic anyway */
                CHECK(atomic_exchange(&tokens, 1) == 0);
            }
        }
        rounds++;
    }
    added += own;
    small_added += own_small;
    return rounds;
}

/* ---- mutexes and conditions: two numbers change together ---- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static volatile unsigned long left, right, low, high;

static unsigned long use_locks(int self) {
    unsigned long rounds = 0;
    for (; !over; rounds++) {
        pthread_mutex_lock(&mutex);
        left += (unsigned long)self;
        right += (unsigned long)self;
        CHECK(left == right);
        if (rounds % 16 == 0) {
            struct timespec soon;
            clock_gettime(CLOCK_REALTIME, &soon);
            soon.tv_nsec = (soon.tv_nsec + 1000000) % 1000000000;
            pthread_cond_timedwait(&changed, &mutex, &soon);
            CHECK(left == right);
        }
        pthread_mutex_unlock(&mutex);
        pthread_cond_signal(&changed);
        if (rounds % 4) {
            pthread_rwlock_rdlock(&rwlock);
            CHECK(low + 1 == high);
        } else {
            pthread_rwlock_wrlock(&rwlock);
            low++;
            high++;
        }
        pthread_rwlock_unlock(&rwlock);
    }
    return rounds;
}

/* ---- signals: a queued one is delivered exactly once, to its thread, and disturbs nothing ---- */

static atomic_ulong queued, delivered, strayed, sent, caught;
static __thread int me;

static void on_queued(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    int error = errno;
    if (info->si_value.sival_int != me) {
        strayed++;
    }
    delivered++;
    errno = error;
}

static void on_plain(int number) {
    (void)number;
    caught++;
}

static unsigned long send_signals(int self) {
    unsigned long rounds = 0;
    for (; !over; rounds++) {
        int target = (self * 7 + (int)rounds * 5) % THREADS;
        union sigval value = {.sival_int = target};
        volatile double kept = 1.5 + self;
        int error = pthread_sigqueue(threads[target], SIGRTMIN + 2, value);
        CHECK(error == 0 || error == EAGAIN);
        queued += error == 0;
        CHECK(pthread_kill(threads[(target + 1) % THREADS], SIGUSR1) == 0);
        sent++;
        CHECK(kept * 2 == 3.0 + 2 * self);
        usleep(500);
    }
    return rounds;
}

/* ---- mappings: a page holds what was written, and nothing of a page that was there before ---- */

static unsigned long map_memory(int self) {
    unsigned long rounds = 0;
    for (; !over; rounds++) {
        unsigned long mark = (unsigned long)self << 32 | rounds;
        unsigned long *area =
            mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(area != MAP_FAILED);
        for (size_t i = 0; i < PAGES * PAGE / sizeof *area; i += PAGE / sizeof *area) {
            CHECK(area[i] == 0);
            area[i] = mark + i;
        }
        CHECK(mprotect(area, PAGES * PAGE, PROT_READ) == 0);
        CHECK(munmap((char *)area + 4 * PAGE, 4 * PAGE) == 0);
        CHECK(mprotect(area, PAGE, PROT_READ | PROT_WRITE) == 0);
        area[1] = mark;
        for (size_t i = 0; i < PAGES * PAGE / sizeof *area; i += PAGE / sizeof *area) {
            CHECK((i >= 4 * PAGE / sizeof *area && i < 8 * PAGE / sizeof *area) ||
                  area[i] == mark + i);
        }
        CHECK(area[1] == mark);
        CHECK(munmap(area, PAGES * PAGE) == 0);
    }
    return rounds;
}

/* ---- forks: the child has the parent's memory as it was, alone ---- */

static unsigned long fork_children(int self) {
    unsigned long rounds = 0;
    volatile unsigned long own = 0;
    for (; !over; rounds++) {
        int status;
        own = rounds;
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            unsigned long before = sum;
            bool right = own == rounds && me == self;
            atomic_fetch_add(&sum, 5);
            _exit(right && sum == before + 5 ? 40 + self % 8 : 1);
        }
        pid_t ended;
        do {
            ended = waitpid(child, &status, 0);
        } while (ended < 0 && errno == EINTR);
        CHECK(ended == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 40 + self % 8);
        own++;
    }
    return rounds;
}

/* ---- pipes: a message arrives whole and once ---- */

static int pipes[PIPES][2];
static atomic_ulong written, read_back;

static unsigned long write_and_read(int self) {
    unsigned long rounds = 0, words[8];
    int *ends = pipes[self % PIPES];
    for (; !over; rounds++) {
        for (int i = 0; i < 8; i++) {
            words[i] = rounds;
        }
        CHECK(write(ends[1], words, sizeof words) == sizeof words);
        written += rounds;
        CHECK(read(ends[0], words, sizeof words) == sizeof words);
        for (int i = 1; i < 8; i++) {
            CHECK(words[i] == words[0]);
        }
        read_back += words[0];
    }
    return rounds;
}

/* ---- all of it at once ---- */

static unsigned long (*const kinds[])(int) = {
    use_atomics, use_locks, map_memory, send_signals,
    use_atomics, use_locks, map_memory, write_and_read,
};

static pthread_barrier_t ready;
static atomic_ulong idle;

static void *work(void *number) {
    me = (int)(long)number;
    pthread_barrier_wait(&ready);
    idle += (me % 16 == 15 ? fork_children : kinds[me % 8])(me) == 0;
    pthread_barrier_wait(&ready); /* so that a signal never meets a thread that has ended */
    sigset_t all, waiting;
    sigfillset(&all);
    do { /* what is still queued for this thread */
        usleep(1000);
        sigpending(&waiting);
    } while (sigismember(&waiting, SIGRTMIN + 2));
    return NULL;
}

static void all_at_once(unsigned seconds) {
    struct sigaction queue = {.sa_sigaction = on_queued, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct sigaction plain = {.sa_handler = on_plain, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGRTMIN + 2, &queue, NULL) == 0 && sigaction(SIGUSR1, &plain, NULL) == 0);
    tokens = 1;
    high = 1;
    for (int i = 0; i < PIPES; i++) {
        CHECK(pipe(pipes[i]) == 0);
    }
    pthread_barrier_init(&ready, NULL, THREADS + 1);
    for (long i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    }
    pthread_barrier_wait(&ready);
    me = -1;
    struct timespec length = {.tv_sec = seconds};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &length, NULL);
    over = true;
    pthread_barrier_wait(&ready);
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
}

int main(int count, char **arguments) {
    unsigned seconds = count > 1 ? (unsigned)atoi(arguments[1]) : 3;
    all_at_once(seconds);
    CHECK(idle == 0);
    CHECK(sum == added && small == (unsigned char)small_added);
    CHECK(taken && tokens == 1);
    CHECK(left == right && low + 1 == high);
    CHECK(queued && delivered == queued && strayed == 0);
    CHECK(caught && caught <= sent);
    CHECK(written == read_back);
    CHECK(wait(NULL) == -1 && errno == ECHILD);
    puts("ok every invariant held");
    return 0;
}
