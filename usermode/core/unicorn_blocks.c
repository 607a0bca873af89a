/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The beginning of every translated block: is a stop requested?
 *
 * Unicorn calls a helper function for it, a tenth of the time of ordinary programs. QEMU's own form, a load, a compare and a
 * branch to an exit at the block's end, is generated here instead: for the helper's call (tcg_gen_callN) and, where the
 * block ends (tcg_gen_exit_tb with TB_EXIT_REQUESTED), for the label. cpu_tb_exec() sets PC for that exit.
 */
#include "core.h"

#define OP_SET_LABEL 1 /* positions in qemu/include/tcg/tcg-opc.h */
#define OP_LD_I32 13
#define COND_LT 2
#define TB_EXIT_REQUESTED 3
#define LABEL_PRESENT 1 /* bit 0 of struct TCGLabel */

void __real_tcg_gen_callN_aarch64(void *context, void *function, void *result, int count,
                                  void **arguments);
void __wrap_tcg_gen_callN_aarch64(void *context, void *function, void *result, int count,
                                  void **arguments);
void __real_tcg_gen_exit_tb_aarch64(void *context, void *block, unsigned index);
void __wrap_tcg_gen_exit_tb_aarch64(void *context, void *block, unsigned index);
extern void helper_check_exit_request_aarch64(void *uc, uint32_t in_delay_slot);
extern const void *helper_lookup_tb_ptr_aarch64(void *env);
extern void *gen_new_label_aarch64(void *context);
extern void tcg_gen_op1_aarch64(void *context, int op, uintptr_t a);
extern void tcg_gen_op3_aarch64(void *context, int op, uintptr_t a, uintptr_t b, uintptr_t c);
extern void tcg_gen_brcondi_i32_aarch64(void *context, int condition, void *value, int32_t with,
                                        void *label);

static __thread void *exit_label;

/* A temporary is named by its offset in the context where it is used as a value. */
static void *as_value(void *context, void *temporary) {
    return (void *)((char *)temporary - (uintptr_t)context);
}

void __wrap_tcg_gen_callN_aarch64(void *context, void *function, void *result, int count,
                                  void **arguments) {
    struct engine *e = current_engine;
    if (function == (void *)(uintptr_t)helper_lookup_tb_ptr_aarch64) {
        e->env_temporary = arguments[0]; /* the same for the life of the context */
    }
    if (function != (void *)(uintptr_t)helper_check_exit_request_aarch64 || !e->env_temporary) {
        __real_tcg_gen_callN_aarch64(context, function, result, count, arguments);
        return;
    }
    exit_label = gen_new_label_aarch64(context);
    tcg_gen_op3_aarch64(context, OP_LD_I32, (uintptr_t)arguments[1], (uintptr_t)e->env_temporary,
                        (uintptr_t)e->exit_word_offset);
    tcg_gen_brcondi_i32_aarch64(context, COND_LT, as_value(context, arguments[1]), 0, exit_label);
}

void __wrap_tcg_gen_exit_tb_aarch64(void *context, void *block, unsigned index) {
    if (index == TB_EXIT_REQUESTED && exit_label) {
        *(unsigned char *)exit_label |= LABEL_PRESENT;
        tcg_gen_op1_aarch64(context, OP_SET_LABEL, (uintptr_t)exit_label);
        exit_label = NULL;
    }
    __real_tcg_gen_exit_tb_aarch64(context, block, index);
}
