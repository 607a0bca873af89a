// SPDX-License-Identifier: GPL-2.0-or-later
// setrlimit(2) in a child of vfork(2): for the program that it executes, and not for its parent.
#define _GNU_SOURCE
#include <sys/resource.h>

#include "children.h"

static void lower_limits(void) {
    static const int resources[] = {RLIMIT_AS, RLIMIT_STACK, RLIMIT_DATA, RLIMIT_CORE};
    for (int i = 0; i < 4; i++) {
        struct rlimit limit;
        getrlimit(resources[i], &limit);
        limit.rlim_cur = 4 << 20;
        if (setrlimit(resources[i], &limit)) {
            _exit(1);
        }
    }
    execl("/bin/sh", "sh", "-c", "test `ulimit -s` = 4096 && test `ulimit -v` = 4096 && exit 4",
          NULL);
}

static void limits_are_its_own(void) {
    static const int resources[] = {RLIMIT_AS, RLIMIT_STACK, RLIMIT_DATA, RLIMIT_CORE};
    struct rlimit before[4], after;
    for (int i = 0; i < 4; i++) {
        getrlimit(resources[i], &before[i]);
    }
    CHECK(child_of(lower_limits) == 4);
    for (int i = 0; i < 4; i++) {
        CHECK(getrlimit(resources[i], &after) == 0 && after.rlim_cur == before[i].rlim_cur);
    }
}

int main(void) {
    RUN(limits_are_its_own);
    return 0;
}
