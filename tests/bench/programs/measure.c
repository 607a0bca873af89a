/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * measure FD COUNT PROGRAM ARGUMENT...: run PROGRAM COUNT times and write one line a run to descriptor FD:
 * wait status, user+system microseconds, wall microseconds, peak memory in KiB, as getrusage(2) has them.
 *
 * A small program does this because a process's ru_maxrss includes the memory of the one it was forked from
 * (setmax_mm_hiwater_rss() in fs/exec.c): started from Python, every program would seem to need 15 MB.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static long long microseconds(struct timeval time) {
    return time.tv_sec * 1000000LL + time.tv_usec;
}

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000LL + time.tv_nsec / 1000;
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: measure FD COUNT PROGRAM ARGUMENT...\n");
        return 2;
    }
    int output = atoi(argv[1]);
    int count = atoi(argv[2]);
    fcntl(output, F_SETFD, FD_CLOEXEC);

    for (int i = 0; i < count; i++) {
        long long start = now();
        pid_t pid;
        int error = posix_spawn(&pid, argv[3], NULL, NULL, argv + 3, environ);
        if (error) {
            fprintf(stderr, "measure: %s: %s\n", argv[3], strerror(error));
            return 2;
        }
        struct rusage usage;
        int status;
        if (wait4(pid, &status, 0, &usage) != pid) {
            perror("measure: wait4");
            return 2;
        }
        dprintf(output, "%d %lld %lld %ld\n", status,
                microseconds(usage.ru_utime) + microseconds(usage.ru_stime), now() - start,
                usage.ru_maxrss);
        if (status)
            return 1;
    }
    return 0;
}
