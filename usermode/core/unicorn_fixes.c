/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Link-time overrides (`ld --wrap`, symbols listed in the file `wraps`) that make Unicorn 2.1.4 fit for Linux programs.
 *
 * 1. Atomicity. Unicorn never sets CF_PARALLEL, so exclusives, LSE atomics and barriers become plain accesses. It is set
 *    here while a block is generated: in TCGContext.tb_cflags for the code generator and in TranslationBlock.cflags for
 *    the front end, and taken back from the latter so that the block's hash stays what look-ups expect.
 * 2. Stops. check_exit_request() after every memory access makes an asynchronous stop repeat the access. It is emptied;
 *    stops are taken at block starts, which is exact.
 * 3. Lost stops. uc_emu_start() forgets a stop requested before its loop; cpu_exec() in unicorn_blocks.c looks once more.
 * 4. Stores to code. After translating a block Unicorn walks twelve TLBs to have stores to it noticed; here the block's own
 *    pages are looked up, which halves the cost of a new block. Stores to executable pages without code take the quick way.
 * 5. Size. A thread's engine would begin with a huge page of translations and a table for 32768 blocks, 2.6 MiB to clear
 *    before its first instruction; it gets small pages first, and the table grows by itself.
 * 6. Permissions. The fill of the software TLB answers from the page-permission table with the exact address.
 */
#include "core.h"

#define UNICORN_VERSION 0x020104 /* major, minor, patch */
#define TCG_CONTEXT_TB_CFLAGS 0x64
#define TRANSLATION_BLOCK_CFLAGS 24
#define CF_PARALLEL UINT32_C(0x80000)
#define TLB_FIRST_SIZE 256u
#define TLB_FILLS_PER_ENTRY 4
#define TLB_MOST_DOUBLINGS 8 /* 256 MiB of reach for 4 MiB of table */
/* CPUTLBDescFast, CPUTLBEntry of include/exec/cpu-defs.h; TLB_NOTDIRTY of include/exec/cpu-all.h */
#define REGISTERS_AFTER_TLBS 0x110
#define TLB_COUNT 12
#define TLB_ENTRY_SHIFT 6
#define TLB_ENTRY_WRITE 1
#define TLB_NOTDIRTY UINT64_C(0x100)
#define SMALL_PAGES (2 << 20)
#define FIRST_BLOCKS 1024

void __real_tcg_func_start_aarch64(void *context);
void __wrap_tcg_func_start_aarch64(void *context);
void __real_gen_intermediate_code_aarch64(void *cpu, void *block, int limit);
void __wrap_gen_intermediate_code_aarch64(void *cpu, void *block, int limit);
bool __real_unicorn_fill_tlb_aarch64(void *cpu, uint64_t address, int size, int access, int index,
                                     bool probe, uintptr_t return_address);
bool __wrap_unicorn_fill_tlb_aarch64(void *cpu, uint64_t address, int size, int access, int index,
                                     bool probe, uintptr_t return_address);
void __wrap_tlb_reset_dirty_by_vaddr_aarch64(void *cpu, uint64_t start, uint64_t length);
void __real_tb_invalidate_phys_page_fast_aarch64(void *uc, void *pages, uint64_t offset, int size,
                                                 uintptr_t return_address);
void __wrap_tb_invalidate_phys_page_fast_aarch64(void *uc, void *pages, uint64_t offset, int size,
                                                 uintptr_t return_address);
int __real_qemu_madvise(void *address, size_t length, int advice);
int __wrap_qemu_madvise(void *address, size_t length, int advice);
void __real_qht_init(void *table, void *equal, size_t entries, unsigned mode);
void __wrap_qht_init(void *table, void *equal, size_t entries, unsigned mode);
bool __real_qht_reset_size(uc_engine *uc, void *table, size_t entries);
bool __wrap_qht_reset_size(uc_engine *uc, void *table, size_t entries);
void __real_tcg_gen_mb_aarch64(void *context, int kind);
void check_exit_request_aarch64(void *context);
extern void tlb_flush_aarch64(void *cpu);
extern void cpu_loop_exit_aarch64(void *cpu) __attribute__((noreturn));
extern void tlb_set_page_aarch64(void *cpu, uint64_t address, uint64_t physical, int protection,
                                 int index, uint64_t size);

static uint32_t *word_at(void *object, size_t offset) {
    return (uint32_t *)((char *)object + offset);
}

void __wrap_tcg_func_start_aarch64(void *context) {
    __real_tcg_func_start_aarch64(context);
    *word_at(context, TCG_CONTEXT_TB_CFLAGS) |= CF_PARALLEL;
    accesses_begin();
}

void __wrap_gen_intermediate_code_aarch64(void *cpu, void *block, int limit) {
    *word_at(block, TRANSLATION_BLOCK_CFLAGS) |= CF_PARALLEL;
    current_engine->translating = true;
    __real_gen_intermediate_code_aarch64(cpu, block, limit);
    current_engine->translating = false;
    *word_at(block, TRANSLATION_BLOCK_CFLAGS) &= ~CF_PARALLEL;
}

void check_exit_request_aarch64(void *context) {
    (void)context;
}

/* A TLB begins with 256 entries and is resized by flushes alone, which a program that only computes never causes: it would
 * go on with 1 MiB of reach. So many fills ask for one. Unicorn doubles the size if more than 70 % was in use. */
static void grow_tlb(struct engine *e) {
    if (++e->tlb_fills < (TLB_FIRST_SIZE * TLB_FILLS_PER_ENTRY << e->tlb_doublings) ||
        e->tlb_doublings == TLB_MOST_DOUBLINGS) {
        return;
    }
    e->tlb_fills = 0;
    e->tlb_doublings++;
    tlb_flush_aarch64(e->cpu);
}

/* The address without its tag, which is what the kernel reports: untagged_addr() of arch/arm64. */
static uint64_t sign_extend(uint64_t address) {
    return (uint64_t)((int64_t)(address << 8) >> 8);
}

/* MMUAccessType is 0 load, 1 store, 2 fetch; PAGE_READ/WRITE/EXEC are 1/2/4 as our permissions. */
bool __wrap_unicorn_fill_tlb_aarch64(void *cpu, uint64_t address, int size, int access, int index,
                                     bool probe, uintptr_t return_address) {
    static const uint8_t needed[] = {PERMIT_READ, PERMIT_WRITE, PERMIT_EXECUTE};
    uint64_t untagged = sign_extend(address);
    if (access == ACCESS_EXECUTE && untagged != address) {
        /* The Arm ARM strips the tag when PC is written; here the branch is made again without it. */
        current_engine->registers[REGISTER_PC] =
            sign_extend(current_engine->registers[REGISTER_PC]);
        cpu_loop_exit_aarch64(cpu);
    }
    unsigned permission = page_permission(untagged);
    enum watch watch =
        watchpoint_count ? watch_access(untagged, (uint64_t)size, needed[access]) : WATCH_NONE;
    bool permitted = permission & needed[access];
    if (permitted && !(watch & WATCH_HIT)) {
        current_engine->tlb =
            (uint64_t *)((char *)current_engine->registers - REGISTERS_AFTER_TLBS) + 2 * index;
        grow_tlb(current_engine);
        uint64_t lasting = GUEST_PAGE;
        if (watch != WATCH_NONE) {
            permission = watched_fill(current_engine, permission, access, watch, &lasting);
        }
        tlb_set_page_aarch64(cpu, address & -GUEST_PAGE, untagged & -GUEST_PAGE, (int)permission,
                             index, lasting);
        return true;
    }
    if (!probe) {
        current_engine->stop = permitted ? STOP_WATCH : STOP_FAULT;
        current_engine->fault_address = untagged;
        current_engine->fault_access = (enum access)access;
    }
    /* The original asks the TLB_FILL hook of engine.c, which refuses, and leaves the run loop. */
    return __real_unicorn_fill_tlb_aarch64(cpu, address, size, access, index, probe,
                                           return_address);
}

/* The word of the TLB entry for a page that tells whether stores go straight to memory. */
static uint64_t *store_entry(const struct engine *e, uint64_t page) {
    uint64_t *table = (uint64_t *)(uintptr_t)e->tlb[1];
    return table + (page >> (12 - TLB_ENTRY_SHIFT) & e->tlb[0]) / sizeof *table + TLB_ENTRY_WRITE;
}

/* The bit that says that a page, or one of many others, may hold translated code. */
static uint64_t *code_page(struct engine *e, uint64_t page, uint64_t *bit) {
    uint64_t hash = (page >> 12) * UINT64_C(0x9e3779b97f4a7c15) >> 48;
    *bit = UINT64_C(1) << (hash & 63);
    return &e->code_pages[hash >> 6];
}

/* Run for every new block: stores to its pages must be noticed from now on. The original walks every entry of twelve TLBs,
 * but the block was fetched from its pages a moment ago, so each is in its own place. */
void __wrap_tlb_reset_dirty_by_vaddr_aarch64(void *cpu, uint64_t start, uint64_t length) {
    struct engine *e = current_engine;
    (void)cpu;
    for (uint64_t page = start; page < start + length; page += GUEST_PAGE) {
        uint64_t bit, *word = code_page(e, page, &bit), *entry = store_entry(e, page);
        *word |= bit;
        if (*entry == page) {
            *entry |= TLB_NOTDIRTY;
        }
    }
}

/* Run for every store into a page that may be executed. SBCL's heap is such memory: a page without code is left alone from
 * then on. */
void __wrap_tb_invalidate_phys_page_fast_aarch64(void *uc, void *pages, uint64_t offset, int size,
                                                 uintptr_t return_address) {
    struct engine *e = current_engine;
    uint64_t page = (offset & -GUEST_PAGE) + REGION_START;
    uint64_t bit, *word = code_page(e, page, &bit), *entry = store_entry(e, page);
    if (*word & bit) {
        __real_tb_invalidate_phys_page_fast_aarch64(uc, pages, offset, size, return_address);
    } else if (*entry == (page | TLB_NOTDIRTY)) {
        *entry = page;
    }
}

/* Are the twelve TLBs where the constants above say? Those of a new engine have their first size. */
bool tlb_check(const struct engine *e) {
    const uint64_t *tlbs = (const uint64_t *)((const char *)e->registers - REGISTERS_AFTER_TLBS);
    for (int i = 0; i < TLB_COUNT; i++) {
        if (tlbs[2 * i] != (TLB_FIRST_SIZE - 1) << TLB_ENTRY_SHIFT) {
            return false;
        }
    }
    return true;
}

/* Unicorn asks for huge pages and for nothing else: what a long-running program translates later may have them. */
int __wrap_qemu_madvise(void *address, size_t length, int advice) {
    if (length <= SMALL_PAGES) {
        return 0;
    }
    return __real_qemu_madvise((char *)address + SMALL_PAGES, length - SMALL_PAGES, advice);
}

/* The table of blocks by address is the only one, and one that grows (QHT_MODE_AUTO_RESIZE). */
void __wrap_qht_init(void *table, void *equal, size_t entries, unsigned mode) {
    (void)entries;
    __real_qht_init(table, equal, FIRST_BLOCKS, mode);
}

bool __wrap_qht_reset_size(uc_engine *uc, void *table, size_t entries) {
    (void)entries;
    return __real_qht_reset_size(uc, table, FIRST_BLOCKS);
}

/* What the constants above and in engine.c rely on; NULL if it holds, else what does not. */
const char *unicorn_check(void) {
    /* tcg_gen_mb() begins by testing CF_PARALLEL in tb_cflags: testb $8,0x66(%rdi). */
    static const uint8_t test_parallel[] = {0xf6, 0x47, 0x66, 0x08};
    const uint8_t *code = (const uint8_t *)(uintptr_t)&__real_tcg_gen_mb_aarch64;
    if (uc_version(NULL, NULL) >> 8 != UNICORN_VERSION) {
        return "the linked Unicorn is not version 2.1.4";
    }
    for (int i = 0; i < 16; i++) {
        bool same = true;
        for (size_t k = 0; k < sizeof test_parallel; k++) {
            same = same && code[(size_t)i + k] == test_parallel[k];
        }
        if (same) {
            return NULL;
        }
    }
    return "the linked Unicorn keeps tb_cflags elsewhere";
}
