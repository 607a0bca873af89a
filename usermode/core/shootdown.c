/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The list of all engines, and how one thread makes the others forget permissions and translated code.
 *
 * A request waits in the engine's `flush`, announced by ATTEND_FLUSH. Its own thread carries it out, before guest code goes
 * on: `in_guest` and `attention` are each written by one side and then read by the other, so one of them notices.
 */
#define _GNU_SOURCE
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core.h"

static pthread_mutex_t engines_lock = PTHREAD_MUTEX_INITIALIZER;
static struct engine *engines;
static unsigned generation; /* counts the forks between the first process and this one */
static _Atomic(struct engine *) halter; /* whose thread alone goes on: see engines_halt() */

/* ---- the list ---- */

void engines_add(struct engine *e) {
    pthread_mutex_lock(&engines_lock);
    e->generation = generation;
    e->next = engines;
    engines = e;
    if (atomic_load(&halter)) {
        atomic_fetch_or(&e->attention, ATTEND_FLUSH);
    }
    pthread_mutex_unlock(&engines_lock);
}

void engines_remove(struct engine *e) {
    pthread_mutex_lock(&engines_lock);
    for (struct engine **link = &engines; *link; link = &(*link)->next) {
        if (*link == e) {
            *link = e->next;
            break;
        }
    }
    pthread_mutex_unlock(&engines_lock);
}

/* Drops a caught signal wherever it waits: the guest ignores it now. A vfork(2) child has one thread. */
void engines_drop_caught(enum caught kind) {
    pthread_mutex_lock(&engines_lock);
    for (struct engine *e = engines; e; e = e->next) {
        if (e == current_engine || !(current_engine && current_engine->proxy)) {
            atomic_fetch_and(&e->caught_set, ~(1u << kind));
        }
    }
    pthread_mutex_unlock(&engines_lock);
}

/* ---- one engine ---- */

static void lock_flush(struct engine *e) {
    while (atomic_exchange(&e->flush_lock, 1)) {
        sched_yield();
    }
}

static void serve_flush(struct engine *e) {
    lock_flush(e);
    struct flush_request request = e->flush;
    memset(&e->flush, 0, sizeof e->flush);
    atomic_fetch_and(&e->attention, ~(uint32_t)ATTEND_FLUSH);
    atomic_store(&e->flush_lock, 0);
    flush_local(e, &request);
}

static void wait_if_halted(const struct engine *e) {
    while (atomic_load(&halter) && atomic_load(&halter) != e) {
        pause();
    }
}

void engine_leave_guest(struct engine *e) {
    atomic_store(&e->in_guest, 0);
}

/* Goes (back) to guest code; requests made meanwhile are served before. */
void engine_enter_guest(struct engine *e) {
    for (;;) {
        atomic_store(&e->in_guest, 1);
        if (!(atomic_load(&e->attention) & ATTEND_FLUSH)) {
            return;
        }
        atomic_store(&e->in_guest, 0);
        serve_flush(e);
        wait_if_halted(e);
    }
}

/* As engine_enter_guest(), in the midst of a block: its code cannot be dropped yet, so that waits for the block's end. */
void engine_return_to_block(struct engine *e) {
    atomic_store(&e->in_guest, 1);
    if (atomic_load(&e->attention) & ATTEND_FLUSH) {
        flush_permissions(e);
        uc_emu_stop(e->uc);
    }
}

/* ---- shoot-downs ---- */

/* True if the engine was not already asked to flush. */
static bool request_flush(struct engine *e, const struct flush_request *request) {
    lock_flush(e);
    e->flush.everything |= request->everything;
    if (request->end > request->start) {
        bool empty = e->flush.end == e->flush.start;
        if (empty || request->start < e->flush.start) {
            e->flush.start = request->start;
        }
        if (empty || request->end > e->flush.end) {
            e->flush.end = request->end;
        }
    }
    bool first = !(atomic_fetch_or(&e->attention, ATTEND_FLUSH) & ATTEND_FLUSH);
    atomic_store(&e->flush_lock, 0);
    if (atomic_load(&e->in_guest)) {
        uc_emu_stop(e->uc);
    }
    return first;
}

static bool still_to_flush(const struct engine *e) {
    return atomic_load(&e->in_guest) && (atomic_load(&e->attention) & ATTEND_FLUSH);
}

static void wait_for(struct engine *self) {
    for (struct engine *e = engines; e; e = e->next) {
        while (e != self && still_to_flush(e)) {
            uc_emu_stop(e->uc);
            sched_yield();
        }
    }
}

/* cpu_handle_interrupt() of Unicorn clears the word that blocks look at and then reads exit_request, with no barrier
 * between: a stop from another thread can be overwritten by the delayed clearing. With a barrier in that thread between two
 * stops the second is seen. False if the kernel refuses. */
static bool stop_again(struct engine *self) {
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0) &&
        (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0) ||
         syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0))) {
        return false;
    }
    for (struct engine *e = engines; e; e = e->next) {
        if (e != self && still_to_flush(e)) {
            uc_emu_stop(e->uc);
        }
    }
    return true;
}

/* Makes every engine forget permissions and the translated code in [start, end). With wait, no other engine runs guest
 * code with the old state once this returns. Without, each sees the new state at its next block start, which is enough
 * for code announced by IC IVAU: a thread learns of it by a load that comes before that block. The calling thread must not
 * count as in the guest: another one may be waiting here for it to leave. */
void engines_shoot_down(uint64_t start, uint64_t end, bool permissions, bool wait) {
    struct flush_request request = {.everything = permissions, .start = start, .end = end};
    struct engine *self = current_engine;
    bool stopped = false;
    pthread_mutex_lock(&engines_lock);
    for (struct engine *e = engines; e; e = e->next) {
        if (e == self) {
            flush_local(e, &request);
        } else if (request_flush(e, &request)) {
            stopped = stopped || atomic_load(&e->in_guest);
        }
    }
    if (wait || (stopped && !stop_again(self))) {
        wait_for(self);
    }
    pthread_mutex_unlock(&engines_lock);
}

/* ---- the end of a process ---- */

static uint64_t milliseconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Has all other threads stop, for good, where they leave or would go back to guest code, so that their registers are
 * whole and can be read. Threads in a host call stay there. False if one is still in guest code when the time is up. Does not
 * return if another thread was first. */
bool engines_halt(uint64_t milliseconds) {
    const struct flush_request nothing = {0};
    struct engine *self = current_engine, *first = NULL;
    uint64_t deadline = milliseconds_now() + milliseconds;
    bool all = true;
    if (!atomic_compare_exchange_strong(&halter, &first, self)) {
        wait_if_halted(self);
    }
    pthread_mutex_lock(&engines_lock);
    for (struct engine *e = engines; e; e = e->next) {
        if (e != self) {
            request_flush(e, &nothing);
        }
    }
    for (struct engine *e = engines; e && all; e = e->next) {
        while (e != self && still_to_flush(e) && (all = milliseconds_now() < deadline)) {
            uc_emu_stop(e->uc);
            sched_yield();
        }
    }
    pthread_mutex_unlock(&engines_lock);
    return all;
}

/* ---- fork ---- */

/* The list is whole in the child if no other thread is changing it at the moment of the fork. */
void engines_before_fork(void) {
    pthread_mutex_lock(&engines_lock);
}

/* In a fork's child only the calling thread lives on; the other threads' engines are abandoned, not closed: their
 * state may be half changed. */
void engines_after_fork(bool child) {
    if (child) {
        generation++;
        pthread_mutex_init(&engines_lock, NULL);
        engines = NULL;
        atomic_store(&halter, NULL);
        if (current_engine && current_engine->uc) {
            engine_forked(current_engine);
        }
    } else {
        pthread_mutex_unlock(&engines_lock);
    }
}

void engine_forked(struct engine *e) {
    e->generation = generation;
    e->next = NULL;
    engines = e;
    atomic_store(&e->flush_lock, 0);
}

/* Was the engine another thread's in the process that this one is a fork of? */
bool engine_inherited(const struct engine *e) {
    return e->generation != generation;
}
