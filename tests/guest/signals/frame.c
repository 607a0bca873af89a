// SPDX-License-Identifier: GPL-2.0-or-later
// The ucontext: it holds the registers, and what a handler changes in it counts. AArch64's own records are checked there.
#define _GNU_SOURCE
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "../check.h"

static volatile sig_atomic_t count;

static void set(int number, void (*handler)(int, siginfo_t *, void *), int flags) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
    sigemptyset(&action.sa_mask);
    CHECK(sigaction(number, &action, NULL) == 0);
}

static void note_mask(int number, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    (void)info;
    count += sigismember(&uc->uc_sigmask, SIGUSR2) && !sigismember(&uc->uc_sigmask, number);
    sigaddset(&uc->uc_sigmask, SIGHUP); /* what is blocked after the return */
    sigdelset(&uc->uc_sigmask, SIGUSR2);
}

static void mask_in_the_frame_is_restored(void) {
    sigset_t usr2, now;
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    sigprocmask(SIG_SETMASK, &usr2, NULL);
    set(SIGUSR1, note_mask, 0);
    count = 0;
    raise(SIGUSR1);
    sigprocmask(SIG_BLOCK, NULL, &now);
    CHECK(count == 1 && sigismember(&now, SIGHUP) && !sigismember(&now, SIGUSR2));
    sigemptyset(&now);
    sigprocmask(SIG_SETMASK, &now, NULL);
}

#ifdef __aarch64__
struct record {
    uint32_t magic, size;
};

static struct record *find(ucontext_t *uc, uint32_t magic) {
    char *at = (char *)uc->uc_mcontext.__reserved;
    for (;;) {
        struct record *r = (struct record *)at;
        if (r->magic == magic) {
            return r;
        }
        if (!r->magic) {
            return NULL;
        }
        if (r->size < 16 || r->size % 16) {
            _exit(8);
        }
        at += r->size;
    }
}

static mcontext_t kept;
static bool fpsimd_right, frame_right;
static uint64_t esr;

static void inspect(int number, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    struct fpsimd_context *fp = (struct fpsimd_context *)find(uc, FPSIMD_MAGIC);
    (void)number, (void)info;
    kept = uc->uc_mcontext;
    uint64_t *low = (uint64_t *)&fp->vregs[9];
    fpsimd_right = fp && fp->head.size == sizeof *fp && low[0] == 0x1111222233334444 &&
                   low[1] == 0x5555666677778888;
    struct esr_context *syndrome = (struct esr_context *)find(uc, ESR_MAGIC);
    esr = syndrome ? syndrome->esr : 0;
    frame_right = (uintptr_t)uc % 16 == 0 && (uintptr_t)info + 128 == (uintptr_t)uc &&
                  offsetof(ucontext_t, uc_mcontext) == 176;
    uc->uc_mcontext.regs[20] = 0x2020;
    uc->uc_mcontext.pc += 4;
    uc->uc_mcontext.pstate |= 1ul << 30; /* Z */
    low[0] = 0xaaaabbbbccccdddd;
    fp->fpsr = 0x10;
}

static void registers_are_seen_and_set(void) {
    uint64_t x20, x21, q[2], equal, fpsr;
    set(SIGSEGV, inspect, 0);
    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    page += 0x48;
    __asm__ volatile("mov x20, #0x1234\n"
                     "mov x21, #0x4321\n"
                     "ldr x22, =0x1111222233334444\n"
                     "ldr x23, =0x5555666677778888\n"
                     "mov v9.d[0], x22\n"
                     "mov v9.d[1], x23\n"
                     "msr fpsr, xzr\n"
                     "cmp x20, x21\n"
                     "str x20, [%[page]]\n" /* faults; the handler steps over it */
                     "cset %[equal], eq\n"
                     "mov %[x20], x20\n"
                     "mov %[x21], x21\n"
                     "str q9, [%[q]]\n"
                     "mrs %[fpsr], fpsr\n"
                     : [equal] "=&r"(equal), [x20] "=&r"(x20), [x21] "=&r"(x21), [fpsr] "=&r"(fpsr)
                     : [page] "r"(page), [q] "r"(q)
                     : "x20", "x21", "x22", "x23", "v9", "memory", "cc");
    CHECK(kept.fault_address == (uintptr_t)page);
    CHECK(kept.regs[20] == 0x1234 && kept.regs[21] == 0x4321);
    CHECK((kept.pstate & 0xf0000000) == 0x80000000); /* N, as 0x1234 < 0x4321 */
    CHECK(fpsimd_right && frame_right);
    CHECK(esr >> 26 == 0x24 && esr & 1 << 25 && esr & 1 << 6 && (esr & 0x3c) == 0xc);
    CHECK(x20 == 0x2020 && x21 == 0x4321 && equal == 1 && fpsr == 0x10);
    CHECK(q[0] == 0xaaaabbbbccccdddd && q[1] == 0x5555666677778888);
}

static int code;
static uint64_t address, pc;

static void skip(int number, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    (void)number;
    code = info->si_code;
    address = (uintptr_t)info->si_addr;
    pc = uc->uc_mcontext.pc;
    uc->uc_mcontext.pc += 4;
    count++;
}

static void instructions_that_trap(void) {
    set(SIGILL, skip, 0);
    set(SIGTRAP, skip, 0);
    count = 0;
    __asm__ volatile("udf #0");
    CHECK(count == 1 && code == ILL_ILLOPC && address == pc);
    __asm__ volatile("hvc #0");
    CHECK(count == 2 && code == ILL_ILLOPC);
    __asm__ volatile("brk #0x123");
    CHECK(count == 3 && code == TRAP_BRKPT && address == pc);
}

static void misaligned_atomics(void) {
    static _Alignas(16) char room[32];
    uint64_t value, *odd = (uint64_t *)(room + 3);
    set(SIGBUS, skip, 0);
    count = 0;
    __asm__ volatile("ldxr %0, [%1]" : "=r"(value) : "r"(odd) : "memory");
    CHECK(count == 1 && code == BUS_ADRALN && address == (uintptr_t)odd);
    __asm__ volatile("ldr %0, [%1]" : "=r"(value) : "r"(odd) : "memory");
    CHECK(count == 1);
}

static void division_by_zero_is_zero(void) {
    int64_t result;
    __asm__ volatile("sdiv %0, %1, xzr" : "=r"(result) : "r"(77l));
    CHECK(result == 0);
}

static void plain_handler_gets_arguments_too(int number, siginfo_t *info, void *context) {
    count =
        number == SIGUSR1 && info->si_signo == SIGUSR1 && ((ucontext_t *)context)->uc_flags == 0;
}

/* arm64 hands all three arguments over only with SA_SIGINFO; setup_return(). */
static void return_address_is_the_restorer(void) {
    set(SIGUSR1, plain_handler_gets_arguments_too, 0);
    raise(SIGUSR1);
    CHECK(count == 1);
}

static void broken(int number, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    (void)number, (void)info;
    if (count++) {
        _exit(0); /* the SIGSEGV of the broken frame */
    }
    memset(uc->uc_mcontext.__reserved, 0, 64);
}

static void a_broken_frame_is_a_fault(void) {
    set(SIGUSR1, broken, 0);
    set(SIGSEGV, broken, 0);
    count = 0;
    printf("ok %s\n", __func__);
    fflush(stdout);
    raise(SIGUSR1);
    CHECK(!"a broken frame was accepted");
}
#else
/* The same names are printed, so that the output is the same. */
#define SAME(name)                                                                                 \
    static void name(void) {                                                                       \
    }
SAME(registers_are_seen_and_set)
SAME(instructions_that_trap)
SAME(misaligned_atomics)
SAME(division_by_zero_is_zero)
SAME(return_address_is_the_restorer)

static void a_broken_frame_is_a_fault(void) {
    printf("ok %s\n", __func__);
    exit(0);
}
#endif

int main(void) {
    RUN(mask_in_the_frame_is_restored);
    RUN(registers_are_seen_and_set);
    RUN(instructions_that_trap);
    RUN(misaligned_atomics);
    RUN(division_by_zero_is_zero);
    RUN(return_address_is_the_restorer);
    a_broken_frame_is_a_fault();
    return 1;
}
