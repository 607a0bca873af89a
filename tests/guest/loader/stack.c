// SPDX-License-Identifier: GPL-2.0-or-later
// The first stack: as large as RLIMIT_STACK lets it be, growing when a program raises that, and no larger.
#include <alloca.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

#define MIB (1 << 20)

static char *program, *stack_top;
static sigjmp_buf overflow;
static volatile uintptr_t deepest;

static __attribute__((noinline)) int deep(int frames) {
    volatile char room[1024];
    room[0] = room[1023] = 1;
    deepest = (uintptr_t)room;
    return frames ? deep(frames - 1) + room[0] : 0;
}

static void large_frames(void) {
    CHECK(deep(6 * 1024) == 6 * 1024);
}

static void written_by_a_call_before_it_is_touched(void) {
    int ends[2];
    CHECK(!pipe(ends) && write(ends[1], "deep", 4) == 4);
    char *buffer = alloca(7 * MIB);
    CHECK(read(ends[0], buffer, 4) == 4 && !memcmp(buffer, "deep", 4));
}

static void grows_with_its_limit(void) {
    struct rlimit limit;
    CHECK(!getrlimit(RLIMIT_STACK, &limit));
    limit.rlim_cur = 64 * MIB;
    CHECK(limit.rlim_max >= limit.rlim_cur);
    CHECK(!setrlimit(RLIMIT_STACK, &limit));
    CHECK(deep(40 * 1024) == 40 * 1024);
}

static void on_overflow(int number) {
    siglongjmp(overflow, number);
}

/* In a process whose limit is 1 MiB: how deep does the stack go before SIGSEGV? */
static int measure(void) {
    static char memory[1 << 16];
    stack_t stack = {.ss_sp = memory, .ss_size = sizeof memory};
    struct sigaction action = {.sa_handler = on_overflow, .sa_flags = SA_ONSTACK};
    CHECK(!sigaltstack(&stack, NULL) && !sigaction(SIGSEGV, &action, NULL));
    if (!sigsetjmp(overflow, 1)) {
        deep(1 << 20);
        return 1;
    }
    long depth = (uintptr_t)stack_top - deepest;
    return depth > MIB * 3 / 4 && depth <= MIB + 65536 ? 0 : 2;
}

static void overflow_ends_at_the_limit(void) {
    pid_t child = fork();
    if (!child) {
        struct rlimit limit;
        getrlimit(RLIMIT_STACK, &limit);
        limit.rlim_cur = MIB;
        setrlimit(RLIMIT_STACK, &limit);
        execl(program, program, "measure", NULL);
        _exit(9);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void overflow_is_a_signal(void) {
    pid_t child = fork();
    if (!child) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        deep(1 << 20);
        _exit(9);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

int main(int argc, char **argv) {
    program = argv[0];
    stack_top = (char *)argv;
    if (argc > 1) {
        return measure();
    }
    RUN(large_frames);
    RUN(written_by_a_call_before_it_is_touched);
    RUN(overflow_is_a_signal);
    RUN(overflow_ends_at_the_limit);
    RUN(grows_with_its_limit);
}
