// SPDX-License-Identifier: GPL-2.0-or-later
// prlimit(2) of other threads and other processes.
// flags: -pthread
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

static pid_t main_thread;

static void *from_a_thread(void *unused) {
    static const int resources[] = {RLIMIT_AS, RLIMIT_STACK, RLIMIT_NOFILE};
    for (int i = 0; i < 3; i++) {
        struct rlimit before, changed, now;
        CHECK(getrlimit(resources[i], &before) == 0);
        changed = before;
        changed.rlim_cur = before.rlim_max == RLIM_INFINITY ? 1 << 30 : before.rlim_max;
        CHECK(prlimit(main_thread, resources[i], &changed, NULL) == 0);
        CHECK(prlimit(gettid(), resources[i], &before, &now) == 0);
        CHECK(now.rlim_cur == changed.rlim_cur);
    }
    return unused;
}

static void threads_stand_for_their_process(void) {
    pthread_t thread;
    main_thread = gettid();
    CHECK(pthread_create(&thread, NULL, from_a_thread, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void other_processes_have_their_own(void) {
    struct rlimit files = {50, 60}, before, now;
    int status;
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    pid_t child = fork();
    if (!child) {
        pause();
        _exit(0);
    }
    CHECK(prlimit(child, RLIMIT_NOFILE, &files, NULL) == 0);
    CHECK(prlimit(child, RLIMIT_NOFILE, NULL, &now) == 0 && now.rlim_cur == 50 &&
          now.rlim_max == 60);
    CHECK(getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur == before.rlim_cur);
#ifdef __x86_64__
    CHECK(prlimit(child, RLIMIT_AS, NULL, &now) == 0 && prlimit(child, RLIMIT_AS, &now, NULL) == 0);
#else /* the emulator's own memory is not to be limited */
    CHECK(prlimit(child, RLIMIT_AS, NULL, &now) == 0);
    FAILS(EPERM, prlimit(child, RLIMIT_AS, &now, NULL));
#endif
    kill(child, SIGKILL);
    CHECK(waitpid(child, &status, 0) == child && WTERMSIG(status) == SIGKILL);
    FAILS(ESRCH, prlimit(child, RLIMIT_AS, NULL, &now));
    FAILS(ESRCH, prlimit(child, RLIMIT_AS, &now, NULL));
    FAILS(ESRCH, prlimit(-1, RLIMIT_STACK, &now, NULL));
}

int main(void) {
    RUN(threads_stand_for_their_process);
    RUN(other_processes_have_their_own);
    return 0;
}
