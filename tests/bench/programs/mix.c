/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mix N: N rounds of 64-bit multiply, shift, rotate and add in registers, each 16th with a division. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t mix(uint64_t x) {
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    x ^= x >> 31;
    return x << 23 | x >> 41;
}

int main(int argc, char **argv) {
    uint64_t sum = 0, state = 1;
    for (long n = argc > 1 ? atol(argv[1]) : 1; n > 0; n--) {
        state = mix(state + 0x9e3779b97f4a7c15u);
        sum += (n & 15) == 0 ? state / (sum | 1) : state;
    }
    printf("%016llx\n", (unsigned long long)sum);
    return 0;
}
