/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processes that share our memory: the child of vfork(2).
 *
 * Such a child shares Python's lock, malloc's heap and every other state of the emulator. Were it to run the emulator and be
 * killed by the wrong signal at the wrong moment, all of that would stay behind half changed. So it does not: the kernel's
 * child process is a proxy, which only makes the host calls it is asked for (on its descriptors, with its credentials, its
 * signal mask, its process id; not those that change the memory), and holds no lock. The thread that called vfork(2) runs the child's guest code meanwhile,
 * on the same engine; it goes on as the parent once the proxy has executed a program or is gone for any other reason.
 *
 * The two talk by `word`: the thread makes it PROXY_CALL and waits, the proxy makes it PROXY_IDLE and waits. The kernel
 * clears it at the proxy's execve(2) or end (CLONE_CHILD_CLEARTID), and `life` at the end of the thread (set_tid_address).
 *
 * The proxy has libc's thread-local storage in common with the thread, which runs at the same time: it must not touch errno.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core.h"
#include "host_process.h"

#define PROXY_SIZE 65536 /* the struct and the stack, on which signals are caught too */
#define LOOK_SECONDS 1

enum { PROXY_GONE = 0, PROXY_IDLE = 1, PROXY_CALL = 2 };
enum request { REQUEST_CALL, REQUEST_WAITING_CALL, REQUEST_PROXY, REQUEST_FORK };

struct proxy {
    _Atomic uint32_t word;
    _Atomic uint32_t *life; /* cleared when the thread that asks is gone */
    enum request request;
    long number, result;
    uint64_t arguments[CALL_ARGUMENTS];
    const struct clone_request *process; /* what REQUEST_PROXY and REQUEST_FORK start */
    bool extended;
    struct proxy *started; /* by REQUEST_PROXY */
    void *thread[5];       /* where the thread waits, for the child of REQUEST_FORK */
    struct engine *engine;
    struct proxy *outer, *spare;
    struct signal_state parent;
    struct fault_actions fault_actions;
};

static __thread _Atomic uint32_t thread_life;

/* ---- the proxy's side ---- */

static long futex(_Atomic uint32_t *word, int operation, uint32_t value,
                  const struct timespec *timeout) {
    return raw_call(SYS_futex, word_of(word), (uint64_t)operation, value, word_of(timeout), 0, 0);
}

static void leave(void) {
    for (;;) {
        raw_call(SYS_exit_group, 128 + SIGKILL, 0, 0, 0, 0, 0);
    }
}

static long start(struct proxy *p, const struct clone_request *request, bool extended);

static long carry_out(struct proxy *p) {
    static _Atomic uint32_t no_attention;
    switch (p->request) {
    case REQUEST_WAITING_CALL:
        return whole_call(p->number, p->arguments, &p->engine->attention);
    case REQUEST_PROXY:
        return start(p->started, p->process, p->extended);
    case REQUEST_FORK: {
        uint64_t mask = host_mask_change(UINT64_MAX); /* see module_fork() */
        long pid = raw_fork(p->process, p->extended);
        if (!pid) {
            __builtin_longjmp(p->thread, 1);
        }
        host_mask_change(mask);
        return pid;
    }
    default: {
        long result = RESULT_RESTART;
        while (result == RESULT_RESTART) {
            result = whole_call(p->number, p->arguments, &no_attention);
        }
        return result;
    }
    }
}

/* The whole life of a proxy. */
__attribute__((noreturn, used)) static void serve(struct proxy *p) {
    static const struct timespec look = {.tv_sec = LOOK_SECONDS};
    for (;;) {
        uint32_t asked = PROXY_CALL;
        while (atomic_load(&p->word) == PROXY_IDLE) {
            futex(&p->word, FUTEX_WAIT, PROXY_IDLE, &look);
            if (!atomic_load(p->life)) {
                leave();
            }
        }
        p->result = carry_out(p);
        if (!atomic_compare_exchange_strong(&p->word, &asked, PROXY_IDLE)) {
            leave();
        }
        futex(&p->word, FUTEX_WAKE, 1, NULL);
    }
}

/* clone_on_stack(number, a, b, c, d, e, proxy): the child goes to serve(proxy) on the stack that the request names. */
long clone_on_stack(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                    struct proxy *p);
__asm__(".text\n"
        ".globl clone_on_stack\n"
        ".hidden clone_on_stack\n"
        ".type clone_on_stack, @function\n"
        "clone_on_stack:\n"
        "    .cfi_startproc\n"
        "    push %rbx\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    mov 16(%rsp), %rbx\n" /* the seventh argument */
        "    mov %rdi, %rax\n"
        "    mov %rsi, %rdi\n"
        "    mov %rdx, %rsi\n"
        "    mov %rcx, %rdx\n"
        "    mov %r8, %r10\n"
        "    mov %r9, %r8\n"
        "    syscall\n"
        "    test %rax, %rax\n"
        "    jz 1f\n"
        "    pop %rbx\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    ret\n"
        "1:  .cfi_undefined rip\n"
        "    xor %ebp, %ebp\n"
        "    mov %rbx, %rdi\n"
        "    call proxy_begin\n"
        "    hlt\n"
        "    .cfi_endproc\n"
        ".size clone_on_stack, . - clone_on_stack\n");
void proxy_begin(struct proxy *p);
__attribute__((visibility("hidden"))) void proxy_begin(struct proxy *p) {
    serve(p);
}

/* Makes the kernel's process of `p`. Called by whoever is to be its parent: the thread, or the proxy around it. It begins
 * with all signals blocked: until the engine is its own, they would be taken for its parent's. */
static long start(struct proxy *p, const struct clone_request *request, bool extended) {
    struct clone_request own = *request;
    uint64_t mask = host_mask_change(UINT64_MAX);
    long pid;
    own.flags |= CLONE_CHILD_CLEARTID;
    own.child_tid = word_of(&p->word);
    own.stack = word_of(p + 1);
    own.stack_size = (word_of(p) + PROXY_SIZE - own.stack) & ~UINT64_C(15);
    own.stack &= ~UINT64_C(15);
    if (extended) {
        pid = clone_on_stack(SYS_clone3, word_of(&own), sizeof own, 0, 0, 0, p);
    } else {
        pid = clone_on_stack(SYS_clone, own.flags | own.exit_signal,
                             (own.stack + own.stack_size) & ~UINT64_C(15), own.parent_tid,
                             own.child_tid, 0, p);
    }
    host_mask_change(mask);
    return pid;
}

/* ---- the thread's side ---- */

static long ask(struct proxy *p, enum request request) {
    uint32_t idle = PROXY_IDLE;
    p->request = request;
    if (!atomic_compare_exchange_strong(&p->word, &idle, PROXY_CALL)) {
        return RESULT_GONE;
    }
    futex(&p->word, FUTEX_WAKE, 1, NULL);
    while (atomic_load(&p->word) == PROXY_CALL) {
        futex(&p->word, FUTEX_WAIT, PROXY_CALL, NULL);
    }
    return atomic_load(&p->word) == PROXY_GONE ? RESULT_GONE : p->result;
}

/* Has the proxy been replaced by a program, or ended? */
bool proxy_gone(const struct proxy *p) {
    return atomic_load(&p->word) == PROXY_GONE;
}

static bool runs(const struct proxy *p) {
    return word_of(__builtin_frame_address(0)) - word_of(p) < PROXY_SIZE;
}

/* The signal state of the caller, the thread or a proxy around the one whose code the engine runs. NULL: the engine has it. */
struct signal_state *proxy_state_aside(const struct engine *e) {
    struct signal_state *state = NULL;
    for (struct proxy *p = e->proxy; p && !runs(p); p = p->outer) {
        state = &p->parent;
    }
    return state;
}

static long hand_over(struct proxy *p, long number, const uint64_t *arguments, bool waits) {
    p->number = number;
    memcpy(p->arguments, arguments, sizeof p->arguments);
    return ask(p, waits ? REQUEST_WAITING_CALL : REQUEST_CALL);
}

/* The memory is the thread's as well, which cannot be killed between a change and its note in the list of mappings. */
static bool about_memory(long number, const uint64_t *arguments) {
    return number == SYS_munmap || number == SYS_mprotect || number == SYS_mremap ||
           number == SYS_madvise || (number == SYS_mmap && arguments[3] & MAP_ANONYMOUS);
}

static long call_here(long number, const uint64_t *arguments) {
    return raw_call(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                    arguments[5]);
}

/* mmap(2) of a file, a descriptor of the child's. The place is taken before, so that it can be freed if the child is killed and
 * nobody knows how far it came. */
static long map_file(struct proxy *p, const uint64_t *arguments) {
    uint64_t place[CALL_ARGUMENTS] = {
        arguments[0], arguments[1], PROT_NONE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, UINT64_MAX};
    uint64_t over[CALL_ARGUMENTS];
    long result = call_here(SYS_mmap, place);
    if (result < 0) {
        return result;
    }
    memcpy(over, arguments, sizeof over);
    over[3] = (arguments[3] & ~(uint64_t)MAP_FIXED_NOREPLACE) | MAP_FIXED;
    result = hand_over(p, SYS_mmap, over, false);
    if (result < 0) {
        call_here(SYS_munmap, place);
    }
    return result;
}

/* A host call of the child's. RESULT_GONE if there is no child any more, as after a successful execve(2). */
long proxy_call(struct proxy *p, long number, const uint64_t *arguments, bool waits) {
    if (about_memory(number, arguments)) {
        return call_here(number, arguments);
    }
    if (number == SYS_mmap && arguments[3] & MAP_FIXED_NOREPLACE) {
        return map_file(p, arguments);
    }
    return hand_over(p, number, arguments, waits);
}

/* A fork of the child's: its own child goes on here too, with a copy of the thread's stack. */
long proxy_fork(struct engine *e, const struct clone_request *request, bool extended) {
    struct proxy *p = e->proxy;
    p->process = request;
    p->extended = extended;
    if (__builtin_setjmp(p->thread)) {
        return 0;
    }
    long pid = ask(p, REQUEST_FORK);
    return pid == RESULT_GONE ? -ECHILD : pid;
}

static struct proxy *room(struct engine *e) {
    struct proxy *p = e->spare_proxy;
    if (p) {
        e->spare_proxy = p->spare;
        return p;
    }
    p = mmap(NULL, PROXY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void put_back(struct engine *e, struct proxy *p) {
    p->spare = e->spare_proxy;
    e->spare_proxy = p;
}

/* The proxy that was to start this one has been killed: nobody knows whether it did. If so, the new one leaves by itself, and
 * may use its stack until then. */
static void abandon(struct proxy *p) {
    static _Atomic uint32_t nobody;
    p->life = &nobody;
    futex(&p->word, FUTEX_WAKE, 1, NULL);
}

/* Starts a process that shares our memory: from now on the engine's host calls are its. Its id, or -errno. Signals are
 * blocked, but for those of faults, and none waits. */
long proxy_open(struct engine *e, const struct clone_request *request, bool extended) {
    struct proxy *p = room(e);
    long pid;
    if (!p) {
        return -ENOMEM;
    }
    uint64_t mask = host_mask_change(UINT64_MAX);
    atomic_store(&p->word, PROXY_IDLE);
    atomic_store(&thread_life, 1);
    p->life = &thread_life;
    p->engine = e;
    p->outer = e->proxy;
    if (p->outer) {
        p->outer->started = p;
        p->outer->process = request;
        p->outer->extended = extended;
        pid = ask(p->outer, REQUEST_PROXY);
    } else {
        raw_call(SYS_set_tid_address, word_of(&thread_life), 0, 0, 0, 0, 0);
        pid = start(p, request, extended);
    }
    if (pid > 0) {
        fault_actions_copy(&p->fault_actions);
        signals_set_aside(e, &p->parent);
        e->fault_actions = request->flags & CLONE_SIGHAND ? e->fault_actions : &p->fault_actions;
        e->proxy = p;
    } else if (pid == RESULT_GONE) {
        abandon(p);
    } else {
        put_back(e, p);
    }
    host_mask_change(mask);
    if (!p->outer && pid > 0) {
        ticks_start(e);
    } else if (!p->outer) {
        raw_call(SYS_set_tid_address, word_of(libc_tid()), 0, 0, 0, 0, 0);
    }
    return pid;
}

/* The process is gone, or its guest code has nothing more to do: the engine is its parent's again. */
void proxy_close(struct engine *e) {
    struct proxy *p = e->proxy;
    while (!proxy_gone(p)) { /* never by itself: the process's end is what ends its code */
        uint64_t status[CALL_ARGUMENTS] = {128 + SIGKILL};
        proxy_call(p, SYS_exit_group, status, false);
    }
    uint64_t mask = host_mask_change(UINT64_MAX);
    e->proxy = p->outer;
    signals_bring_back(e, &p->parent);
    host_mask_change(mask);
    put_back(e, p);
    if (!e->proxy) {
        ticks_stop();
        raw_call(SYS_set_tid_address, word_of(libc_tid()), 0, 0, 0, 0, 0);
    }
}

/* Frees what was kept for the engine's next child. */
void proxies_free(struct engine *e) {
    while (e->spare_proxy) {
        struct proxy *p = e->spare_proxy;
        e->spare_proxy = p->spare;
        munmap(p, PROXY_SIZE);
    }
}
