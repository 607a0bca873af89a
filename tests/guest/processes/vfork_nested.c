/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vfork(2) in children of vfork(2): each level shares the memory of all; a chain has an end that is told by an errno. */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

#define STACK (64 << 10)
#define MOST 400

static char *stacks;
static volatile int reached, failure, wanted, unreaped;

/* Each level has a stack of its own: the parent's must stay as it is. */
static int level(void *argument) {
    int depth = (int)(intptr_t)argument, status = 0;
    reached = depth;
    if (depth < wanted) {
        int pid = clone(level, stacks + (size_t)(depth + 2) * STACK,
                        CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)(intptr_t)(depth + 1));
        if (pid < 0) {
            failure = errno;
        } else if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
                   WEXITSTATUS(status) != ((depth + 1) & 127)) {
            unreaped++;
        }
    }
    _exit(depth & 127);
}

static void chain(int depth) {
    int status = 0;
    stacks = mmap(NULL, (size_t)(MOST + 3) * STACK, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(stacks != MAP_FAILED);
    reached = failure = unreaped = 0;
    wanted = depth;
    int pid = clone(level, stacks + STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0 && unreaped == 0);
    munmap(stacks, (size_t)(MOST + 3) * STACK);
}

static void some_levels(void) {
    chain(40);
    CHECK(reached == 40 && failure == 0);
}

/* As many as there may be: all of them, or EAGAIN at some level, after which each level ends as it should. */
static void many_levels(void) {
    chain(MOST);
    CHECK((reached == MOST && failure == 0) || (reached >= 40 && failure == EAGAIN));
}

static void again(void) {
    for (int i = 0; i < 3; i++) {
        chain(10);
        CHECK(reached == 10 && failure == 0);
    }
}

int main(void) {
    RUN(some_levels);
    RUN(many_levels);
    RUN(again);
    return 0;
}
