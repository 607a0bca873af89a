/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Resource limits that hold from the next execve(2) on. */
#define _GNU_SOURCE
#include <sys/resource.h>

#include "core.h"

static void set_limit(struct limit *limit) {
    struct rlimit64 new = {.rlim_cur = limit->soft, .rlim_max = limit->hard}, old;
    int resource = (int)limit->resource;
    if (prlimit64(0, resource, NULL, &old)) {
        return;
    }
    if (prlimit64(0, resource, &new, NULL)) {
        /* Only CAP_SYS_RESOURCE raises a hard limit again: as much as there is. */
        new.rlim_max = old.rlim_max;
        new.rlim_cur = new.rlim_cur < old.rlim_max ? new.rlim_cur : old.rlim_max;
        prlimit64(0, resource, &new, NULL);
    }
    limit->soft = old.rlim_cur;
    limit->hard = old.rlim_max;
}

/* Sets limits and keeps what was there; a second time sets that again. */
void limits_exchange(struct limit *limits, long count) {
    for (long i = 0; i < count; i++) {
        set_limit(&limits[i]);
    }
}
