/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sieve N: count the primes below 2^20, N times (byte stores with a growing stride). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT = 1 << 20 };
static unsigned char composite[LIMIT];

static unsigned long count_primes(void) {
    unsigned long count = 0;
    memset(composite, 0, sizeof composite);
    for (unsigned i = 2; i < LIMIT; i++) {
        if (composite[i])
            continue;
        count++;
        for (unsigned long j = (unsigned long)i * i; j < LIMIT; j += i)
            composite[j] = 1;
    }
    return count;
}

int main(int argc, char **argv) {
    unsigned long total = 0;
    for (long n = argc > 1 ? atol(argv[1]) : 1; n > 0; n--)
        total += count_primes();
    printf("%lu\n", total);
    return 0;
}
