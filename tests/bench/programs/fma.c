/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fma N: N rounds of multiply and add on eight vectors of four floats.
 * Halving is exact, so that a fused multiply-add and two operations round alike.
 */
#include <stdio.h>
#include <stdlib.h>

typedef float floats __attribute__((vector_size(16)));

int main(int argc, char **argv) {
    floats sum[8];
    const floats half = {0.5f, 0.5f, 0.5f, 0.5f};
    const floats add = {1.0f, 3.0f, 5.0f, 7.0f};
    for (int i = 0; i < 8; i++)
        sum[i] = (floats){(float)i, 2.0f, 4.0f, 8.0f};
    for (long n = argc > 1 ? atol(argv[1]) : 1; n > 0; n--) {
        for (int i = 0; i < 8; i++)
            sum[i] = sum[i] * half + add;
        floats first = sum[0]; /* a rotation: the compiler must keep all eight */
        for (int i = 0; i < 7; i++)
            sum[i] = sum[i + 1];
        sum[7] = first;
    }
    for (int i = 0; i < 8; i++)
        printf("%a %a %a %a\n", sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
    return 0;
}
