/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Host signals. Those the guest handles are caught here and wait in their thread's engine until Python builds the guest's
 * frame. On return from the catcher the thread keeps all signals blocked, so that the kernel keeps the queue and its order;
 * Python sets the right mask when it delivers. If Python opens the mask in between, what then comes goes back to the kernel.
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
#include "host_process.h"
#include "kernel_signals.h"

__asm__(".text\n"
        ".globl return_from_signal\n"
        "return_from_signal:\n"
        "    mov $15, %eax\n" /* rt_sigreturn */
        "    syscall\n");

/* ---- threads that end ---- */

static uint64_t process_id(void) {
    return (uint64_t)raw_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

/* Puts a signal back into the kernel's queue of this thread, where the mask holds it. */
static void return_to_kernel(int number, siginfo_t *info) {
    raw_call(SYS_rt_tgsigqueueinfo, process_id(), (uint64_t)raw_call(SYS_gettid, 0, 0, 0, 0, 0, 0),
             (uint64_t)number, word_of(info), 0, 0);
}

/* Gives a signal to another thread. One that was sent to this thread alone ends with it, as on the kernel. */
static void give_to_process(int number, siginfo_t *info) {
    if (info->si_code == SI_TKILL) {
        return;
    }
    /* The kernel lets no thread but the first queue what looks like its own siginfo; the signal itself counts more. */
    if (raw_call(SYS_rt_sigqueueinfo, process_id(), (uint64_t)number, word_of(info), 0, 0, 0)) {
        raw_call(SYS_kill, process_id(), (uint64_t)number, 0, 0, 0, 0);
    }
}

/* Puts a signal that is blocked here back where it came from. */
void signal_put_back(int number, siginfo_t *info) {
    if (info->si_code == SI_TKILL) {
        return_to_kernel(number, info);
    } else {
        give_to_process(number, info);
    }
}

/* The engine's thread runs no more guest code: gives away what was caught. Blocks every signal, also those of faults, lest
 * they come back here. */
void signals_release(struct engine *e) {
    siginfo_t taken;
    host_mask_change(UINT64_MAX);
    while (signal_take(e, 0, &taken)) {
        give_to_process(taken.si_signo, &taken);
    }
}

/* ---- catching ---- */

/* Keeps the signal for Python; false if there is no room, which only a signal caught too early finds. */
static bool keep(struct engine *e, enum caught kind, const siginfo_t *info) {
    uint32_t waits = atomic_load(&e->caught_set) & 1u << kind;
    if (!waits) {
        e->caught[kind] = *info;
        atomic_fetch_or(&e->caught_set, 1u << kind);
    }
    return !waits || kind != CAUGHT_OTHER; /* SIGSEGV and SIGBUS do not queue */
}

/* A call that has not begun, or that the kernel would begin again, waits for Python. */
static void leave_call(greg_t *registers) {
    greg_t *ip = &registers[REG_RIP];
    if (*ip >= (greg_t)(uintptr_t)safe_syscall_begin && *ip < (greg_t)(uintptr_t)safe_syscall_end) {
        *ip = (greg_t)(uintptr_t)safe_syscall_interrupted;
    }
}

/* Raised by an instruction of ours, which would be raised again for ever. */
static bool is_own_fault(int number, const siginfo_t *info, const ucontext_t *context) {
    return (number == SIGILL || number == SIGFPE) && info->si_code > 0 &&
           (greg_t)(uintptr_t)info->si_addr == context->uc_mcontext.gregs[REG_RIP];
}

/* While the engine runs the code of a vfork(2) child, SIGSEGV and SIGBUS that come to its parents wait for their turn. */
static void park(struct signal_state *parent, enum caught kind, const siginfo_t *info) {
    if (!(atomic_load(&parent->caught_set) & 1u << kind)) {
        parent->caught[kind] = *info;
        atomic_fetch_or(&parent->caught_set, 1u << kind);
    }
}

/* A signal that the guest does not notice must not end its call: see whole_call(). */
static void hide_interruption(greg_t *registers) {
    if (registers[REG_RIP] == (greg_t)(uintptr_t)safe_syscall_end && registers[REG_RAX] == -EINTR) {
        registers[REG_RAX] = RESULT_UNNOTICED;
    }
}

/* Blocks more signals for when the handler returns. */
static void hold(ucontext_t *context, uint64_t more) {
    uint64_t mask;
    memcpy(&mask, &context->uc_sigmask, sizeof mask);
    mask |= more;
    memcpy(&context->uc_sigmask, &mask, sizeof mask);
}

/* Handles a signal that somebody sent, with all others masked; on return this thread takes no more until Python says so,
 * unless it is a SIGSEGV or SIGBUS that the guest blocks or ignores. */
void signal_sent(int number, siginfo_t *info, void *opaque) {
    ucontext_t *context = opaque;
    struct engine *e = current_engine;
    enum caught kind = caught_kind(number);
    bool noticed = true;
    if (is_own_fault(number, info, context)) {
        signal_own_fault(number);
        return;
    }
    struct signal_state *aside = e ? proxy_state_aside(e) : NULL;
    if (aside && kind == CAUGHT_OTHER) {
        return_to_kernel(number, info); /* another thread has just begun to handle it */
    } else if (aside) {
        park(aside, kind, info);
        noticed = false;
    } else if (!e || !e->uc) {
        give_to_process(number, info);
    } else if (kind != CAUGHT_OTHER && mask_in_effect(e) >> (number - 1) & 1) {
        noticed = false;
        if (signal_held(e, number)) {
            signal_put_back(number, info);
            hold(context, UINT64_C(1) << (number - 1));
        } else {
            keep(e, kind, info);
        }
    } else if (kind != CAUGHT_OTHER && fault_ignored(kind)) {
        noticed = false;
    } else {
        if (!keep(e, kind, info)) {
            return_to_kernel(number, info);
        }
        engine_attend(e, ATTEND_SIGNAL);
        leave_call(context->uc_mcontext.gregs);
    }
    if (noticed) { /* of the signals of faults only those that were blocked stay so */
        hold(context, UINT64_MAX & ~(UINT64_C(1) << (SIGSEGV - 1) | UINT64_C(1) << (SIGBUS - 1)));
    } else {
        hide_interruption(context->uc_mcontext.gregs);
    }
}

int kernel_action(int number, const struct kernel_sigaction *new, struct kernel_sigaction *old) {
    uint64_t arguments[CALL_ARGUMENTS] = {(uint64_t)number, word_of(new), word_of(old),
                                          KERNEL_SIGSET_SIZE};
    return (int)host_call(SYS_rt_sigaction, arguments);
}

/* Catches `number` for the guest. flags: its SA_RESTART, SA_NOCLDSTOP and SA_NOCLDWAIT, which the kernel then applies. */
int signal_catch(int number, uint64_t flags) {
    enum caught kind = caught_kind(number);
    if (kind != CAUGHT_OTHER) {
        uint64_t old;
        return fault_action(kind, (uintptr_t)signal_sent, flags, &old);
    }
    struct kernel_sigaction action = {
        .handler = (uint64_t)(uintptr_t)signal_sent,
        .flags = SA_SIGINFO | SA_RESTORER_FLAG | flags,
        .restorer = (uint64_t)(uintptr_t)return_from_signal,
        .mask = UINT64_MAX,
    };
    return kernel_action(number, &action, NULL);
}

/* Sets SIG_DFL (0) or SIG_IGN (1), or with handler UINT64_MAX only asks. *old_handler: 0, 1, or an address of ours. */
int signal_set(int number, uint64_t handler, uint64_t flags, uint64_t *old_handler) {
    enum caught kind = caught_kind(number);
    if (kind != CAUGHT_OTHER) {
        return fault_action(kind, handler, flags, old_handler);
    }
    struct kernel_sigaction action = {.handler = handler,
                                      .flags = flags | SA_RESTORER_FLAG,
                                      .restorer = (uint64_t)(uintptr_t)return_from_signal};
    struct kernel_sigaction old = {0};
    int err = kernel_action(number, handler == UINT64_MAX ? NULL : &action, &old);
    *old_handler = old.handler;
    return err;
}
