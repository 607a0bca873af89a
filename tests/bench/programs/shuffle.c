/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shuffle N: N rounds of table look-up, addition and exclusive or on vectors of sixteen bytes. */
#include <stdio.h>
#include <stdlib.h>

typedef unsigned char bytes __attribute__((vector_size(16)));

int main(int argc, char **argv) {
    bytes order = {3, 14, 1, 10, 5, 9, 2, 6, 15, 13, 8, 7, 11, 0, 12, 4};
    bytes value = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    bytes sum = {0};
    for (long n = argc > 1 ? atol(argv[1]) : 1; n > 0; n--) {
        value = __builtin_shuffle(value, order);
        sum += value;
        value ^= __builtin_shuffle(sum, value & 15);
    }
    for (int i = 0; i < 16; i++)
        printf("%02x", sum[i]);
    putchar('\n');
    return 0;
}
