/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mincore(2), mlock(2) and its kin with their limit, msync(2). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static void mincore_tells(void) {
    unsigned char *p = mmap(NULL, 5 * PAGE, RW, ANON, -1, 0), core[6];
    CHECK(p != MAP_FAILED);
    CHECK(madvise(p, 5 * PAGE, MADV_NOHUGEPAGE) == 0 || errno == EINVAL);
    p[PAGE] = p[3 * PAGE] = 1;
    memset(core, 0xee, sizeof core);
    CHECK(mincore(p, 4 * PAGE + 1, core) == 0);
    CHECK(!(core[0] & 1) && (core[1] & 1) && !(core[2] & 1) && (core[3] & 1) && !(core[4] & 1));
    CHECK(core[5] == 0xee);
    FAILS(EINVAL, mincore(p + 1, PAGE, core));
    FAILS(EFAULT, mincore(p, PAGE, WILD));
    FAILS(EFAULT, mincore(p, PAGE, (void *)8));
    FAILS(ENOMEM, mincore(WILD, PAGE, core));
    CHECK(mincore(p, 0, core) == 0);
    CHECK(munmap(p + 2 * PAGE, PAGE) == 0);
    FAILS(ENOMEM, mincore(p, 5 * PAGE, core));
    CHECK(munmap(p, 5 * PAGE) == 0);
    FAILS(ENOMEM, mincore(p, PAGE, core));
}

static void locks(void) {
    unsigned char *p = mmap(NULL, 4 * PAGE, RW, ANON, -1, 0), core[4];
    CHECK(mlock(p + 1, PAGE) == 0); /* the pages it touches: two */
    CHECK(mincore(p, 4 * PAGE, core) == 0 && (core[0] & 1) && (core[1] & 1) && !(core[2] & 1));
    CHECK(munlock(p, 2 * PAGE) == 0);
    CHECK(syscall(SYS_mlock2, p, 4 * PAGE, 1) == 0); /* MLOCK_ONFAULT */
    CHECK(mincore(p, 4 * PAGE, core) == 0 && !(core[2] & 1));
    p[2 * PAGE] = 1;
    CHECK(syscall(SYS_mlock2, p, 4 * PAGE, 0) == 0);
    CHECK(munlock(p, 4 * PAGE) == 0);
    FAILS(EINVAL, syscall(SYS_mlock2, p, PAGE, 2));
    CHECK(munmap(p + PAGE, PAGE) == 0);
    FAILS(ENOMEM, mlock(p, 4 * PAGE));
    FAILS(ENOMEM, munlock(p, 4 * PAGE));
    FAILS(ENOMEM, mlock(WILD, PAGE));
    FAILS(EINVAL, mlockall(0));
    FAILS(EINVAL, mlockall(8));
    CHECK(munlockall() == 0);
    CHECK(munmap(p, 4 * PAGE) == 0);
}

static void limit_of_locks(void) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child) {
        struct rlimit limit = {16 * PAGE, 16 * PAGE};
        CHECK(munlockall() == 0 && setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
        CHECK(setresuid(65534, 65534, 65534) == 0 || geteuid());
        unsigned char *p = mmap(NULL, 64 * PAGE, RW, ANON, -1, 0);
        FAILS(ENOMEM, mlock(p, 17 * PAGE));
        CHECK(mlock(p, 16 * PAGE) == 0);
        FAILS(ENOMEM, mlock(p + 16 * PAGE, 1));
        CHECK(munlock(p, PAGE) == 0 && mlock(p + 16 * PAGE, 1) == 0);
        FAILS(ENOMEM, mlockall(MCL_CURRENT));
        FAILS(EAGAIN, mmap(NULL, PAGE, RW, ANON | MAP_LOCKED, -1, 0));
        CHECK(munlockall() == 0);
        limit.rlim_cur = limit.rlim_max = 0;
        CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
        FAILS(EPERM, mlock(p, 1));
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void msync_writes(void) {
    int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(ftruncate(fd, 4 * PAGE) == 0);
    unsigned char *p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0), byte;
    p[PAGE] = 5;
    CHECK(msync(p, 4 * PAGE, MS_SYNC) == 0);
    CHECK(msync(p, 4 * PAGE, MS_ASYNC) == 0);
    CHECK(msync(p, 4 * PAGE, MS_SYNC | MS_INVALIDATE) == 0);
    CHECK(msync(p, 0, MS_SYNC) == 0);
    CHECK(pread(fd, &byte, 1, PAGE) == 1 && byte == 5);
    FAILS(EINVAL, msync(p, PAGE, MS_SYNC | MS_ASYNC));
    FAILS(EINVAL, msync(p, PAGE, 64));
    FAILS(EINVAL, msync(p + 1, PAGE, MS_SYNC));
    CHECK(mlock(p, PAGE) == 0);
    FAILS(EBUSY, msync(p, PAGE, MS_INVALIDATE));
    CHECK(munlock(p, PAGE) == 0);
    CHECK(munmap(p + PAGE, PAGE) == 0);
    FAILS(ENOMEM, msync(p, 4 * PAGE, MS_SYNC));
    FAILS(ENOMEM, msync(WILD, PAGE, MS_SYNC));
    CHECK(munmap(p, 4 * PAGE) == 0);
    close(fd);
}

int main(void) {
    RUN(mincore_tells);
    RUN(locks);
    RUN(limit_of_locks);
    RUN(msync_writes);
    return 0;
}
