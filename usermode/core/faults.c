/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Host SIGSEGV and SIGBUS: the guest's own doing becomes a precise stop of its engine, ours ends the process. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "core.h"
#include "host_process.h"
#include "kernel_signals.h"

#define PAGE_FAULT_WRITE 2 /* bit 1 of the page-fault error code */

extern void cpu_loop_exit_aarch64(void *cpu) __attribute__((noreturn));

/* A fault of the emulator's own. The host's core dump of it is wanted, unlike that of a guest's death. */
void signal_own_fault(int number) {
    static const char text[] = "usermode: internal fault of the emulator (not of the guest)\n";
    struct kernel_sigaction action = {.flags = SA_RESTORER_FLAG,
                                      .restorer = (uint64_t)(uintptr_t)return_from_signal};
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) {
        errno = 0; /* nowhere to say it; the signal below still tells */
    }
    /* The faulting instruction runs again and ends this process, also while calls are made by another. */
    raw_call(SYS_rt_sigaction, (uint64_t)number, word_of(&action), 0, KERNEL_SIGSET_SIZE, 0, 0);
}

/* Back to what was interrupted, which a jump out of the handler does not do by itself. */
static void restore_mask(const ucontext_t *context) {
    uint64_t mask;
    memcpy(&mask, &context->uc_sigmask, sizeof mask);
    signals_resume(mask);
}

/* A permitted access that the host cannot make: beyond the end of a mapped file (SIGBUS), or a page that went away. While
 * a block is translated the guest's PC is already its beginning, which lies in the page that could not be read. */
static void guest_fault(struct engine *e, int number, const siginfo_t *info,
                        const ucontext_t *context) {
    const greg_t *registers = context->uc_mcontext.gregs;
    bool write_access = registers[REG_ERR] & PAGE_FAULT_WRITE;
    if (!e->translating && !call_site_restore(e, (uintptr_t)registers[REG_RIP])) {
        signal_own_fault(number);
        return;
    }
    e->stop = number == SIGBUS ? STOP_BUS : STOP_FAULT;
    e->fault_address = (uint64_t)(uintptr_t)info->si_addr;
    e->fault_access = e->translating ? ACCESS_EXECUTE : write_access ? ACCESS_WRITE : ACCESS_READ;
    uc_emu_stop(e->uc);
    restore_mask(context);
    cpu_loop_exit_aarch64(e->cpu);
}

static void catch_fault(int number, siginfo_t *info, void *context) {
    struct engine *e = current_engine;
    uint64_t address = (uint64_t)(uintptr_t)info->si_addr;
    bool in_guest_memory = address >= GUEST_FLOOR && address < GUEST_LIMIT;
    if (e && info->si_code == SI_TIMER && info->si_ptr == e) {
        proxy_tick(e);
    } else if (info->si_code <= 0) { /* sent by kill(2) and its like */
        signal_sent(number, info, context);
    } else if (e && e->recovery && in_guest_memory) {
        restore_mask(context);
        siglongjmp(*e->recovery, 1);
    } else if (e && e->uc && atomic_load(&e->in_guest) && in_guest_memory) {
        guest_fault(e, number, info, context);
    } else {
        signal_own_fault(number);
    }
}

/* Which of SIGSEGV and SIGBUS are ignored, as a signal set. Asked before they are caught, it is what exec handed down. */
uint64_t signal_faults_ignored(void) {
    static const int numbers[] = {SIGSEGV, SIGBUS};
    uint64_t ignored = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct kernel_sigaction old = {0};
        if (!kernel_action(numbers[i], NULL, &old) && old.handler == (uint64_t)(uintptr_t)SIG_IGN) {
            ignored |= UINT64_C(1) << (numbers[i] - 1);
        }
    }
    return ignored;
}

/* Installs the handlers of SIGSEGV and SIGBUS. They stay for the life of the process. Everything is masked meanwhile: a
 * flood of SIGSEGV by kill(2) must not nest until the stack is full. */
int signal_faults_catch(void) {
    struct kernel_sigaction action = {
        .handler = (uint64_t)(uintptr_t)catch_fault,
        .flags = SA_SIGINFO | SA_RESTORER_FLAG,
        .restorer = (uint64_t)(uintptr_t)return_from_signal,
        .mask = UINT64_MAX,
    };
    int err = kernel_action(SIGSEGV, &action, NULL);
    return err ? err : kernel_action(SIGBUS, &action, NULL);
}
