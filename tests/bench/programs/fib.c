/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fib N: fib(24) by plain recursion, N times. */
#include <stdio.h>
#include <stdlib.h>

/* GCC turns recursion into loops at -O2; the calls are what is measured. */
__attribute__((noipa)) static unsigned fib(unsigned n) {
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

int main(int argc, char **argv) {
    unsigned long sum = 0;
    for (long n = argc > 1 ? atol(argv[1]) : 1; n > 0; n--)
        sum += fib(24);
    printf("%lu\n", sum);
    return 0;
}
