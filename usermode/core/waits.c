/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls that go on after a signal that the guest does not notice: a SIGSEGV or SIGBUS which it blocks or ignores, but which
 * the host delivers (signal_masks.c). The kernel keeps the end of a wait in its restart_block, which the return from our
 * catcher has dropped; so the call is made once more, for the time that is left.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "core.h"
#include "host_process.h"

#define SECOND 1000000000L
#define MILLISECOND 1000000L

/* How long a call waits at most, counted from its beginning. */
struct limited_wait {
    int index; /* of the argument */
    bool milliseconds;
    clockid_t clock;
    struct timespec begun, length, left;
};

/* Which argument is such a time, and of which clock? Not those that the kernel itself brings up to date, as ppoll(2) does. */
static bool find_limit(struct limited_wait *w, long number, const uint64_t *arguments) {
    *w = (struct limited_wait){.clock = CLOCK_MONOTONIC};
    switch (number) {
    case SYS_nanosleep:
        return true;
    case SYS_clock_nanosleep:
        w->index = 2;
        if ((clockid_t)arguments[0] !=
            CLOCK_REALTIME) { /* which is not set back for a relative time */
            w->clock = (clockid_t)arguments[0];
        }
        return !(arguments[1] & TIMER_ABSTIME);
    case SYS_futex:
        w->index = 3;
        return (arguments[1] & FUTEX_CMD_MASK) == FUTEX_WAIT;
    case SYS_epoll_pwait:
        w->index = 3;
        w->milliseconds = true;
        return (int32_t)arguments[3] > 0;
    case SYS_rt_sigtimedwait:
        w->index = 2;
        return true;
    case SYS_epoll_pwait2:
    case SYS_semtimedop:
        w->index = 3;
        return true;
    default:
        return false;
    }
}

static bool begin(struct limited_wait *w, long number, const uint64_t *arguments) {
    if (!find_limit(w, number, arguments)) {
        return false;
    }
    uint64_t value = arguments[w->index];
    if (w->milliseconds) {
        w->length.tv_sec = (int32_t)value / 1000;
        w->length.tv_nsec = (int32_t)value % 1000 * MILLISECOND;
    } else if (!value || !guest_read(&w->length, value, sizeof w->length) || w->length.tv_sec < 0) {
        return false; /* endless, or for the kernel to refuse */
    }
    return !clock_gettime(w->clock, &w->begun);
}

/* Puts the time that is left in the place of the argument. */
static void shorten(struct limited_wait *w, uint64_t *arguments) {
    struct timespec now, *left = &w->left;
    clock_gettime(w->clock, &now);
    left->tv_sec = w->length.tv_sec - (now.tv_sec - w->begun.tv_sec);
    left->tv_nsec = w->length.tv_nsec - (now.tv_nsec - w->begun.tv_nsec);
    while (left->tv_nsec < 0) {
        left->tv_nsec += SECOND;
        left->tv_sec--;
    }
    left->tv_sec += left->tv_nsec / SECOND;
    left->tv_nsec %= SECOND;
    if (left->tv_sec < 0) {
        *left = (struct timespec){0};
    }
    arguments[w->index] =
        w->milliseconds
            ? (uint64_t)(left->tv_sec * 1000 + (left->tv_nsec + MILLISECOND - 1) / MILLISECOND)
            : word_of(left);
}

/* As safe_syscall(), and not ended by what the guest does not notice. */
long whole_call(long number, const uint64_t *arguments, _Atomic uint32_t *attention) {
    struct limited_wait wait;
    uint64_t own[CALL_ARGUMENTS];
    bool limited = begin(&wait, number, arguments);
    long result = safe_syscall(number, arguments, attention);
    if (result != RESULT_UNNOTICED) {
        return result;
    }
    memcpy(own, arguments, sizeof own);
    while (result == RESULT_UNNOTICED) {
        if (limited) {
            shorten(&wait, own);
        }
        result = safe_syscall(number, own, attention);
    }
    /* None of these is begun again after a handler. */
    return limited && result == RESULT_RESTART ? -EINTR : result;
}
