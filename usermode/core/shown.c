/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What other processes see of this one in /proc/PID/{cmdline,environ,auxv,stat}: the guest instead of the emulator. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core.h"

#define START_BRK_FIELD 47 /* of /proc/PID/stat, proc_pid_stat(5) */

/* Where the emulator's own heap begins: 0 without /proc. The kernel tells it nowhere else. */
static uint64_t heap_start(void) {
    char text[2048];
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    text[size > 0 ? size : 0] = 0;
    char *at = strrchr(text, ')'); /* the end of field 2, a name with anything in it */
    for (int field = 2; at && field < START_BRK_FIELD; field++) {
        at = strchr(at + 1, ' ');
    }
    return at ? strtoull(at, NULL, 10) : 0;
}

/*
 * prctl(PR_SET_MM_MAP): the guest's addresses take the place of the emulator's in all that the kernel only shows. `map` has
 * all but the heap, whose bounds the kernel also works with: they stay the emulator's. Any user may do this since Linux 3.18
 * where the kernel has CONFIG_CHECKPOINT_RESTORE. 0 or -errno.
 */
int show_guest(struct prctl_mm_map *map) {
    map->exe_fd = (uint32_t)-1;
    map->start_brk = heap_start();
    map->brk = (uint64_t)syscall(SYS_brk, 0);
    if (!map->start_brk) {
        map->start_brk = map->brk;
    }
    return prctl(PR_SET_MM, PR_SET_MM_MAP, map, sizeof *map, 0) ? -errno : 0;
}
