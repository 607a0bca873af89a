/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Resource limits that hold from the next execve(2) on, and room for the emulator's own stack. */
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

/* Has the first thread's stack reach so many bytes further down: what has grown needs no limit any more. Since Linux 5.0 the
 * distance from the stack pointer does not matter. */
void stack_reserve(size_t size) {
    const volatile char *here = __builtin_frame_address(0);
    (void)here[-(ptrdiff_t)size];
}

/* Sets limits and keeps what was there; a second time sets that again. */
void limits_exchange(struct limit *limits, long count) {
    for (long i = 0; i < count; i++) {
        set_limit(&limits[i]);
    }
}
