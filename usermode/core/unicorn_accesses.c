/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Link-time overrides for the order and the alignment of guest code's loads and stores.
 *
 * 1. Order. Unicorn puts a full barrier before STLR and after LDAR, where x86's TSO needs none, and none between an STLR
 *    and a later LDAR, where the Arm ARM (B2.3, RCsc) forbids reordering. The barrier moves behind the store.
 * 2. Alignment. Unicorn checks that of exclusives and atomics, but not of LDAR, STLR, LDAPR and theirs, which without
 *    FEAT_LSE2 must be aligned too (Arm ARM B2.5.2). Their accesses get the check, which costs nothing: it is part of the
 *    comparison with the TLB entry. That of SP would need code at each use of it and is not made; nor can a misaligned
 *    STXR fault, as it fails for want of the monitor, which no misaligned LDXR could have set.
 */
#include "core.h"

#define MEMOP_ALIGN 0x70 /* MO_ALIGN: to the size of the access */
#define BARRIER_ALL 0x0f
#define BARRIER_KIND 0x30
#define BARRIER_ACQUIRE 0x10
#define BARRIER_RELEASE 0x20
#define BARRIER_FULL 0x30

static __thread bool release_pending; /* the next store generated is a store-release */
static __thread uint32_t instruction; /* the one being translated */

uint32_t __real_cpu_ldl_code_aarch64(void *env, uint64_t address);
uint32_t __wrap_cpu_ldl_code_aarch64(void *env, uint64_t address);
void __real_tcg_gen_mb_aarch64(void *context, int kind);
void __wrap_tcg_gen_mb_aarch64(void *context, int kind);
void __real_tcg_gen_qemu_ld_i64_aarch64(void *c, void *v, void *a, uint64_t index, int op);
void __wrap_tcg_gen_qemu_ld_i64_aarch64(void *c, void *v, void *a, uint64_t index, int op);
void __real_tcg_gen_qemu_st_i32_aarch64(void *c, void *v, void *a, uint64_t index, int op);
void __wrap_tcg_gen_qemu_st_i32_aarch64(void *c, void *v, void *a, uint64_t index, int op);
void __real_tcg_gen_qemu_st_i64_aarch64(void *c, void *v, void *a, uint64_t index, int op);
void __wrap_tcg_gen_qemu_st_i64_aarch64(void *c, void *v, void *a, uint64_t index, int op);

/* Begins a block. */
void accesses_begin(void) {
    release_pending = false;
}

uint32_t __wrap_cpu_ldl_code_aarch64(void *env, uint64_t address) {
    instruction = debug_instruction(address, __real_cpu_ldl_code_aarch64(env, address));
    return instruction;
}

/* MEMOP_ALIGN for LDAR, LDLAR, STLR, STLLR; LDAPR; LDAPUR, STLUR of all sizes: Arm ARM C4.1.94. */
static int alignment(void) {
    bool ordered = (instruction & 0x3fa00000) == 0x08800000 ||
                   (instruction & 0x3ffffc00) == 0x38bfc000 ||
                   (instruction & 0x3f200c00) == 0x19000000;
    return ordered ? MEMOP_ALIGN : 0;
}

void __wrap_tcg_gen_qemu_ld_i64_aarch64(void *c, void *v, void *a, uint64_t index, int op) {
    __real_tcg_gen_qemu_ld_i64_aarch64(c, v, a, index, op | alignment());
}

static void finish_release(void *context) {
    if (release_pending) {
        release_pending = false;
        __real_tcg_gen_mb_aarch64(context, BARRIER_ALL | BARRIER_FULL);
    }
}

void __wrap_tcg_gen_qemu_st_i32_aarch64(void *c, void *v, void *a, uint64_t index, int op) {
    __real_tcg_gen_qemu_st_i32_aarch64(c, v, a, index, op);
    finish_release(c);
}

void __wrap_tcg_gen_qemu_st_i64_aarch64(void *c, void *v, void *a, uint64_t index, int op) {
    __real_tcg_gen_qemu_st_i64_aarch64(c, v, a, index, op | alignment());
    finish_release(c);
}

void __wrap_tcg_gen_mb_aarch64(void *context, int kind) {
    switch (kind & BARRIER_KIND) {
    case BARRIER_RELEASE:
        release_pending = true;
        return;
    case BARRIER_ACQUIRE:
        return;
    default:
        __real_tcg_gen_mb_aarch64(context, kind);
    }
}
