/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The frame on a guest's stack while a signal handler runs: struct rt_sigframe of arch/arm64/kernel/signal.c, and behind it
 * the frame record {fp, lr} that x29 points to.
 */
#include <string.h>

#include "core.h"

#define FPSIMD_MAGIC UINT32_C(0x46508001)
#define ESR_MAGIC UINT32_C(0x45535201)
#define RESERVED_SIZE 4096 /* of struct sigcontext: room for the records */
#define LEAST_STACK 5120   /* MINSIGSTKSZ of the guest's <asm/signal.h> */
#define AUTODISARM (UINT32_C(1) << 31)
#define PSTATE_NZCV UINT32_C(0xf0000000)
#define ALIGNMENT 16

/* Where Unicorn 2.1.4 keeps V0, counted from x0, and the distance to V1: an SVE register of 2048 bits. */
#define VECTORS_OFFSET 3024
#define VECTOR_STRIDE 256
#define VECTOR_SIZE 16
#define VECTORS 32

struct record_header {
    uint32_t magic, size;
};

struct fpsimd_context {
    struct record_header header;
    uint32_t fpsr, fpcr;
    uint8_t vectors[VECTORS][VECTOR_SIZE];
};

struct esr_context {
    struct record_header header;
    uint64_t esr;
};

/* The part of the frame that is written; zeros up to the end of the reserved space are not. */
struct signal_frame {
    siginfo_t info;
    uint64_t flags, link, stack_start;
    int32_t stack_flags, padding;
    uint64_t stack_size, mask;
    uint8_t mask_padding[128 - 8 + 8];
    uint64_t fault_address, registers[33], pstate, alignment; /* struct sigcontext */
    struct fpsimd_context fpsimd;
    struct esr_context esr; /* or the end: a header of zeros */
    struct record_header end;
};

#define UCONTEXT offsetof(struct signal_frame, flags)
#define RESERVED offsetof(struct signal_frame, fpsimd)
#define FRAME_SIZE (RESERVED + RESERVED_SIZE)

_Static_assert(UCONTEXT == 128 && offsetof(struct signal_frame, mask) == UCONTEXT + 40 &&
                   offsetof(struct signal_frame, fault_address) == UCONTEXT + 176 &&
                   RESERVED == UCONTEXT + 176 + 288 && sizeof(struct fpsimd_context) == 528,
               "<asm/ucontext.h> and <asm/sigcontext.h> of the guest");

struct frame_record {
    uint64_t frame, link;
};

/* ---- vector registers ---- */

static uint8_t *vector(const struct engine *e, int index) {
    return (uint8_t *)e->registers + VECTORS_OFFSET + index * VECTOR_STRIDE;
}

/* Are they where the constants above say? */
bool vectors_check(const struct engine *e) {
    for (int i = 0; i < VECTORS; i++) {
        uint8_t is[VECTOR_SIZE], was[VECTOR_SIZE], marked[VECTOR_SIZE];
        memset(marked, 0xa0 + i, sizeof marked);
        uc_reg_read(e->uc, UC_ARM64_REG_Q0 + i, was);
        uc_reg_write(e->uc, UC_ARM64_REG_Q0 + i, marked);
        memcpy(is, vector(e, i), sizeof is);
        uc_reg_write(e->uc, UC_ARM64_REG_Q0 + i, was);
        if (memcmp(is, marked, sizeof is)) {
            return false;
        }
    }
    return true;
}

/* ---- entering a handler ---- */

/* Is `sp` on the alternate stack? Never with SS_AUTODISARM, which leaves it while it is used. */
static bool on_altstack(const struct altstack *stack, uint64_t sp) {
    return !(stack->flags & (SS_DISABLE | AUTODISARM)) && sp > stack->start &&
           sp - stack->start <= stack->size;
}

static uint64_t frame_top(const struct engine *e, const struct handler *handler) {
    const struct altstack *stack = &e->altstack;
    uint64_t sp = e->registers[REGISTER_SP];
    bool wanted = handler->flags & SA_ONSTACK && !(stack->flags & SS_DISABLE);
    return wanted && !on_altstack(stack, sp) ? stack->start + stack->size : sp;
}

static void fill(struct engine *e, struct signal_frame *frame, const struct handler *handler) {
    uint32_t nzcv = 0;
    frame->stack_start = e->altstack.start;
    frame->stack_flags = (int32_t)e->altstack.flags;
    frame->stack_size = e->altstack.size;
    frame->mask = atomic_load(&e->blocked);
    frame->fault_address = handler->fault;
    memcpy(frame->registers, e->registers, sizeof frame->registers);
    uc_reg_read(e->uc, UC_ARM64_REG_NZCV, &nzcv);
    frame->pstate = nzcv;
    frame->fpsimd.header = (struct record_header){FPSIMD_MAGIC, sizeof frame->fpsimd};
    uc_reg_read(e->uc, UC_ARM64_REG_FPSR, &frame->fpsimd.fpsr);
    uc_reg_read(e->uc, UC_ARM64_REG_FPCR, &frame->fpsimd.fpcr);
    for (int i = 0; i < VECTORS; i++) {
        memcpy(frame->fpsimd.vectors[i], vector(e, i), VECTOR_SIZE);
    }
    if (handler->esr) {
        frame->esr.header = (struct record_header){ESR_MAGIC, sizeof frame->esr};
        frame->esr.esr = handler->esr;
    }
}

/* Writes the frame and sets the registers to enter the handler. False if the stack cannot take it. */
bool frame_push(struct engine *e, const siginfo_t *info, const struct handler *handler) {
    struct signal_frame frame = {.info = *info};
    uint64_t *x = e->registers;
    struct frame_record record = {x[29], x[30]};
    uint64_t record_at = (frame_top(e, handler) - sizeof record) & -(uint64_t)ALIGNMENT;
    uint64_t at = (record_at - FRAME_SIZE) & -(uint64_t)ALIGNMENT;
    fill(e, &frame, handler);
    if (!guest_write(record_at, &record, sizeof record) || !guest_write(at, &frame, sizeof frame)) {
        return false;
    }
    if (e->altstack.flags & AUTODISARM) {
        e->altstack = (struct altstack){.flags = SS_DISABLE};
    }
    x[0] = (uint64_t)info->si_signo;
    if (handler->flags & SA_SIGINFO) {
        x[1] = at;
        x[2] = at + UCONTEXT;
    }
    x[29] = record_at;
    x[30] = handler->restorer;
    x[REGISTER_SP] = at;
    x[REGISTER_PC] = handler->address;
    return true;
}

/* ---- leaving it ---- */

/* The FPSIMD record among those of the frame, at `at` of the guest's memory; false if they are not whole. */
static bool find_fpsimd(uint64_t at, struct fpsimd_context *fpsimd) {
    bool found = false;
    for (uint64_t offset = 0; offset + sizeof(struct record_header) <= RESERVED_SIZE;) {
        struct record_header header;
        if (!guest_read(&header, at + offset, sizeof header)) {
            return false;
        }
        if (!header.magic && !header.size) {
            return found;
        }
        if (header.magic == FPSIMD_MAGIC && header.size == sizeof *fpsimd && !found &&
            offset + sizeof *fpsimd <= RESERVED_SIZE) {
            found = guest_read(fpsimd, at + offset, sizeof *fpsimd);
        } else if (header.magic != ESR_MAGIC || header.size < sizeof header) {
            return false;
        }
        if (header.size % ALIGNMENT) {
            return false;
        }
        offset += header.size;
    }
    return found;
}

/* The alternate stack is the frame's, unless sigaltstack(2) would refuse it. */
static void restore_altstack(struct engine *e, const struct signal_frame *frame, uint64_t sp) {
    struct altstack stack = {frame->stack_start, frame->stack_size,
                             (uint32_t)frame->stack_flags & ~(uint32_t)SS_ONSTACK};
    uint32_t mode = (uint32_t)frame->stack_flags & ~AUTODISARM;
    if (mode == SS_DISABLE) {
        stack.start = stack.size = 0;
    } else if ((mode && mode != SS_ONSTACK) || stack.size < LEAST_STACK) {
        return;
    }
    if (!on_altstack(&e->altstack, sp)) {
        e->altstack = stack;
    }
}

static void restore_registers(struct engine *e, const struct signal_frame *frame,
                              const struct fpsimd_context *fpsimd) {
    uint32_t nzcv = (uint32_t)frame->pstate & PSTATE_NZCV;
    memcpy(e->registers, frame->registers, sizeof frame->registers);
    uc_reg_write(e->uc, UC_ARM64_REG_NZCV, &nzcv);
    uc_reg_write(e->uc, UC_ARM64_REG_FPSR, &fpsimd->fpsr);
    uc_reg_write(e->uc, UC_ARM64_REG_FPCR, &fpsimd->fpcr);
    for (int i = 0; i < VECTORS; i++) {
        memcpy(vector(e, i), fpsimd->vectors[i], VECTOR_SIZE);
    }
}

/* rt_sigreturn(2): RESULT_IN_REGISTERS, what mask_change() says, or RESULT_TO_PYTHON for a broken frame. */
long core_sigreturn(struct engine *e) {
    uint64_t at = e->registers[REGISTER_SP];
    struct signal_frame frame;
    struct fpsimd_context fpsimd;
    if (at % ALIGNMENT || !guest_read(&frame, at, RESERVED) ||
        !find_fpsimd(at + RESERVED, &fpsimd)) {
        return RESULT_TO_PYTHON;
    }
    long result = mask_change(e, frame.mask);
    if (result) {
        return result;
    }
    restore_registers(e, &frame, &fpsimd);
    restore_altstack(e, &frame, e->registers[REGISTER_SP]);
    return RESULT_IN_REGISTERS;
}
