/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Counts by load-exclusive and store-exclusive, which fail for ever if something comes between them each time. */
#include <stdio.h>

static volatile int counter;

__attribute__((noinline)) static void count(void) {
    int value, failed;
    __asm__ volatile("1: ldxr %w0, [%2]\n"
                     "add %w0, %w0, #1\n"
                     ".globl between\n"
                     "between: stxr %w1, %w0, [%2]\n"
                     "cbnz %w1, 1b\n"
                     : "=&r"(value), "=&r"(failed)
                     : "r"(&counter)
                     : "memory");
}

int main(void) {
    for (int i = 0; i < 9; i++) {
        count();
    }
    printf("counter %d\n", counter);
    return 6;
}
