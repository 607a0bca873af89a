/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Link-time overrides that shorten the way from one translated block to the next, and what is known of that way's frame.
 *
 * 1. Each block begins by asking whether to stop. Unicorn calls a helper for it; here it is the load and branch that QEMU
 *    itself emits (include/exec/gen-icount.h of QEMU), whose exit cpu_exec() still handles: PC becomes the block's start.
 * 2. RET, BR and BLR find their target in tb_jmp_cache. The helper for that compares what cannot differ here and takes the
 *    cache's geometry from variables; this one reads the same cache with constants, and leaves every miss to the original.
 * 3. A helper that is called from a block runs in a frame whose return address lies at a constant distance below that of
 *    cpu_exec(). The distance is taken down once, so that a host fault within a helper finds its guest instruction.
 */
#include <string.h>

#include "core.h"

/* Unicorn 2.1.4's struct layouts, as distances in bytes. */
#define CPU_ENV_POINTER 0x128
#define CPU_ICOUNT_DECR_POINTER 0x130
#define ENV_IN_CPU 0xa350
#define JUMP_CACHE_IN_CPU 0x138
#define ICOUNT_DECR_IN_ENV (-0x10)
#define CLUSTER_IN_ENV (-0x21bc)
#define ENV_PC 0x140
#define ENV_HFLAGS 0x150
#define ENV_BTYPE 0x228
#define CONTEXT_CPU_ENV 0xa8f0

#define HFLAG_AARCH64 (UINT32_C(1) << 31)
#define HFLAG_SINGLE_STEP (UINT32_C(1) << 30)
#define HFLAG_BTYPE_SHIFT 10
#define HASHED_CFLAGS UINT32_C(0xff0effff) /* CF_HASH_MASK | CF_INVALID */
#define CLUSTER_SHIFT 24
#define JUMP_CACHE_PAGE_BITS 6

#define TCG_TYPE_I32 0
#define TCG_COND_LT 2
#define OP_SET_LABEL 1
#define OP_LD_I32 13
#define TB_EXIT_REQUESTED 3
#define LABEL_PRESENT 1

struct block {
    uint64_t pc, cs_base;
    uint32_t flags;
    uint16_t size, instructions;
    uint32_t cflags, trace_state;
    void *code;
};

static __thread void *exit_label; /* of the block being generated */
static _Atomic intptr_t call_site_distance;

extern void *gen_new_label_aarch64(void *context);
extern void *tcg_temp_new_internal_aarch64(void *context, int type, bool local);
extern void tcg_temp_free_internal_aarch64(void *context, void *temporary);
extern void tcg_gen_op1_aarch64(void *context, int op, uintptr_t a);
extern void tcg_gen_op3_aarch64(void *context, int op, uintptr_t a, uintptr_t b, uintptr_t c);
extern void tcg_gen_brcondi_i32_aarch64(void *context, int condition, uintptr_t a, int32_t b,
                                        void *label);
extern bool cpu_restore_state_aarch64(void *cpu, uintptr_t host_pc, bool will_exit);

void __wrap_helper_check_exit_request_aarch64(void *uc, uint32_t in_delay_slot);
void __real_tcg_gen_callN_aarch64(void *context, void *function, void *result, int count,
                                  void **arguments);
void __wrap_tcg_gen_callN_aarch64(void *context, void *function, void *result, int count,
                                  void **arguments);
void __real_tcg_gen_exit_tb_aarch64(void *context, void *block, unsigned exit);
void __wrap_tcg_gen_exit_tb_aarch64(void *context, void *block, unsigned exit);
void *__real_helper_lookup_tb_ptr_aarch64(char *env);
void *__wrap_helper_lookup_tb_ptr_aarch64(char *env);
int __real_cpu_exec_aarch64(void *uc, void *cpu);
int __wrap_cpu_exec_aarch64(void *uc, void *cpu);

/* Is the CPU state laid out as the constants above say? */
bool blocks_check(const struct engine *e) {
    char *cpu = e->cpu, *env = cpu + ENV_IN_CPU;
    return *(char **)(cpu + CPU_ENV_POINTER) == env &&
           *(char **)(cpu + CPU_ICOUNT_DECR_POINTER) == env + ICOUNT_DECR_IN_ENV &&
           (char *)(e->registers + REGISTER_PC) == env + ENV_PC;
}

/* ---- whether to stop ---- */

static void generate_exit_check(void *context) {
    char *env = (char *)context + *(uintptr_t *)((char *)context + CONTEXT_CPU_ENV);
    char *word = tcg_temp_new_internal_aarch64(context, TCG_TYPE_I32, false);
    exit_label = gen_new_label_aarch64(context);
    tcg_gen_op3_aarch64(context, OP_LD_I32, (uintptr_t)word, (uintptr_t)env,
                        (uintptr_t)ICOUNT_DECR_IN_ENV);
    /* A TCGv is a temporary's distance from the context. */
    tcg_gen_brcondi_i32_aarch64(context, TCG_COND_LT, (uintptr_t)(word - (char *)context), 0,
                                exit_label);
    tcg_temp_free_internal_aarch64(context, word);
}

void __wrap_tcg_gen_callN_aarch64(void *context, void *function, void *result, int count,
                                  void **arguments) {
    bool check = function == (void *)(uintptr_t)__wrap_helper_check_exit_request_aarch64;
    if (!check || !atomic_load_explicit(&call_site_distance, memory_order_relaxed)) {
        __real_tcg_gen_callN_aarch64(context, function, result, count, arguments);
    }
    if (check) {
        generate_exit_check(context);
    }
}

/* gen_tb_end() ends every block with this exit, which is where the check at its start goes. */
void __wrap_tcg_gen_exit_tb_aarch64(void *context, void *block, unsigned exit) {
    if (exit == TB_EXIT_REQUESTED && exit_label) {
        *(uint32_t *)exit_label |= LABEL_PRESENT;
        tcg_gen_op1_aarch64(context, OP_SET_LABEL, (uintptr_t)exit_label);
        exit_label = NULL;
    }
    __real_tcg_gen_exit_tb_aarch64(context, block, exit);
}

int __wrap_cpu_exec_aarch64(void *uc, void *cpu) {
    struct engine *e = current_engine;
    e->loop_frame = (uintptr_t)__builtin_frame_address(0);
    if (atomic_load(&e->attention)) {
        uc_emu_stop(uc);
    }
    return __real_cpu_exec_aarch64(uc, cpu);
}

/* ---- where to go ---- */

static uint32_t word_at(const char *object, ptrdiff_t offset) {
    uint32_t word;
    memcpy(&word, object + offset, sizeof word);
    return word;
}

/* tb_jmp_cache_hash_func() for pages of 4 KiB and a cache of 4096 entries. */
static size_t jump_cache_index(uint64_t pc) {
    uint64_t mixed = pc ^ (pc >> JUMP_CACHE_PAGE_BITS);
    return ((mixed >> JUMP_CACHE_PAGE_BITS) & 0xfc0) | (mixed & 0x3f);
}

/* tb_lookup__cpu_state(): the very block that the original would return, or what the original says. */
void *__wrap_helper_lookup_tb_ptr_aarch64(char *env) {
    uint64_t pc = *(const uint64_t *)(env + ENV_PC);
    uint32_t flags = word_at(env, ENV_HFLAGS);
    char *cpu = env - ENV_IN_CPU;
    const struct block *block =
        ((const struct block **)(cpu + JUMP_CACHE_IN_CPU))[jump_cache_index(pc)];
    uint32_t state = flags | word_at(env, ENV_BTYPE) << HFLAG_BTYPE_SHIFT;
    if (block && block->pc == pc && block->flags == state &&
        (flags & (HFLAG_AARCH64 | HFLAG_SINGLE_STEP)) == HFLAG_AARCH64 &&
        (block->cflags & HASHED_CFLAGS) == word_at(env, CLUSTER_IN_ENV) << CLUSTER_SHIFT) {
        return block->code;
    }
    return __real_helper_lookup_tb_ptr_aarch64(env);
}

/* ---- the frame of a block ---- */

/* Called by the first block of the process alone; it does nothing else. */
void __wrap_helper_check_exit_request_aarch64(void *uc, uint32_t in_delay_slot) {
    (void)uc, (void)in_delay_slot;
    uintptr_t slot = (uintptr_t)__builtin_frame_address(0) + sizeof(uintptr_t);
    atomic_store_explicit(&call_site_distance, (intptr_t)(current_engine->loop_frame - slot),
                          memory_order_relaxed);
}

/* Sets the guest's PC from a place in translated code; false if it is no place of a guest instruction, which
 * cpu_restore_state() does not tell. */
static bool restore_at(struct engine *e, uintptr_t host_pc) {
    uint64_t before = e->registers[REGISTER_PC];
    e->registers[REGISTER_PC] = UINT64_MAX;
    cpu_restore_state_aarch64(e->cpu, host_pc, true);
    if (e->registers[REGISTER_PC] != UINT64_MAX) {
        return true;
    }
    e->registers[REGISTER_PC] = before;
    return false;
}

/* Sets the guest's PC to the instruction of a host fault at host_pc in translated code. */
bool block_restore(struct engine *e, uintptr_t host_pc) {
    return restore_at(e, host_pc + 2); /* return addresses are expected, and GETPC_ADJ is 2 */
}

/* The same in a helper, too: in translated code, or in a helper called from there.
 * A load's helper is called behind the block, from where a jump (0xe9) leads back into the instruction. */
bool call_site_restore(struct engine *e, uintptr_t host_pc) {
    intptr_t distance = atomic_load_explicit(&call_site_distance, memory_order_relaxed);
    if (block_restore(e, host_pc)) {
        return true;
    }
    if (!distance) {
        return false;
    }
    uintptr_t site = *(const uintptr_t *)(e->loop_frame - (uintptr_t)distance);
    if (restore_at(e, site)) {
        return true;
    }
    for (uintptr_t jump = site; jump < site + 8; jump++) {
        int32_t offset;
        memcpy(&offset, (const void *)(jump + 1), sizeof offset);
        if (*(const uint8_t *)jump == 0xe9 &&
            restore_at(e, jump + 5 + (uintptr_t)(intptr_t)offset)) {
            return true;
        }
    }
    return false;
}
