// SPDX-License-Identifier: GPL-2.0-or-later
// How threads and their process end: which status the parent sees, locks of dead owners, exec from a thread.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

static int status_of(void (*child)(void)) {
    int status;
    pid_t pid = fork();
    if (!pid) {
        child();
        _exit(99);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

static void start(void *(*body)(void *), void *value) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, value)) {
        _exit(98);
    }
}

static void *end_process_later(void *status) {
    usleep(20000);
    _exit((int)(long)status);
}

static void main_thread_leaves(void) {
    start(end_process_later, (void *)7);
    pthread_exit(NULL);
}

static void main_thread_waits(void) {
    start(end_process_later, (void *)8);
    for (;;) {
        pause();
    }
}

static void main_thread_spins(void) {
    start(end_process_later, (void *)9);
    for (volatile int i = 0;; i++) {
    }
}

static void the_process_ends_with_a_thread(void) {
    CHECK(WEXITSTATUS(status_of(main_thread_leaves)) == 7);
    CHECK(WEXITSTATUS(status_of(main_thread_waits)) == 8);
    CHECK(WEXITSTATUS(status_of(main_thread_spins)) == 9);
}

static void *leave(void *unused) {
    usleep(10000);
    return unused;
}

static void all_threads_leave(void) {
    for (int i = 0; i < 3; i++) {
        start(leave, NULL);
    }
    pthread_exit(NULL);
}

static void *raw_exit_later(void *status) {
    usleep(20000);
    syscall(SYS_exit, (long)status);
    return NULL;
}

/* One status for both: which of two counts has changed between versions of Linux. */
static void leader_leaves_first(void) {
    start(raw_exit_later, (void *)4);
    syscall(SYS_exit, 4);
}

static void the_last_thread_ends_the_process(void) {
    int status = status_of(all_threads_leave);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(WEXITSTATUS(status_of(leader_leaves_first)) == 4);
}

static pthread_mutex_t *shared;

static pthread_mutex_t *robust(int pshared) {
    pthread_mutexattr_t attributes;
    pthread_mutex_t *mutex =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&attributes, pshared);
    CHECK(pthread_mutex_init(mutex, &attributes) == 0);
    return mutex;
}

static void *lock_and_leave(void *unused) {
    pthread_mutex_lock(shared);
    return unused;
}

static atomic_bool locked;

static void *lock_and_leave_later(void *unused) {
    pthread_mutex_lock(shared);
    locked = true;
    usleep(30000);
    return unused;
}

static void lock_and_die(void) {
    pthread_mutex_lock(shared);
    raise(SIGKILL);
}

static void locks_of_dead_owners(void) {
    for (int i = 0; i < 3; i++) {
        shared = robust(i == 2 ? PTHREAD_PROCESS_SHARED : PTHREAD_PROCESS_PRIVATE);
        if (i == 2) {
            CHECK(WTERMSIG(status_of(lock_and_die)) == SIGKILL);
        } else {
            pthread_t thread;
            CHECK(pthread_create(&thread, NULL, i ? lock_and_leave_later : lock_and_leave, NULL) ==
                  0);
            if (i) {
                while (!locked) {
                    usleep(1000);
                }
                /* now it waits for a lock whose owner dies */
            } else {
                CHECK(pthread_join(thread, NULL) == 0);
            }
        }
        CHECK(pthread_mutex_lock(shared) == EOWNERDEAD);
        CHECK(pthread_mutex_consistent(shared) == 0);
        CHECK(pthread_mutex_unlock(shared) == 0);
        CHECK(pthread_mutex_lock(shared) == 0 && pthread_mutex_unlock(shared) == 0);
    }
}

static void *execute(void *unused) {
    (void)unused;
    execl("/proc/self/exe", "ending", "child", NULL);
    _exit(97);
}

static void execute_in_thread(void) {
    start(execute, NULL);
    for (;;) {
        pause();
    }
}

static void exec_from_a_thread_takes_the_process_over(void) {
    CHECK(WEXITSTATUS(status_of(execute_in_thread)) == 42);
}

static void *fork_in_thread(void *unused) {
    int status;
    pid_t child = fork();
    if (!child) {
        _exit(getpid() == gettid() ? 3 : 4);
    }
    CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 3);
    return unused;
}

static void fork_from_a_thread(void) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_create(&threads[i], NULL, fork_in_thread, NULL) == 0);
    }
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
}

/* The memory of threads that have ended comes back. */
static void nothing_is_left_behind(void) {
    long before = 0, after = 0;
    for (int i = 0; i < 120; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, leave, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        FILE *file = fopen("/proc/self/statm", "r");
        long total, resident;
        CHECK(fscanf(file, "%ld %ld", &total, &resident) == 2);
        fclose(file);
        if (i == 20) {
            before = total;
        }
        after = total;
    }
    CHECK(after - before < 64 * 256); /* 64 MiB, where 100 stacks would be 800 */
}

int main(int count, char **words) {
    if (count > 1) {
        return strcmp(words[1], "child") || getpid() != gettid() ? 43 : 42;
    }
    RUN(the_process_ends_with_a_thread);
    RUN(the_last_thread_ends_the_process);
    RUN(locks_of_dead_owners);
    RUN(exec_from_a_thread_takes_the_process_over);
    RUN(fork_from_a_thread);
    RUN(nothing_is_left_behind);
    return 0;
}
