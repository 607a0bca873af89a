/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One Unicorn engine per guest thread: set-up at EL0, callbacks from translated code, the run loop. */
#include <string.h>

#include "core.h"

/* Where Unicorn 2.1.4 keeps its CPU and where that keeps x0; engine_open() proves both on every engine. */
#define UC_CPU_WORD 55
#define CPU_X0_OFFSET 41872

#define EXCEPTION_UNDEFINED 1
#define EXCEPTION_SVC 2
#define EXCEPTION_DATA_ABORT 4
#define EXCEPTION_BREAKPOINT 7
#define NO_EXCLUSIVE UINT64_MAX

__thread struct engine *current_engine;

static void stop_with(struct engine *e, enum stop reason) {
    e->stop = reason;
    uc_emu_stop(e->uc);
}

/* Makes the thread look at `bits` before its guest code goes on. Called by its own signal handlers. */
void engine_attend(struct engine *e, uint32_t bits) {
    atomic_fetch_or(&e->attention, bits);
    if (atomic_load(&e->in_guest)) {
        uc_emu_stop(e->uc);
    }
}

/* ---- callbacks from translated code ---- */

/* Never asked to grant: the wrapped fill answers what is permitted, so what comes here is refused. */
static bool refuse_fill(uc_engine *uc, uint64_t address, uc_mem_type type, uc_tlb_entry *entry,
                        void *data) {
    (void)uc, (void)address, (void)type, (void)entry, (void)data;
    return false;
}

static void system_call(struct engine *e) {
    if (atomic_load(&e->attention) & ATTEND_SIGNAL) {
        e->registers[REGISTER_PC] -= 4;
        stop_with(e, STOP_SIGNAL);
        return;
    }
    *e->exclusive_address = NO_EXCLUSIVE; /* an exception return clears the monitor */
    uint64_t number = e->registers[8] & UINT32_MAX;
    long result = e->tracing || number >= CALL_ROWS
                      ? RESULT_TO_PYTHON
                      : pass_through(e, (unsigned)number, e->registers);
    if (atomic_load(&e->held)) {
        signals_let_go(e);
    }
    if (result == RESULT_TO_PYTHON) {
        stop_with(e, STOP_CALL);
    } else if (result == RESULT_GONE) {
        stop_with(e, STOP_GONE);
    } else if (result == RESULT_RESTART) {
        e->registers[REGISTER_PC] -= 4;
        stop_with(e, STOP_SIGNAL);
    } else {
        if (result != RESULT_IN_REGISTERS) {
            e->registers[0] = (uint64_t)result;
        }
        if (atomic_load(&e->attention) & ATTEND_SIGNAL) {
            stop_with(e, STOP_SIGNAL);
        }
    }
}

static void interrupt(uc_engine *uc, uint32_t number, void *data) {
    struct engine *e = data;
    engine_leave_guest(e);
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
        stop_with(e, step_done(e)                    ? STOP_STEP
                     : e->registers[REGISTER_PC] & 3 ? STOP_PC_ALIGN
                                                     : STOP_UNDEFINED);
    }
    if (e->stop == STOP_NONE) {
        engine_enter_guest(e);
        if (atomic_load(&e->attention) & ATTEND_SIGNAL) {
            uc_emu_stop(
                uc); /* caught after system_call() looked, when the handler saw no need to stop anything */
        }
    }
}

/* IC IVAU, Xt is SYS #3, C7, C5, #1: Unicorn treats it as nothing. Lines are 64 bytes (CTR_EL0). */
static uint32_t system_instruction(uc_engine *uc, int reg, const uc_arm64_cp_reg *cp, void *data) {
    struct engine *e = data;
    (void)uc, (void)reg;
    if (cp->op1 == 3 && cp->crn == 7 && cp->crm == 5 && cp->op2 == 1) {
        uint64_t line = cp->val & ADDRESS_MASK & -(uint64_t)64;
        if (line >= GUEST_FLOOR && line < GUEST_LIMIT) {
            engine_leave_guest(e);
            engines_shoot_down(line, line + 64, false, false);
            engine_return_to_block(e);
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
              : uc_hook_add(uc, &hook, UC_HOOK_INSN, system_instruction, e, 1, 0, UC_ARM64_INS_SYS);
    return err ? err : enter_el0(uc);
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
    if (back || !blocks_check(e) || !vectors_check(e) || !tlb_check(e)) {
        return "the linked Unicorn keeps registers elsewhere";
    }
    return NULL;
}

/* env->exclusive_addr, counted from x0 */
#define EXCLUSIVE_ADDRESS_OFFSET 11968

/* Opens the calling thread's engine with a translation buffer of so many bytes. NULL, or what went wrong. */
const char *engine_open(struct engine *e, uint32_t buffer_size) {
    memset(e, 0, sizeof *e);
    e->altstack.flags = SS_DISABLE;
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
    engines_add(e);
    current_engine = e;
    return NULL;
}

static void leave_thread(struct engine *e) {
    uint64_t mask = signals_hold();
    signals_release(e);
    current_engine = NULL;
    host_mask_change(mask);
}

/* Frees the engine, unless it is one that a fork left behind. Signals caught for it go to other threads. */
void engine_close(struct engine *e) {
    if (current_engine == e) {
        leave_thread(e);
    }
    if (!engine_inherited(e)) {
        engines_remove(e);
        uc_close(e->uc);
        proxies_free(e);
    }
}

/* Takes the engine from the calling thread, for another one to go on with. It keeps what it has translated, and its place in
 * the list, so that requests to drop some of that reach it. */
void engine_detach(struct engine *e) {
    engine_single_step(e, false);
    leave_thread(e);
    proxies_free(e);
    e->detached = true;
}

/* Makes a detached engine the calling thread's; false if a fork left it behind. Registers are the caller's to set. */
bool engine_attach(struct engine *e) {
    if (engine_inherited(e) || enter_el0(e->uc)) {
        return false;
    }
    atomic_fetch_and(&e->attention, ATTEND_FLUSH);
    e->detached = e->tracing = e->waiting = e->keep_exclusive = false;
    e->watched_atomic = ATOMIC_NONE;
    e->fault_actions = NULL;
    atomic_store(&e->caught_set, 0);
    atomic_store(&e->blocked, 0);
    e->altstack = (struct altstack){.flags = SS_DISABLE};
    current_engine = e;
    return true;
}

/* Runs guest code until e->stop says why not. The GIL is not held. */
void engine_run(struct engine *e) {
    if (!e->keep_exclusive) {
        *e->exclusive_address = NO_EXCLUSIVE;
    }
    e->stop = STOP_NONE;
    while (e->stop == STOP_NONE) {
        engine_enter_guest(e);
        if (atomic_load(&e->attention) & ATTEND_SIGNAL) {
            e->stop = STOP_SIGNAL;
            break;
        }
        if (atomic_load(&e->attention) & ATTEND_STOP) {
            e->stop = STOP_INTERRUPT;
            break;
        }
        watch_atomic_over(e);
        e->translating = false; /* a fetch fault leaves translation by longjmp */
        uc_err err = uc_emu_start(e->uc, e->registers[REGISTER_PC], 0, 0, 0);
        if (err && e->stop == STOP_NONE) {
            e->stop = STOP_ENGINE;
            e->error = err;
        }
    }
    engine_leave_guest(e);
    e->keep_exclusive = stopped_for_debugger(e);
}
