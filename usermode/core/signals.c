/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Host signals. Those the guest handles are caught here and wait in their thread's engine until Python builds the guest's
 * frame. On return from the catcher the thread keeps all signals blocked, so that the kernel keeps the queue and its order;
 * Python sets the right mask when it delivers. If Python opens the mask in between, what then comes goes back to the kernel.
 * Only signals of faults are never blocked: sent by kill(2), they wait here too, each once, as the kernel would have it.
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

/* Signals that a fault of this program's own raises: never blocked, or the kernel would end the process. */
static const int fault_signals[FAULT_SIGNALS] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};

_Static_assert(FAULT_SIGNALS + 1 < PENDING_SIGNALS &&
                   (PENDING_SIGNALS & (PENDING_SIGNALS - 1)) == 0,
               "the ring has room for one signal of each kind");

__asm__(".text\n"
        ".globl return_from_signal\n"
        "return_from_signal:\n"
        "    mov $15, %eax\n" /* rt_sigreturn */
        "    syscall\n");

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

static uint64_t change_mask(uint64_t mask) {
    uint64_t old = 0;
    raw_call(SYS_rt_sigprocmask, SIG_SETMASK, word_of(&mask), word_of(&old), KERNEL_SIGSET_SIZE, 0,
             0);
    return old;
}

/* Holds back every signal that can be; returns the mask before, for signals_resume(). */
uint64_t signals_hold(void) {
    return change_mask(all_but_faults());
}

void signals_resume(uint64_t mask) {
    change_mask(mask);
}

/* ---- the queue ---- */

static struct pending_signal *pending_at(struct engine *e, uint32_t position) {
    return &e->pending[position % PENDING_SIGNALS];
}

static bool waits(struct engine *e, int number) {
    uint32_t tail = atomic_load(&e->pending_tail);
    for (uint32_t i = atomic_load(&e->pending_head); i != tail; i++) {
        if (pending_at(e, i)->info.si_signo == number) {
            return true;
        }
    }
    return false;
}

static void append(struct engine *e, const siginfo_t *info, uint64_t mask) {
    uint32_t tail = atomic_load(&e->pending_tail);
    *pending_at(e, tail) = (struct pending_signal){.info = *info, .mask = mask};
    atomic_store(&e->pending_tail, tail + 1);
}

/* Takes the oldest caught signal. Between two steps a handler may add another: it sets ATTEND_SIGNAL after that. */
bool signal_take(struct engine *e, struct pending_signal *taken) {
    uint32_t head = atomic_load(&e->pending_head);
    if (head == atomic_load(&e->pending_tail)) {
        return false;
    }
    *taken = *pending_at(e, head);
    atomic_store(&e->pending_head, head + 1);
    atomic_fetch_and(&e->attention, ~(uint32_t)ATTEND_SIGNAL);
    if (head + 1 != atomic_load(&e->pending_tail)) {
        atomic_fetch_or(&e->attention, ATTEND_SIGNAL);
    }
    return true;
}

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

/* The engine's thread runs no more guest code: with signals held, gives away what was caught. */
void signals_release(struct engine *e) {
    struct pending_signal taken;
    while (signal_take(e, &taken)) {
        give_to_process(taken.info.si_signo, &taken.info);
    }
}

/* In a fork's child: what was caught before is the parent's alone. *mask becomes the one that held before it was caught. */
void signals_forget(struct engine *e, uint64_t *mask) {
    struct pending_signal taken;
    if (signal_take(e, &taken)) {
        *mask = taken.mask;
    }
    while (signal_take(e, &taken)) {
    }
}

/* ---- catching ---- */

/* Keeps the signal for Python; wakes guest code and calls that have not begun. */
static void keep(struct engine *e, int number, siginfo_t *info, ucontext_t *context) {
    greg_t *ip = &context->uc_mcontext.gregs[REG_RIP];
    bool empty = atomic_load(&e->pending_head) == atomic_load(&e->pending_tail);
    if (empty || (!(all_but_faults() & bit(number)) && !waits(e, number))) {
        uint64_t mask;
        memcpy(&mask, &context->uc_sigmask, sizeof mask);
        append(e, info, mask);
    } else if (all_but_faults() & bit(number)) {
        return_to_kernel(number, info);
    }
    engine_attend(e, ATTEND_SIGNAL);
    if (*ip >= (greg_t)(uintptr_t)safe_syscall_begin && *ip < (greg_t)(uintptr_t)safe_syscall_end) {
        *ip = (greg_t)(uintptr_t)safe_syscall_interrupted;
    }
}

/* Raised by an instruction of ours, which would be raised again for ever. */
static bool is_own_fault(int number, const siginfo_t *info, const ucontext_t *context) {
    return (number == SIGILL || number == SIGFPE) && info->si_code > 0 &&
           (greg_t)(uintptr_t)info->si_addr == context->uc_mcontext.gregs[REG_RIP];
}

/* While the engine runs the code of a vfork(2) child, only signals of faults come to its thread: they wait for the parent. */
static void park(struct engine *e, int number, const siginfo_t *info, const ucontext_t *context) {
    for (size_t i = 0; i < FAULT_SIGNALS; i++) {
        if (fault_signals[i] == number && !(atomic_load(&e->parked_signals) & 1u << i)) {
            e->parked[i].info = *info;
            memcpy(&e->parked[i].mask, &context->uc_sigmask, sizeof e->parked[i].mask);
            atomic_fetch_or(&e->parked_signals, 1u << i);
        }
    }
}

/* The engine is its parent's again: so are the signals that came meanwhile. */
void signals_unpark(struct engine *e) {
    uint32_t waiting = atomic_exchange(&e->parked_signals, 0);
    for (size_t i = 0; i < FAULT_SIGNALS; i++) {
        if (waiting >> i & 1) {
            append(e, &e->parked[i].info, e->parked[i].mask);
            engine_attend(e, ATTEND_SIGNAL);
        }
    }
}

/* Handles a signal that somebody sent, with all others masked; on return this thread takes no more until Python says so. */
void signal_sent(int number, siginfo_t *info, void *context) {
    uint64_t mask = all_but_faults();
    if (is_own_fault(number, info, context)) {
        signal_own_fault(number);
        return;
    }
    change_mask(
        UINT64_MAX); /* SIGSEGV and SIGBUS are caught without a mask; the ring has one writer at a time */
    if (current_engine && current_engine->proxy && !proxy_runs(current_engine->proxy)) {
        park(current_engine, number, info, context);
    } else if (current_engine && current_engine->uc) {
        keep(current_engine, number, info, context);
    } else {
        give_to_process(number, info);
    }
    uint64_t before; /* of the signals of faults only those that were blocked stay so */
    memcpy(&before, &((ucontext_t *)context)->uc_sigmask, sizeof before);
    mask |= before;
    memcpy(&((ucontext_t *)context)->uc_sigmask, &mask, sizeof mask);
}

int kernel_action(int number, const struct kernel_sigaction *new, struct kernel_sigaction *old) {
    uint64_t arguments[CALL_ARGUMENTS] = {(uint64_t)number, word_of(new), word_of(old),
                                          KERNEL_SIGSET_SIZE};
    return (int)host_call(SYS_rt_sigaction, arguments);
}

/* Catches `number` for the guest. flags: its SA_RESTART, SA_NOCLDSTOP and SA_NOCLDWAIT, which the kernel then applies. */
int signal_catch(int number, uint64_t flags) {
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
    struct kernel_sigaction action = {.handler = handler,
                                      .flags = flags | SA_RESTORER_FLAG,
                                      .restorer = (uint64_t)(uintptr_t)return_from_signal};
    struct kernel_sigaction old = {0};
    int err = kernel_action(number, handler == UINT64_MAX ? NULL : &action, &old);
    *old_handler = old.handler;
    return err;
}
