/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory shared between processes: anonymous, memfd_create(2) with seals, files changed from outside. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"

#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)

static void finish(pid_t child) {
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

/* Two processes count in turns and together; no increment may be lost. */
static void count_together(_Atomic long *shared) {
    enum { ROUNDS = 20000 };
    pid_t child = fork();
    CHECK(child >= 0);
    for (int i = 0; i < ROUNDS; i++) {
        atomic_fetch_add(&shared[0], 1);
    }
    for (int i = 0; i < 100; i++) {
        while (atomic_load(&shared[1]) % 2 != (child ? 0 : 1)) {
            sched_yield();
        }
        atomic_fetch_add(&shared[1], 1);
    }
    if (!child) {
        _exit(0);
    }
    finish(child);
    CHECK(shared[0] == 2 * ROUNDS && shared[1] == 200);
}

static void anonymous(void) {
    void *p = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    count_together(p);
    CHECK(munmap(p, PAGE) == 0);
}

static void private_is_not_shared(void) {
    volatile char *p = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    p[0] = 1;
    pid_t child = fork();
    if (!child) {
        p[0] = 2;
        _exit(p[0] == 2 ? 0 : 1);
    }
    finish(child);
    CHECK(p[0] == 1);
    CHECK(munmap((void *)p, PAGE) == 0);
}

static void memfd(void) {
    int fd = memfd_create("a name", MFD_CLOEXEC);
    CHECK(fd >= 0 && ftruncate(fd, PAGE) == 0);
    void *p = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
    count_together(p);
    volatile char *q = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    ((volatile char *)p)[99] = 42;
    CHECK(q[99] == 42);
    CHECK(munmap(p, PAGE) == 0 && munmap((void *)q, PAGE) == 0);
    close(fd);
    FAILS(EINVAL, memfd_create("x", 0x8000));
    FAILS(EFAULT, memfd_create(WILD, 0));
}

static void seals(void) {
    int fd = memfd_create("sealed", MFD_ALLOW_SEALING);
    CHECK(fd >= 0 && ftruncate(fd, 2 * PAGE) == 0);
    void *p = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
    FAILS(EBUSY, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)); /* a writable mapping exists */
    CHECK(munmap(p, PAGE) == 0);
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
    FAILS(EPERM, ftruncate(fd, PAGE));
    FAILS(EPERM, ftruncate(fd, 3 * PAGE));
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0);
    FAILS(EPERM, write(fd, "a", 1));
    FAILS(EPERM, mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0));
    volatile char *q = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
    CHECK(q != MAP_FAILED && (q[0] = 1));
    CHECK(munmap((void *)q, PAGE) == 0);
    CHECK(fcntl(fd, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE));
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL) == 0);
    FAILS(EPERM, fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
    close(fd);
}

/* mprotect(2) cannot give what the descriptor did not allow. */
static void rights_of_the_descriptor(void) {
    int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600), reading = open("file", O_RDONLY);
    CHECK(ftruncate(fd, PAGE) == 0);
    volatile char *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reading, 0);
    FAILS(EACCES, mprotect((void *)p, PAGE, RW));
    FAULTS(SIGSEGV, SEGV_ACCERR, p, *p = 1);
    CHECK(*p == 0);
    CHECK(munmap((void *)p, PAGE) == 0);
    p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, reading, 0);
    CHECK(mprotect((void *)p, PAGE, RW) == 0 && (*p = 1));
    CHECK(munmap((void *)p, PAGE) == 0);
    close(fd), close(reading);
}

static void child_maps_the_same_file(void) {
    int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(ftruncate(fd, PAGE) == 0);
    volatile char *p = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
    pid_t child = fork();
    if (!child) {
        CHECK(munmap((void *)p, PAGE) == 0);
        int again = open("file", O_RDWR);
        volatile char *q = mmap(NULL, PAGE, RW, MAP_SHARED, again, 0);
        q[7] = 77;
        CHECK(pwrite(again, "z", 1, 8) == 1);
        _exit(0);
    }
    finish(child);
    CHECK(p[7] == 77 && p[8] == 'z');
    CHECK(munmap((void *)p, PAGE) == 0);
    close(fd);
}

int main(void) {
    catch_faults();
    RUN(anonymous);
    RUN(private_is_not_shared);
    RUN(memfd);
    RUN(seals);
    RUN(rights_of_the_descriptor);
    RUN(child_maps_the_same_file);
    return 0;
}
