/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RLIMIT_AS, RLIMIT_DATA and RLIMIT_STACK: read back, inherited through fork and execve, enforced. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"

#define PAGE 4096UL
#define MIB (1UL << 20)
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define NOBODY 65534

static const int limited[] = {RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK};

/* Runs a function in a child, so that its limits end with it. */
static void in_child(void (*function)(void)) {
    int status;
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child) {
        function();
        fflush(stdout);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void set(int resource, rlim_t soft, rlim_t hard) {
    struct rlimit limit = {soft, hard};
    CHECK(setrlimit(resource, &limit) == 0);
}

static void is(int resource, rlim_t soft, rlim_t hard) {
    struct rlimit limit = {1, 1}, again = {2, 2};
    CHECK(getrlimit(resource, &limit) == 0 && limit.rlim_cur == soft && limit.rlim_max == hard);
    CHECK(syscall(SYS_prlimit64, getpid(), resource, NULL, &again) == 0);
    CHECK(again.rlim_cur == soft && again.rlim_max == hard);
}

static void read_back_child(void) {
    for (int i = 0; i < 3; i++) {
        set(limited[i], 900 * MIB + (rlim_t)i * PAGE, 1000 * MIB);
        is(limited[i], 900 * MIB + (rlim_t)i * PAGE, 1000 * MIB);
        struct rlimit new = {800 * MIB, 1000 * MIB}, old = {0, 0};
        CHECK(prlimit(0, limited[i], &new, &old) == 0);
        CHECK(old.rlim_cur == 900 * MIB + (rlim_t)i * PAGE && old.rlim_max == 1000 * MIB);
        CHECK(!fork() ? (is(limited[i], 800 * MIB, 1000 * MIB), _exit(0), 1) : wait(NULL) > 0);
    }
}

static void read_back(void) {
    in_child(read_back_child);
}

static void refusals_child(void) {
    struct rlimit crooked = {2, 1};
    for (int i = 0; i < 3; i++) {
        FAILS(EINVAL, setrlimit(limited[i], &crooked));
        FAILS(EFAULT, syscall(SYS_prlimit64, 0, limited[i], WILD, NULL));
        FAILS(EFAULT, syscall(SYS_prlimit64, 0, limited[i], NULL, WILD));
    }
    FAILS(EINVAL, syscall(SYS_prlimit64, 0, 16, NULL, NULL));
    FAILS(EINVAL, syscall(SYS_prlimit64, 0, -1, NULL, NULL));
    FAILS(ESRCH, syscall(SYS_prlimit64, 0x7ffffff0, RLIMIT_AS, NULL, NULL));
    CHECK(syscall(SYS_prlimit64, 0, RLIMIT_AS, NULL, NULL) == 0);
    set(RLIMIT_AS, 700 * MIB, 800 * MIB);
    struct rlimit more = {700 * MIB, 900 * MIB};
    int raised = setrlimit(RLIMIT_AS, &more), error = errno;
    CHECK(raised == 0 || error == EPERM);
    printf("the hard limit %s be raised\n", raised ? "cannot" : "can"); /* CAP_SYS_RESOURCE */
    is(RLIMIT_AS, 700 * MIB, raised ? 800 * MIB : 900 * MIB);
    if (geteuid() == 0) {
        CHECK(setuid(NOBODY) == 0);
    }
    more.rlim_max = 901 * MIB;
    FAILS(EPERM, setrlimit(RLIMIT_AS, &more));
    is(RLIMIT_AS, 700 * MIB, raised ? 800 * MIB : 900 * MIB);
}

static void refusals(void) {
    in_child(refusals_child);
}

static void address_space_child(void) {
    char *p = mmap(NULL, 64 * MIB, RW, ANON, -1, 0);
    CHECK(p != MAP_FAILED);
    set(RLIMIT_AS, 80 * MIB, 80 * MIB);
    FAILS(ENOMEM, mmap(NULL, 32 * MIB, RW, ANON, -1, 0));
    FAILS(ENOMEM, mmap(NULL, 32 * MIB, PROT_NONE, ANON, -1, 0));
    FAILS(ENOMEM, mmap(NULL, 32 * MIB, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    FAILS(ENOMEM, mremap(p, 64 * MIB, 96 * MIB, MREMAP_MAYMOVE));
    CHECK(mmap(p, 64 * MIB, PROT_READ, ANON | MAP_FIXED, -1, 0) == p); /* in the place of another */
    char *end = sbrk(0);
    CHECK(sbrk(32 * (long)MIB) == (void *)-1L && sbrk(0) == end);
    char *q = mmap(NULL, MIB, RW, ANON, -1, 0);
    CHECK(q != MAP_FAILED && munmap(q, MIB) == 0);
    CHECK(munmap(p, 64 * MIB) == 0);
    CHECK((q = mmap(NULL, 32 * MIB, RW, ANON, -1, 0)) != MAP_FAILED);
    CHECK(munmap(q, 32 * MIB) == 0);
    set(RLIMIT_AS, 1, 80 * MIB); /* nothing more, but what is there stays */
    FAILS(ENOMEM, mmap(NULL, PAGE, RW, ANON, -1, 0));
    set(RLIMIT_AS, 80 * MIB, 80 * MIB);
    CHECK(mmap(NULL, PAGE, RW, ANON, -1, 0) != MAP_FAILED);
}

static void address_space(void) {
    in_child(address_space_child);
}

static void data_child(void) {
    char *p = mmap(NULL, 64 * MIB, PROT_NONE, ANON, -1, 0);
    CHECK(p != MAP_FAILED);
    set(RLIMIT_DATA, 16 * MIB, 16 * MIB);
    FAILS(ENOMEM, mmap(NULL, 32 * MIB, RW, ANON, -1, 0));
    CHECK(mmap(NULL, 32 * MIB, PROT_READ, ANON, -1, 0) != MAP_FAILED);
    CHECK(mmap(NULL, 32 * MIB, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    FAILS(ENOMEM, mprotect(p, 32 * MIB, RW));
    CHECK(mprotect(p, 32 * MIB, PROT_READ) == 0 && mprotect(p, 4 * MIB, RW) == 0);
    CHECK(mprotect(p, 4 * MIB, RW) == 0);
    FAILS(ENOMEM, mremap(p, 4 * MIB, 32 * MIB, MREMAP_MAYMOVE));
    char *end = sbrk(0);
    CHECK(sbrk(32 * (long)MIB) == (void *)-1L && sbrk(0) == end);
    CHECK(sbrk(MIB) == end);
    CHECK(malloc(32 * MIB) == NULL);
    set(RLIMIT_DATA, 0, 16 * MIB); /* no heap, yet mappings up to the hard limit */
    CHECK(sbrk(MIB) == (void *)-1L);
    CHECK(mmap(NULL, MIB, RW, ANON, -1, 0) != MAP_FAILED);
    FAILS(ENOMEM, mmap(NULL, 32 * MIB, RW, ANON, -1, 0));
}

static void data(void) {
    in_child(data_child);
}

static void growth_child(void) {
    char *room = mmap(NULL, 64 * MIB, PROT_NONE, ANON, -1, 0);
    CHECK(room != MAP_FAILED && munmap(room, 64 * MIB) == 0);
    char *top = room + 60 * MIB;
    CHECK(mmap(top - PAGE, PAGE, RW, ANON | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0) ==
          top - PAGE);
    set(RLIMIT_AS, 1, RLIM_INFINITY);
    FAULTS(SIGSEGV, SEGV_MAPERR, top - 2 * PAGE, top[-2 * (long)PAGE] = 1);
    set(RLIMIT_AS, RLIM_INFINITY, RLIM_INFINITY);
    set(RLIMIT_STACK, 16 * PAGE, RLIM_INFINITY);
    top[-16 * (long)PAGE] = 1;
    FAULTS(SIGSEGV, SEGV_MAPERR, top - 17 * PAGE, top[-17 * (long)PAGE] = 1);
    set(RLIMIT_STACK, 32 * MIB, RLIM_INFINITY);
    top[-17 * (long)PAGE] = 1;
}

static void growth(void) {
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_STACK, &limit) == 0);
    if (limit.rlim_max != RLIM_INFINITY) {
        printf("the hard limit of the stack is finite here\n");
        return;
    }
    in_child(growth_child);
}

/* execve() of this program, which finds what was set. */
static void next_program_child(void) {
    static char *const argv[] = {"limits", "next", NULL};
    set(RLIMIT_AS, 300 * MIB, 400 * MIB);
    set(RLIMIT_DATA, 200 * MIB, 300 * MIB);
    set(RLIMIT_STACK, 2 * MIB, 64 * MIB);
    execv("/proc/self/exe", argv);
    _exit(1);
}

static int next_program(void) {
    is(RLIMIT_AS, 300 * MIB, 400 * MIB);
    is(RLIMIT_DATA, 200 * MIB, 300 * MIB);
    is(RLIMIT_STACK, 2 * MIB, 64 * MIB);
    FAILS(ENOMEM, mmap(NULL, 300 * MIB, PROT_READ, ANON, -1, 0));
    FAILS(ENOMEM, mmap(NULL, 210 * MIB, RW, ANON, -1, 0));
    CHECK(mmap(NULL, 100 * MIB, RW, ANON, -1, 0) != MAP_FAILED);
    return 0;
}

static void execve_keeps_them(void) {
    in_child(next_program_child);
}

static void shell_child(void) {
    set(RLIMIT_AS, 300 * MIB, 400 * MIB);
    set(RLIMIT_DATA, 200 * MIB, 300 * MIB);
    set(RLIMIT_STACK, 2 * MIB, 64 * MIB);
    execl("/bin/sh", "sh", "-c",
          "ulimit -v; ulimit -Hv; ulimit -d; ulimit -Hd; ulimit -s; ulimit -Hs", NULL);
    _exit(1);
}

/* The host's shell, for a guest a native program. */
static void other_programs_get_them(void) {
    in_child(shell_child);
}

/* A failed execve() leaves them as they were. */
static void failed_child(void) {
    static char *const argv[] = {"x", NULL};
    set(RLIMIT_AS, 300 * MIB, 400 * MIB);
    FILE *file = fopen("broken", "w");
    CHECK(file && fwrite("\177ELF", 1, 4, file) == 4 && fclose(file) == 0);
    CHECK(syscall(SYS_fchmodat, -100, "broken", 0700) == 0);
    FAILS(ENOEXEC, execv("broken", argv));
    CHECK(mmap(NULL, 100 * MIB, RW, ANON, -1, 0) != MAP_FAILED);
    is(RLIMIT_AS, 300 * MIB, 400 * MIB);
}

static void failed_execve(void) {
    in_child(failed_child);
}

int main(int argc, char **argv) {
    (void)argv;
    if (argc > 1) {
        return next_program();
    }
    catch_faults();
    RUN(read_back);
    RUN(refusals);
    RUN(address_space);
    RUN(data);
    RUN(growth);
    RUN(execve_keeps_them);
    RUN(other_programs_get_them);
    RUN(failed_execve);
    return 0;
}
