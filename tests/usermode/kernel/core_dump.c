/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Dies in the way that the first argument names, for test_core_dump.py. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <unistd.h>

#define PAGE 4096
#define THREADS 4

/* The layouts that the test takes for granted. */
_Static_assert(sizeof(struct elf_prstatus) == 392, "elf_prstatus");
_Static_assert(offsetof(struct elf_prstatus, pr_cursig) == 12, "pr_cursig");
_Static_assert(offsetof(struct elf_prstatus, pr_sighold) == 24, "pr_sighold");
_Static_assert(offsetof(struct elf_prstatus, pr_pid) == 32, "pr_pid");
_Static_assert(offsetof(struct elf_prstatus, pr_reg) == 112, "pr_reg");
_Static_assert(offsetof(struct elf_prstatus, pr_fpvalid) == 384, "pr_fpvalid");
_Static_assert(sizeof(struct elf_prpsinfo) == 136, "elf_prpsinfo");
_Static_assert(offsetof(struct elf_prpsinfo, pr_uid) == 16, "pr_uid");
_Static_assert(offsetof(struct elf_prpsinfo, pr_pid) == 24, "pr_pid");
_Static_assert(offsetof(struct elf_prpsinfo, pr_fname) == 40, "pr_fname");
_Static_assert(offsetof(struct elf_prpsinfo, pr_psargs) == 56, "pr_psargs");
_Static_assert(sizeof(elf_fpregset_t) == 528, "elf_fpregset_t");

const char *message;
__thread int own = 77;

__attribute__((noinline)) void innermost(int value) {
    if (value) {
        abort();
    }
    puts("not reached");
}

__attribute__((noinline)) void middle(int value) {
    innermost(value + 1);
    puts("not reached");
}

static void die_by_abort(void) {
    char *text = malloc(100);
    strcpy(text, "text on the heap");
    message = text;
    own = 78;
    middle(41);
}

static void die_by_fault(void) {
    *(volatile int *)0x12344 = 1;
}

static void die_by_breakpoint(void) {
    __asm__ volatile("mov x0, #1000\n"
                     "mov x7, #1007\n"
                     "mov x19, #1019\n"
                     "mov x28, #1028\n"
                     "movi v3.16b, #0x33\n"
                     "mov x9, #0x1000000\n"
                     "msr fpcr, x9\n"
                     "cmp x0, x0\n"
                     ".global breakpoint\n"
                     "breakpoint: brk #0\n");
}

static volatile int started[3];

/* x1 is always three times x0 between two instructions but one. */
__attribute__((noinline)) static void *compute(void *flag) {
    __asm__ volatile("mov x2, %0\n"
                     "mov x0, #0\n"
                     "mov x1, #0\n"
                     "mov w3, #1\n"
                     "str w3, [x2]\n"
                     "1: add x0, x0, #1\n"
                     "add x1, x0, x0, lsl #1\n"
                     "b 1b\n"
                     :
                     : "r"(flag)
                     : "x0", "x1", "x2", "x3", "memory");
    return NULL;
}

__attribute__((noinline)) static void *wait_forever(void *flag) {
    *(volatile int *)flag = 1;
    for (;;) {
        pause();
    }
}

static void *fault(void *barrier) {
    pthread_barrier_wait(barrier);
    die_by_fault();
    return NULL;
}

static void start(void *(*function)(void *), void *argument) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, function, argument)) {
        exit(1);
    }
}

static void die_with_threads(void) {
    start(compute, (void *)&started[0]);
    start(compute, (void *)&started[1]);
    start(wait_forever, (void *)&started[2]);
    while (!started[0] || !started[1] || !started[2]) {
        usleep(1000);
    }
    die_by_abort();
}

static void die_together(void) {
    static pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        start(fault, &barrier);
    }
    wait_forever((void *)&started[0]);
}

static void *abort_later(void *first) {
    pthread_join(*(pthread_t *)first, NULL);
    die_by_abort();
    return NULL;
}

static void die_without_first_thread(void) {
    static pthread_t first;
    first = pthread_self();
    start(abort_later, &first);
    pthread_exit(NULL);
}

static char *map(size_t pages, int prot, int flags, int fd) {
    char *at = mmap(NULL, pages * PAGE, prot, flags, fd, 0);
    if (at == MAP_FAILED) {
        exit(1);
    }
    return at;
}

static int make_file(const char *name, const char *text) {
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || ftruncate(fd, 2 * PAGE) || write(fd, text, strlen(text)) < 0) {
        exit(1);
    }
    return fd;
}

/* Prints the names and addresses of mappings, and dies. */
static void die_with_mappings(void) {
    const int rw = PROT_READ | PROT_WRITE, anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
    char *private = map(3, rw, anonymous, -1), *hidden = map(1, rw, anonymous, -1);
    char *closed = map(2, rw, anonymous, -1), *untouched = map(2, rw, anonymous, -1);
    char *shared = map(2, rw, MAP_SHARED | MAP_ANONYMOUS, -1);
    int fd = make_file("file", "in a file");
    char *file = map(2, PROT_READ, MAP_PRIVATE, fd), *changed = map(2, rw, MAP_PRIVATE, fd);
    char *shared_file = map(2, rw, MAP_SHARED, fd);
    char *huge = map((size_t)1 << 24, PROT_NONE, anonymous | MAP_NORESERVE, -1); /* 64 GiB */
    strcpy(private, "private");
    strcpy(private + 2 * PAGE, "third page");
    strcpy(hidden, "hidden");
    strcpy(closed, "closed");
    strcpy(shared, "shared");
    strcpy(changed + PAGE, "changed");
    strcpy(shared_file + PAGE, "in the file");
    mprotect(closed, 2 * PAGE, PROT_NONE);
    mprotect(huge + 7 * PAGE, PAGE, rw);
    strcpy(huge + 7 * PAGE, "far away");
    madvise(hidden, PAGE, MADV_DONTDUMP);
    printf(
        "private %p hidden %p closed %p untouched %p shared %p file %p changed %p shared_file %p "
        "huge %p far %p\n",
        private, hidden, closed, untouched, shared, file, changed, shared_file, huge,
        huge + 7 * PAGE);
    fflush(stdout);
    raise(SIGQUIT);
}

int main(int argc, char **argv) {
    const struct {
        const char *name;
        void (*die)(void);
    } ways[] = {{"abort", die_by_abort},
                {"fault", die_by_fault},
                {"breakpoint", die_by_breakpoint},
                {"threads", die_with_threads},
                {"together", die_together},
                {"mappings", die_with_mappings},
                {"orphaned", die_without_first_thread}};
    for (size_t i = 0; argc > 1 && i < sizeof ways / sizeof *ways; i++) {
        if (!strcmp(ways[i].name, argv[1])) {
            ways[i].die();
        }
    }
    return 1;
}
