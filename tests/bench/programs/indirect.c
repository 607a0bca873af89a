/* SPDX-License-Identifier: GPL-2.0-or-later */
/* indirect N: N calls through a table of eight functions, in an order that cannot be predicted. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define STEP(name, expression)                                                                     \
    __attribute__((noipa)) static uint64_t name(uint64_t x) {                                      \
        return expression;                                                                         \
    }
STEP(add, x + 0x9e3779b97f4a7c15u)
STEP(multiply, x * 6364136223846793005u)
STEP(invert, ~x)
STEP(left, x ^ x << 13)
STEP(right, x ^ x >> 7)
STEP(rotate, x << 17 | x >> 47)
STEP(subtract, x - (x >> 3))
STEP(swap, __builtin_bswap64(x))

static uint64_t (*const steps[8])(uint64_t) = {add,   multiply, invert,   left,
                                               right, rotate,   subtract, swap};

int main(int argc, char **argv) {
    uint64_t x = 1;
    uint32_t choice = 1;
    for (long n = argc > 1 ? atol(argv[1]) : 1; n > 0; n--) {
        choice = choice * 1664525 + 1013904223;
        x = steps[choice >> 29](x);
    }
    printf("%016llx\n", (unsigned long long)x);
    return 0;
}
