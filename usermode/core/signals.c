/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Host signals. Those the guest handles are caught here and wait in their thread's engine until Python builds the guest's
 * frame. On return from the catcher the thread keeps all signals blocked, so one slot is enough and the kernel keeps the
 * queue and its order; Python sets the right mask when it delivers.
 *
 * The kernel is asked directly, not through libc, which would keep signals 32 and 33 to itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "core.h"

#define SA_RESTORER_FLAG UINT64_C(0x04000000)
#define KERNEL_SIGSET_SIZE 8
#define STACK_WORDS 1024

struct kernel_sigaction {
    uint64_t handler, flags, restorer, mask;
};

extern bool cpu_restore_state_aarch64(void *cpu, uintptr_t host_pc, bool will_exit);
extern void cpu_loop_exit_aarch64(void *cpu) __attribute__((noreturn));
void return_from_signal(void);

__asm__(".text\n"
        ".globl return_from_signal\n"
        "return_from_signal:\n"
        "    mov $15, %eax\n" /* rt_sigreturn */
        "    syscall\n");

/* Signals that a fault of this program's own raises: never blocked, or the kernel would end the process. */
static const int fault_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};

static uint64_t bit(int number) {
    return UINT64_C(1) << (number - 1);
}

static uint64_t all_but_faults(void) {
    uint64_t mask = UINT64_MAX;
    for (size_t i = 0; i < sizeof fault_signals / sizeof *fault_signals; i++) {
        mask &= ~bit(fault_signals[i]);
    }
    return mask;
}

/* Keeps the signal for Python; wakes guest code and calls that have not begun. */
static void keep(struct engine *e, siginfo_t *info, ucontext_t *context) {
    greg_t *ip = &context->uc_mcontext.gregs[REG_RIP];
    e->pending = *info;
    memcpy(&e->pending_mask, &context->uc_sigmask, sizeof e->pending_mask);
    uint64_t mask = all_but_faults();
    memcpy(&context->uc_sigmask, &mask, sizeof mask);
    engine_attend(e, ATTEND_SIGNAL);
    if (*ip >= (greg_t)(uintptr_t)safe_syscall_begin && *ip < (greg_t)(uintptr_t)safe_syscall_end) {
        *ip = (greg_t)(uintptr_t)safe_syscall_interrupted;
    }
}

static void catch_signal(int number, siginfo_t *info, void *context) {
    int saved = errno;
    (void)number;
    if (current_engine && current_engine->uc) {
        keep(current_engine, info, context);
    }
    errno = saved;
}

static int kernel_action(int number, const struct kernel_sigaction *new,
                         struct kernel_sigaction *old) {
    return (int)syscall(SYS_rt_sigaction, number, new, old, KERNEL_SIGSET_SIZE) ? -errno : 0;
}

/* Catches `number` for the guest. flags: its SA_RESTART, SA_NOCLDSTOP and SA_NOCLDWAIT, which the kernel then applies. */
int signal_catch(int number, uint64_t flags) {
    struct kernel_sigaction action = {
        .handler = (uint64_t)(uintptr_t)catch_signal,
        .flags = SA_SIGINFO | SA_RESTORER_FLAG | flags,
        .restorer = (uint64_t)(uintptr_t)return_from_signal,
        .mask = all_but_faults(),
    };
    return kernel_action(number, &action, NULL);
}

/* Sets SIG_DFL (0) or SIG_IGN (1), or with handler UINT64_MAX only asks. *old_handler: 0, 1, or an address of ours. */
int signal_set(int number, uint64_t handler, uint64_t flags, uint64_t *old_handler) {
    struct kernel_sigaction action = {.handler = handler,
                                      .flags = flags | SA_RESTORER_FLAG,
                                      .restorer = (uint64_t)(uintptr_t)return_from_signal};
    struct kernel_sigaction old = {0};
    int err = kernel_action(number, handler == UINT64_MAX ? NULL : &action, &old);
    *old_handler = old.handler;
    return err;
}

/* ---- host faults ---- */

/* Where translated code was: at the fault itself, or at the return address of the helper that faulted. While a block is
 * translated the state is already that of its beginning, which lies in the page that could not be read. */
static void restore_guest_state(struct engine *e, const ucontext_t *context) {
    if (e->translating) {
        e->fault_access = ACCESS_EXECUTE;
        return;
    }
    const greg_t *registers = context->uc_mcontext.gregs;
    const uintptr_t *stack = (const uintptr_t *)(uintptr_t)registers[REG_RSP];
    if (cpu_restore_state_aarch64(e->cpu, (uintptr_t)registers[REG_RIP] + 1, true)) {
        return;
    }
    for (int i = 0; i < STACK_WORDS; i++) {
        if (cpu_restore_state_aarch64(e->cpu, stack[i], true)) {
            return;
        }
    }
}

/* A permitted access that the host cannot make: beyond the end of a mapped file (SIGBUS), or a page that went away. */
static void guest_fault(struct engine *e, int number, const siginfo_t *info,
                        const ucontext_t *context) {
    const uint64_t write_fault = 2; /* bit 1 of the page-fault error code */
    bool write = (uint64_t)context->uc_mcontext.gregs[REG_ERR] & write_fault;
    e->stop = number == SIGBUS ? STOP_BUS : STOP_FAULT;
    e->fault_address = (uint64_t)(uintptr_t)info->si_addr;
    e->fault_access = write ? ACCESS_WRITE : ACCESS_READ;
    uc_emu_stop(e->uc);
    restore_guest_state(e, context);
    cpu_loop_exit_aarch64(e->cpu);
}

static void die_of(int number) {
    static const char text[] = "usermode: internal fault of the emulator (not of the guest)\n";
    struct kernel_sigaction action = {.flags = SA_RESTORER_FLAG,
                                      .restorer = (uint64_t)(uintptr_t)return_from_signal};
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) {
        errno = 0; /* nowhere to say it; the signal below still tells */
    }
    kernel_action(number, &action, NULL); /* the faulting instruction runs again and ends the process */
}

static void catch_fault(int number, siginfo_t *info, void *context) {
    struct engine *e = current_engine;
    uint64_t address = (uint64_t)(uintptr_t)info->si_addr;
    if (info->si_code <= 0) { /* sent by kill(2) and its like */
        catch_signal(number, info, context);
    } else if (e && e->recovery && (address < GUEST_LIMIT || info->si_code == SI_KERNEL)) {
        siglongjmp(*e->recovery, 1);
    } else if (e && e->uc && atomic_load(&e->in_guest) && address < GUEST_LIMIT) {
        guest_fault(e, number, info, context);
    } else {
        die_of(number);
    }
}

/* Installs the handlers of SIGSEGV and SIGBUS. They stay for the life of the process. */
int signal_faults_catch(void) {
    struct kernel_sigaction action = {
        .handler = (uint64_t)(uintptr_t)catch_fault,
        .flags = SA_SIGINFO | SA_NODEFER | SA_RESTORER_FLAG,
        .restorer = (uint64_t)(uintptr_t)return_from_signal,
    };
    int err = kernel_action(SIGSEGV, &action, NULL);
    return err ? err : kernel_action(SIGBUS, &action, NULL);
}
