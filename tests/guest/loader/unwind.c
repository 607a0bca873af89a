// SPDX-License-Identifier: GPL-2.0-or-later
// A stack can be walked out of a signal handler into the function that was interrupted.
// flags: -fexceptions -fasynchronous-unwind-tables
#define _GNU_SOURCE
#include <signal.h>
#include <stdbool.h>
#include <ucontext.h>
#include <unwind.h>

#include "../check.h"

#define DEEPEST 64

static uintptr_t frames[DEEPEST], interrupted;
static int frame_count;
static void *volatile caller;

static _Unwind_Reason_Code note(struct _Unwind_Context *context, void *unused) {
    (void)unused;
    if (frame_count < DEEPEST) {
        frames[frame_count++] = _Unwind_GetIP(context);
    }
    return _URC_NO_REASON;
}

static bool walked_through(uintptr_t address) {
    for (int i = 0; i < frame_count; i++) {
        if (frames[i] == address) {
            return true;
        }
    }
    return false;
}

static void handler(int number, siginfo_t *info, void *context) {
    ucontext_t *state = context;
#ifdef __aarch64__
    unsigned long long *pc = &state->uc_mcontext.pc;
    const int size = 4;
#else
    greg_t *pc = &state->uc_mcontext.gregs[REG_RIP];
    const int size = 2;
#endif
    interrupted = *pc;
    frame_count = 0;
    _Unwind_Backtrace(note, NULL);
    *pc += size;
}

/* A leaf: its return address is in a register alone on AArch64. */
static __attribute__((noinline)) int interrupted_leaf(void) {
    caller = __builtin_return_address(0);
#ifdef __aarch64__
    __asm__ volatile("udf #0");
#else
    __asm__ volatile("ud2");
#endif
    return 1;
}

static __attribute__((noinline)) int calls_leaf(void) {
    return interrupted_leaf() + 1;
}

static void out_of_a_handler(void) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    CHECK(!sigaction(SIGILL, &action, NULL));
    CHECK(calls_leaf() == 2);
    CHECK(walked_through(interrupted));
    CHECK(walked_through((uintptr_t)caller));
    CHECK(frames[frame_count - 1] != interrupted);
}

static void out_of_a_handler_on_its_own_stack(void) {
    static char memory[1 << 16];
    stack_t stack = {.ss_sp = memory, .ss_size = sizeof memory};
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    CHECK(!sigaltstack(&stack, NULL) && !sigaction(SIGILL, &action, NULL));
    CHECK(calls_leaf() == 2);
    CHECK(walked_through(interrupted) && walked_through((uintptr_t)caller));
}

int main(void) {
    RUN(out_of_a_handler);
    RUN(out_of_a_handler_on_its_own_stack);
}
