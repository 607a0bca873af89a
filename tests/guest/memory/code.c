/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Code that a program writes: in place, W^X by mprotect(2), through a second mapping, read from a file, in a child. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"

#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)
#define RX (PROT_READ | PROT_EXEC)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

/* int f(void) { return value; }, value below 2^16 */
#ifdef __aarch64__
typedef struct {
    uint32_t words[2];
} code;

static code returning(unsigned value) {
    return (code){{0x52800000 | value << 5, 0xd65f03c0}}; /* mov w0, #value; ret */
}
#else
typedef struct {
    unsigned char bytes[6];
} code;

static code returning(unsigned value) {
    return (code){{0xb8, (unsigned char)value, (unsigned char)(value >> 8), 0, 0, 0xc3}};
}
#endif

static void put(void *at, unsigned value) {
    code c = returning(value);
    memcpy(at, &c, sizeof c);
}

static void flush(void *at) {
    __builtin___clear_cache((char *)at, (char *)at + sizeof(code));
}

static unsigned call(void *at) {
    return ((unsigned (*)(void))(uintptr_t)at)();
}

static void in_place(void) {
    char *p = mmap(NULL, PAGE, RW | PROT_EXEC, ANON, -1, 0);
    CHECK(p != MAP_FAILED);
    for (unsigned i = 0; i < 200; i++) {
        put(p, i);
        flush(p);
        CHECK(call(p) == i);
        put(p + 64, i + 1000);
        flush(p + 64);
        CHECK(call(p + 64) == i + 1000 && call(p) == i);
    }
    CHECK(munmap(p, PAGE) == 0);
}

static void writable_or_executable(void) {
    char *p = mmap(NULL, 2 * PAGE, RW, ANON, -1, 0);
    for (unsigned i = 0; i < 50; i++) {
        CHECK(mprotect(p, 2 * PAGE, RW) == 0);
        put(p, i);
        put(p + PAGE, i + 1);
        CHECK(mprotect(p, 2 * PAGE, RX) == 0);
        flush(p);
        flush(p + PAGE);
        CHECK(call(p) == i && call(p + PAGE) == i + 1);
    }
    FAULTS(SIGSEGV, SEGV_ACCERR, p, *p = 1);
    CHECK(mprotect(p, 2 * PAGE, PROT_EXEC) == 0 && call(p) == 49);
    CHECK(munmap(p, 2 * PAGE) == 0);
}

static void two_views(void) {
    int fd = memfd_create("code", 0);
    CHECK(fd >= 0 && ftruncate(fd, PAGE) == 0);
    char *writable = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
    char *executable = mmap(NULL, PAGE, RX, MAP_SHARED, fd, 0);
    CHECK(writable != MAP_FAILED && executable != MAP_FAILED);
    for (unsigned i = 0; i < 100; i++) {
        put(writable, i);
        flush(executable);
        CHECK(call(executable) == i);
    }
    CHECK(munmap(writable, PAGE) == 0 && munmap(executable, PAGE) == 0);
    close(fd);
}

static void mapped_over(void) {
    char *p = mmap(NULL, PAGE, RW | PROT_EXEC, ANON, -1, 0);
    put(p, 1);
    flush(p);
    CHECK(call(p) == 1);
    CHECK(mmap(p, PAGE, RW | PROT_EXEC, ANON | MAP_FIXED, -1, 0) == p);
    put(p, 2);
    flush(p);
    CHECK(call(p) == 2);
    int fd = open("code", O_RDWR | O_CREAT | O_TRUNC, 0600);
    code c = returning(3);
    CHECK(write(fd, &c, sizeof c) == sizeof c);
    CHECK(mmap(p, PAGE, RX, MAP_PRIVATE | MAP_FIXED, fd, 0) == p);
    CHECK(call(p) == 3);
    CHECK(munmap(p, PAGE) == 0);
    FAULTS(SIGSEGV, SEGV_MAPERR, p, call(p));
    close(fd);
}

/* The kernel writes code by read(2) and readv(2). */
static void read_from_a_file(void) {
    int fd = open("code", O_RDWR | O_CREAT | O_TRUNC, 0600);
    for (unsigned i = 0; i < 4; i++) {
        code c = returning(i + 10);
        CHECK(write(fd, &c, sizeof c) == sizeof c);
    }
    char *p = mmap(NULL, PAGE, RW | PROT_EXEC, ANON, -1, 0);
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    for (unsigned i = 0; i < 4; i++) {
        struct iovec vector = {p, sizeof(code)};
        CHECK((i & 1 ? readv(fd, &vector, 1) : read(fd, p, sizeof(code))) == sizeof(code));
        flush(p);
        CHECK(call(p) == i + 10);
    }
    CHECK(munmap(p, PAGE) == 0);
    close(fd);
}

static void discarded(void) {
    int fd = open("code", O_RDWR | O_CREAT | O_TRUNC, 0600);
    code c = returning(7);
    CHECK(write(fd, &c, sizeof c) == sizeof c);
    char *p = mmap(NULL, PAGE, RW | PROT_EXEC, MAP_PRIVATE, fd, 0);
    CHECK(call(p) == 7);
    put(p, 8);
    flush(p);
    CHECK(call(p) == 8);
    CHECK(madvise(p, PAGE, MADV_DONTNEED) == 0 && call(p) == 7); /* the file's again */
    CHECK(munmap(p, PAGE) == 0);
    close(fd);
}

static void in_a_child(void) {
    char *p = mmap(NULL, PAGE, RW | PROT_EXEC, ANON, -1, 0);
    put(p, 1);
    flush(p);
    CHECK(call(p) == 1);
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child) {
        CHECK(call(p) == 1);
        put(p, 2);
        flush(p);
        _exit(call(p) == 2 ? 0 : 1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(call(p) == 1);
    CHECK(munmap(p, PAGE) == 0);
}

/* A thread that has run the old code runs the new one after it was told. */
static char *shared_code;
static int turn;

static void *runner(void *unused) {
    for (int i = 0; i < 50; i++) {
        while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != 2 * i + 1) {
        }
#ifdef __aarch64__
        __asm__ volatile("isb");
#endif
        CHECK(call(shared_code) == (unsigned)i);
        __atomic_store_n(&turn, 2 * i + 2, __ATOMIC_RELEASE);
    }
    return unused;
}

static void by_another_thread(void) {
    pthread_t thread;
    shared_code = mmap(NULL, PAGE, RW | PROT_EXEC, ANON, -1, 0);
    CHECK(pthread_create(&thread, NULL, runner, NULL) == 0);
    for (int i = 0; i < 50; i++) {
        put(shared_code, (unsigned)i);
        flush(shared_code);
        __atomic_store_n(&turn, 2 * i + 1, __ATOMIC_RELEASE);
        while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != 2 * i + 2) {
        }
    }
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(munmap(shared_code, PAGE) == 0);
}

int main(void) {
    catch_faults();
    RUN(in_place);
    RUN(writable_or_executable);
    RUN(two_views);
    RUN(mapped_over);
    RUN(read_from_a_file);
    RUN(discarded);
    RUN(in_a_child);
    RUN(by_another_thread);
    return 0;
}
