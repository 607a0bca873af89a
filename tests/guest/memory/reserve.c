/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Large and many mappings: 1 TiB reserved and carved up, 10,000 small ones, changes over several of them. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "faults.h"

#define PAGE 4096UL
#define TIB (1UL << 40)
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

typedef volatile unsigned char byte;

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static long resident_pages(void) {
    long size, resident;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file && fscanf(file, "%ld %ld", &size, &resident) == 2);
    fclose(file);
    return resident;
}

static void a_tebibyte(void) {
    double begin = seconds();
    long before = resident_pages();
    byte *p = mmap(NULL, TIB, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
    CHECK(p != MAP_FAILED);
    for (unsigned long i = 0; i < 64; i++) {
        unsigned long at = i * (TIB / 64);
        CHECK(mprotect((void *)(p + at), 1 << 20, RW) == 0);
        p[at] = p[at + (1 << 20) - 1] = (unsigned char)(i + 1);
        CHECK(mmap((void *)(p + at + (2 << 20)), 1 << 20, RW, ANON | MAP_FIXED, -1, 0) ==
              p + at + (2 << 20));
        p[at + (2 << 20)] = (unsigned char)(i + 2);
    }
    for (unsigned long i = 0; i < 64; i++) {
        unsigned long at = i * (TIB / 64);
        CHECK(p[at] == i + 1 && p[at + (2 << 20)] == i + 2);
    }
    FAULTS(SIGSEGV, SEGV_ACCERR, p + (1 << 20), (void)p[1 << 20]);
    CHECK(munmap((void *)(p + TIB / 2), TIB / 4) == 0);
    FAULTS(SIGSEGV, SEGV_MAPERR, p + TIB / 2, (void)p[TIB / 2]);
    FAULTS(SIGSEGV, SEGV_MAPERR, p + TIB / 2 + (1 << 20), (void)p[TIB / 2 + (1 << 20)]);
    CHECK(mprotect((void *)p, TIB / 4, PROT_READ) == 0);
    CHECK(p[0] == 1 && p[TIB / 4 - 1] == 0);
    FAULTS(SIGSEGV, SEGV_ACCERR, p, p[0] = 1);
    CHECK(munmap((void *)p, TIB) == 0);
    CHECK(seconds() - begin < 5);
    CHECK((resident_pages() - before) * PAGE < 64 << 20);
}

static void readable_tebibyte(void) {
    byte *p = mmap(NULL, TIB, RW, ANON | MAP_NORESERVE, -1, 0);
    CHECK(p != MAP_FAILED);
    for (unsigned long i = 0; i < 256; i++) {
        p[i * (TIB / 256) + i] = (unsigned char)i;
    }
    for (unsigned long i = 0; i < 256; i++) {
        CHECK(p[i * (TIB / 256) + i] == i);
    }
    CHECK(madvise((void *)p, TIB, MADV_DONTNEED) == 0);
    CHECK(p[255 * (TIB / 256) + 255] == 0);
    CHECK(munmap((void *)p, TIB) == 0);
}

static void ten_thousand(void) {
    enum { COUNT = 10000 };
    static unsigned char *p[COUNT];
    double begin = seconds();
    for (int i = 0; i < COUNT; i++) { /* neighbours differ, so that none merge */
        p[i] = mmap(NULL, PAGE, i & 1 ? RW : PROT_READ, ANON, -1, 0);
        CHECK(p[i] != MAP_FAILED);
        if (i & 1) {
            *(int *)p[i] = i;
        }
    }
    for (int i = 0; i < COUNT; i++) {
        CHECK(*(int *)p[i] == (i & 1 ? i : 0));
    }
    for (int i = 0; i < COUNT; i += 3) {
        CHECK(munmap(p[i], PAGE) == 0);
    }
    for (int i = 0; i < COUNT; i += 3) {
        p[i] = mmap(NULL, PAGE, RW, ANON, -1, 0);
        CHECK(p[i] != MAP_FAILED && *p[i] == 0);
        *(int *)p[i] = -i;
    }
    for (int i = 0; i < COUNT; i++) {
        CHECK(*(int *)p[i] == (i % 3 == 0 ? -i : i & 1 ? i : 0));
        CHECK(munmap(p[i], PAGE) == 0);
    }
    CHECK(seconds() - begin < 20);
}

/* The freed room is found again, the highest that fits. */
static void holes_are_used(void) {
    unsigned char *p = mmap(NULL, 64 * PAGE, RW, ANON, -1, 0);
    CHECK(p != MAP_FAILED);
    CHECK(munmap(p + 8 * PAGE, 4 * PAGE) == 0);
    unsigned char *q = mmap(NULL, 4 * PAGE, PROT_READ, ANON, -1, 0);
    CHECK(q != MAP_FAILED && (q + 4 * PAGE <= p || q >= p + 8 * PAGE));
    CHECK(mmap(p + 8 * PAGE, 4 * PAGE, RW, ANON | MAP_FIXED, -1, 0) == p + 8 * PAGE);
    CHECK(munmap(p, 64 * PAGE) == 0);
    if (q < p + 8 * PAGE || q >= p + 12 * PAGE) {
        CHECK(munmap(q, 4 * PAGE) == 0);
    }
}

static void mprotect_stops_at_a_hole(void) {
    byte *p = mmap(NULL, 8 * PAGE, RW, ANON, -1, 0);
    CHECK(mprotect((void *)(p + 2 * PAGE), PAGE, PROT_READ) == 0);
    CHECK(munmap((void *)(p + 5 * PAGE), PAGE) == 0);
    FAILS(ENOMEM, mprotect((void *)p, 8 * PAGE, PROT_READ));
    for (int i = 0; i < 5; i++) { /* changed up to the hole, not behind it */
        FAULTS(SIGSEGV, SEGV_ACCERR, p + (unsigned)i * PAGE, p[(unsigned)i * PAGE] = 1);
    }
    p[6 * PAGE] = p[7 * PAGE] = 1;
    FAILS(ENOMEM, mprotect((void *)(p + 5 * PAGE), 2 * PAGE, PROT_READ));
    p[6 * PAGE] = 1;
    CHECK(mprotect((void *)p, 5 * PAGE, RW) == 0);
    p[0] = p[2 * PAGE] = p[4 * PAGE] = 1;
    CHECK(munmap((void *)p, 8 * PAGE) == 0); /* over the hole */
    for (unsigned i = 0; i < 8; i++) {
        FAULTS(SIGSEGV, SEGV_MAPERR, p + i * PAGE, p[i * PAGE] = 1);
    }
}

static void mprotect_refusals(void) {
    byte *p = mmap(NULL, PAGE, RW, ANON, -1, 0);
    FAILS(EINVAL, mprotect((void *)(p + 1), PAGE, RW));
    FAILS(EINVAL, mprotect((void *)p, PAGE, 0x40000000));
    FAILS(ENOMEM, mprotect((void *)p, -PAGE, RW));
    FAILS(ENOMEM, mprotect(WILD, PAGE, RW));
    FAILS(ENOMEM, mprotect((void *)-PAGE, PAGE, RW));
    CHECK(mprotect((void *)p, 0, PROT_NONE) == 0);
    CHECK(mprotect(WILD, 0, PROT_NONE) == 0);
    p[0] = 1;
    CHECK(munmap((void *)p, PAGE) == 0);
    FAILS(ENOMEM, mprotect((void *)p, PAGE, RW));
}

int main(void) {
    catch_faults();
    RUN(a_tebibyte);
    RUN(readable_tebibyte);
    RUN(ten_thousand);
    RUN(holes_are_used);
    RUN(mprotect_stops_at_a_hole);
    RUN(mprotect_refusals);
    return 0;
}
