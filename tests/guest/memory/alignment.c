/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Misaligned accesses: plain ones work, also across pages; on AArch64 without FEAT_LSE2 ordered and atomic ones are SIGBUS. */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "faults.h"

#define PAGE 4096UL

static char *pages;

static void plain_accesses_work(void) {
    for (size_t i = 0; i < 16; i++) {
        volatile char *at = pages + PAGE - i;
        *(volatile uint16_t *)at = 0x1234;
        CHECK(*(volatile uint16_t *)at == 0x1234);
        *(volatile uint32_t *)at = 0x12345678;
        CHECK(*(volatile uint32_t *)at == 0x12345678 && at[3] == 0x12);
        *(volatile uint64_t *)at = 0x123456789abcdef0;
        CHECK(*(volatile uint64_t *)at == 0x123456789abcdef0 && at[0] == (char)0xf0);
    }
}

#ifdef __aarch64__
#define MISALIGNED(instruction, offset, address)                                                   \
    FAULTS(SIGBUS, BUS_ADRALN, (address),                                                          \
           __asm__ volatile(".arch armv8.4-a\n" instruction ::"r"((offset) + pages)                \
                            : "x4", "x5", "x6", "x7", "w9", "memory"))
#else
#define MISALIGNED(instruction, offset, address) CHECK((address) != NULL)
#endif

static void ordered_accesses_fault(void) {
    MISALIGNED("ldar x4, [%0]", 4, pages + 4);
    MISALIGNED("ldarh w4, [%0]", 1, pages + 1);
    MISALIGNED("stlr w4, [%0]", 6, pages + 6);
    MISALIGNED("stlr x4, [%0]", 12, pages + 12);
    MISALIGNED("ldapr w4, [%0]", 2, pages + 2);
    MISALIGNED("ldapur x4, [%0, #-5]", 32, pages + 27);
    MISALIGNED("stlur x4, [%0, #255]", 32, pages + 287);
}

static void atomic_accesses_fault(void) {
    MISALIGNED("ldxr x4, [%0]", 4, pages + 4);
    MISALIGNED("ldaxr w4, [%0]", 2, pages + 2);
    MISALIGNED("ldxp x4, x5, [%0]", 8, pages + 8);
    MISALIGNED("ldadd x4, x5, [%0]", 4, pages + 4);
    MISALIGNED("swpalh w4, w5, [%0]", 1, pages + 1);
    MISALIGNED("casal x4, x5, [%0]", 2, pages + 2);
    MISALIGNED("casp x4, x5, x6, x7, [%0]", 8, pages + 8);
}

static void aligned_ones_do_not(void) {
    uint64_t *word = (uint64_t *)(void *)pages;
    for (int i = 0; i < 8; i++) {
        __atomic_store_n(word + i, (uint64_t)i + 1, __ATOMIC_SEQ_CST);
        CHECK(__atomic_load_n(word + i, __ATOMIC_ACQUIRE) == (uint64_t)i + 1);
        CHECK(__atomic_fetch_add(word + i, 5, __ATOMIC_SEQ_CST) == (uint64_t)i + 1);
        uint8_t *byte = (uint8_t *)(word + i) + i;
        __atomic_store_n(byte, 7, __ATOMIC_RELEASE);
        CHECK(__atomic_load_n(byte, __ATOMIC_ACQUIRE) == 7);
    }
}

int main(void) {
    catch_faults();
    pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED);
    RUN(plain_accesses_work);
    RUN(ordered_accesses_fault);
    RUN(atomic_accesses_fault);
    RUN(aligned_ones_do_not);
    return 0;
}
