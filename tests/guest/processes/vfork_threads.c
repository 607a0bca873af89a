// SPDX-License-Identifier: GPL-2.0-or-later
// posix_spawn(3), vfork(2) and fork(2) in some threads while others compute, allocate and make all kinds of calls.
// flags: -pthread
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "children.h"

#define SPAWNERS 4
#define SPAWNS 50

extern char **environ;
static _Atomic int stop, wrong;
static _Atomic unsigned long rounds;

static void *allocate(void *unused) {
    char *kept[64] = {0};
    for (unsigned i = 0; !stop; i++) {
        char **slot = &kept[i * 7 % 64];
        free(*slot);
        *slot = malloc(1 + i * 37 % 20000);
        memset(*slot, (int)i, 1 + i * 37 % 20000);
        rounds++;
    }
    return unused;
}

static void *make_calls(void *unused) {
    char text[256];
    while (!stop) {
        struct sigaction action;
        int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
        wrong |= fd < 0 || read(fd, text, sizeof text) <= 0;
        close(fd);
        char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        wrong |= page == MAP_FAILED;
        page[4096] = 1;
        wrong |= mprotect(page, 4096, PROT_NONE) || munmap(page, 8192);
        wrong |= sigaction(SIGUSR1, NULL, &action);
        rounds++;
    }
    return unused;
}

static void *compute(void *unused) {
    double x = 1;
    while (!stop) {
        x = x * 1.0000001 + 1e-9;
        rounds++;
    }
    return x > 0 ? unused : NULL;
}

static void *spawn(void *number) {
    char command[32];
    int expected = 1 + (int)(intptr_t)number;
    snprintf(command, sizeof command, "exit %d", expected);
    char *argv[] = {"sh", "-c", command, NULL};
    for (int i = 0; i < SPAWNS; i++) {
        pid_t child;
        if (i % 10 == 9) {
            wrong |= posix_spawn(&child, "/no/such/file", NULL, NULL, argv, environ) != ENOENT;
        } else {
            wrong |= posix_spawn(&child, "/bin/sh", NULL, NULL, argv, environ) != 0;
            wrong |= ends_with(child) != expected;
        }
    }
    return NULL;
}

static pthread_t busy[3];

static void begin(void) {
    stop = 0;
    CHECK(pthread_create(&busy[0], NULL, allocate, NULL) == 0);
    CHECK(pthread_create(&busy[1], NULL, make_calls, NULL) == 0);
    CHECK(pthread_create(&busy[2], NULL, compute, NULL) == 0);
}

static void end(void) {
    stop = 1;
    for (int i = 0; i < 3; i++) {
        pthread_join(busy[i], NULL);
    }
    CHECK(!wrong);
}

static void spawning_from_four_threads(void) {
    pthread_t threads[SPAWNERS];
    begin();
    for (int i = 0; i < SPAWNERS; i++) {
        CHECK(pthread_create(&threads[i], NULL, spawn, (void *)(intptr_t)i) == 0);
    }
    for (int i = 0; i < SPAWNERS; i++) {
        pthread_join(threads[i], NULL);
    }
    end();
}

static void others_run_while_the_parent_waits(void) {
    static volatile unsigned long before, after;
    begin();
    pid_t child = vfork();
    if (!child) {
        before = rounds;
        while (rounds < before + 100) {
            usleep(1000);
        }
        after = rounds;
        _exit(0);
    }
    CHECK(ends_with(child) == 0 && after >= before + 100);
    end();
}

static void killed_children_leave_nothing_behind(void) {
    begin();
    for (int i = 0; i < 30; i++) {
        static volatile pid_t *shared;
        shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        pid_t killer = fork();
        if (!killer) {
            while (!*shared) {
            }
            usleep((useconds_t)(i * 100));
            kill(*shared, SIGKILL);
            _exit(0);
        }
        pid_t child = vfork();
        if (!child) {
            *shared = getpid();
            for (;;) { /* Python's calls, the core's and pure computing */
                struct sigaction action = {.sa_handler = SIG_IGN};
                sigaction(SIGUSR2, &action, NULL);
                close(open("/proc/self/maps", O_RDONLY));
                getppid();
            }
        }
        CHECK(ends_with(child) == 1000 + SIGKILL && ends_with(killer) == 0);
        munmap((void *)shared, 4096);
    }
    end();
}

static void forks_find_their_heap_whole(void) {
    begin();
    for (int i = 0; i < 30; i++) {
        pid_t child = fork();
        if (!child) {
            struct sigaction action = {.sa_handler = SIG_IGN};
            for (int k = 0; k < 20; k++) { /* the emulator's heap, not libc's of this program */
                sigaction(SIGUSR2, &action, NULL);
                close(open("/proc/self/maps", O_RDONLY));
            }
            _exit(3);
        }
        CHECK(ends_with(child) == 3);
    }
    end();
}

static void *start_child(void *unused) {
    pid_t child = vfork();
    if (!child) {
        _exit(8);
    }
    return (void)unused, (void *)(intptr_t)child;
}

static void *start_and_wait(void *unused) {
    pid_t child = (pid_t)(intptr_t)start_child(unused);
    FAILS(ECHILD, waitpid(1, NULL, __WNOTHREAD));
    CHECK(waitpid(child, NULL, __WNOTHREAD) == child);
    return NULL;
}

static void *start_and_stay(void *child) {
    *(volatile pid_t *)child = (pid_t)(intptr_t)start_child(NULL);
    while (!stop) {
        usleep(1000);
    }
    return NULL;
}

static void children_belong_to_their_thread(void) {
    static volatile pid_t child;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, start_and_wait, NULL) == 0);
    pthread_join(thread, NULL);
    stop = 0;
    CHECK(pthread_create(&thread, NULL, start_and_stay, (void *)&child) == 0);
    while (!child) {
        usleep(1000);
    }
    FAILS(ECHILD, waitpid(child, NULL, __WNOTHREAD));
    CHECK(ends_with(child) == 8);
    stop = 1;
    pthread_join(thread, NULL);
}

int main(void) {
    RUN(spawning_from_four_threads);
    RUN(others_run_while_the_parent_waits);
    RUN(killed_children_leave_nothing_behind);
    RUN(forks_find_their_heap_whole);
    RUN(children_belong_to_their_thread);
    return 0;
}
