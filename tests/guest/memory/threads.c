/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Several threads change the memory map at once, and see each other's changes. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"
#include <setjmp.h>
#include <signal.h>

#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
enum { THREADS = 4, ROUNDS = 300, KEPT = 16 };

static void *churn(void *argument) {
    unsigned char mark = (unsigned char)(uintptr_t)argument, *kept[KEPT] = {0};
    size_t sizes[KEPT] = {0};
    for (int i = 0; i < ROUNDS; i++) {
        int k = (i * 7 + mark) % KEPT;
        if (kept[k]) {
            CHECK(kept[k][0] == mark && kept[k][sizes[k] - 1] == mark);
            CHECK(munmap(kept[k], sizes[k]) == 0);
        }
        sizes[k] = PAGE * (size_t)(i % 5 + 1);
        kept[k] = mmap(NULL, sizes[k], RW, ANON, -1, 0);
        CHECK(kept[k] != MAP_FAILED && kept[k][0] == 0);
        memset(kept[k], mark, sizes[k]);
        if (i % 11 == 0) {
            unsigned char *grown = mremap(kept[k], sizes[k], 2 * sizes[k], MREMAP_MAYMOVE);
            CHECK(grown != MAP_FAILED && grown[0] == mark && grown[sizes[k]] == 0);
            memset(grown + sizes[k], mark, sizes[k]);
            kept[k] = grown, sizes[k] *= 2;
        }
        if (i % 13 == 0) {
            CHECK(mprotect(kept[k], PAGE, PROT_READ) == 0 && mprotect(kept[k], PAGE, RW) == 0);
        }
    }
    for (int k = 0; k < KEPT; k++) {
        CHECK(!kept[k] || munmap(kept[k], sizes[k]) == 0);
    }
    return NULL;
}

static void all_at_once(void) {
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)) == 0);
    }
    for (int i = 0; i < 10; i++) { /* a child begins with a whole map */
        pid_t child = fork();
        if (!child) {
            void *p = mmap(NULL, PAGE, RW, ANON, -1, 0);
            _exit(p != MAP_FAILED && munmap(p, PAGE) == 0 ? 0 : 1);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
}

/* Once mprotect(2) or munmap(2) has returned, no thread can write there any more. */
static volatile long *page;
static __thread sigjmp_buf way_back;
static int running;

static void leave(int number) {
    (void)number;
    siglongjmp(way_back, 1);
}

static void *writer(void *unused) {
    if (!sigsetjmp(way_back, 1)) {
        for (;;) {
            page[0]++;
            __atomic_store_n(&running, 1, __ATOMIC_RELEASE);
        }
    }
    return unused;
}

static void rights_are_gone_at_once(void) {
    struct sigaction action = {.sa_handler = leave};
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        page = mmap(NULL, PAGE, RW, ANON, -1, 0);
        running = 0;
        CHECK(pthread_create(&thread, NULL, writer, NULL) == 0);
        while (!__atomic_load_n(&running, __ATOMIC_ACQUIRE)) {
        }
        CHECK(mprotect((void *)page, PAGE, PROT_READ) == 0);
        long seen = page[0];
        usleep(1000);
        CHECK(page[0] == seen);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(munmap((void *)page, PAGE) == 0);
    }
}

int main(void) {
    RUN(all_at_once);
    RUN(rights_are_gone_at_once);
    return 0;
}
