/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a debugger needs of the engines: breakpoints, watchpoints, single steps, stops asked for by another thread.
 *
 * Breakpoints. The translator, and nobody else, reads BRK in place of the instruction at a breakpoint. So the guest's memory
 * stays as it is: the program cannot see its breakpoints, shared pages and files need no care, and a fork's child has none
 * to be taken out of its memory. Without breakpoints nothing but translation looks at an empty table.
 *
 * Watchpoints. The software TLB keeps no valid entry for the watched kind of access to a watched page, so that each comes to
 * the fill with its exact address and size. One that hits stops before it is made, as the CPU's own watchpoints do
 * (Arm ARM D2.10); any other is let through. Accesses by the host kernel for a system call are not seen, as on hardware.
 *
 * Single steps are the CPU's own software step (Arm ARM D2.12): blocks of one instruction under TB flags of their own,
 * so that no translation has to be dropped.
 *
 * The tables change only while no engine runs guest code, or from the process's only thread.
 */
#include "core.h"

#define MDSCR_STEP 1
#define SCR_EL1_AARCH64 (1 << 10)
#define PAGE_WRITE_INV 0x40 /* of Unicorn's exec/cpu-all.h: the entry is not valid for stores */
#define PSTATE_STEP (UINT32_C(1) << 21)
#define BREAKPOINT_INSTRUCTION UINT32_C(0xd4200000) /* BRK #0 */

struct watchpoint {
    uint64_t start, end;
    unsigned permission; /* PERMIT_READ, PERMIT_WRITE: the accesses that hit */
};

static uint64_t breakpoints[BREAKPOINTS];
static struct watchpoint watchpoints[WATCHPOINTS];
static _Atomic unsigned breakpoint_count;
_Atomic unsigned watchpoint_count;

extern void cpu_loop_exit_restore_aarch64(void *cpu, uintptr_t host_pc) __attribute__((noreturn));
void __real_cpu_loop_exit_atomic_aarch64(void *cpu, uintptr_t host_pc) __attribute__((noreturn));
void __wrap_cpu_loop_exit_atomic_aarch64(void *cpu, uintptr_t host_pc) __attribute__((noreturn));

/* ---- breakpoints ---- */

static bool breakpoint_at(uint64_t address) {
    unsigned count = atomic_load_explicit(&breakpoint_count, memory_order_acquire);
    for (unsigned i = 0; i < count; i++) {
        if (breakpoints[i] == address) {
            return true;
        }
    }
    return false;
}

/* What the translator is to take for the instruction at an address. */
uint32_t debug_instruction(uint64_t address, uint32_t instruction) {
    return breakpoint_at(address) ? BREAKPOINT_INSTRUCTION : instruction;
}

static void translate_again(uint64_t address) {
    engines_shoot_down(address, address + 4, false, true);
}

/* Sets or removes a breakpoint; false when the table is full. Removing one that is not there does nothing. */
bool breakpoint_change(uint64_t address, bool set) {
    unsigned count = atomic_load(&breakpoint_count);
    for (unsigned i = 0; i < count; i++) {
        if (breakpoints[i] == address) {
            if (!set) {
                breakpoints[i] = breakpoints[count - 1];
                atomic_store(&breakpoint_count, count - 1);
                translate_again(address);
            }
            return true;
        }
    }
    if (set && count < BREAKPOINTS) {
        breakpoints[count] = address;
        atomic_store_explicit(&breakpoint_count, count + 1, memory_order_release);
        translate_again(address);
    }
    return !set || count < BREAKPOINTS;
}

/* ---- watchpoints ---- */

/* Sets or removes a watchpoint; false when the table is full. */
bool watchpoint_change(uint64_t start, uint64_t size, unsigned permission, bool set) {
    unsigned count = atomic_load(&watchpoint_count), i = 0;
    struct watchpoint wanted = {start, start + size, permission};
    while (i < count && (watchpoints[i].start != wanted.start || watchpoints[i].end != wanted.end ||
                         watchpoints[i].permission != permission)) {
        i++;
    }
    if (set && i == count) {
        if (count == WATCHPOINTS) {
            return false;
        }
        watchpoints[count] = wanted;
        atomic_store(&watchpoint_count, count + 1);
    } else if (!set && i < count) {
        watchpoints[i] = watchpoints[count - 1];
        atomic_store(&watchpoint_count, count - 1);
    }
    engines_shoot_down(0, GUEST_LIMIT, true,
                       true); /* only without watchpoints do accesses go round the TLB */
    return true;
}

/* What an access that a TLB fill asks about means to the watchpoints. `needed` is its permission. */
enum watch watch_access(uint64_t address, uint64_t size, unsigned needed) {
    enum watch result = WATCH_NONE;
    uint64_t page = address & -GUEST_PAGE, end = address + (size ? size : 1);
    for (unsigned i = 0; i < watchpoint_count; i++) {
        const struct watchpoint *w = &watchpoints[i];
        if ((w->permission & needed) && address < w->end && end > w->start) {
            return WATCH_HIT;
        }
        if (page < w->end && page + GUEST_PAGE > w->start) {
            result |= w->permission & PERMIT_READ ? WATCH_PAGE_ALL : WATCH_PAGE_WRITES;
        }
    }
    return result;
}

/* The rights of the TLB entry for an access to a watched page. With PAGE_WRITE_INV each store is looked up again; an entry for
 * less than a page (*size) serves no second access at all. Code gets an entry of its own, which would else not last. */
unsigned watched_fill(struct engine *e, unsigned permission, enum access access, enum watch watch,
                      uint64_t *size) {
    if (access == ACCESS_EXECUTE) {
        return PERMIT_EXECUTE;
    }
    if (e->watched_atomic == ATOMIC_AGAIN && access == ACCESS_WRITE) {
        e->watched_atomic = ATOMIC_DONE;
        uc_emu_stop(e->uc);
    } else if (watch & WATCH_PAGE_ALL) {
        *size = 1;
    }
    return (permission & ~(unsigned)PERMIT_EXECUTE) | PAGE_WRITE_INV;
}

/* An atomic access fails on a page that has no valid entry for reading. It is made once more with one, which the end of
 * the block takes away. Whether it hits was looked for before. */
void __wrap_cpu_loop_exit_atomic_aarch64(void *cpu, uintptr_t host_pc) {
    struct engine *e = current_engine;
    if (watchpoint_count && e->watched_atomic == ATOMIC_NONE) {
        e->watched_atomic = ATOMIC_AGAIN;
        cpu_loop_exit_restore_aarch64(cpu, host_pc);
    }
    __real_cpu_loop_exit_atomic_aarch64(cpu, host_pc);
}

/* Called before each run of blocks. */
void watch_atomic_over(struct engine *e) {
    if (e->watched_atomic == ATOMIC_DONE) {
        e->watched_atomic = ATOMIC_NONE;
        flush_permissions(e);
    }
}

/* ---- steps and stops ---- */

/* Has the step that is being made come to its end? The CPU clears PSTATE.SS when it has executed the instruction. */
bool step_done(struct engine *e) {
    uint32_t pstate = 0;
    return e->stepping && !uc_reg_read(e->uc, UC_ARM64_REG_PSTATE, &pstate) &&
           !(pstate & PSTATE_STEP);
}

/* Did the engine stop last for the debugger alone? Then the exclusive monitor is kept, as nothing has happened to the program:
 * a step, watchpoint or breakpoint between LDXR and STXR would else make the program's loop go on for ever. */
bool stopped_for_debugger(struct engine *e) {
    return e->stop == STOP_STEP || e->stop == STOP_WATCH ||
           (e->stop == STOP_BREAKPOINT && breakpoint_at(e->registers[REGISTER_PC]));
}

static void change_bits(struct engine *e, uc_arm64_cp_reg which, uint64_t bits, bool on) {
    uc_reg_read(e->uc, UC_ARM64_REG_CP_REG, &which);
    which.val = on ? which.val | bits : which.val & ~bits;
    uc_reg_write(e->uc, UC_ARM64_REG_CP_REG, &which);
}

/* Makes the engine stop after one instruction, or no longer. Between runs only. Software steps are taken to EL1, which must
 * be in AArch64 state for that: SCR_EL3.RW, which nothing at EL0 depends on. */
void engine_single_step(struct engine *e, bool on) {
    uc_arm64_cp_reg scr = {.crn = 1, .crm = 1, .op0 = 3, .op1 = 6, .op2 = 0};
    uc_arm64_cp_reg mdscr = {.crn = 0, .crm = 2, .op0 = 2, .op1 = 0, .op2 = 2};
    uint32_t pstate = 0;
    uc_reg_read(e->uc, UC_ARM64_REG_PSTATE, &pstate);
    pstate = on ? pstate | PSTATE_STEP : pstate & ~PSTATE_STEP;
    uc_reg_write(e->uc, UC_ARM64_REG_PSTATE, &pstate);
    if (e->stepping != on) {
        change_bits(e, scr, SCR_EL1_AARCH64, on);
        change_bits(e, mdscr, MDSCR_STEP, on); /* the last one: each makes the CPU look again */
        e->stepping = on;
    }
}
