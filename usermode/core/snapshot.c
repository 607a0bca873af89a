/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The registers of a guest thread as bytes, for a new thread or process to begin with. */
#include <string.h>

#include "core.h"

void snapshot_take(struct engine *e, struct snapshot *to) {
    uint32_t pstate = 0;
    memcpy(to->words, e->registers, 33 * sizeof *to->words);
    uc_reg_read(e->uc, UC_ARM64_REG_NZCV, &pstate);
    to->words[33] = pstate;
    uc_reg_read(e->uc, UC_ARM64_REG_FPSR, &to->fpsr);
    uc_reg_read(e->uc, UC_ARM64_REG_FPCR, &to->fpcr);
    for (int i = 0; i < VECTOR_REGISTERS; i++) {
        uc_reg_read(e->uc, UC_ARM64_REG_Q0 + i, to->vectors + 16 * i);
    }
    uc_reg_read(e->uc, UC_ARM64_REG_TPIDR_EL0, &to->tpidr);
}

void snapshot_restore(struct engine *e, struct snapshot *from) {
    uint32_t flags = (uint32_t)from->words[33] & UINT32_C(0xf0000000);
    memcpy(e->registers, from->words, 33 * sizeof *from->words);
    uc_reg_write(e->uc, UC_ARM64_REG_NZCV, &flags);
    uc_reg_write(e->uc, UC_ARM64_REG_FPSR, &from->fpsr);
    uc_reg_write(e->uc, UC_ARM64_REG_FPCR, &from->fpcr);
    for (int i = 0; i < VECTOR_REGISTERS; i++) {
        uc_reg_write(e->uc, UC_ARM64_REG_Q0 + i, from->vectors + 16 * i);
    }
    uc_reg_write(e->uc, UC_ARM64_REG_TPIDR_EL0, &from->tpidr);
}
