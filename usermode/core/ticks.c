/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts of a thread that runs the code of a vfork(2) child. Guest code that makes no calls would not notice that its
 * process was killed, nor surely a signal caught by the proxy: so the thread is interrupted now and then. SIGBUS is a signal
 * that it does not block; see faults.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#include "core.h"
#include "host_process.h"

#define TICK_NANOSECONDS 50000000
#define NOTIFY_THREAD 4 /* SIGEV_THREAD_ID */

struct event { /* struct sigevent of the kernel */
    uint64_t value;
    int signal, notify, thread, rest[11];
};

static __thread int timer = -1;

static void exchange_limit(const struct rlimit64 *new, struct rlimit64 *old) {
    raw_call(SYS_prlimit64, 0, RLIMIT_SIGPENDING, word_of(new), word_of(old), 0, 0);
}

static long create(const struct event *event) {
    return raw_call(SYS_timer_create, CLOCK_MONOTONIC, word_of(event), word_of(&timer), 0, 0, 0);
}

/* A timer takes its place in the queue of signals when it is made: the guest's limit is not meant for ours. */
static long create_beyond_limit(const struct event *event) {
    struct rlimit64 old = {0}, wide;
    exchange_limit(NULL, &old);
    wide = (struct rlimit64){old.rlim_max, old.rlim_max};
    exchange_limit(&wide, NULL);
    long err = create(event);
    exchange_limit(&old, NULL);
    return err;
}

void ticks_start(struct engine *e) {
    struct event event = {.value = word_of(e), .signal = SIGBUS, .notify = NOTIFY_THREAD};
    const uint64_t bus = UINT64_C(1) << (SIGBUS - 1); /* may be blocked for a signalfd(2) */
    const struct timespec times[2] = {{.tv_nsec = TICK_NANOSECONDS}, {.tv_nsec = TICK_NANOSECONDS}};
    event.thread = (int)raw_call(SYS_gettid, 0, 0, 0, 0, 0, 0);
    long err = create(&event);
    if (err == -EAGAIN) {
        err = create_beyond_limit(&event);
    }
    if (err) {
        timer = -1; /* a hard limit: then only its calls tell */
        return;
    }
    raw_call(SYS_rt_sigprocmask, SIG_UNBLOCK, word_of(&bus), 0, sizeof bus, 0, 0);
    raw_call(SYS_timer_settime, (uint64_t)timer, 0, word_of(times), 0, 0, 0);
}

void ticks_stop(void) {
    if (timer != -1) {
        raw_call(SYS_timer_delete, (uint64_t)timer, 0, 0, 0, 0, 0);
        timer = -1;
    }
}

/* The timer's signal has come. */
void tick(struct engine *e) {
    if (e->proxy && proxy_gone(e->proxy)) {
        atomic_fetch_or(&e->attention, ATTEND_SIGNAL);
    }
    if (atomic_load(&e->attention) && atomic_load(&e->in_guest)) {
        uc_emu_stop(e->uc);
    }
}
