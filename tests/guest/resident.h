// SPDX-License-Identifier: GPL-2.0-or-later
// How much memory of the process is there: VmRSS of proc_pid_status(5), in KiB.
#ifndef RESIDENT_H
#define RESIDENT_H

#include "check.h"

static long resident(void) {
    char line[256];
    long found = -1;
    FILE *file = fopen("/proc/self/status", "r");
    CHECK(file);
    while (fgets(line, sizeof line, file)) {
        sscanf(line, "VmRSS: %ld kB", &found);
    }
    fclose(file);
    CHECK(found > 0);
    return found;
}

#endif
