/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guest may do with each page, and how engines learn that it changed.
 *
 * Two levels of 2^17 entries over 46 address bits. A first-level entry below 256 is the permission of its whole 512 MiB;
 * else it points to one byte a page. Readers take no lock; writers hold the address space's lock in Python.
 */
#include <string.h>
#include <sys/mman.h>

#include "core.h"

#define REGION_SHIFT 29
#define REGION_SIZE (UINT64_C(1) << REGION_SHIFT)
#define REGION_PAGES (1 << 17)
#define UNIFORM_LIMIT 256
#define FLUSH_ALL_CODE                                                                             \
    (UINT64_C(256) << 20) /* walking more pages costs more than translating again */

extern void tlb_flush_aarch64(void *cpu);
extern void tb_invalidate_phys_range_aarch64(void *uc, uint64_t start, uint64_t end);

static _Atomic uintptr_t regions[1 << 17];
static _Atomic long writable_code_pages;

unsigned page_permission(uint64_t address) {
    if (address >= GUEST_LIMIT) {
        return 0;
    }
    uintptr_t entry = atomic_load_explicit(&regions[address >> REGION_SHIFT], memory_order_acquire);
    if (entry < UNIFORM_LIMIT) {
        return (unsigned)entry;
    }
    return ((const uint8_t *)entry)[(address >> 12) & (REGION_PAGES - 1)];
}

static uint8_t *region_pages(_Atomic uintptr_t *slot) {
    uintptr_t entry = atomic_load_explicit(slot, memory_order_relaxed);
    if (entry >= UNIFORM_LIMIT) {
        return (uint8_t *)entry;
    }
    uint8_t *pages = mmap(NULL, REGION_PAGES, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) {
        return NULL;
    }
    if (entry) {
        memset(pages, (int)entry, REGION_PAGES);
    }
    atomic_store_explicit(slot, (uintptr_t)pages, memory_order_release);
    return pages;
}

struct change {
    bool reduced;                  /* some page lost a permission */
    uint64_t code_start, code_end; /* pages that were executable */
};

static bool writable_code(unsigned permission) {
    return (permission & (PERMIT_WRITE | PERMIT_EXECUTE)) == (PERMIT_WRITE | PERMIT_EXECUTE);
}

static void note_change(struct change *change, unsigned old, unsigned new, uint64_t start,
                        uint64_t end) {
    if (old & ~new) {
        change->reduced = true;
    }
    if (old & PERMIT_EXECUTE) {
        if (start < change->code_start) {
            change->code_start = start;
        }
        change->code_end = end;
    }
    if (writable_code(old) != writable_code(new)) {
        long pages = (long)((end - start) / GUEST_PAGE);
        atomic_fetch_add(&writable_code_pages, writable_code(new) ? pages : -pages);
    }
}

static int protect_region(uint64_t start, uint64_t end, unsigned permission,
                          struct change *change) {
    _Atomic uintptr_t *slot = &regions[start >> REGION_SHIFT];
    uintptr_t entry = atomic_load_explicit(slot, memory_order_relaxed);
    if (entry < UNIFORM_LIMIT && (entry == permission || end - start == REGION_SIZE)) {
        note_change(change, (unsigned)entry, permission, start, end);
        atomic_store_explicit(slot, permission, memory_order_release);
        return 0;
    }
    uint8_t *pages = region_pages(slot);
    if (!pages) {
        return -1;
    }
    for (uint64_t page = start; page < end; page += GUEST_PAGE) {
        uint8_t *byte = &pages[(page >> 12) & (REGION_PAGES - 1)];
        if (*byte != permission || (*byte & PERMIT_EXECUTE)) {
            note_change(change, *byte, permission, page, page + GUEST_PAGE);
            *byte = (uint8_t)permission;
        }
    }
    return 0;
}

/* Sets the permission of [start, end), page aligned and inside the guest, and makes every engine heed it before it
 * returns. Translated code of pages that were executable is dropped: their content or their rights change. 0, or -1 when
 * memory runs out. */
int page_protect(uint64_t start, uint64_t end, unsigned permission) {
    struct change change = {.code_start = UINT64_MAX};
    int result = 0;
    for (uint64_t at = start; at < end;) {
        uint64_t next = (at & -REGION_SIZE) + REGION_SIZE;
        if (next > end) {
            next = end;
        }
        if (protect_region(at, next, permission, &change)) {
            result = -1;
            break;
        }
        at = next;
    }
    if (change.reduced || change.code_end) {
        engines_shoot_down(change.code_end ? change.code_start : 0, change.code_end, change.reduced,
                           true);
    }
    return result;
}

static bool range_executable(uint64_t start, uint64_t end) {
    for (uint64_t page = start & -GUEST_PAGE; page < end;) {
        if (page_permission(page) & PERMIT_EXECUTE) {
            return true;
        }
        bool uniform = atomic_load_explicit(&regions[page >> REGION_SHIFT], memory_order_relaxed) <
                       UNIFORM_LIMIT;
        page = uniform ? (page & -REGION_SIZE) + REGION_SIZE : page + GUEST_PAGE;
    }
    return false;
}

/* A system call stored into [address, address + size): translations of writable code there are stale. */
void invalidate_written(uint64_t address, uint64_t size) {
    if (!size || !atomic_load_explicit(&writable_code_pages, memory_order_relaxed)) {
        return;
    }
    if (address < GUEST_LIMIT && size <= GUEST_LIMIT - address &&
        range_executable(address, address + size)) {
        engines_shoot_down(address, address + size, false, true);
    }
}

void flush_permissions(struct engine *e) {
    tlb_flush_aarch64(e->cpu);
}

/* Carries out a request on the calling thread's own engine, in a callback or between runs. */
void flush_local(struct engine *e, const struct flush_request *request) {
    if (request->everything) {
        flush_permissions(e);
    }
    if (request->end > request->start) {
        if (request->end - request->start > FLUSH_ALL_CODE) {
            uc_ctl_flush_tb(e->uc);
        } else {
            /* The one RAM block begins at REGION_START, so its offsets are addresses less that. */
            tb_invalidate_phys_range_aarch64(e->uc, request->start - REGION_START,
                                             request->end - REGION_START);
        }
    }
}
