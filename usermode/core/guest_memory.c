/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copies from and to guest memory that fail instead of faulting: the guest may unmap a page at any moment. */
#include <string.h>

#include "core.h"

bool guest_range(uint64_t address, uint64_t size) {
    return address < GUEST_LIMIT && size <= GUEST_LIMIT - address &&
           (address >= GUEST_FLOOR || !size);
}

/* Threads without an engine (tests) still need a place for the way back. */
static __thread struct engine bare_thread;

static void set_recovery(sigjmp_buf *way_back) {
    if (!current_engine) {
        current_engine = &bare_thread;
    }
    current_engine->recovery = way_back;
    atomic_signal_fence(memory_order_seq_cst);
}

/* The host's page rights agree with the guest's for R and W, so a forbidden access faults and lands in recover. */
static bool guarded_copy(void *to, const void *from, size_t size) {
    sigjmp_buf here;
    if (sigsetjmp(here, 0)) {
        set_recovery(NULL);
        return false;
    }
    set_recovery(&here);
    memcpy(to, from, size);
    set_recovery(NULL);
    return true;
}

bool guest_read(void *to, uint64_t address, size_t size) {
    address &= ADDRESS_MASK;
    return guest_range(address, size) && guarded_copy(to, (const void *)(uintptr_t)address, size);
}

bool guest_write(uint64_t address, const void *from, size_t size) {
    address &= ADDRESS_MASK;
    if (!guest_range(address, size) || !guarded_copy((void *)(uintptr_t)address, from, size)) {
        return false;
    }
    invalidate_written(address, size);
    return true;
}

/* Copies a string of at most limit bytes with its NUL. Returns its length, -1 on a fault, -2 when there is no NUL. */
long guest_string(char *to, uint64_t address, size_t limit) {
    size_t done = 0;
    address &= ADDRESS_MASK;
    while (done < limit) {
        size_t chunk = GUEST_PAGE - (address + done) % GUEST_PAGE;
        if (chunk > limit - done) {
            chunk = limit - done;
        }
        if (!guest_read(to + done, address + done, chunk)) {
            return -1;
        }
        const char *end = memchr(to + done, 0, chunk);
        if (end) {
            return end - to;
        }
        done += chunk;
    }
    return -2;
}
