/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Atomic helpers that Unicorn 2.1.4 builds without atomicity, CF_PARALLEL or not: SWP (helper_atomic_xchg*) is a load and
 * a store, LDSMAX, LDSMIN, LDUMAX, LDUMIN (helper_atomic_fetch_*max, *min) are a load, a comparison and a store
 * (qemu/accel/tcg/atomic_template.h). The replacements find the host address by probe_access(), which raises faults at the
 * instruction, and use the host's atomics. They return the old value zero-extended; the originals of LDSMAX and LDSMIN extend
 * its sign. LDADD, LDCLR, LDEOR, LDSET, CAS and CASP are right as they are.
 */
#include "core.h"

#define ACCESS_STORE 1
#define MMU_INDEX_MASK 15 /* TCGMemOpIdx: MemOp << 4 | MMU index */

extern void arm_cpu_do_unaligned_access_aarch64(void *cpu, uint64_t address, int access, int index,
                                                uintptr_t return_address) __attribute__((noreturn));
extern void *probe_access_aarch64(void *env, uint64_t address, int size, int access, int index,
                                  uintptr_t return_address);

/* Where the access is on the host; leaves the block for a fault, by the return address of the helper. */
static void *place(void *env, uint64_t address, int size, uint32_t oi, uintptr_t return_address) {
    int index = (int)(oi & MMU_INDEX_MASK);
    if (address & (uint64_t)(size - 1)) {
        arm_cpu_do_unaligned_access_aarch64(current_engine->cpu, address, ACCESS_STORE, index,
                                            return_address);
    }
    return probe_access_aarch64(env, address, size, ACCESS_STORE, index, return_address);
}

#define REPLACE(name, word, type, body)                                                            \
    word __wrap_helper_atomic_##name##_aarch64(void *env, uint64_t address, word value,            \
                                               uint32_t oi);                                       \
    word __wrap_helper_atomic_##name##_aarch64(void *env, uint64_t address, word value,            \
                                               uint32_t oi) {                                      \
        type *host =                                                                               \
            place(env, address, sizeof(type), oi, (uintptr_t)__builtin_return_address(0));         \
        type operand = (type)value;                                                                \
        body                                                                                       \
    }

#define EXCHANGE return (__typeof__(value))__atomic_exchange_n(host, operand, __ATOMIC_SEQ_CST);

#define KEEP_IF(comparison, result)                                                                \
    __typeof__(operand) old = __atomic_load_n(host, __ATOMIC_RELAXED);                             \
    while (!__atomic_compare_exchange_n(host, &old, old comparison operand ? old : operand, false, \
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {                     \
    }                                                                                              \
    return (result)old;

#define REPLACE_SIZE(suffix, word, unsigned_type, signed_type)                                     \
    REPLACE(xchg##suffix, word, unsigned_type, EXCHANGE)                                           \
    REPLACE(fetch_smax##suffix, word, signed_type, KEEP_IF(>, unsigned_type))                      \
    REPLACE(fetch_smin##suffix, word, signed_type, KEEP_IF(<, unsigned_type))                      \
    REPLACE(fetch_umax##suffix, word, unsigned_type, KEEP_IF(>, unsigned_type))                    \
    REPLACE(fetch_umin##suffix, word, unsigned_type, KEEP_IF(<, unsigned_type))

REPLACE_SIZE(b, uint32_t, uint8_t, int8_t)
REPLACE_SIZE(w_le, uint32_t, uint16_t, int16_t)
REPLACE_SIZE(l_le, uint32_t, uint32_t, int32_t)
REPLACE_SIZE(q_le, uint64_t, uint64_t, int64_t)
