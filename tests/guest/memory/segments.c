/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System V shared memory: shmget(2), shmat(2), shmdt(2), shmctl(2). */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"

#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define NOWHERE ((void *)-1L)

typedef volatile unsigned char byte;

static int segment;

static byte *room(void) {
    void *p = mmap(NULL, 32 * PAGE, PROT_NONE, ANON, -1, 0);
    CHECK(p != MAP_FAILED && munmap(p, 32 * PAGE) == 0);
    return p;
}

static void attaches(void) {
    byte *p = shmat(segment, NULL, 0), *q = shmat(segment, NULL, SHM_RDONLY);
    CHECK(p != NOWHERE && q != NOWHERE && p != q);
    p[0] = 1, p[3 * PAGE] = 4;
    CHECK(q[0] == 1 && q[3 * PAGE] == 4);
    FAULTS(SIGSEGV, SEGV_ACCERR, q, q[0] = 1);
    struct shmid_ds status;
    CHECK(shmctl(segment, IPC_STAT, &status) == 0);
    CHECK(status.shm_nattch == 2 && status.shm_segsz == 3 * PAGE + 100);
    CHECK(shmdt((void *)p) == 0 && shmdt((void *)q) == 0);
    FAULTS(SIGSEGV, SEGV_MAPERR, p, p[0] = 1);
    CHECK(shmctl(segment, IPC_STAT, &status) == 0 && status.shm_nattch == 0);
}

static void chosen_address(void) {
    byte *at = room();
    CHECK(shmat(segment, (void *)at, 0) == at);
    CHECK(at[0] == 1);
    FAILS(EINVAL, shmat(segment, (void *)(at + PAGE), 0)); /* taken */
    CHECK(shmdt((void *)at) == 0);
    FAILS(EINVAL, shmat(segment, (void *)(at + 5), 0));
    CHECK(shmat(segment, (void *)(at + 5), SHM_RND) == at);
    CHECK(shmdt((void *)at) == 0);
}

static void remap(void) {
    byte *at = room();
    CHECK(mmap((void *)at, 6 * PAGE, RW, ANON | MAP_FIXED, -1, 0) == at);
    memset((void *)at, 9, 6 * PAGE);
    FAILS(EINVAL, shmat(segment, (void *)(at + PAGE), 0));
    FAILS(EINVAL, shmat(segment, NULL, SHM_REMAP));
    CHECK(shmat(segment, (void *)(at + PAGE), SHM_REMAP) == at + PAGE);
    CHECK(at[0] == 9 && at[PAGE] == 1 && at[4 * PAGE] == 4 && at[5 * PAGE] == 9);
    CHECK(shmdt((void *)(at + PAGE)) == 0);
    CHECK(at[0] == 9 && at[5 * PAGE] == 9);
    FAULTS(SIGSEGV, SEGV_MAPERR, at + PAGE, at[PAGE] = 1);
    CHECK(munmap((void *)at, 6 * PAGE) == 0);
}

/* What else has come to lie in the segment's place stays. */
static void detaches_what_is_left(void) {
    byte *at = room();
    CHECK(shmat(segment, (void *)at, 0) == at);
    CHECK(mmap((void *)(at + PAGE), PAGE, RW, ANON | MAP_FIXED, -1, 0) == at + PAGE);
    at[PAGE] = 50;
    CHECK(munmap((void *)at, PAGE) == 0);
    FAILS(EINVAL, shmdt((void *)(at + 2 * PAGE)));
    CHECK(shmdt((void *)at) == 0);
    CHECK(at[PAGE] == 50);
    FAULTS(SIGSEGV, SEGV_MAPERR, at + 2 * PAGE, at[2 * PAGE] = 1);
    FAILS(EINVAL, shmdt((void *)at));
    CHECK(munmap((void *)at, 4 * PAGE) == 0);

    CHECK(shmat(segment, (void *)at, 0) == at);
    CHECK(munmap((void *)at, 4 * PAGE) == 0);
    CHECK(mmap((void *)at, 4 * PAGE, RW, ANON | MAP_FIXED, -1, 0) == at);
    at[0] = 3;
    FAILS(EINVAL, shmdt((void *)at)); /* no segment any more */
    at[0] = 4;
    CHECK(munmap((void *)at, 4 * PAGE) == 0);
}

static void moves_with_mremap(void) {
    byte *at = shmat(segment, NULL, 0), *target = room();
    CHECK(at != NOWHERE);
    CHECK(mremap((void *)at, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target);
    CHECK(target[0] == 1);
    FAILS(EINVAL, shmdt((void *)at));
    CHECK(shmdt((void *)target) == 0);
    FAULTS(SIGSEGV, SEGV_MAPERR, target, target[0] = 1);
}

static void between_processes(void) {
    byte *p = shmat(segment, NULL, 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child) {
        p[5] = 55; /* attached in the child as well */
        CHECK(shmdt((void *)p) == 0);
        byte *q = shmat(segment, NULL, 0);
        q[6] = 66;
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(p[5] == 55 && p[6] == 66);
    CHECK(shmdt((void *)p) == 0);
}

static void refusals(void) {
    FAILS(EINVAL, shmat(-1, NULL, 0));
    FAILS(EINVAL, shmdt((void *)8));
    FAILS(EINVAL, shmdt(NULL));
    FAILS(EINVAL, shmdt(WILD));
    FAILS(EINVAL, shmget(IPC_PRIVATE, 0, 0600));
    FAILS(ENOENT, shmget(0x12345678, PAGE, 0600));
    FAILS(EFAULT, shmctl(segment, IPC_STAT, WILD));
    errno = 0;
    CHECK(shmat(segment, WILD, 0) == NOWHERE);
}

static void removal(void) {
    byte *p = shmat(segment, NULL, 0);
    CHECK(shmctl(segment, IPC_RMID, NULL) == 0);
    CHECK(p[5] == 55); /* until the last one detaches */
    CHECK(shmdt((void *)p) == 0);
    errno = 0;
    CHECK(shmat(segment, NULL, 0) == NOWHERE);
    CHECK(shmdt((void *)p) == -1);
}

int main(void) {
    catch_faults();
    segment = shmget(IPC_PRIVATE, 3 * PAGE + 100, IPC_CREAT | 0600);
    if (segment < 0) {
        printf("no System V shared memory here\n");
        return 0;
    }
    RUN(attaches);
    RUN(chosen_address);
    RUN(remap);
    RUN(detaches_what_is_left);
    RUN(moves_with_mremap);
    RUN(between_processes);
    RUN(refusals);
    RUN(removal);
    return 0;
}
