/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dgemm N: multiply two 96x96 matrices of doubles with scalar code, N times.
 * The elements are small integers, so that a fused multiply-add and two operations give the same sums.
 */
#include <stdio.h>
#include <stdlib.h>

enum { SIZE = 96 };
static double a[SIZE][SIZE], b[SIZE][SIZE], c[SIZE][SIZE];

static void multiply(void) {
    for (int i = 0; i < SIZE; i++) {
        for (int j = 0; j < SIZE; j++) {
            double sum = c[i][j];
            for (int k = 0; k < SIZE; k++)
                sum += a[i][k] * b[k][j];
            c[i][j] = sum;
        }
    }
}

int main(int argc, char **argv) {
    for (int i = 0; i < SIZE; i++) {
        for (int j = 0; j < SIZE; j++) {
            a[i][j] = (i * 7 + j * 3) % 17 - 8;
            b[i][j] = (i * 5 + j * 11) % 13 - 6;
        }
    }
    for (long n = argc > 1 ? atol(argv[1]) : 1; n > 0; n--)
        multiply();
    double trace = 0;
    for (int i = 0; i < SIZE; i++)
        trace += c[i][i] * (i + 1);
    printf("%.1f\n", trace);
    return 0;
}
