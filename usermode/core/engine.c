/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One Unicorn engine per guest thread: set-up at EL0, the run loop, stops, and the list of all engines. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "core.h"

/* Where Unicorn 2.1.4 keeps its CPU and where that keeps x0; engine_open() proves both on every engine. */
#define UC_CPU_WORD 55
#define CPU_X0_OFFSET 41872
#define ENV_X0_OFFSET 64
#define CPU_STATE_WORDS 512

#define EXCEPTION_UNDEFINED 1
#define EXCEPTION_SVC 2
#define EXCEPTION_DATA_ABORT 4
#define EXCEPTION_BREAKPOINT 7
#define NO_EXCLUSIVE UINT64_MAX

__thread struct engine *current_engine;
static pthread_mutex_t engines_lock = PTHREAD_MUTEX_INITIALIZER;
static struct engine *engines;

static void stop_with(struct engine *e, enum stop reason) {
    e->stop = reason;
    uc_emu_stop(e->uc);
}

/* ---- stops and shoot-downs ---- */

static void serve_flush(struct engine *e) {
    struct flush_request request;
    while (atomic_exchange(&e->flush_lock, 1)) {
        sched_yield();
    }
    request = e->flush;
    memset(&e->flush, 0, sizeof e->flush);
    atomic_fetch_and(&e->attention, ~(uint32_t)ATTEND_FLUSH);
    atomic_store(&e->flush_lock, 0);
    flush_local(e, &request);
}

void engine_attend(struct engine *e, uint32_t bits) {
    atomic_fetch_or(&e->attention, bits);
    if (atomic_load(&e->in_guest)) {
        uc_emu_stop(e->uc);
    }
}

/* Leaves guest code (false) or goes back to it (true); requests made meanwhile are served before going back. */
static void set_in_guest(struct engine *e, bool inside) {
    if (!inside) {
        atomic_store(&e->in_guest, 0);
        return;
    }
    for (;;) {
        atomic_store(&e->in_guest, 1);
        if (!(atomic_load(&e->attention) & ATTEND_FLUSH)) {
            return;
        }
        atomic_store(&e->in_guest, 0);
        serve_flush(e);
    }
}

static void request_flush(struct engine *e, const struct flush_request *request) {
    while (atomic_exchange(&e->flush_lock, 1)) {
        sched_yield();
    }
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
    atomic_store(&e->flush_lock, 0);
    engine_attend(e, ATTEND_FLUSH);
}

/* Makes every engine forget permissions and the translated code in [start, end). With wait, no other engine runs guest
 * code with the old state once this returns. Without, each sees the new state at its next block start, which is enough
 * for code announced by IC IVAU: a thread learns of it by a load that comes before that block. */
void engines_shoot_down(uint64_t start, uint64_t end, bool permissions, bool wait) {
    struct flush_request request = {.everything = permissions, .start = start, .end = end};
    struct engine *self = current_engine;
    pthread_mutex_lock(&engines_lock);
    for (struct engine *e = engines; e; e = e->next) {
        if (e == self) {
            flush_local(e, &request);
        } else {
            request_flush(e, &request);
        }
    }
    for (struct engine *e = engines; wait && e; e = e->next) {
        while (e != self && atomic_load(&e->in_guest) &&
               (atomic_load(&e->attention) & ATTEND_FLUSH)) {
            uc_emu_stop(e->uc);
            sched_yield();
        }
    }
    pthread_mutex_unlock(&engines_lock);
}

/* ---- callbacks from translated code ---- */

/* Never asked to grant: the wrapped fill answers what is permitted, so what comes here is refused. */
static bool refuse_fill(uc_engine *uc, uint64_t address, uc_mem_type type, uc_tlb_entry *entry,
                        void *data) {
    (void)uc, (void)address, (void)type, (void)entry, (void)data;
    return false;
}

static void system_call(struct engine *e) {
    if (atomic_load(&e->attention) & (ATTEND_SIGNAL | ATTEND_STOP)) {
        e->registers[REGISTER_PC] -= 4;
        stop_with(e, STOP_SIGNAL);
        return;
    }
    *e->exclusive_address = NO_EXCLUSIVE; /* an exception return clears the monitor */
    uint64_t number = e->registers[8] & UINT32_MAX;
    long result = e->tracing || number >= CALL_ROWS
                      ? RESULT_TO_PYTHON
                      : pass_through(e, (unsigned)number, e->registers);
    if (result == RESULT_TO_PYTHON) {
        stop_with(e, STOP_CALL);
    } else if (result == RESULT_RESTART) {
        e->registers[REGISTER_PC] -= 4;
        stop_with(e, STOP_SIGNAL);
    } else {
        e->registers[0] = (uint64_t)result;
        if (atomic_load(&e->attention) & (ATTEND_SIGNAL | ATTEND_STOP)) {
            stop_with(e, STOP_SIGNAL);
        }
    }
}

static void interrupt(uc_engine *uc, uint32_t number, void *data) {
    struct engine *e = data;
    (void)uc;
    set_in_guest(e, false);
    switch (number) {
    case EXCEPTION_SVC:
        system_call(e);
        break;
    case EXCEPTION_BREAKPOINT:
        stop_with(e, STOP_BREAKPOINT);
        break;
    case EXCEPTION_DATA_ABORT:
        stop_with(e, STOP_ALIGNMENT);
        break;
    default:
        stop_with(e, e->registers[REGISTER_PC] & 3 ? STOP_PC_ALIGN : STOP_UNDEFINED);
    }
    if (e->stop == STOP_NONE) {
        set_in_guest(e, true);
    }
}

/* IC IVAU, Xt is SYS #3, C7, C5, #1: Unicorn treats it as nothing. Lines are 64 bytes (CTR_EL0). */
static uint32_t system_instruction(uc_engine *uc, int reg, const uc_arm64_cp_reg *cp, void *data) {
    (void)uc, (void)reg, (void)data;
    if (cp->crn == 7 && cp->crm == 5) {
        uint64_t line = cp->val & ADDRESS_MASK & -(uint64_t)64;
        if (line >= GUEST_FLOOR && line < GUEST_LIMIT) {
            engines_shoot_down(line, line + 64, false, false);
        }
    }
    return 0;
}

/* ---- opening, running, closing ---- */

static uc_err enter_el0(uc_engine *uc) {
    uint32_t pstate = 0, cpacr = 3 << 20; /* EL0t; FP and SIMD on */
    uc_arm64_cp_reg sctlr = {.crn = 1, .crm = 0, .op0 = 3, .op1 = 0, .op2 = 0};
    uc_arm64_cp_reg cntkctl = {.crn = 14, .crm = 1, .op0 = 3, .op1 = 0, .op2 = 0, .val = 3};
    uc_err err = uc_reg_write(uc, UC_ARM64_REG_PSTATE, &pstate);
    err = err ? err : uc_reg_write(uc, UC_ARM64_REG_CPACR_EL1, &cpacr);
    err = err ? err : uc_reg_read(uc, UC_ARM64_REG_CP_REG, &sctlr);
    sctlr.val |= UINT64_C(1) << 26 | 1 << 15 | 1 << 14; /* UCI, UCT, DZE: what Linux lets EL0 do */
    err = err ? err : uc_reg_write(uc, UC_ARM64_REG_CP_REG, &sctlr);
    /* CNTKCTL_EL1: counters readable at EL0 */
    return err ? err : uc_reg_write(uc, UC_ARM64_REG_CP_REG, &cntkctl);
}

static uc_err configure(struct engine *e, uint32_t buffer_size) {
    uc_hook hook;
    uc_engine *uc = e->uc;
    uc_err err = uc_ctl_set_page_size(uc, GUEST_PAGE);
    err = err ? err : uc_ctl_set_cpu_model(uc, UC_CPU_ARM64_MAX);
    err = err ? err : uc_ctl_set_tcg_buffer_size(uc, buffer_size);
    err = err ? err : uc_ctl_tlb_mode(uc, UC_TLB_VIRTUAL);
    err = err ? err
              : uc_mem_map_ptr(uc, REGION_START, GUEST_LIMIT - REGION_START, UC_PROT_ALL,
                               (void *)(uintptr_t)REGION_START);
    err = err ? err : uc_hook_add(uc, &hook, UC_HOOK_TLB_FILL, refuse_fill, e, 1, 0);
    err = err ? err : uc_hook_add(uc, &hook, UC_HOOK_INTR, interrupt, e, 1, 0);
    err = err ? err
              : uc_hook_add(uc, &hook, UC_HOOK_INSN, system_instruction, e, 1, 0,
                            UC_ARM64_INS_SYS);
    return err ? err : enter_el0(uc);
}

/* CPUArchState begins 64 bytes before x0. In CPUState a pointer to it is followed by one to the word that generated code
 * looks at to see whether it must stop (IcountDecr). */
static const char *locate_exit_word(struct engine *e) {
    char *env = (char *)e->registers - ENV_X0_OFFSET;
    char **word = e->cpu;
    for (int i = 0; i < CPU_STATE_WORDS; i++) {
        if (word[i] == env && word[i + 1] < env && env - word[i + 1] < 4096) {
            e->exit_word_offset = word[i + 1] - env;
            return NULL;
        }
    }
    return "the linked Unicorn keeps its exit request elsewhere";
}

/* The live registers are used directly (20 times quicker than the API); prove that they are where they should be. */
static const char *locate_registers(struct engine *e) {
    uint64_t five = UINT64_C(0x5a5a1234beef0005), sp = UINT64_C(0x00001111deadbee0), back = 0;
    e->cpu = ((void **)e->uc)[UC_CPU_WORD];
    e->registers = (uint64_t *)((char *)e->cpu + CPU_X0_OFFSET);
    uc_reg_write(e->uc, UC_ARM64_REG_X5, &five);
    uc_reg_write(e->uc, UC_ARM64_REG_SP, &sp);
    if (e->registers[5] != five || e->registers[REGISTER_SP] != sp) {
        return "the linked Unicorn keeps registers elsewhere";
    }
    e->registers[5] = e->registers[REGISTER_SP] = 0;
    uc_reg_read(e->uc, UC_ARM64_REG_X5, &back);
    return back ? "the linked Unicorn keeps registers elsewhere" : locate_exit_word(e);
}

/* env->exclusive_addr, counted from x0 */
#define EXCLUSIVE_ADDRESS_OFFSET 11968

/* Opens the calling thread's engine with a translation buffer of so many bytes. NULL, or what went wrong. */
const char *engine_open(struct engine *e, uint32_t buffer_size) {
    memset(e, 0, sizeof *e);
    uc_err err = uc_open(UC_ARCH_ARM64, UC_MODE_ARM, &e->uc);
    if (err) {
        return uc_strerror(err);
    }
    err = configure(e, buffer_size);
    const char *wrong = err ? uc_strerror(err) : locate_registers(e);
    if (wrong) {
        uc_close(e->uc);
        return wrong;
    }
    e->exclusive_address = (uint64_t *)((char *)e->registers + EXCLUSIVE_ADDRESS_OFFSET);
    pthread_mutex_lock(&engines_lock);
    e->next = engines;
    engines = e;
    pthread_mutex_unlock(&engines_lock);
    current_engine = e;
    return NULL;
}

void engine_close(struct engine *e) {
    pthread_mutex_lock(&engines_lock);
    for (struct engine **link = &engines; *link; link = &(*link)->next) {
        if (*link == e) {
            *link = e->next;
            break;
        }
    }
    pthread_mutex_unlock(&engines_lock);
    if (current_engine == e) {
        current_engine = NULL;
    }
    uc_close(e->uc);
}

/* In a fork's child only the calling thread lives on; the other threads' engines are abandoned, not closed: their
 * state may be half changed. */
void engine_forked(struct engine *e) {
    pthread_mutex_init(&engines_lock, NULL);
    e->next = NULL;
    engines = e;
    atomic_store(&e->flush_lock, 0);
}

/* Runs guest code until e->stop says why not. The GIL is not held. */
void engine_run(struct engine *e) {
    e->stop = STOP_NONE;
    *e->exclusive_address = NO_EXCLUSIVE;
    while (e->stop == STOP_NONE) {
        set_in_guest(e, true);
        if (atomic_load(&e->attention) & (ATTEND_SIGNAL | ATTEND_STOP)) {
            e->stop = STOP_SIGNAL;
            break;
        }
        e->translating = false; /* a fetch fault leaves translation by longjmp */
        uc_err err = uc_emu_start(e->uc, e->registers[REGISTER_PC], 0, 0, 0);
        if (err && e->stop == STOP_NONE) {
            e->stop = STOP_ENGINE;
            e->error = err;
        }
    }
    atomic_store(&e->in_guest, 0);
}
