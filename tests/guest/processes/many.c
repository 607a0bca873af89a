// SPDX-License-Identifier: GPL-2.0-or-later
// Many processes one after the other leave nothing behind: no memory, descriptors or zombies. The argument says how many.
#define _GNU_SOURCE
#include <dirent.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../resident.h"

#define MOST_GROWTH (1 << 10) /* KiB */
#define WARM_UP 30

extern char **environ;

static int descriptors(void) {
    int found = 0;
    DIR *folder = opendir("/proc/self/fd");
    CHECK(folder);
    while (readdir(folder)) {
        found++;
    }
    closedir(folder);
    return found;
}

static pid_t start(int how, char **arguments) {
    pid_t child = -1;
    switch (how) {
    case 0:
        child = fork();
        break;
    case 1:
        child = vfork();
        break;
    default:
        CHECK(posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ) == 0);
    }
    if (child == 0) {
        execv("/proc/self/exe", arguments);
        _exit(97);
    }
    CHECK(child > 0);
    return child;
}

static void run(int count) {
    char status_argument[] = "0";
    char *arguments[] = {"many", "exit", status_argument, NULL};
    for (int i = 0; i < count; i++) {
        int status, expected = i % 8;
        status_argument[0] = (char)('0' + expected);
        pid_t child = start(i % 3, arguments);
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == expected);
    }
}

static int processes;

static void nothing_is_left(void) {
    run(WARM_UP);
    long memory = resident();
    int open = descriptors();
    run(processes);
    CHECK(descriptors() == open);
    CHECK(resident() - memory < MOST_GROWTH);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

int main(int count, char **arguments) {
    if (count == 3) {
        return atoi(arguments[2]);
    }
    processes = count == 2 ? atoi(arguments[1]) : 300;
    RUN(nothing_is_left);
    return 0;
}
