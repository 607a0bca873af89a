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
    host_mask_change(mask);
}

/* Was the signal sent, by kill(2) and its like? A program may also queue to itself what looks like a fault, which comes at
 * the end of that call: breakpad does so to die of what it has caught. */
static bool sent(const siginfo_t *info, const ucontext_t *context) {
    return info->si_code <= 0 ||
           context->uc_mcontext.gregs[REG_RIP] == (greg_t)(uintptr_t)safe_syscall_end;
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

/* An access of translated code without a guest address: one of ours, or with a tag. Its instruction is translated again. */
static void translate_again(struct engine *e, int number, const ucontext_t *context) {
    if (!block_restore(e, (uintptr_t)context->uc_mcontext.gregs[REG_RIP])) {
        signal_own_fault(number);
        return;
    }
    access_indirect(e, e->registers[REGISTER_PC]);
    restore_mask(context);
    cpu_loop_exit_aarch64(e->cpu);
}

static void catch_fault(int number, siginfo_t *info, void *context) {
    struct engine *e = current_engine;
    uint64_t address = (uint64_t)(uintptr_t)info->si_addr;
    bool in_guest_memory = address >= GUEST_FLOOR && address < GUEST_LIMIT;
    if (e && info->si_code == SI_TIMER && info->si_ptr == e) {
        tick(e);
    } else if (sent(info, context)) {
        signal_sent(number, info, context);
    } else if (e && e->recovery && in_guest_memory) {
        restore_mask(context);
        siglongjmp(*e->recovery, 1);
    } else if (e && e->uc && atomic_load(&e->in_guest) && in_guest_memory) {
        guest_fault(e, number, info, context);
    } else if (e && e->uc && atomic_load(&e->in_guest) && !e->translating) {
        translate_again(e, number, context);
    } else {
        signal_own_fault(number);
    }
}

/* ---- the guest's actions ---- */

static const int fault_numbers[] = {[CAUGHT_BUS] = SIGBUS, [CAUGHT_SEGV] = SIGSEGV};
#define FAULTS (sizeof fault_numbers / sizeof *fault_numbers)

static struct fault_actions own_actions;
static bool caught_before;

/* Those of the process that makes the host calls. */
static struct fault_actions *actions(void) {
    struct engine *e = current_engine;
    return e && e->fault_actions ? e->fault_actions : &own_actions;
}

void fault_actions_copy(struct fault_actions *to) {
    *to = *actions();
}

/* In the child of a fork: what holds for its process is its own. */
void fault_actions_adopt(struct engine *e) {
    own_actions = *actions();
    e->fault_actions = NULL;
}

/* Everything is masked meanwhile: a flood of SIGSEGV by kill(2) must not nest until the stack is full. A call goes on after
 * a signal that the guest does not handle. */
static int catch (enum caught kind, struct kernel_sigaction *old) {
    bool handled = actions()->handlers[kind] > (uintptr_t)SIG_IGN;
    struct kernel_sigaction action = {
        .handler = (uint64_t)(uintptr_t)catch_fault,
        .flags = SA_SIGINFO | SA_RESTORER_FLAG | (handled ? actions()->flags[kind] : SA_RESTART),
        .restorer = (uint64_t)(uintptr_t)return_from_signal,
        .mask = UINT64_MAX,
    };
    return kernel_action(fault_numbers[kind], &action, old);
}

/* Installs the handlers of SIGSEGV and SIGBUS; the first time, the actions before are the guest's. */
int signal_faults_catch(void) {
    int err = 0;
    for (size_t i = 0; i < FAULTS && !err; i++) {
        struct kernel_sigaction old;
        err = catch ((enum caught)i, &old);
        if (!caught_before && old.handler == (uintptr_t)SIG_IGN) {
            actions()->handlers[i] = old.handler;
        }
    }
    caught_before = true;
    return err;
}

/* Gives the host the guest's action of one of the two, ignored or default: for execve(2), and to end the process. */
int signal_fault_release(int number) {
    enum caught kind = caught_kind(number);
    if (kind == CAUGHT_OTHER) {
        return -EINVAL;
    }
    bool ignored = actions()->handlers[kind] == (uintptr_t)SIG_IGN;
    struct kernel_sigaction action = {.handler = (uintptr_t)(ignored ? SIG_IGN : SIG_DFL),
                                      .flags = SA_RESTORER_FLAG,
                                      .restorer = (uint64_t)(uintptr_t)return_from_signal};
    return kernel_action(number, &action, NULL);
}

/* The kernel drops what waits there, too, if it is told; catch() follows. */
static void drop_left_on_host(int number) {
    const struct kernel_sigaction ignore = {.handler = (uintptr_t)SIG_IGN};
    if (signal_left_on_host(number)) {
        kernel_action(number, &ignore, NULL);
    }
}

/* As signal_set() and signal_catch(): the guest's action is noted, the host's stays our own. */
int fault_action(enum caught kind, uint64_t handler, uint64_t flags, uint64_t *old_handler) {
    *old_handler = actions()->handlers[kind];
    if (handler == UINT64_MAX) {
        return 0;
    }
    actions()->handlers[kind] = handler;
    actions()->flags[kind] = flags & SA_RESTART;
    if (handler == (uintptr_t)SIG_IGN) {
        engines_drop_caught(kind); /* what waits goes too: do_sigaction() of the kernel */
        drop_left_on_host(fault_numbers[kind]);
    }
    return catch (kind, NULL);
}

bool fault_ignored(enum caught kind) {
    return actions()->handlers[kind] == (uintptr_t)SIG_IGN;
}
