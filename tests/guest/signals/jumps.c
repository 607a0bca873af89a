// SPDX-License-Identifier: GPL-2.0-or-later
// flags: -lm
// Leaving a handler by siglongjmp(3), handlers in handlers, stacks that overflow, and what a handler must not change.
#define _GNU_SOURCE
#include <fenv.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "../check.h"

#define STACK (64 << 10)

static sigjmp_buf way_out;
static volatile sig_atomic_t count, depth, deepest;
static char *stack;
static bool on_stack;

static void set(int number, void (*handler)(int), int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    CHECK(sigaction(number, &action, NULL) == 0);
    count = 0;
}

static bool blocked(int number) {
    sigset_t now;
    CHECK(sigprocmask(SIG_BLOCK, NULL, &now) == 0);
    return sigismember(&now, number);
}

static void jump(int number) {
    char here;
    on_stack = &here >= stack && &here < stack + STACK;
    count++;
    siglongjmp(way_out, number);
}

/* The alternate stack, with a page below that nothing may touch. */
static void give_stack(void) {
    char *area = mmap(NULL, STACK + 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(area != MAP_FAILED);
    stack = area + 65536;
    CHECK(mprotect(stack, STACK, PROT_READ | PROT_WRITE) == 0);
    CHECK(sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = STACK}, NULL) == 0);
}

static void jumping_out_again_and_again(void) {
    for (int flags = 0; flags < 2; flags++) {
        set(SIGUSR1, jump, flags ? SA_ONSTACK : 0);
        for (volatile int i = 0; i < 500; i++) {
            if (!sigsetjmp(way_out, 1)) {
                raise(SIGUSR1);
                CHECK(!"reached");
            }
            CHECK(!blocked(SIGUSR1) && on_stack == !!flags);
        }
        CHECK(count == 500);
    }
    if (!sigsetjmp(way_out, 0)) { /* the mask stays that of the handler */
        raise(SIGUSR1);
    }
    CHECK(blocked(SIGUSR1));
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void jumping_out_of_faults(void) {
    set(SIGSEGV, jump, SA_ONSTACK);
    for (volatile int i = 0; i < 200; i++) {
        volatile uint64_t kept = 0x1234567890abcdef ^ (uint64_t)i;
        if (!sigsetjmp(way_out, 1)) {
            *(volatile int *)(uintptr_t)(16 + 8 * i) = 1;
        }
        CHECK(kept == (0x1234567890abcdef ^ (uint64_t)i));
    }
    CHECK(count == 200);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winfinite-recursion"
static int recurse(volatile int *above) {
    volatile int here[512];
    here[0] = *above;
    return recurse(here) + here[1];
}
#pragma GCC diagnostic pop

static void a_stack_overflow_is_survived(void) {
    volatile int start = 0;
    setrlimit(RLIMIT_STACK, &(struct rlimit){1 << 20, RLIM_INFINITY});
    for (volatile int i = 0; i < 5; i++) {
        if (!sigsetjmp(way_out, 1)) {
            recurse(&start);
        }
        CHECK(on_stack);
    }
    CHECK(count == 205);
}

static void nest(int number) {
    if (++depth > deepest) {
        deepest = depth;
    }
    if (number < SIGRTMIN + 9) {
        raise(number + 1);
    }
    depth--;
    count++;
}

static void handlers_in_handlers(void) {
    for (int k = 0; k < 10; k++) {
        set(SIGRTMIN + k, nest, k % 2 ? SA_ONSTACK : 0);
    }
    raise(SIGRTMIN);
    CHECK(deepest == 10 && depth == 0 && count == 10);
}

static void dive(int number) {
    raise(number);
}

/* The frame does not fit any more: SIGSEGV, whose own frame does not fit either. */
static void an_alternate_stack_that_overflows_kills(void) {
    int status;
    pid_t child = fork();
    if (!child) {
        set(SIGUSR1, dive, SA_ONSTACK | SA_NODEFER);
        raise(SIGUSR1);
        _exit(3);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static void round_up(int number) {
    (void)number;
    count++;
    fesetround(FE_UPWARD);
    feclearexcept(FE_ALL_EXCEPT);
    feraiseexcept(FE_OVERFLOW);
}

static void floating_point_is_left_alone(void) {
    volatile double one = 1, three = 3;
    set(SIGUSR2, round_up, 0);
    for (int i = 0; i < 2; i++) {
        int mode = i ? FE_DOWNWARD : FE_TONEAREST;
        fesetround(mode);
        feclearexcept(FE_ALL_EXCEPT);
        volatile double before = one / three;
        raise(SIGUSR2);
        CHECK(fegetround() == mode && one / three == before);
        CHECK(fetestexcept(FE_ALL_EXCEPT) == FE_INEXACT);
    }
    fesetround(FE_TONEAREST);
}

static ucontext_t kept;

static void keep_context(int number, siginfo_t *info, void *context) {
    (void)number, (void)info;
    count++;
    kept.uc_sigmask = ((ucontext_t *)context)->uc_sigmask;
#ifdef __aarch64__
    mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
    machine->regs[0] = 77;           /* the result of the call that was interrupted */
    machine->pstate |= 0xf0000000ul; /* NZCV */
    struct fpsimd_context *fp = (struct fpsimd_context *)machine->__reserved;
    fp->fpcr = 1 << 22; /* round up */
    fp->vregs[31] = (__uint128_t)0x1111 << 64 | 0x2222;
#endif
}

/* The thread goes on with the registers that the handler leaves in the frame. */
static void registers_come_from_the_frame(void) {
    struct sigaction action = {.sa_sigaction = keep_context, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    count = 0;
#ifdef __aarch64__
    register long x0 __asm__("x0") = getpid();
    register long x1 __asm__("x1") = gettid();
    register long x2 __asm__("x2") = SIGUSR1;
    register long x8 __asm__("x8") = 131; /* tgkill */
    uint64_t flags, fpcr, low, high;
    __asm__ volatile(
        "cmp xzr, xzr\n"
        "svc #0\n"
        "mrs %[flags], nzcv\n"
        "mrs %[fpcr], fpcr\n"
        "mov %[low], v31.d[0]\n"
        "mov %[high], v31.d[1]\n"
        "msr fpcr, xzr\n"
        : "+r"(x0), [flags] "=&r"(flags), [fpcr] "=&r"(fpcr), [low] "=&r"(low), [high] "=&r"(high)
        : "r"(x1), "r"(x2), "r"(x8)
        : "v31", "cc", "memory");
    CHECK(x0 == 77 && flags == 0xf0000000 && fpcr == 1 << 22 && low == 0x2222 && high == 0x1111);
#else
    raise(SIGUSR1);
#endif
    CHECK(count == 1);
}

static void tick(int number) {
    (void)number;
    count++;
}

/* Loops that keep several counts in registers and memory: after hundreds of signals they agree. */
static void interrupted_loops_go_on_exactly(void) {
    struct itimerval often = {{0, 1000}, {0, 1000}}, none = {0};
    static volatile uint64_t memory;
    set(SIGALRM, tick, SA_RESTART);
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    uint64_t a = 0, b = 0, c = 1, rounds = 0;
    double sum = 0;
    while (count < 200) {
        for (int i = 0; i < 1000; i++) {
            a++, b += 3, c = c * 5 + 1;
            sum += 0.5;
            memory = memory + 1;
        }
        rounds++;
    }
    CHECK(setitimer(ITIMER_REAL, &none, NULL) == 0);
    uint64_t expected = 1;
    for (uint64_t i = 0; i < rounds * 1000; i++) {
        expected = expected * 5 + 1;
    }
    CHECK(a == rounds * 1000 && b == 3 * a && c == expected && memory == a);
    CHECK(sum == (double)a / 2);
}

int main(void) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    give_stack();
    RUN(jumping_out_again_and_again);
    RUN(jumping_out_of_faults);
    RUN(a_stack_overflow_is_survived);
    RUN(handlers_in_handlers);
    RUN(an_alternate_stack_that_overflows_kills);
    RUN(floating_point_is_left_alone);
    RUN(registers_come_from_the_frame);
    RUN(interrupted_loops_go_on_exactly);
    return 0;
}
