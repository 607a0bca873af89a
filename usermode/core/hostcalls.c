/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System calls handed to the host kernel as the table says.
 *
 * Guest and host share addresses, so most arguments go through as they are. What is treated: pointers must lie below
 * GUEST_LIMIT, also inside iovec and msghdr (messages.c), and the few flags and layouts that differ between the two ABIs
 * are converted by data handed over from Python.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "core.h"

#define HOST_STAT_SIZE 144
#define GUEST_STAT_SIZE 128
#define EPOLL_CTL_OPERATION 1 /* index of the argument */
#define EPOLL_MOST 65536 /* events told of by one call; the kernel keeps the rest for the next */

struct call_row call_rows[CALL_ROWS];
struct field_copy stat_copy[32];
uint32_t open_flag_pairs[8][2];
bool sysroot_active;
_Atomic uint64_t calls_passed;

struct epoll_event_guest {
    uint32_t events, padding;
    uint64_t data;
};

struct epoll_event_host {
    uint32_t events;
    uint64_t data;
} __attribute__((packed));

/* Room for everything that one call needs converted. */
struct scratch {
    struct engine *engine;
    uint64_t mask;
    struct mask_pair mask_pair;
    uint64_t arguments[CALL_ARGUMENTS];
    uint8_t stat[HOST_STAT_SIZE];
    struct epoll_event_host event;
    struct epoll_event_host *events;
    struct iovec *vector;
    struct msghdr message;
};

/*
 * safe_syscall(number, arguments, attention): the kernel's result, or RESULT_RESTART when a signal was caught before the
 * kernel took the call. signals.c moves the instruction pointer to `interrupted` when it lies in [begin, end): between the
 * test and the SYSCALL instruction, or on it because the kernel wants the call restarted (SA_RESTART). RESULT_UNNOTICED takes
 * the place of -EINTR when the guest does not notice the signal.
 */
__asm__(".text\n"
        ".globl safe_syscall, safe_syscall_begin, safe_syscall_end, safe_syscall_interrupted\n"
        ".type safe_syscall, @function\n"
        "safe_syscall:\n"
        "    .cfi_startproc\n"
        "    push %rbx\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset rbx, 0\n"
        "    mov %rdx, %rbx\n"
        "    mov %rdi, %rax\n"
        "    mov %rsi, %r11\n"
        "    mov (%r11), %rdi\n"
        "    mov 8(%r11), %rsi\n"
        "    mov 16(%r11), %rdx\n"
        "    mov 24(%r11), %r10\n"
        "    mov 32(%r11), %r8\n"
        "    mov 40(%r11), %r9\n"
        "safe_syscall_begin:\n"
        "    testl $1, (%rbx)\n"
        "    jnz safe_syscall_interrupted\n"
        "    syscall\n"
        "safe_syscall_end:\n"
        "    .cfi_remember_state\n"
        "    pop %rbx\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    ret\n"
        "    .cfi_restore_state\n"
        "safe_syscall_interrupted:\n"
        "    mov $-512, %rax\n"
        "    pop %rbx\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    ret\n"
        "    .cfi_endproc\n"
        ".size safe_syscall, . - safe_syscall\n");
_Static_assert(ATTEND_SIGNAL == 1 && RESULT_RESTART == -512, "used in safe_syscall");

static _Atomic uint32_t no_attention;

/* A call that may block: RESULT_RESTART if a signal comes first. */
long host_wait(struct engine *e, long number, const uint64_t *arguments) {
    if (e && e->proxy) {
        return proxy_call(e->proxy, number, arguments, true);
    }
    return whole_call(number, arguments, e ? &e->attention : &no_attention);
}

/* A call that is made whatever signals come. */
long host_call(long number, const uint64_t *arguments) {
    long result;
    if (current_engine && current_engine->proxy) {
        return proxy_call(current_engine->proxy, number, arguments, false);
    }
    do {
        result = whole_call(number, arguments, &no_attention);
    } while (result == RESULT_RESTART);
    return result;
}

/* ---- paths ---- */

static const char *const viewed_names[] = {"exe",   "maps",  "cmdline",      "auxv",      "cpuinfo",
                                           "mem",   "comm",  "environ",      "status",    "stat",
                                           "smaps", "statm", "smaps_rollup", "numa_maps", "limits"};

static bool viewed_component(const char *path) {
    const char *slash = strrchr(path, '/');
    const char *last = slash ? slash + 1 : path;
    for (size_t i = 0; i < sizeof viewed_names / sizeof *viewed_names; i++) {
        if (!strcmp(last, viewed_names[i])) {
            return true;
        }
    }
    return false;
}

/* Does the path need the sysroot or the /proc view? An unreadable one is left to the kernel, which says EFAULT. */
static bool path_to_python(uint64_t address, char *path) {
    if (!address || guest_string(path, address, PATH_MAX) < 0) {
        return false;
    }
    if (path[0] == '/') {
        return sysroot_active || !strncmp(path + strspn(path, "/") - 1, "/proc", 5);
    }
    return viewed_component(path);
}

/* ---- flags and layouts ---- */

static uint64_t host_open_flags(uint64_t guest) {
    uint64_t host = guest;
    for (int i = 0; i < 8 && open_flag_pairs[i][0]; i++) {
        host &= ~(uint64_t)open_flag_pairs[i][0];
    }
    for (int i = 0; i < 8 && open_flag_pairs[i][0]; i++) {
        if (guest & open_flag_pairs[i][0]) {
            host |= open_flag_pairs[i][1];
        }
    }
    return host;
}

static bool return_stat(uint64_t address, const uint8_t *host) {
    uint8_t guest[GUEST_STAT_SIZE] = {0};
    for (const struct field_copy *f = stat_copy; f->size; f++) {
        memcpy(guest + f->to, host + f->from, f->size);
    }
    return guest_write(address, guest, sizeof guest);
}

/* How many events the guest could be told of, or -EFAULT: ep_send_events() of the kernel ends likewise. */
static long return_events(uint64_t address, const struct epoll_event_host *host, long count) {
    for (long i = 0; i < count; i++) {
        struct epoll_event_guest event = {.events = host[i].events, .data = host[i].data};
        if (!guest_write(address + (uint64_t)i * sizeof event, &event, sizeof event)) {
            return i ? i : -EFAULT;
        }
    }
    return count;
}

static long treat_events_out(struct scratch *s, int index) {
    int32_t count = (int32_t)s->arguments[index + 1];
    if (count > EPOLL_MOST) {
        s->arguments[index + 1] = (uint64_t)(count = EPOLL_MOST);
    }
    s->events = malloc((count > 0 ? (size_t)count : 1) * sizeof *s->events);
    s->arguments[index] = (uint64_t)(uintptr_t)s->events;
    return s->events ? 0 : -ENOMEM;
}

static long treat_event_in(struct scratch *s, int index) {
    struct epoll_event_guest event;
    if (!s->arguments[index] || (int)s->arguments[EPOLL_CTL_OPERATION] == EPOLL_CTL_DEL) {
        s->arguments[index] = 0; /* epoll_ctl(2): not looked at */
        return 0;
    }
    if (!guest_read(&event, s->arguments[index], sizeof event)) {
        return -EFAULT;
    }
    s->event = (struct epoll_event_host){.events = event.events, .data = event.data};
    s->arguments[index] = (uint64_t)(uintptr_t)&s->event;
    return 0;
}

/* ---- one call ---- */

/* Prepares argument `index`. 0, -errno, or RESULT_TO_PYTHON. */
static long treat(struct scratch *s, enum treatment treatment, int index, char *path) {
    uint64_t value = s->arguments[index];
    bool pointer = treatment != TREAT_OPEN_FLAGS && treatment != TREAT_POINTER_IF_USED &&
                   treatment != TREAT_EPOLL_IN;
    if (pointer && value >= GUEST_LIMIT) {
        return -EFAULT;
    }
    switch (treatment) {
    case TREAT_POINTER_IF_USED:
        s->arguments[index] = value >= GUEST_LIMIT ? NEVER_MAPPED : value;
        return 0;
    case TREAT_PATH:
        return path_to_python(value, path) ? RESULT_TO_PYTHON : 0;
    case TREAT_IOVEC: {
        long err = vector_copy(&s->vector, value, s->arguments[index + 1], -EINVAL);
        s->arguments[index] = (uint64_t)(uintptr_t)s->vector;
        return err;
    }
    case TREAT_MSGHDR: {
        long err = message_copy(&s->message, value, &s->vector);
        s->arguments[index] = (uint64_t)(uintptr_t)&s->message;
        return err;
    }
    case TREAT_OPEN_FLAGS:
        s->arguments[index] = host_open_flags(value);
        return 0;
    case TREAT_STAT_OUT:
        s->arguments[index] = (uint64_t)(uintptr_t)s->stat;
        return 0;
    case TREAT_EPOLL_IN:
        return treat_event_in(s, index);
    case TREAT_EPOLL_OUT:
        return treat_events_out(s, index);
    case TREAT_WAIT_MASK:
        s->arguments[index] = wait_mask(s->engine, value, s->arguments[index + 1], &s->mask);
        return 0;
    case TREAT_WAIT_MASK_PAIR:
        return wait_mask_pair(s->engine, &s->arguments[index], &s->mask_pair, &s->mask);
    default:
        return 0;
    }
}

/* Hands results back to the guest in its own layout. The call's result, or -EFAULT. */
static long give_back(const struct call_row *row, const struct scratch *s, const uint64_t *guest,
                      long result) {
    for (int i = 0; i < CALL_ARGUMENTS; i++) {
        bool kept = true;
        switch (row->treatment[i]) {
        case TREAT_STAT_OUT:
            kept = return_stat(guest[i], s->stat);
            break;
        case TREAT_EPOLL_OUT:
            return return_events(guest[i], s->events, result);
        case TREAT_MSGHDR:
            kept = !(row->flags & ROW_WRITES_MEMORY) || message_return(guest[i], &s->message);
            break;
        default:
            break;
        }
        if (!kept) {
            return -EFAULT;
        }
    }
    return result;
}

/* The kernel may have stored into code: look at every buffer of the call. */
static void note_writes(const struct call_row *row, const uint64_t *guest) {
    for (int i = 0; i < CALL_ARGUMENTS; i++) {
        if (row->treatment[i] == TREAT_POINTER && guest[i]) {
            bool sized = i + 1 < CALL_ARGUMENTS && row->treatment[i + 1] == TREAT_VALUE;
            uint64_t size = sized ? guest[i + 1] : GUEST_PAGE;
            uint64_t room = GUEST_LIMIT - guest[i];
            invalidate_written(guest[i], size < room ? size : room);
        }
    }
}

static void note_vector_writes(const struct call_row *row, const struct scratch *s,
                               const uint64_t *guest) {
    for (int i = 0; s->vector && i < CALL_ARGUMENTS; i++) {
        if (row->treatment[i] == TREAT_IOVEC) {
            vector_written(s->vector, guest[i + 1]);
        } else if (row->treatment[i] == TREAT_MSGHDR) {
            vector_written(s->vector, s->message.msg_iovlen);
        }
    }
}

static bool plain_row(const struct call_row *row) {
    for (int i = 0; i < CALL_ARGUMENTS; i++) {
        if (row->treatment[i] > TREAT_POINTER && row->treatment[i] != TREAT_POINTER_IF_USED) {
            return false;
        }
    }
    return true;
}

/* A row without conversions: x0..x5 go as they are, but for pointers out of the guest. */
static long pass_plain(struct engine *e, const struct call_row *row, const uint64_t *guest) {
    uint64_t arguments[CALL_ARGUMENTS];
    for (int i = 0; i < CALL_ARGUMENTS; i++) {
        arguments[i] = guest[i];
        if (guest[i] >= GUEST_LIMIT && row->treatment[i] == TREAT_POINTER) {
            return -EFAULT;
        }
        if (guest[i] >= GUEST_LIMIT && row->treatment[i] == TREAT_POINTER_IF_USED) {
            arguments[i] = NEVER_MAPPED;
        }
    }
    long result = host_wait(e, row->host, arguments);
    if (result > 0 && row->flags & ROW_WRITES_MEMORY) {
        note_writes(row, guest);
    }
    return result;
}

static long call_treated(struct engine *e, const struct call_row *row, struct scratch *s,
                         const uint64_t *guest) {
    if (e->waiting && caught_deliverable(e, e->wait_mask)) {
        engine_attend(e, ATTEND_SIGNAL); /* a SIGSEGV or SIGBUS, which waited for such a mask */
        return -EINTR;
    }
    long result = host_wait(e, row->host, s->arguments);
    if (result >= 0) {
        result = give_back(row, s, guest, result);
        if (row->flags & ROW_WRITES_MEMORY) {
            note_writes(row, guest);
            note_vector_writes(row, s, guest);
        }
    }
    return result;
}

static long pass_treated(struct engine *e, const struct call_row *row, const uint64_t *guest) {
    struct scratch s = {.engine = e};
    char path[PATH_MAX];
    long result = 0;
    int messages = -1;
    memcpy(s.arguments, guest, sizeof s.arguments);
    for (int i = 0; i < CALL_ARGUMENTS && !result; i++) {
        if (row->treatment[i] == TREAT_MMSGHDR) {
            messages = i;
        }
        if (row->treatment[i] != TREAT_VALUE) {
            result = treat(&s, row->treatment[i], i, path);
        }
    }
    if (!result) {
        result = messages >= 0 ? pass_messages(e, row, messages, s.arguments)
                               : call_treated(e, row, &s, guest);
    }
    wait_over(e, result);
    free(s.vector);
    free(s.events);
    return result;
}

/* Makes call `number` with the guest's x0..x5. The kernel's result (-errno), RESULT_RESTART, RESULT_TO_PYTHON or
 * RESULT_IN_REGISTERS. */
long pass_through(struct engine *e, unsigned number, const uint64_t *arguments) {
    const struct call_row *row = &call_rows[number];
    if (row->mode == ROW_REFUSE) {
        return -row->host;
    }
    if (row->mode == ROW_CORE) {
        return core_call(e, (enum core_call)row->host, arguments);
    }
    if (row->mode != ROW_HOST) {
        return RESULT_TO_PYTHON;
    }
    long result = plain_row(row) ? pass_plain(e, row, arguments) : pass_treated(e, row, arguments);
    if (result != RESULT_RESTART && result != RESULT_TO_PYTHON) {
        atomic_fetch_add_explicit(&calls_passed, 1, memory_order_relaxed);
    }
    return result;
}
