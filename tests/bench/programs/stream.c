/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stream N: N passes over 4 MiB: a loop of stores, a loop of loads and stores, memcpy, memset. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = (4 << 20) / 8 };
static uint64_t from[WORDS], to[WORDS];

static uint64_t pass(uint64_t seed) {
    for (size_t i = 0; i < WORDS; i++)
        from[i] = seed + i;
    for (size_t i = 0; i < WORDS; i++)
        to[i] = from[i] ^ (to[i] << 1);
    memcpy(from, to, sizeof from);
    uint64_t result = from[seed % WORDS] + from[WORDS - 1];
    memset(to, (int)(result & 0xff), sizeof to);
    return result;
}

int main(int argc, char **argv) {
    uint64_t sum = 0;
    for (long n = argc > 1 ? atol(argv[1]) : 1; n > 0; n--)
        sum = sum * 31 + pass((uint64_t)n);
    printf("%016llx\n", (unsigned long long)sum);
    return 0;
}
