// SPDX-License-Identifier: GPL-2.0-or-later
// How children end.
#ifndef CHILDREN_H
#define CHILDREN_H

#define _GNU_SOURCE
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

/* Waits for a child: its exit status, or 1000 and the signal that ended it. */
static inline int ends_with(pid_t child) {
    int status;
    CHECK(waitpid(child, &status, __WALL) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* Runs `body` in a vfork child; how that ended. */
static inline int child_of(void (*body)(void)) {
    pid_t child = vfork();
    if (!child) {
        body();
        _exit(0);
    }
    CHECK(child > 0);
    return ends_with(child);
}

#endif
