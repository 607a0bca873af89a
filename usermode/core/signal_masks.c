/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's signal mask, and the caught signals that wait for it.
 *
 * The host's mask is the guest's, but for SIGSEGV and SIGBUS: a fault of the emulator's own accesses while they are blocked
 * would end the process. Sent by kill(2), these two are caught at any time and wait here, each once, as the kernel would have
 * it. Of the other signals one at a time waits: with it caught, the host's mask is closed until Python has delivered it.
 *
 * Once the guest has made a signalfd(2) for one of the two, which reads the kernel's queue, such a signal goes back there, and
 * is blocked on the host until it has been read, or the guest unblocks it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "core.h"
#include "host_process.h"
#include "kernel_signals.h"

static uint64_t bit(int number) {
    return UINT64_C(1) << (number - 1);
}

static uint64_t on_host(uint64_t mask) {
    return mask & ~(bit(SIGSEGV) | bit(SIGBUS));
}

/* Those of the two that signalfd(2) is to find. */
static _Atomic uint64_t left_on_host;

/* The host's mask for the guest's `mask`: what has gone back to the kernel's queue stays blocked. */
static uint64_t on_host_of(const struct engine *e, uint64_t mask) {
    return on_host(mask) | (mask & atomic_load(&e->held));
}

/* Is the signal, which the guest blocks, to go back to the kernel's queue? Then it is noted that the thread has it there. */
bool signal_held(struct engine *e, int number) {
    bool held = atomic_load(&left_on_host) & bit(number);
    if (held) {
        atomic_fetch_or(&e->held, bit(number));
    }
    return held;
}

bool signal_left_on_host(int number) {
    return atomic_load(&left_on_host) & bit(number);
}

/* After a call: what is not in the kernel's queue any more need not be blocked there, where it stands for faults too. */
void signals_let_go(struct engine *e) {
    uint64_t pending = 0;
    const uint64_t ask[CALL_ARGUMENTS] = {word_of(&pending), KERNEL_SIGSET_SIZE};
    host_call(SYS_rt_sigpending, ask);
    uint64_t free = atomic_fetch_and(&e->held, pending) & ~pending;
    const uint64_t open[CALL_ARGUMENTS] = {SIG_UNBLOCK, word_of(&free), 0, KERNEL_SIGSET_SIZE};
    if (free) {
        host_call(SYS_rt_sigprocmask, open);
    }
}

/* From now on signalfd(2) is to find those of `set`, also those that wait already. */
void signals_leave_on_host(struct engine *e, uint64_t set) {
    uint64_t faults = set & (bit(SIGSEGV) | bit(SIGBUS)),
             blocked = atomic_load(&e->blocked) & faults;
    siginfo_t info;
    atomic_fetch_or(&left_on_host, faults);
    while (!e->proxy && signal_take_blocked(e, blocked, &info)) {
        atomic_fetch_or(&e->held, bit(info.si_signo));
        host_mask_change(on_host_of(e, atomic_load(&e->blocked)));
        signal_put_back(info.si_signo, &info);
    }
}

/* Of the calling thread itself, whoever makes the host calls; returns the mask before. */
uint64_t host_mask_change(uint64_t mask) {
    uint64_t old = 0;
    raw_call(SYS_rt_sigprocmask, SIG_SETMASK, word_of(&mask), word_of(&old), KERNEL_SIGSET_SIZE, 0,
             0);
    return old;
}

/* Holds back every signal that can be; returns the mask before. */
uint64_t signals_hold(void) {
    return host_mask_change(on_host(UINT64_MAX));
}

/* ---- what waits ---- */

enum caught caught_kind(int number) {
    return number == SIGSEGV ? CAUGHT_SEGV : number == SIGBUS ? CAUGHT_BUS : CAUGHT_OTHER;
}

/* The bits of caught_set that the mask `blocked` lets through. A signal of another kind was deliverable when the host
 * delivered it, also under the mask of a ppoll(2). */
static uint32_t let_through(struct engine *e, uint64_t blocked) {
    uint32_t set = atomic_load(&e->caught_set);
    if (blocked & bit(SIGSEGV)) {
        set &= ~(1u << CAUGHT_SEGV);
    }
    if (blocked & bit(SIGBUS)) {
        set &= ~(1u << CAUGHT_BUS);
    }
    return set;
}

bool caught_deliverable(struct engine *e, uint64_t blocked) {
    return let_through(e, blocked);
}

/* Takes the first of `set`. Only after its bit is clear a handler may write there again. */
static bool take_of(struct engine *e, uint32_t set, siginfo_t *taken) {
    if (!set) {
        return false;
    }
    int kind = __builtin_ctz(set);
    *taken = e->caught[kind];
    atomic_fetch_and(&e->caught_set, ~(1u << kind));
    return true;
}

/* Takes the next signal to deliver under the mask `blocked`. */
bool signal_take(struct engine *e, uint64_t blocked, siginfo_t *taken) {
    atomic_fetch_and(&e->attention, ~(uint32_t)ATTEND_SIGNAL);
    bool any = take_of(e, let_through(e, blocked), taken);
    if (let_through(e, blocked)) {
        atomic_fetch_or(&e->attention, ATTEND_SIGNAL);
    }
    return any;
}

/* Takes a waiting SIGSEGV or SIGBUS that is in `wanted`: sigtimedwait(2). */
bool signal_take_blocked(struct engine *e, uint64_t wanted, siginfo_t *taken) {
    return take_of(e, let_through(e, ~wanted) & ~(1u << CAUGHT_OTHER), taken);
}

/* In a fork's child: what was caught before is the parent's alone. *mask, the host's, becomes what it was before that. */
void signals_forget(struct engine *e, uint64_t *mask) {
    if (atomic_exchange(&e->caught_set, 0) & 1u << CAUGHT_OTHER) {
        *mask = on_host(e->blocked);
    }
    atomic_fetch_and(&e->attention, ~(uint32_t)ATTEND_SIGNAL);
    atomic_store(&e->held, 0);
    e->waiting = false;
}

/* The SIGSEGV and SIGBUS that wait, as a signal set. */
uint64_t signals_waiting(struct engine *e) {
    uint32_t set = atomic_load(&e->caught_set);
    return (set & 1u << CAUGHT_SEGV ? bit(SIGSEGV) : 0) |
           (set & 1u << CAUGHT_BUS ? bit(SIGBUS) : 0);
}

/* ---- the mask ---- */

static void take_effect(struct engine *e, uint64_t mask) {
    atomic_store(&e->blocked, mask);
    atomic_fetch_and(&e->held, mask);
    if (let_through(e, mask)) {
        engine_attend(e, ATTEND_SIGNAL);
    }
}

static uint64_t blockable(uint64_t mask) {
    return mask & ~(bit(SIGKILL) | bit(SIGSTOP));
}

/* Sets the guest's mask, and opens the host's to it. */
void mask_set(struct engine *e, uint64_t mask) {
    mask = blockable(mask);
    uint64_t host = on_host_of(e, mask);
    const uint64_t arguments[CALL_ARGUMENTS] = {SIG_SETMASK, word_of(&host), 0, KERNEL_SIGSET_SIZE};
    atomic_store(&e->blocked, mask); /* before what waits for the host's mask to open is caught */
    host_call(SYS_rt_sigprocmask, arguments);
    take_effect(e, mask);
}

/* As mask_set(), unless a signal has been caught: then RESULT_RESTART, and nothing is changed. */
long mask_change(struct engine *e, uint64_t mask) {
    mask = blockable(mask);
    uint64_t host = on_host_of(e, mask);
    const uint64_t arguments[CALL_ARGUMENTS] = {SIG_SETMASK, word_of(&host), 0, KERNEL_SIGSET_SIZE};
    if (atomic_load(&e->attention) & ATTEND_SIGNAL) {
        return RESULT_RESTART;
    }
    if (mask == atomic_load(&e->blocked)) {
        return 0;
    }
    if (atomic_load(&e->held) & ~mask) { /* is caught at once, when the new mask must be known */
        mask_set(e, mask);
        return 0;
    }
    long result = host_wait(e, SYS_rt_sigprocmask, arguments);
    if (!result) {
        take_effect(e, mask);
    }
    return result;
}

/* rt_sigprocmask(2): x0 how, x1 the set, x2 where the old one goes, x3 their size. */
static long rt_sigprocmask(struct engine *e, const uint64_t *arguments) {
    uint64_t old = atomic_load(&e->blocked), set;
    if (arguments[3] != KERNEL_SIGSET_SIZE) {
        return -EINVAL;
    }
    if (arguments[1]) {
        if (!guest_read(&set, arguments[1], sizeof set)) {
            return -EFAULT;
        }
        switch ((int)arguments[0]) {
        case SIG_BLOCK:
            set |= old;
            break;
        case SIG_UNBLOCK:
            set = old & ~set;
            break;
        case SIG_SETMASK:
            break;
        default:
            return -EINVAL;
        }
        long result = mask_change(e, set);
        if (result) {
            return result;
        }
    }
    return arguments[2] && !guest_write(arguments[2], &old, sizeof old) ? -EFAULT : 0;
}

/* The calls that the core answers itself. As pass_through(). */
long core_call(struct engine *e, enum core_call call, const uint64_t *arguments) {
    switch (call) {
    case CORE_RT_SIGPROCMASK:
        return rt_sigprocmask(e, arguments);
    case CORE_RT_SIGRETURN:
        return core_sigreturn(e);
    }
    return RESULT_TO_PYTHON;
}

/* ---- waiting under another mask: ppoll(2), sigsuspend(2) and their kind ---- */

uint64_t mask_in_effect(const struct engine *e) {
    return e->waiting ? e->wait_mask : atomic_load(&e->blocked);
}

/* A call is to wait under the guest's sigset_t at `address`. Returns the address of the one for the host, which goes to *host:
 * without the signals that must not be blocked there. What cannot be used is left to the kernel to refuse. */
uint64_t wait_mask(struct engine *e, uint64_t address, uint64_t size, uint64_t *host) {
    uint64_t mask;
    if (!address || size != KERNEL_SIGSET_SIZE || !guest_read(&mask, address, sizeof mask)) {
        return address;
    }
    e->wait_mask = blockable(mask);
    e->waiting = true;
    *host = on_host_of(e, mask);
    return (uint64_t)(uintptr_t)host;
}

/* As wait_mask(), for an argument that points to address and size. 0 or -EFAULT. */
long wait_mask_pair(struct engine *e, uint64_t *argument, struct mask_pair *pair, uint64_t *host) {
    if (!*argument || !guest_read(pair, *argument, sizeof *pair)) {
        return 0;
    }
    if (pair->address >= GUEST_LIMIT) {
        return -EFAULT;
    }
    pair->address = wait_mask(e, pair->address, pair->size, host);
    *argument = (uint64_t)(uintptr_t)pair;
    return 0;
}

/* The call has ended. Ended by a signal, its mask rules the delivery: restore_saved_sigmask_unless() of the kernel. */
void wait_over(struct engine *e, long result) {
    if (e->waiting && (result != -EINTR || !(atomic_load(&e->attention) & ATTEND_SIGNAL))) {
        e->waiting = false;
        take_effect(e, atomic_load(&e->blocked)); /* which may let in what that one held back */
    }
}

/* The mask that rules the delivery of what was caught; after that the guest's own holds again. */
uint64_t wait_end(struct engine *e) {
    uint64_t mask = mask_in_effect(e);
    e->waiting = false;
    return mask;
}

/* ---- vfork(2) ---- */

/* The engine is to run a child, which has the same mask and stack, and its own signals. Called with all signals blocked. */
void signals_set_aside(struct engine *e, struct signal_state *state) {
    state->blocked = e->blocked;
    state->altstack = e->altstack;
    state->fault_actions = e->fault_actions;
    atomic_store(&e->held, 0);
    memcpy(state->caught, e->caught, sizeof e->caught);
    atomic_store(&state->caught_set, atomic_exchange(&e->caught_set, 0));
    atomic_fetch_and(&e->attention, ~(uint32_t)ATTEND_SIGNAL);
}

/* The engine is its parent's again: so are the signals that came meanwhile. Called with all signals blocked. */
void signals_bring_back(struct engine *e, struct signal_state *state) {
    e->altstack = state->altstack;
    e->fault_actions = state->fault_actions;
    e->waiting = false;
    atomic_store(&e->held, 0); /* Python opens the mask, then what is there comes again */
    memcpy(e->caught, state->caught, sizeof e->caught);
    atomic_store(&e->caught_set, atomic_load(&state->caught_set));
    atomic_fetch_and(&e->attention, ~(uint32_t)ATTEND_SIGNAL);
    take_effect(e, state->blocked);
}
